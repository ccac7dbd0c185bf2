//! A real folder that holds what a simulated disk holds.

use std::collections::BTreeMap;

use bytes::Bytes;
use trial_node::{Disk, DiskError, FileId};

use super::file::FileDisk;

/// A file on its way to the place of another. No node calls one of its own so.
const REWRITTEN: &str = ".rewritten";

/// The folder, if there is one: every write goes there as well. A copy of a disk has none: it is a snapshot, and the folder
/// stays with the disk that goes on.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    folder: Option<FileDisk>,
    /// What went wrong first. From then on the folder is not what the disk is, so it is left as it is, and everything fails:
    /// what were written behind a gap would be garbage to the next process.
    error: Option<DiskError>,
}

impl Clone for Mirror {
    fn clone(&self) -> Self {
        Mirror::default()
    }
}

impl Mirror {
    pub(super) fn new(folder: FileDisk) -> Mirror {
        Mirror { folder: Some(folder), error: None }
    }

    /// Removes what a process has left that died while it rewrote the folder.
    pub(super) fn tidy(folder: &mut FileDisk) -> Result<(), DiskError> {
        match folder.remove(REWRITTEN) {
            Err(DiskError::NotFound { .. }) => Ok(()),
            removed => removed,
        }
    }

    /// Does in the folder what is done to the disk.
    #[inline]
    pub(super) fn also<T: Default>(
        &mut self,
        act: impl FnOnce(&mut FileDisk) -> Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        match &mut self.folder {
            None => Ok(T::default()),
            Some(folder) => match &self.error {
                None => act(folder).inspect_err(|error| self.error = Some(error.clone())),
                Some(error) => Err(error.clone()),
            },
        }
    }

    pub(super) fn close(&mut self, file: FileId) {
        if let Some(folder) = &mut self.folder {
            folder.close(file);
        }
    }

    pub(super) fn close_all(&mut self) {
        if let Some(folder) = &mut self.folder {
            folder.close_all();
        }
    }

    /// Whether there is a folder.
    pub(super) fn is_there(&self) -> bool {
        self.folder.is_some()
    }

    /// Makes the folder hold these files, and folders, which have no content and come before what is in them, and nothing else. If
    /// it cannot, the next that is done to it fails.
    ///
    /// Whenever this breaks off, the folder holds each of the files as it was before or as it is to be: nothing that was synced
    /// is lost.
    pub(super) fn rewrite(&mut self, contents: &[(String, Option<Bytes>)]) {
        let written = self.also(|folder| {
            for (path, content) in contents {
                if folder.is_folder(path)?.is_some_and(|is_folder| is_folder != content.is_none()) {
                    folder.remove(path)?;
                }
                match content {
                    None => folder.make_folder(path)?,
                    Some(content) => rewrite_file(folder, path, content)?,
                }
            }
            sync_folders(folder, contents)?;
            remove_others(folder, contents)?;
            sync_folders(folder, contents)
        });
        // It is kept for who comes next.
        drop(written);
    }
}

/// Makes a file hold this.
fn rewrite_file(folder: &mut FileDisk, path: &str, content: &Bytes) -> Result<(), DiskError> {
    if folder.is_folder(path)?.is_some() {
        let file = folder.open(path, false)?;
        let len = folder.len(file);
        let is_same = len == content.len() as u64 && folder.read(file, 0, len)? == *content;
        if is_same {
            folder.sync(file)?;
        }
        folder.close(file);
        if is_same {
            return Ok(());
        }
    }
    let file = folder.open(REWRITTEN, true)?;
    folder.append(file, std::slice::from_ref(content))?;
    folder.sync(file)?;
    folder.close(file);
    folder.rename(REWRITTEN, path)
}

/// Removes what is not among these.
fn remove_others(folder: &mut FileDisk, contents: &[(String, Option<Bytes>)]) -> Result<(), DiskError> {
    let wanted: BTreeMap<&str, bool> =
        contents.iter().map(|(path, content)| (path.as_str(), content.is_none())).collect();
    let mut folders = vec![String::new()];
    while let Some(inside) = folders.pop() {
        for name in folder.list(&inside)? {
            let path = if inside.is_empty() { name } else { format!("{inside}/{name}") };
            match wanted.get(path.as_str()) {
                None => folder.remove(&path)?,
                Some(true) => folders.push(path),
                Some(false) => {}
            }
        }
    }
    Ok(())
}

fn sync_folders(folder: &mut FileDisk, contents: &[(String, Option<Bytes>)]) -> Result<(), DiskError> {
    let folders = contents.iter().filter(|(_, content)| content.is_none()).map(|(path, _)| path.as_str());
    folders.chain([""]).try_for_each(|path| folder.sync_folder(path))
}
