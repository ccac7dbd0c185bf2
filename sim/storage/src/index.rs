//! The indexes of a segment: from offset to position, and from timestamp to offset. (That of aborted transactions is in
//! [`crate::txn_index`].)
//!
//! Entries live in memory and are written to the index's file when the segment is rolled or closed: until then the segment
//! is at or after the recovery point, so that recovery after a crash reads the log and builds the indexes anew anyway.

use bytes::{BufMut, Bytes, BytesMut};
use trial_node::{Disk, DiskError};

/// An entry with a fixed size in the file, big-endian.
pub(crate) trait Entry: Copy {
    const SIZE: usize;
    fn encode(&self, out: &mut BytesMut);
    /// `None` if the entry is of a format that is not known.
    fn decode(bytes: &[u8]) -> Option<Self>;
    /// Whether `self` may stand right after `previous`.
    fn follows(&self, previous: &Self) -> bool;
}

/// `*.index`: the batch whose last record is `relative_offset` after the segment's base offset begins at `position`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    pub(crate) relative_offset: u32,
    pub(crate) position: u32,
}

/// `*.timeindex`: no record up to `relative_offset` after the segment's base offset has a timestamp above `timestamp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    pub(crate) timestamp: i64,
    pub(crate) relative_offset: u32,
}

impl Entry for OffsetEntry {
    const SIZE: usize = 8;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u32(self.relative_offset);
        out.put_u32(self.position);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let field = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        Some(OffsetEntry { relative_offset: field(0), position: field(4) })
    }

    fn follows(&self, previous: &Self) -> bool {
        self.relative_offset > previous.relative_offset && self.position > previous.position
    }
}

impl Entry for TimeEntry {
    const SIZE: usize = 12;

    fn encode(&self, out: &mut BytesMut) {
        out.put_i64(self.timestamp);
        out.put_u32(self.relative_offset);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(TimeEntry {
            timestamp: i64::from_be_bytes(bytes[..8].try_into().expect("eight bytes")),
            relative_offset: u32::from_be_bytes(bytes[8..12].try_into().expect("four bytes")),
        })
    }

    fn follows(&self, previous: &Self) -> bool {
        self.timestamp > previous.timestamp && self.relative_offset > previous.relative_offset
    }
}

/// An index, and how much of it its file holds.
#[derive(Clone, Debug)]
pub(crate) struct Index<E> {
    entries: Vec<E>,
    /// So many entries are in the file, which may hold others after them.
    persisted: usize,
}

impl<E> Default for Index<E> {
    fn default() -> Self {
        Index { entries: Vec::new(), persisted: 0 }
    }
}

impl<E: Entry> Index<E> {
    /// Reads the index's file. An error says what is wrong with it.
    pub(crate) fn load(disk: &mut dyn Disk, path: &str) -> Result<Result<Index<E>, String>, DiskError> {
        let Some(bytes) = crate::whole_file::read(disk, path)? else { return Ok(Err("missing".to_owned())) };
        if bytes.len() % E::SIZE != 0 {
            return Ok(Err(format!("its size {} is not a multiple of {}", bytes.len(), E::SIZE)));
        }
        let entries: Option<Vec<E>> = bytes.chunks_exact(E::SIZE).map(E::decode).collect();
        let Some(entries) = entries else { return Ok(Err("it has an entry of another version".to_owned())) };
        if !entries.windows(2).all(|pair| pair[1].follows(&pair[0])) {
            return Ok(Err("its entries are not in order".to_owned()));
        }
        let persisted = entries.len();
        Ok(Ok(Index { entries, persisted }))
    }

    /// Brings the index's file up to date.
    pub(crate) fn persist(&mut self, disk: &mut dyn Disk, path: &str) -> Result<(), DiskError> {
        let file = disk.open(path, true)?;
        let result = self.persist_to(disk, file);
        disk.close(file);
        result
    }

    /// Writes the index's file anew, atomically and durably.
    pub(crate) fn replace(&mut self, disk: &mut dyn Disk, path: &str) -> Result<(), DiskError> {
        crate::whole_file::replace(disk, path, encode(&self.entries))?;
        self.persisted = self.entries.len();
        Ok(())
    }

