//! What a log should hold.

use std::collections::{BTreeMap, BTreeSet};

use trial_node::view::BatchView;
use trial_node::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use trial_wire::{Batch, BatchBuilder, Compression};

use crate::leader_epoch::LeaderEpochCache;
use crate::producer_state::{BatchMetadata, ProducerStateEntry, ProducerStateManager};

/// The most that a batch of these tests has of records, in bytes.
pub(super) const LIMIT: usize = 1 << 20;

/// How many keys the records have.
const KEYS: i64 = 7;

/// A transaction: its producer, its first offset, and its marker's offset and whether that commits.
pub(super) type Transaction = (i64, i64, Option<(i64, bool)>);

/// A producer: its epoch, its last batch, and where its open transaction began.
pub(super) type Producer = (ProducerEpoch, Option<BatchMetadata>, Option<Offset>);

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) start: Offset,
    /// Where the log ends that holds no batch.
    pub(super) base: Offset,
    /// What the log holds, byte by byte.
    pub(super) batches: Vec<Batch>,
    /// What it would hold had it never been cleaned.
    pub(super) written: Vec<Batch>,
    /// What was cleaned away rests on what is below.
    pub(super) cleaned: Offset,
    /// The log was cut where it had been cleaned: what followed the records that are gone is gone as well.
    pub(super) cut_where_cleaned: bool,
    /// Everything before is on the device.
    pub(super) flushed: Offset,
    /// What the broker has written down of that.
    pub(super) recovery_checkpoint: Offset,
    /// What it has written down of how far the log was cleaned.
    pub(super) cleaner_checkpoint: Offset,
    /// The epoch of the next append.
    pub(super) epoch: LeaderEpoch,
    /// `batches` and `written` before a truncation that a kill interrupted: a power loss may undo that truncation even later.
    pub(super) ghost: Option<(Vec<Batch>, Vec<Batch>)>,
}

impl Model {
    /// Of a log that is empty, and starts at `base`.
    pub(super) fn new(base: Offset, epoch: LeaderEpoch) -> Model {
        Model {
            start: base,
            base,
            batches: Vec::new(),
            written: Vec::new(),
            cleaned: Offset(0),
            cut_where_cleaned: false,
            flushed: base,
            recovery_checkpoint: Offset(0),
            cleaner_checkpoint: Offset(0),
            epoch,
            ghost: None,
        }
    }

    pub(super) fn end(&self) -> Offset {
        self.batches.last().map_or(self.base, |batch| Offset(batch.header().next_offset()))
    }

    pub(super) fn push(&mut self, batch: Batch) {
        self.written.push(batch.clone());
        self.batches.push(batch);
    }

    /// The log now ends at `to`, or before the batch that holds it.
    pub(super) fn cut(&mut self, to: Offset) {
        let cut = |batches: &mut Vec<Batch>, to: Offset| {
            batches.truncate(batches.partition_point(|batch| batch.header().next_offset() <= to.0));
        };
        cut(&mut self.batches, to);
        // That may be before a gap.
        let end = self.end();
        cut(&mut self.written, end);
        self.cut_where_cleaned |= end < self.cleaned;
        self.cleaned = self.cleaned.min(end);
        self.start = self.start.min(end);
        self.flushed = self.flushed.min(end);
        self.recovery_checkpoint = self.recovery_checkpoint.min(end);
        self.cleaner_checkpoint = self.cleaner_checkpoint.min(end);
    }

    pub(super) fn epochs(&self) -> LeaderEpochCache {
        let mut cache = LeaderEpochCache::default();
        for batch in &self.written {
            let header = batch.header();
            cache.assign(LeaderEpoch(header.partition_leader_epoch), Offset(header.base_offset));
        }
        cache.truncate_from_start(self.start);
        cache
    }

    /// Compares what a log knows of its producers with what it should know. One that was cut at its start may have forgotten
    /// those whose last batches are gone, and one that was cut where it had been cleaned may know anything.
    pub(super) fn check_producers(&self, log: &ProducerStateManager) {
        if self.cut_where_cleaned {
            return;
        }
        let (expected, found) = (producers(&self.written), last_of_each(log));
        if self.start == self.base {
            return assert_eq!(found, expected);
        }
        for (id, producer @ (epoch, last, open)) in &expected {
            let gone = last.is_none_or(|last| last.first_offset() < self.start);
            let Some((known_epoch, known_last, known_open)) = found.get(id) else {
                assert!(gone, "producer {id} is forgotten: {producer:?}");
                continue;
            };
            // Its marker may be there all the same.
            assert!(
                known_last == last || (gone && known_last.is_none()),
                "producer {id}: {known_last:?}, {last:?}"
            );
            assert_eq!(known_epoch, epoch, "producer {id}");
            let began_before = open.is_some_and(|open| open < self.start);
            assert!(known_open == open || began_before, "producer {id}: {known_open:?}, {open:?}");
        }
        assert!(found.keys().all(|id| expected.contains_key(id)), "{found:?}");
    }

