//! Log files as text, as `kafka-dump-log` prints them: ours and Apache Kafka's.
//!
//! A [`Dump`] is given one file after the other; what it finds wrong in them on the way is told at the end, apart from the
//! text, as that tool does.

mod index;
mod log;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::io::{self, Write};

use bytes::Bytes;

pub use text::Optional;

/// What is printed of data files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DumpOptions {
    /// Every record, with its key and value as text (`--print-data-log`).
    pub print_data: bool,
    /// Every record, without them (`--deep-iteration`).
    pub deep: bool,
    /// With `print_data`: key and value only (`--skip-record-metadata`).
    pub skip_record_metadata: bool,
    /// Nothing of index files but what is wrong with them (`--verify-index-only`).
    pub verify_index_only: bool,
}

/// A file was not dumped.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// A file could not be read, or the text not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The name is not that of a file which can be dumped.
    #[error("{path}: {what}")]
    Name {
        /// The file.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// The file is not what its name says.
    #[error("{path}: {what}")]
    Invalid {
        /// The file.
        path: String,
        /// What is wrong.
        what: String,
    },
}

/// Prints log files.
#[derive(Debug, Default)]
pub struct Dump {
    options: DumpOptions,
    /// What is wrong, by a heading, in the order of the headings.
    problems: BTreeMap<String, Vec<String>>,
}

/// One file that is being dumped.
struct Dumped<'a> {
    /// As the user wrote it.
    path: &'a str,
    /// Without the folder.
    name: &'a str,
    content: Bytes,
}

impl Dumped<'_> {
    fn invalid(&self, what: impl ToString) -> DumpError {
        DumpError::Invalid { path: self.path.to_owned(), what: what.to_string() }
    }

    fn misnamed(&self, what: &str) -> DumpError {
        DumpError::Name { path: self.path.to_owned(), what: what.to_owned() }
    }

    /// The offset that the name begins with.
    fn base_offset(&self) -> Result<i64, DumpError> {
        let digits = self.name.split('.').next().unwrap_or_default();
        digits.parse().map_err(|_| self.misnamed("the name does not begin with an offset"))
    }

    /// The path of another file of the same segment.
    fn sibling(&self, suffix: &str) -> String {
        let stem = self.name.split('.').next().unwrap_or_default();
        format!("{}{stem}.{suffix}", &self.path[..self.path.len() - self.name.len()])
    }
}

impl Dump {
    /// One that prints what `options` want.
    pub fn new(options: DumpOptions) -> Dump {
        Dump { options, problems: BTreeMap::new() }
    }

    /// Prints a file. What it is, its name says. `load` reads a whole file: this one, and those of the same segment that an
    /// index is compared with.
    ///
    /// # Errors
    /// [`DumpError`].
    pub fn file(
        &mut self,
        path: &str,
        load: &mut dyn FnMut(&str) -> io::Result<Bytes>,
        out: &mut dyn Write,
    ) -> Result<(), DumpError> {
        writeln!(out, "Dumping {path}")?;
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        let mut file = Dumped { path, name, content: Bytes::new() };
        let suffix = name.rsplit_once('.').map_or(name, |(_, suffix)| suffix);
        let known =
            ["log", "checkpoint", "index", "timeindex", "txnindex", "snapshot", crate::leader_epoch::FILE];
        if !known.contains(&suffix) {
            return Err(file.misnamed(
                "not a file of a log; there are *.log, *.index, *.timeindex, *.txnindex, *.snapshot, *.checkpoint and \
                 leader-epoch-checkpoint",
            ));
        }
        file.content = load(path)?;
        match suffix {
            "index" => self.offset_index(&file, &load(&file.sibling("log"))?, out),
            "timeindex" => {
                let offsets = load(&file.sibling("index"))?;
                self.time_index(&file, &load(&file.sibling("log"))?, &offsets, out)
            }
            "txnindex" => index::transactions(&file, out),
            "snapshot" => index::producers(&file, out),
            crate::leader_epoch::FILE => index::leader_epochs(&file, out),
            _ => self.log(&file, out),
        }
    }

    /// What is wrong with the files: headings, and lines below each.
    pub fn problems(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.problems.iter().map(|(heading, lines)| (heading.as_str(), lines.as_slice()))
    }

    fn problem(&mut self, heading: String, line: String) {
        self.problems.entry(heading).or_default().push(line);
    }
}
