//! A disk on a real file system.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use trial_node::{Disk, DiskError, FileId};

/// A data folder on a real file system. Paths with `..`, absolute paths and empty names are refused, so nothing outside
/// the folder is touched.
#[derive(Debug)]
pub struct FileDisk {
    root: PathBuf,
    open: Vec<Option<OpenFile>>,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    path: String,
    len: u64,
}

impl FileDisk {
    /// The data folder `root`, which is created if it is missing.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn new(root: impl Into<PathBuf>) -> io::Result<FileDisk> {
        let root = root.into();
        fs::create_dir_all(&root)?;
        Ok(FileDisk { root, open: Vec::new() })
    }

    /// The data folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Forgets all open files, as the death of a process does.
    pub fn close_all(&mut self) {
        self.open.clear();
    }

    /// The paths of all files, sorted.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn files(&mut self) -> Result<Vec<String>, DiskError> {
        let (mut files, mut folders) = (Vec::new(), vec![String::new()]);
        while let Some(folder) = folders.pop() {
            for name in self.list(&folder)? {
                let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                let is_folder = fs::metadata(self.resolve(&path)?).map_err(error(&path))?.is_dir();
                if is_folder { folders.push(path) } else { files.push(path) }
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    /// Makes a folder, and those that it is in.
    pub(super) fn make_folder(&mut self, path: &str) -> Result<(), DiskError> {
        fs::create_dir_all(self.resolve(path)?).map_err(error(path))
    }

    /// Puts other bytes where a file has some.
    pub(super) fn overwrite(&mut self, path: &str, position: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut file = OpenOptions::new().write(true).open(self.resolve(path)?).map_err(error(path))?;
        file.seek(SeekFrom::Start(position)).and_then(|_| file.write_all(bytes)).map_err(error(path))
    }

    /// Whether what is there is a folder; `None` if nothing is.
    pub(super) fn is_folder(&self, path: &str) -> Result<Option<bool>, DiskError> {
        match fs::symlink_metadata(self.resolve(path)?) {
            Ok(metadata) => Ok(Some(metadata.is_dir())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(error(path)(e)),
        }
    }

    fn resolve(&self, path: &str) -> Result<PathBuf, DiskError> {
        let strange =
            |name: &str| name.is_empty() || name == "." || name == ".." || name.contains(['\\', '\0']);
        if path.split('/').any(strange) {
            return Err(failed(path, "not a path inside the data folder"));
        }
        Ok(self.root.join(path))
    }

    fn resolve_folder(&self, folder: &str) -> Result<PathBuf, DiskError> {
        if folder.is_empty() { Ok(self.root.clone()) } else { self.resolve(folder) }
    }

    fn file(&mut self, file: FileId) -> &mut OpenFile {
        self.open
            .get_mut(file.0 as usize)
            .and_then(Option::as_mut)
            .expect("a file is used between its open and its close")
    }
}

fn failed(path: &str, what: impl ToString) -> DiskError {
    DiskError::Failed { path: path.to_owned(), what: what.to_string() }
}

fn error(path: &str) -> impl FnOnce(io::Error) -> DiskError {
    move |error| match error.kind() {
        io::ErrorKind::NotFound => DiskError::NotFound { path: path.to_owned() },
        _ => failed(path, error),
    }
}

/// Writes the chunks one after the other, a few at a time in one call: a batch comes as its header and the rest.
fn write_all(file: &mut File, chunks: &[Bytes]) -> io::Result<()> {
    const AT_ONCE: usize = 16;
    for chunks in chunks.chunks(AT_ONCE) {
        let mut slices = [IoSlice::new(&[]); AT_ONCE];
        for (slice, chunk) in slices.iter_mut().zip(chunks) {
            *slice = IoSlice::new(chunk);
        }
        let mut left = &mut slices[..chunks.len()];
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match file.write_vectored(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut left, written),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(())
}

impl Disk for FileDisk {
    fn open(&mut self, path: &str, create: bool) -> Result<FileId, DiskError> {
        let full = self.resolve(path)?;
        if create && let Some(folder) = full.parent() {
            fs::create_dir_all(folder).map_err(error(path))?;
        }
        let file =
            OpenOptions::new().read(true).append(true).create(create).open(&full).map_err(error(path))?;
        let len = file.metadata().map_err(error(path))?.len();
        self.open.push(Some(OpenFile { file, path: path.to_owned(), len }));
        Ok(FileId(u32::try_from(self.open.len() - 1).expect("fewer than 2^32 opens in one process")))
    }

    fn close(&mut self, file: FileId) {
        self.open[file.0 as usize] = None;
    }

    fn len(&self, file: FileId) -> u64 {
        self.open[file.0 as usize].as_ref().expect("a file is used between its open and its close").len
    }

    fn append(&mut self, file: FileId, chunks: &[Bytes]) -> Result<(), DiskError> {
        let open = self.file(file);
        if let Err(e) = write_all(&mut open.file, chunks) {
            open.len = open.file.metadata().map_err(error(&open.path))?.len();
            return Err(error(&open.path)(e));
        }
        open.len += chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        Ok(())
    }

    fn read(&mut self, file: FileId, position: u64, len: u64) -> Result<Bytes, DiskError> {
        let open = self.file(file);
        if position.checked_add(len).is_none_or(|end| end > open.len) {
            return Err(DiskError::PastEnd { path: open.path.clone(), position, len, file_len: open.len });
        }
        let mut out = BytesMut::zeroed(len as usize);
        open.file.seek(SeekFrom::Start(position)).map_err(error(&open.path))?;
        open.file.read_exact(&mut out).map_err(error(&open.path))?;
        Ok(out.freeze())
    }

    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        let open = self.file(file);
        assert!(len <= open.len, "truncating to {len}, but the file has {}", open.len);
        open.file.set_len(len).map_err(error(&open.path))?;
        open.len = len;
        Ok(())
    }

    fn sync(&mut self, file: FileId) -> Result<(), DiskError> {
        let open = self.file(file);
        open.file.sync_data().map_err(error(&open.path))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        fs::rename(self.resolve(from)?, self.resolve(to)?).map_err(error(from))
    }

    fn remove(&mut self, path: &str) -> Result<(), DiskError> {
        let full = self.resolve(path)?;
        let is_folder = fs::symlink_metadata(&full).map_err(error(path))?.is_dir();
        if is_folder { fs::remove_dir_all(full) } else { fs::remove_file(full) }.map_err(error(path))
    }

    fn list(&mut self, folder: &str) -> Result<Vec<String>, DiskError> {
        let entries = match fs::read_dir(self.resolve_folder(folder)?) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(failed(folder, e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(error(folder))?.file_name();
            names.push(name.into_string().map_err(|name| failed(folder, format!("{name:?} is not UTF-8")))?);
        }
        names.sort_unstable();
        Ok(names)
    }

    fn sync_folder(&mut self, folder: &str) -> Result<(), DiskError> {
        File::open(self.resolve_folder(folder)?).and_then(|file| file.sync_all()).map_err(error(folder))
    }
}
