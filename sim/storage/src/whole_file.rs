//! Small files that are read and replaced as a whole.

use bytes::Bytes;
use trial_node::{Disk, DiskError};

/// Reads a file; `None` if there is none.
pub(crate) fn read(disk: &mut dyn Disk, path: &str) -> Result<Option<Bytes>, DiskError> {
    let file = match disk.open(path, false) {
        Ok(file) => file,
        Err(DiskError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let content = disk.read(file, 0, disk.len(file));
    disk.close(file);
    content.map(Some)
}

/// Whether there is such a file.
pub(crate) fn exists(disk: &mut dyn Disk, path: &str) -> Result<bool, DiskError> {
    match disk.open(path, false) {
        Ok(file) => disk.close(file),
        Err(DiskError::NotFound { .. }) => return Ok(false),
        Err(error) => return Err(error),
    }
    Ok(true)
}

/// Replaces a file, atomically and durably: whatever happens, its name leads to the old content or to the new one.
pub(crate) fn replace(disk: &mut dyn Disk, path: &str, content: Bytes) -> Result<(), DiskError> {
    let temporary = format!("{path}.tmp");
    let file = disk.open(&temporary, true)?;
    let written = disk
        // A crash may have left the file behind.
        .truncate(file, 0)
        .and_then(|()| disk.append(file, &[content]))
        .and_then(|()| disk.sync(file));
    disk.close(file);
    written?;
    disk.rename(&temporary, path)?;
    disk.sync_folder(split(path).0)
}

/// Writes a file anew, neither atomically nor durably: for content that carries its own checksum and can be lost.
pub(crate) fn write(disk: &mut dyn Disk, path: &str, content: Bytes) -> Result<(), DiskError> {
    let file = disk.open(path, true)?;
    let written = disk.truncate(file, 0).and_then(|()| disk.append(file, &[content]));
    disk.close(file);
    written
}

/// The folder that `path` is in, and its name there.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}
