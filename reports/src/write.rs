//! Writing a report's files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::{RunRecord, latency_csv, series_csv, timeline_csv, to_html};

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {error}")]
pub struct ReportError {
    /// The file.
    pub file: PathBuf,
    /// What the operating system said.
    pub error: io::Error,
}

/// Writes the report of a run into an existing folder; gives the path of its page.
///
/// Each file appears under its name only once it is whole. The page comes last: where it exists, the rest does.
///
/// # Errors
/// [`ReportError`] for the first file that cannot be written.
pub fn write(record: &RunRecord, folder: &Path) -> Result<PathBuf, ReportError> {
    put(folder, "record.json", &to_json(record))?;
    put(folder, "series.csv", &series_csv(record))?;
    put(folder, "latency.csv", &latency_csv(record))?;
    put(folder, "timeline.csv", &timeline_csv(record))?;
    put(folder, "fault-plan.toml", &record.fault_plan)?;
    put(folder, "report.html", &to_html(record))
}

/// The record as `trial run --json` prints it: one object, indented, ending in a newline.
pub fn to_json(record: &RunRecord) -> String {
    let mut text = serde_json::to_string_pretty(record).expect("a record has string keys only");
    text.push('\n');
    text
}

fn put(folder: &Path, name: &str, text: &str) -> Result<PathBuf, ReportError> {
    let file = folder.join(name);
    let part = folder.join(format!("{name}.part"));
    let put = fs::write(&part, text).and_then(|()| fs::rename(&part, &file));
    match put {
        Ok(()) => Ok(file),
        Err(error) => Err(ReportError { file, error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_file() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("no-such-folder");
        let error = put(&folder, "series.csv", "").unwrap_err();
        assert_eq!(error.file, folder.join("series.csv"));
        assert_eq!(error.error.kind(), io::ErrorKind::NotFound);
    }
}
