//! A simulated disk as the node's process sees it: with what is wrong with it.
//!
//! Observers look past the faults: they are given the [`SimDisk`] itself, in which everything is as it was written.

use bytes::Bytes;
use trial_node::{Disk, DiskError, FileId, Rng};

use super::fault::{DiskFault, DiskPart, EVERY_FILE, Op};
use super::sim::SimDisk;

/// Bytes of a sector: what a device writes wholly or not at all.
pub(super) const SECTOR: u64 = 512;

/// What is wrong with a disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    in_force: Vec<InForce>,
    /// Writes that are going to be misdirected: in which folder, and the number that decides where to.
    misdirected: Vec<(Option<String>, u64)>,
}

#[derive(Clone, Debug)]
struct InForce {
    part: DiskPart,
    fault: DiskFault,
    /// The part's folder.
    folder: Option<String>,
    /// What a full disk holds at most.
    capacity: u64,
}

impl Faults {
    fn is_none(&self) -> bool {
        self.in_force.is_empty() && self.misdirected.is_empty()
    }

    fn of<'a>(
        &'a self,
        path: &'a str,
        wanted: impl Fn(&DiskFault) -> bool + 'a,
    ) -> impl Iterator<Item = &'a InForce> {
        let here = move |one: &&InForce| wanted(&one.fault) && DiskPart::has(one.folder.as_deref(), path);
        self.in_force.iter().filter(here)
    }

    /// The folders whose unsynced sectors are torn one by one.
    pub(super) fn torn(&self) -> impl Iterator<Item = Option<&str>> {
        let torn = self.in_force.iter().filter(|one| one.fault == DiskFault::TornWrite);
        torn.map(|one| one.folder.as_deref())
    }

    /// Whether a sync of what has this path is a lie.
    pub(super) fn loses_sync(&self, path: &str) -> bool {
        self.of(path, |fault| *fault == DiskFault::LostFsync).next().is_some()
    }

    fn check(&self, op: Op, path: &str) -> Result<(), DiskError> {
        let fails = |fault: &DiskFault| matches!(fault, DiskFault::Error(ops) if ops.contain(op));
        match self.of(path, fails).next() {
            Some(_) => Err(failed(path, "input/output error (EIO)")),
            None => Ok(()),
        }
    }
}

fn failed(path: &str, what: &str) -> DiskError {
    DiskError::Failed { path: path.to_owned(), what: what.to_owned() }
}

impl SimDisk {
    /// The disk as its node is to see it.
    pub fn for_node(&mut self) -> NodeDisk<'_> {
        NodeDisk { disk: self }
    }

    /// Something goes wrong with a part of the disk, now; `rng` decides where in it. Returns whether there was anything that it
    /// could happen to.
    pub fn inject(&mut self, part: &DiskPart, fault: &DiskFault, rng: &mut Rng) -> bool {
        let folder = part.folder();
        match fault {
            DiskFault::Error(_) | DiskFault::Full(_) | DiskFault::TornWrite | DiskFault::LostFsync => {
                let capacity = match fault {
                    DiskFault::Full(capacity) => capacity.unwrap_or_else(|| self.used(folder.as_deref())),
                    _ => 0,
                };
                let in_force = InForce { part: part.clone(), fault: fault.clone(), folder, capacity };
                self.faults_mut().in_force.push(in_force);
                true
            }
            DiskFault::MisdirectedWrite => {
                let place = rng.next_u64();
                self.faults_mut().misdirected.push((folder, place));
                true
            }
            DiskFault::BitRot { file, bits } => self.rot(folder.as_deref(), file, *bits, rng),
            DiskFault::FileLost { file } => {
                let files = self.files_called(folder.as_deref(), file, |_| true);
                if files.is_empty() {
                    return false;
                }
                if file == EVERY_FILE {
                    files.iter().for_each(|path| self.lose_file(path));
                } else {
                    self.lose_file(&files[rng.below(files.len() as u64) as usize]);
                }
                true
            }
        }
    }

    /// What [`SimDisk::inject`] did is over.
    pub fn heal(&mut self, part: &DiskPart, fault: &DiskFault) {
        let faults = self.faults_mut();
        if let Some(i) = faults.in_force.iter().position(|one| one.part == *part && one.fault == *fault) {
            faults.in_force.remove(i);
        }
        if *fault == DiskFault::LostFsync {
            // The device writes at last what it said it had written, but for what loses syncs still for another reason.
            self.settle_lost_syncs();
        }
        if self.faults().is_some_and(Faults::is_none) {
            self.forget_faults();
        }
    }

    fn rot(&mut self, folder: Option<&str>, file: &str, bits: u32, rng: &mut Rng) -> bool {
        let files = self.files_called(folder, file, |synced| synced > 0);
        if files.is_empty() {
            return false;
        }
        let path = &files[rng.below(files.len() as u64) as usize];
        for _ in 0..bits {
            let position = rng.below(self.synced_len(path));
            let byte = self.peek(path, position) ^ (1 << rng.below(8));
            self.overwrite(path, position, &[byte]);
        }
        true
    }
}

/// The disk as its node sees it.
#[derive(Debug)]
pub struct NodeDisk<'a> {
    disk: &'a mut SimDisk,
}