    /// A batch as its producer would send it. Producers 2 and 3 are transactional.
    pub(super) fn batch(
        &self,
        producer: Option<(u8, ProducerEpoch, i32)>,
        records: u8,
        large: bool,
    ) -> BatchBuilder {
        let mut builder = BatchBuilder::new(Compression::None);
        for offset in (self.end().0..).take(records.into()) {
            let len = if large { 2500 } else { 20 };
            let value = vec![offset as u8; len];
            // Tombstones, and keys that come again early and late.
            let value = (offset % 5 > 0).then_some(&value[..]);
            let key = [(offset * 31 % 11 % KEYS) as u8];
            // Out of order, as producers' clocks are.
            builder.push(1000 + offset * 7919 % 1000, Some(&key), value, &[]);
        }
        if let Some((producer, epoch, sequence)) = producer {
            builder.producer(producer.into(), epoch.0, sequence);
            if producer >= 2 {
                builder.transactional();
            }
        }
        builder
    }
}

/// What the batches tell of each producer.
pub(super) fn producers(batches: &[Batch]) -> BTreeMap<ProducerId, Producer> {
    let mut manager = ProducerStateManager::default();
    for batch in batches {
        manager.update(batch.header(), batch.header().is_control().then_some(batch));
    }
    last_of_each(&manager)
}

pub(super) fn last_of_each(manager: &ProducerStateManager) -> BTreeMap<ProducerId, Producer> {
    let last = |entry: &ProducerStateEntry| {
        // Kafka's snapshots keep one timestamp per producer, which is that of its last marker if it has written one since.
        let batch = entry.last_batch().map(|batch| BatchMetadata { timestamp: 0, ..*batch });
        (entry.epoch, batch, entry.current_txn_first_offset)
    };
    manager.producers().iter().map(|(id, entry)| (*id, last(entry))).collect()
}

/// The transactions that the batches tell of, in the order of their first ones.
pub(super) fn transactions(batches: &[Batch]) -> Vec<Transaction> {
    let mut all: Vec<Transaction> = Vec::new();
    for batch in batches {
        let header = batch.header();
        if !header.is_transactional() {
            continue;
        }
        let open = all.iter_mut().find(|txn| txn.0 == header.producer_id && txn.2.is_none());
        match (open, header.is_control()) {
            (Some(open), true) => open.2 = Some((header.base_offset, commits(batch))),
            (None, false) => all.push((header.producer_id, header.base_offset, None)),
            _ => {}
        }
    }
    all
}

fn commits(marker: &Batch) -> bool {
    let record = &marker.records(LIMIT).unwrap()[0];
    record.key.as_deref().unwrap()[3] == 1
}

/// The first offsets of the batches that belong to aborted transactions.
pub(super) fn aborted(batches: &[Batch]) -> BTreeSet<i64> {
    let txns = transactions(batches);
    let is_aborted = |batch: &&Batch| {
        let header = batch.header();
        let holds = |(producer, first, end): &Transaction| {
            *producer == header.producer_id
                && *first <= header.base_offset
                && end.is_some_and(|(marker, commit)| header.base_offset < marker && !commit)
        };
        header.is_transactional() && !header.is_control() && txns.iter().any(holds)
    };
    batches.iter().filter(is_aborted).map(|batch| batch.header().base_offset).collect()
}

/// What somebody knows in the end who reads committed records from `start` up to `stable`: the last value of each key.
/// A tombstone says the same as no record, and records without keys are no matter of a compacted log.
pub(super) fn values(batches: &[Batch], start: Offset, stable: Offset) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let aborted = aborted(batches);
    let mut values = BTreeMap::new();
    for batch in batches {
        if batch.header().is_control() || aborted.contains(&batch.header().base_offset) {
            continue;
        }
        for record in batch.records(LIMIT).unwrap() {
            let Some(key) = record.key.filter(|_| (start.0..stable.0).contains(&record.offset)) else {
                continue;
            };
            match record.value {
                Some(value) => drop(values.insert(key.to_vec(), value.to_vec())),
                None => drop(values.remove(&key[..])),
            }
        }
    }
    values
}

pub(super) fn view_of(batch: &Batch) -> (i64, i64, i32, u32) {
    let header = batch.header();
    (header.base_offset, header.last_offset(), header.partition_leader_epoch, header.crc)
}

pub(super) fn key(view: &BatchView) -> (i64, i64, i32, u32) {
    (view.base_offset.0, view.last_offset.0, view.leader_epoch.0, view.crc)
}
