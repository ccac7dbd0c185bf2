//! Which leader epoch began at which offset (KIP-101), kept in `leader-epoch-checkpoint`.

use bytes::Bytes;
use trial_node::{Disk, DiskError, LeaderEpoch, Offset};

use crate::{checkpoint, whole_file};

pub(crate) const FILE: &str = "leader-epoch-checkpoint";

/// The first offset of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EpochEntry {
    pub(crate) epoch: LeaderEpoch,
    pub(crate) start_offset: Offset,
}

/// The epochs of a log, rising, as are their start offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaderEpochCache {
    entries: Vec<EpochEntry>,
}

impl LeaderEpochCache {
    /// What the checkpoint in `folder` says. An error says why it cannot be used.
    pub(crate) fn load(
        disk: &mut dyn Disk,
        folder: &str,
    ) -> Result<Result<LeaderEpochCache, String>, DiskError> {
        let Some(bytes) = whole_file::read(disk, &format!("{folder}/{FILE}"))? else {
            return Ok(Err("missing".to_owned()));
        };
        Ok(LeaderEpochCache::decode(&bytes))
    }

    /// What a checkpoint says. An error says why it cannot be used.
    pub(crate) fn decode(bytes: &[u8]) -> Result<LeaderEpochCache, String> {
        checkpoint::decode(bytes, |line| {
            let (epoch, start_offset) = line.split_once(' ')?;
            Some(EpochEntry {
                epoch: LeaderEpoch(epoch.parse().ok()?),
                start_offset: Offset(start_offset.parse().ok()?),
            })
        })
        .and_then(|entries| {
            let rises = |pair: &[EpochEntry]| {
                pair[0].epoch < pair[1].epoch && pair[0].start_offset < pair[1].start_offset
            };
            if entries.windows(2).all(rises) {
                Ok(LeaderEpochCache { entries })
            } else {
                Err("its epochs are not in order".to_owned())
            }
        })
    }