impl NodeDisk<'_> {
    #[inline]
    fn check(&self, op: Op, path: &str) -> Result<(), DiskError> {
        self.disk.faults().map_or(Ok(()), |faults| faults.check(op, path))
    }

    #[inline]
    fn check_open(&self, op: Op, file: FileId) -> Result<(), DiskError> {
        self.disk.faults().map_or(Ok(()), |faults| faults.check(op, self.disk.path(file)))
    }

    #[cold]
    fn append_to_faulty(&mut self, file: FileId, chunks: &[Bytes]) -> Result<(), DiskError> {
        self.check_open(Op::Write, file)?;
        let path = self.disk.path(file).to_owned();
        let faults = self.disk.faults().expect("there are faults");
        let full = faults.of(&path, |fault| matches!(fault, DiskFault::Full(_)));
        let room = full.map(|one| one.capacity.saturating_sub(self.disk.used(one.folder.as_deref()))).min();
        let len: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        if let Some(room) = room.filter(|room| *room < len) {
            self.disk.append(file, &prefix(chunks, room))?;
            return Err(failed(&path, "no space left on device (ENOSPC)"));
        }
        if path.ends_with(".log")
            && let Some(i) =
                faults.misdirected.iter().position(|(folder, _)| DiskPart::has(folder.as_deref(), &path))
        {
            let (_, place) = self.disk.faults_mut().misdirected.remove(i);
            return self.misdirect(file, &path, chunks, place);
        }
        self.disk.append(file, chunks)
    }

    /// Writes the chunks to another place of a log in the same folder.
    fn misdirect(&mut self, file: FileId, path: &str, chunks: &[Bytes], place: u64) -> Result<(), DiskError> {
        let written = chunks.concat();
        let end = self.disk.len(file);
        self.disk.append(file, chunks)?;
        self.disk.overwrite(path, end, &vec![0; written.len()]);
        let (folder, _) = path.rsplit_once('/').unwrap_or(("", path));
        let name = folder.rsplit('/').next().filter(|name| !name.is_empty());
        let logs = self.disk.files_called(name, "log", |_| true);
        let Some(target) = logs.get((place % logs.len().max(1) as u64) as usize) else { return Ok(()) };
        let len = self.disk.content_len(target);
        let sectors = len.saturating_sub(written.len() as u64) / SECTOR;
        let position = (place >> 16) % (sectors + 1) * SECTOR;
        let fits = (len - position).min(written.len() as u64);
        self.disk.overwrite(target, position, &written[..fits as usize]);
        Ok(())
    }
}

/// The first `len` bytes of the chunks.
fn prefix(chunks: &[Bytes], len: u64) -> Vec<Bytes> {
    let mut left = len as usize;
    let mut kept = Vec::new();
    for chunk in chunks {
        let part = chunk.slice(..left.min(chunk.len()));
        left -= part.len();
        kept.push(part);
    }
    kept
}

impl Disk for NodeDisk<'_> {
    fn open(&mut self, path: &str, create: bool) -> Result<FileId, DiskError> {
        self.check(Op::Read, path)?;
        if create {
            self.check(Op::Write, path)?;
        }
        self.disk.open(path, create)
    }

    fn close(&mut self, file: FileId) {
        self.disk.close(file);
    }

    fn len(&self, file: FileId) -> u64 {
        self.disk.len(file)
    }

    fn append(&mut self, file: FileId, chunks: &[Bytes]) -> Result<(), DiskError> {
        if self.disk.faults().is_some() {
            return self.append_to_faulty(file, chunks);
        }
        self.disk.append(file, chunks)
    }

    fn read(&mut self, file: FileId, position: u64, len: u64) -> Result<Bytes, DiskError> {
        self.check_open(Op::Read, file)?;
        let bytes = self.disk.read(file, position, len)?;
        Ok(self.disk.as_on_device(file, position, bytes))
    }

    fn read_some(&mut self, file: FileId, position: u64, least: u64, most: u64) -> Result<Bytes, DiskError> {
        self.check_open(Op::Read, file)?;
        let bytes = self.disk.read_some(file, position, least, most)?;
        Ok(self.disk.as_on_device(file, position, bytes))
    }

    fn read_into(&mut self, file: FileId, position: u64, out: &mut [u8]) -> Result<(), DiskError> {
        self.check_open(Op::Read, file)?;
        self.disk.read_into(file, position, out)?;
        self.disk.damage_into(file, position, out);
        Ok(())
    }

    fn is_cached(&self, file: FileId, position: u64) -> bool {
        self.disk.is_cached(file, position)
    }

    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        self.check_open(Op::Write, file)?;
        self.disk.truncate(file, len)
    }

    fn sync(&mut self, file: FileId) -> Result<(), DiskError> {
        self.check_open(Op::Sync, file)?;
        self.disk.sync(file)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.check(Op::Write, from)?;
        self.check(Op::Write, to)?;
        self.disk.rename(from, to)
    }

    fn remove(&mut self, path: &str) -> Result<(), DiskError> {
        self.check(Op::Write, path)?;
        self.disk.remove(path)
    }

    fn list(&mut self, folder: &str) -> Result<Vec<String>, DiskError> {
        self.check(Op::Read, folder)?;
        self.disk.list(folder)
    }

    fn sync_folder(&mut self, folder: &str) -> Result<(), DiskError> {
        self.check(Op::Sync, folder)?;
        self.disk.sync_folder(folder)
    }
}
