//! A disk on a real file system.

use std::path::PathBuf;

/// A data folder on a real file system. Paths never leave it.
#[derive(Debug)]
pub struct FileDisk {
    root: PathBuf,
}

impl FileDisk {
    /// The data folder `root`, which is created if it is missing.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn new(root: impl Into<PathBuf>) -> std::io::Result<FileDisk> {
        let root = root.into();
        std::fs::create_dir_all(&root)?;
        Ok(FileDisk { root })
    }

    /// The data folder.
    pub fn root(&self) -> &std::path::Path {
        &self.root
    }
}
