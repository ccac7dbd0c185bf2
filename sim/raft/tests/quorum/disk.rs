//! A disk in memory that knows what would survive a loss of power.

use std::collections::BTreeMap;

use bytes::Bytes;
use trial_node::{Disk, DiskError, FileId, Rng};

#[derive(Clone, Debug, Default)]
struct Inode {
    content: Vec<u8>,
    /// How much of the content is synced.
    synced: usize,
    /// What a sync last saved, if some of that was cut off since.
    cut: Option<Vec<u8>>,
}

impl Inode {
    fn sync(&mut self) {
        self.synced = self.content.len();
        self.cut = None;
    }
}

#[derive(Clone, Debug, Default)]
pub struct TestDisk {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    open: Vec<usize>,
    /// Every operation that changes or syncs something, in order.
    pub operations: Vec<String>,
    /// How many more of these go well before the power is gone.
    pub fuse: Option<u64>,
}

impl TestDisk {
    /// What was synced stays; of the rest, whatever chance has it.
    pub fn lose_power(&mut self, rng: &mut Rng) {
        if rng.chance(1, 2) {
            self.names = self.durable_names.clone();
        }
        for inode in &mut self.inodes {
            match inode.cut.take() {
                Some(durable) if rng.chance(1, 2) => inode.content = durable,
                _ => {
                    let kept = rng.between(inode.synced as u64, inode.content.len() as u64);
                    inode.content.truncate(kept as usize);
                }
            }
            inode.sync();
        }
        self.durable_names = self.names.clone();
        self.open.clear();
        self.fuse = None;
        self.operations.clear();
    }

    /// Whether the power is gone.
    pub fn is_dead(&self) -> bool {
        self.fuse == Some(0)
    }

    /// Nothing that was not synced stays.
    pub fn lose_everything_unsynced(&mut self) {
        self.names = self.durable_names.clone();
        for inode in &mut self.inodes {
            match inode.cut.take() {
                Some(durable) => inode.content = durable,
                None => inode.content.truncate(inode.synced),
            }
            inode.sync();
        }
        self.open.clear();
    }

    fn name(&self, file: FileId) -> &str {
        let inode = self.open[file.0 as usize];
        self.names.iter().find(|(_, named)| **named == inode).map_or("?", |(name, _)| name)
    }

    fn inode(&mut self, file: FileId) -> &mut Inode {
        &mut self.inodes[self.open[file.0 as usize]]
    }

    fn note(&mut self, operation: &str, path: &str) -> Result<(), DiskError> {
        if self.is_dead() {
            return Err(DiskError::Failed { path: path.to_owned(), what: "no power".to_owned() });
        }
        self.fuse = self.fuse.map(|left| left - 1);
        self.operations.push(format!("{operation} {path}"));
        Ok(())
    }

    fn note_file(&mut self, operation: &str, file: FileId) -> Result<(), DiskError> {
        let path = self.name(file).to_owned();
        self.note(operation, &path)
    }
}

impl Disk for TestDisk {
    fn open(&mut self, path: &str, create: bool) -> Result<FileId, DiskError> {
        let inode = match self.names.get(path) {
            Some(inode) => *inode,
            None if create => {
                self.inodes.push(Inode::default());
                self.names.insert(path.to_owned(), self.inodes.len() - 1);
                self.inodes.len() - 1
            }
            None => return Err(DiskError::NotFound { path: path.to_owned() }),
        };
        self.open.push(inode);
        Ok(FileId(self.open.len() as u32 - 1))
    }

    fn close(&mut self, _file: FileId) {}

    fn len(&self, file: FileId) -> u64 {
        self.inodes[self.open[file.0 as usize]].content.len() as u64
    }

    fn append(&mut self, file: FileId, chunks: &[Bytes]) -> Result<(), DiskError> {
        self.note_file("append", file)?;
        for chunk in chunks {
            self.inode(file).content.extend_from_slice(chunk);
        }
        Ok(())
    }

    fn read(&mut self, file: FileId, position: u64, len: u64) -> Result<Bytes, DiskError> {
        let path = self.name(file).to_owned();
        let content = &self.inode(file).content;
        match content.get(position as usize..(position + len) as usize) {
            Some(bytes) => Ok(Bytes::copy_from_slice(bytes)),
            None => Err(DiskError::PastEnd { path, position, len, file_len: content.len() as u64 }),
        }
    }

    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        self.note_file("truncate", file)?;
        let inode = self.inode(file);
        if (len as usize) < inode.synced {
            if inode.cut.is_none() {
                inode.cut = Some(inode.content[..inode.synced].to_vec());
            }
            inode.synced = len as usize;
        }
        inode.content.truncate(len as usize);
        Ok(())
    }

    fn sync(&mut self, file: FileId) -> Result<(), DiskError> {
        self.note_file("sync", file)?;
        self.inode(file).sync();
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.note("rename", &format!("{from} {to}"))?;
        let inode = self.names.remove(from).ok_or_else(|| DiskError::NotFound { path: from.to_owned() })?;
        self.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<(), DiskError> {
        self.note("remove", path)?;
        match self.names.remove(path) {
            Some(_) => Ok(()),
            None => Err(DiskError::NotFound { path: path.to_owned() }),
        }
    }

    fn list(&mut self, folder: &str) -> Result<Vec<String>, DiskError> {
        let inside = |path: &String| Some(path.strip_prefix(folder)?.strip_prefix('/')?.to_owned());
        Ok(self.names.keys().filter_map(inside).collect())
    }

    fn sync_folder(&mut self, folder: &str) -> Result<(), DiskError> {
        self.note("sync_folder", folder)?;
        let inside = |path: &String| path.starts_with(&format!("{folder}/"));
        self.durable_names.retain(|path, _| !inside(path));
        let now = self.names.iter().filter(|(path, _)| inside(path));
        self.durable_names.extend(now.map(|(path, inode)| (path.clone(), *inode)));
        Ok(())
    }
}