    pub(crate) fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// Writes the checkpoint, atomically and durably: it is never behind the log.
    pub(crate) fn save(&self, disk: &mut dyn Disk, folder: &str) -> Result<(), DiskError> {
        let text = checkpoint::encode(
            self.entries.iter().map(|entry| format!("{} {}", entry.epoch, entry.start_offset)),
        );
        whole_file::replace(disk, &format!("{folder}/{FILE}"), Bytes::from(text))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|entry| entry.epoch)
    }

    /// Notes that `epoch` goes on or begins at `start_offset`, the log's end; returns whether that was news.
    ///
    /// An epoch that began at or after `start_offset` got no records, so it gives way: its leader lost its office before it
    /// appended anything.
    pub(crate) fn assign(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> bool {
        match self.entries.last() {
            Some(last) if last.epoch == epoch && last.start_offset <= start_offset => return false,
            Some(_) | None => {}
        }
        self.truncate_from_end(start_offset);
        if self.latest() == Some(epoch) {
            return true;
        }
        // Epochs never go back in a log; should a leader send such batches all the same, the newer entries are wrong.
        while self.latest().is_some_and(|latest| latest >= epoch) {
            self.entries.pop();
        }
        self.entries.push(EpochEntry { epoch, start_offset });
        true
    }

    /// Drops the epochs that begin at or after `end_offset`; returns whether there were any.
    pub(crate) fn truncate_from_end(&mut self, end_offset: Offset) -> bool {
        let before = self.entries.len();
        self.entries.truncate(self.entries.partition_point(|entry| entry.start_offset < end_offset));
        self.entries.len() < before
    }

    /// Drops the epochs that end at or before `start_offset` and lets the one that holds it begin there; returns whether
    /// anything changed.
    pub(crate) fn truncate_from_start(&mut self, start_offset: Offset) -> bool {
        let n = self.entries.partition_point(|entry| entry.start_offset <= start_offset);
        let Some(holding) = n.checked_sub(1) else { return false };
        if holding == 0 && self.entries[0].start_offset == start_offset {
            return false;
        }
        self.entries.drain(..holding);
        self.entries[0].start_offset = start_offset;
        true
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(crate) fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        let n = self.entries.partition_point(|entry| entry.start_offset <= offset);
        n.checked_sub(1).map(|i| self.entries[i].epoch)
    }

    /// See [`crate::UnifiedLog::end_offset_for_epoch`].
    pub(crate) fn end_offset_for(
        &self,
        epoch: LeaderEpoch,
        log_end_offset: Offset,
    ) -> Option<(LeaderEpoch, Offset)> {
        if epoch == LeaderEpoch::NONE {
            return None;
        }
        if self.latest() == Some(epoch) {
            return Some((epoch, log_end_offset));
        }
        let n = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let higher = self.entries.get(n)?;
        let floor = n.checked_sub(1).map_or(epoch, |i| self.entries[i].epoch);
        Some((floor, higher.start_offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SimDisk;

    fn cache(entries: &[(i32, i64)]) -> LeaderEpochCache {
        let mut cache = LeaderEpochCache::default();
        for &(epoch, start) in entries {
            assert!(cache.assign(LeaderEpoch(epoch), Offset(start)));
        }
        cache
    }

    fn end(cache: &LeaderEpochCache, epoch: i32) -> Option<(i32, i64)> {
        cache.end_offset_for(LeaderEpoch(epoch), Offset(100)).map(|(epoch, offset)| (epoch.0, offset.0))
    }

    #[test]
    fn end_offsets_follow_kip_279() {
        let cache = cache(&[(2, 10), (4, 30), (7, 60)]);
        assert_eq!(end(&cache, -1), None);
        assert_eq!(end(&cache, 1), Some((1, 10)));
        assert_eq!(end(&cache, 2), Some((2, 30)));
        assert_eq!(end(&cache, 3), Some((2, 30)));
        assert_eq!(end(&cache, 4), Some((4, 60)));
        assert_eq!(end(&cache, 7), Some((7, 100)));
        assert_eq!(end(&cache, 8), None);
        assert_eq!(end(&LeaderEpochCache::default(), 3), None);
    }

    #[test]
    fn an_epoch_without_records_gives_way() {
        let mut cache = cache(&[(1, 0), (3, 50)]);
        assert!(cache.assign(LeaderEpoch(4), Offset(50)));
        assert_eq!(cache, super::tests::cache(&[(1, 0), (4, 50)]));
        // The next leader still sends records of epoch 1.
        assert!(cache.assign(LeaderEpoch(1), Offset(50)));
        assert_eq!(cache, super::tests::cache(&[(1, 0)]));
        assert!(!cache.assign(LeaderEpoch(1), Offset(70)));
    }

    #[test]
    fn truncation_at_both_ends() {
        let mut cache = cache(&[(2, 10), (4, 30), (7, 60)]);
        assert!(cache.truncate_from_end(Offset(60)));
        assert!(!cache.truncate_from_end(Offset(60)));
        assert!(!cache.truncate_from_start(Offset(5)));
        assert!(!cache.truncate_from_start(Offset(10)));
        assert!(cache.truncate_from_start(Offset(40)));
        assert_eq!(cache, super::tests::cache(&[(4, 40)]));
        assert_eq!(cache.epoch_for_offset(Offset(39)), None);
        assert_eq!(cache.epoch_for_offset(Offset(41)), Some(LeaderEpoch(4)));
    }

    #[test]
    fn the_file_has_kafkas_format() {
        let mut disk = SimDisk::new();
        let cache = cache(&[(2, 10), (4, 30)]);
        cache.save(&mut disk, "t-0").unwrap();
        let text = whole_file::read(&mut disk, "t-0/leader-epoch-checkpoint").unwrap().unwrap();
        assert_eq!(text, "0\n2\n2 10\n4 30\n");
        assert_eq!(LeaderEpochCache::load(&mut disk, "t-0").unwrap(), Ok(cache));
    }
}