    fn persist_to(&mut self, disk: &mut dyn Disk, file: trial_node::FileId) -> Result<(), DiskError> {
        let held = (self.persisted * E::SIZE) as u64;
        if disk.len(file) < held {
            // Somebody else's doing; write it all again.
            self.persisted = 0;
            return self.persist_to(disk, file);
        }
        if disk.len(file) > held {
            disk.truncate(file, held)?;
        }
        let new = &self.entries[self.persisted..];
        if !new.is_empty() {
            disk.append(file, &[encode(new)])?;
            self.persisted = self.entries.len();
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn entries(&self) -> &[E] {
        &self.entries
    }

    pub(crate) fn last(&self) -> Option<&E> {
        self.entries.last()
    }

    pub(crate) fn is_full(&self, max_bytes: u32) -> bool {
        self.entries.len() >= max_bytes as usize / E::SIZE
    }

    /// Appends an entry unless it would not follow the last one.
    pub(crate) fn maybe_append(&mut self, entry: E) {
        if self.last().is_none_or(|last| entry.follows(last)) {
            self.entries.push(entry);
        }
    }

    /// Drops the entries for which `stays` no longer holds; they are at the end.
    pub(crate) fn truncate(&mut self, stays: impl FnMut(&E) -> bool) {
        let len = self.entries.partition_point(stays);
        self.entries.truncate(len);
        self.persisted = self.persisted.min(len);
    }
}

fn encode<E: Entry>(entries: &[E]) -> Bytes {
    let mut out = BytesMut::with_capacity(entries.len() * E::SIZE);
    for entry in entries {
        entry.encode(&mut out);
    }
    out.freeze()
}

impl Index<OffsetEntry> {
    /// The last entry not beyond the offset: where to begin to look for the batch that holds it.
    pub(crate) fn floor(&self, relative_offset: u32) -> Option<OffsetEntry> {
        let n = self.entries.partition_point(|entry| entry.relative_offset <= relative_offset);
        n.checked_sub(1).map(|i| self.entries[i])
    }

    /// Where to begin to look for the batch that holds the offset.
    pub(crate) fn lookup(&self, relative_offset: u32) -> u32 {
        self.floor(relative_offset).map_or(0, |entry| entry.position)
    }
}

impl Index<TimeEntry> {
    /// The offset before which no record has a timestamp of at least `timestamp`.
    pub(crate) fn lookup(&self, timestamp: i64) -> u32 {
        let n = self.entries.partition_point(|entry| entry.timestamp < timestamp);
        n.checked_sub(1).map_or(0, |i| self.entries[i].relative_offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SimDisk, whole_file};

    fn overwrite(disk: &mut SimDisk, content: &'static [u8]) {
        whole_file::write(disk, "i", Bytes::from_static(content)).unwrap();
    }

    fn offsets(entries: &[(u32, u32)]) -> Index<OffsetEntry> {
        let mut index = Index::default();
        for &(relative_offset, position) in entries {
            index.maybe_append(OffsetEntry { relative_offset, position });
        }
        index
    }

    #[test]
    fn lookup_gives_the_last_entry_not_beyond() {
        let index = offsets(&[(9, 100), (19, 200)]);
        assert_eq!([0, 8, 9, 18, 19, 500].map(|offset| index.lookup(offset)), [0, 0, 100, 100, 200, 200]);
    }

    #[test]
    fn the_file_has_kafkas_format_and_follows_truncations() {
        let mut disk = SimDisk::new();
        let mut index = offsets(&[(9, 100), (19, 200)]);
        index.persist(&mut disk, "i").unwrap();
        let read = |disk: &mut SimDisk| whole_file::read(disk, "i").unwrap().unwrap();
        assert_eq!(read(&mut disk)[..], [0, 0, 0, 9, 0, 0, 0, 100, 0, 0, 0, 19, 0, 0, 0, 200]);
        index.truncate(|entry| entry.position < 150);
        index.maybe_append(OffsetEntry { relative_offset: 12, position: 150 });
        index.persist(&mut disk, "i").unwrap();
        assert_eq!(read(&mut disk)[8..], [0, 0, 0, 12, 0, 0, 0, 150]);
        let loaded = Index::<OffsetEntry>::load(&mut disk, "i").unwrap().unwrap();
        assert_eq!(loaded.entries(), index.entries());
    }

    #[test]
    fn a_file_that_is_no_index_says_why() {
        let mut disk = SimDisk::new();
        let load = |disk: &mut SimDisk| Index::<OffsetEntry>::load(disk, "i").unwrap().unwrap_err();
        assert_eq!(load(&mut disk), "missing");
        overwrite(&mut disk, &[1; 12]);
        assert_eq!(load(&mut disk), "its size 12 is not a multiple of 8");
        overwrite(&mut disk, &[0; 16]);
        assert_eq!(load(&mut disk), "its entries are not in order");
    }
}
