//! Snapshots on disk (KIP-630): `<end offset>-<epoch>.checkpoint` in the log's folder.

use bytes::Bytes;
use trial_node::{Disk, DiskError, FileId, LeaderEpoch, Offset, OpenError};

use crate::log::OffsetAndEpoch;

const SUFFIX: &str = ".checkpoint";
const PARTIAL_SUFFIX: &str = ".checkpoint.part";

/// The complete snapshots of this node, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots {
    folder: String,
    ids: Vec<OffsetAndEpoch>,
}

/// A snapshot that comes from the leader piece by piece.
#[derive(Clone, Debug)]
pub(crate) struct PartialSnapshot {
    pub id: OffsetAndEpoch,
    file: FileId,
}

fn parse(name: &str) -> Option<OffsetAndEpoch> {
    let (offset, epoch) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    Some(OffsetAndEpoch::new(Offset(offset.parse().ok()?), LeaderEpoch(epoch.parse().ok()?)))
}

impl Snapshots {
    /// Finds the snapshots in `folder`, and removes those that were never completed.
    pub fn open(folder: &str, disk: &mut dyn Disk) -> Result<Snapshots, OpenError> {
        let mut ids = Vec::new();
        for name in disk.list(folder)? {
            if name.ends_with(PARTIAL_SUFFIX) {
                disk.remove(&format!("{folder}/{name}"))?;
            } else if let Some(id) = parse(&name) {
                ids.push(id);
            }
        }
        ids.sort_unstable();
        Ok(Snapshots { folder: folder.to_owned(), ids })
    }

    pub fn latest(&self) -> Option<OffsetAndEpoch> {
        self.ids.last().copied()
    }

    /// The snapshot that ends where the log starts.
    pub fn at(&self, offset: Offset) -> Option<OffsetAndEpoch> {
        self.ids.iter().rev().copied().find(|id| id.offset == offset)
    }

    pub fn contains(&self, id: OffsetAndEpoch) -> bool {
        self.ids.binary_search(&id).is_ok()
    }

    fn path(&self, id: OffsetAndEpoch) -> String {
        format!("{}/{:020}-{:010}{SUFFIX}", self.folder, id.offset.0, id.epoch.0)
    }

    fn partial_path(&self, id: OffsetAndEpoch) -> String {
        format!("{}/{:020}-{:010}{PARTIAL_SUFFIX}", self.folder, id.offset.0, id.epoch.0)
    }

    pub fn read(&self, disk: &mut dyn Disk, id: OffsetAndEpoch) -> Result<Bytes, DiskError> {
        let file = disk.open(&self.path(id), false)?;
        let len = disk.len(file);
        let content = disk.read(file, 0, len);
        disk.close(file);
        content
    }

    /// The size of a snapshot, and up to `max_bytes` of it from `position`; `None` if that lies outside of it.
    pub fn read_chunk(
        &self,
        disk: &mut dyn Disk,
        id: OffsetAndEpoch,
        position: i64,
        max_bytes: i32,
    ) -> Result<Option<(i64, Bytes)>, DiskError> {
        let file = disk.open(&self.path(id), false)?;
        let size = disk.len(file);
        let chunk = match u64::try_from(position) {
            Ok(position) if position < size => {
                let len = (size - position).min(u64::try_from(max_bytes).unwrap_or(0));
                disk.read(file, position, len).map(Some)
            }
            _ => Ok(None),
        };
        disk.close(file);
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        Ok(chunk?.map(|chunk| (size, chunk)))
    }

    /// Stores a whole snapshot, durably.
    pub fn create(
        &mut self,
        disk: &mut dyn Disk,
        id: OffsetAndEpoch,
        content: Bytes,
    ) -> Result<(), DiskError> {
        let mut partial = self.begin(disk, id)?;
        partial.append(disk, content)?;
        self.freeze(disk, partial)
    }

    /// Begins a snapshot that comes in pieces.
    pub fn begin(&self, disk: &mut dyn Disk, id: OffsetAndEpoch) -> Result<PartialSnapshot, DiskError> {
        let file = disk.open(&self.partial_path(id), true)?;
        if disk.len(file) > 0 {
            disk.truncate(file, 0)?;
        }
        Ok(PartialSnapshot { id, file })
    }

    /// Makes a complete snapshot durable and gives it its name.
    pub fn freeze(&mut self, disk: &mut dyn Disk, partial: PartialSnapshot) -> Result<(), DiskError> {
        let PartialSnapshot { id, file } = partial;
        let synced = disk.sync(file);
        disk.close(file);
        synced?;
        disk.rename(&self.partial_path(id), &self.path(id))?;
        disk.sync_folder(&self.folder)?;
        self.ids.push(id);
        self.ids.sort_unstable();
        Ok(())
    }

    /// Drops a snapshot that will not be completed.
    pub fn abandon(&self, disk: &mut dyn Disk, partial: PartialSnapshot) -> Result<(), DiskError> {
        disk.close(partial.file);
        disk.remove(&self.partial_path(partial.id))
    }

    /// Removes all but the newest snapshot.
    pub fn remove_old(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        while self.ids.len() > 1 {
            disk.remove(&self.path(self.ids[0]))?;
            self.ids.remove(0);
        }
        Ok(())
    }
}

impl PartialSnapshot {
    /// How many bytes of it are there, which is where the next piece goes.
    pub fn position(&self, disk: &dyn Disk) -> i64 {
        i64::try_from(disk.len(self.file)).unwrap_or(i64::MAX)
    }

    pub fn append(&mut self, disk: &mut dyn Disk, chunk: Bytes) -> Result<(), DiskError> {
        disk.append(self.file, &[chunk])
    }
}
