//! A real folder that holds what a simulated disk holds.

use bytes::Bytes;
use trial_node::{Disk, DiskError, FileId};

use super::file::FileDisk;

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

    /// Makes the folder hold these files, and folders, which have no content, and nothing else. If it cannot, the next that is
    /// done to it fails.
    pub(super) fn rewrite(&mut self, contents: Vec<(String, Option<Bytes>)>) {
        let written = self.also(|folder| {
            for name in folder.list("")? {
                folder.remove(&name)?;
            }
            for (path, content) in contents {
                let Some(content) = content else {
                    folder.make_folder(&path)?;
                    continue;
                };
                let file = folder.open(&path, true)?;
                folder.append(file, &[content])?;
                folder.sync(file)?;
                folder.close(file);
            }
            Ok(())
        });
        // It is kept for who comes next.
        drop(written);
    }
}
