//! What may be gone from a log, and why.
//!
//! Kafka deletes records by design: retention, DeleteRecords, compaction. Whatever the checkers say of records that must be
//! there has to leave those out, and only those: so each is justified here, from the topics' configuration and the log files,
//! before the other properties hear of it. What is not justified is a violation, and for them nothing has been deleted.

use std::collections::{BTreeMap, BTreeSet};

use trial_node::view::{BrokerView, LogRecordView};
use trial_node::{
    Disk, DiskError, NodeId, Now, Offset, ProducerId, Span, Time, TopicIdPartition, TopicPartition,
};
use trial_storage::{LogOpen, UnifiedLog};
use trial_wire::{ControlType, Uuid};

use crate::PropertyInfo;
use crate::load::Load;
use crate::model::Change;
use crate::violation::Findings;

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "unwarranted-deletion",
    about: "A log's start moves only past records that retention.ms or retention.bytes leave no room for, or that somebody \
            asked to be deleted; and compaction leaves the last record of each key on every replica.",
    source: "KIP-107; Kafka documentation, Log Compaction",
};

/// How much the wall clocks of brokers and clients may differ where nobody skews them on purpose, in milliseconds.
const CLOCKS_DIFFER_MS: i64 = 2_000;

/// What may be gone from one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gone {
    /// Whose partition it is: the newest topic of its name.
    topic_id: Option<Uuid>,
    /// Those that had the name before.
    earlier: BTreeSet<Uuid>,
    /// Everything before.
    pub(crate) below: Offset,
    /// Up to here somebody asked for records to be deleted (KIP-107).
    asked: Offset,
    /// How often somebody asked for all records that are committed by then to be deleted, and that was not seen to be done yet. When
    /// a leader gets to it nobody else knows; but it moves the log's start once.
    asked_for_all: u32,
    /// Records that another of the same key has followed, and tombstones, in a compacted topic; and those that were aborted.
    pub(crate) superseded: BTreeSet<Offset>,
    /// The last record of each key that is committed, in a compacted topic.
    last_of_key: BTreeMap<Vec<u8>, Offset>,
    /// Records of transactions that are not over.
    open: BTreeMap<ProducerId, Vec<Keyed>>,
}

/// A record with a key.
#[derive(Clone, Debug)]
struct Keyed {
    key: Vec<u8>,
    offset: Offset,
    tombstone: bool,
}

impl Gone {
    /// Whether the record may have been deleted, or compacted away.
    pub(crate) fn has(&self, offset: Offset) -> bool {
        offset < self.below || self.superseded.contains(&offset)
    }

    /// A replica of the topic with this id is looked at: forgets what was known of a topic that had the name before. `false` if
    /// the topic is such a one.
    pub(crate) fn is_of(&mut self, topic_id: Uuid) -> bool {
        if self.topic_id == Some(topic_id) {
            return true;
        }
        if self.earlier.contains(&topic_id) {
            return false;
        }
        if let Some(before) = self.topic_id {
            let mut earlier = std::mem::take(&mut self.earlier);
            earlier.insert(before);
            *self = Gone { earlier, ..Gone::default() };
        }
        self.topic_id = Some(topic_id);
        true
    }

    /// Somebody asked for what is before `offset` to be deleted; `None`: all that is committed by then.
    pub(crate) fn asked_for(&mut self, offset: Option<Offset>) {
        match offset {
            Some(offset) => self.asked = self.asked.max(offset),
            None => self.asked_for_all += 1,
        }
    }

    /// A record that is committed, in the order of the offsets.
    fn committed(&mut self, record: &LogRecordView<'_>) {
        if record.control {
            let ended = self.open.remove(&record.producer_id).unwrap_or_default();
            match record.key.map(ControlType::of_key) {
                Some(Ok(ControlType::Commit)) => ended.into_iter().for_each(|record| self.settle(record)),
                _ => self.superseded.extend(ended.iter().map(|record| record.offset)),
            }
            return;
        }
        let Some(key) = record.key.map(<[u8]>::to_vec) else { return };
        let keyed = Keyed { key, offset: record.offset, tombstone: record.value.is_none() };
        if record.transactional {
            self.open.entry(record.producer_id).or_default().push(keyed);
        } else {
            self.settle(keyed);
        }
    }

    /// A record that readers of committed data see. One that was in a transaction may come after later ones.
    fn settle(&mut self, Keyed { key, offset, tombstone }: Keyed) {
        if tombstone {
            self.superseded.insert(offset);
        }
        let last = self.last_of_key.entry(key).or_insert(offset);
        if *last != offset {
            self.superseded.insert(offset.min(*last));
            *last = offset.max(*last);
        }
    }
}

/// Why the move of a log's start to `to` is not justified; `None` if it is. One that nothing else justifies uses up a request for
/// all records to be deleted.
fn objection(load: &Load, gone: &mut Gone, change: &Change<'_>, at: Time, to: Offset) -> Option<String> {
    let cleanup = load.cleanup.get(&change.name.topic)?;
    if !cleanup.delete {
        return Some("its cleanup.policy does not have delete".to_owned());
    }
    if to <= gone.asked {
        return None;
    }
    let left: u64 = change.now.batches.from(to).map(|batch| u64::from(batch.size)).sum();
    if cleanup.retention_bytes.is_some_and(|bytes| left >= bytes) {
        return None;
    }
    let deleted = change.committed.batches.range(gone.below, to);
    // What was never seen to be committed was not seen to be old.
    let newest = deleted.map(|batch| batch.max_timestamp).max().unwrap_or(i64::MAX);
    let ms = |span: Span| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    let age = load.wall_start_ms.saturating_add(ms(at.since(Time::ZERO))).saturating_sub(newest);
    if cleanup.retention.is_some_and(|retention| age.saturating_add(CLOCKS_DIFFER_MS) > ms(retention)) {
        return None;
    }
    if gone.asked_for_all > 0 {
        gone.asked_for_all -= 1;
        return None;
    }
    Some(format!(
        "{left} bytes are left, and the newest record that went was {age} ms old; retention.bytes is {}, retention.ms {}",
        cleanup.retention_bytes.map_or("-1".to_owned(), |bytes| bytes.to_string()),
        cleanup.retention.map_or("-1".to_owned(), |retention| retention.as_millis().to_string())
    ))
}

/// A replica changed: judges where its log starts now, and notes what that justifies.
pub(crate) fn log_start_moved(
    at: Time,
    load: &Load,
    gone: &mut Gone,
    change: &Change<'_>,
    out: &mut Findings,
) {
    let (from, to) = (change.before.log_start_offset, change.now.head.log_start_offset);
    if to <= gone.below || to <= from {
        return;
    }
    if !change.before.up && to <= change.inherited.end {
        // It had gone before the run began.
        gone.below = to;
        return;
    }
    match objection(load, gone, change, at, to) {
        None => gone.below = to,
        Some(why) => out.report(
            at,
            vec![
                format!("broker {} moved the start of {} from {from} to {to}", change.broker, change.name),
                why,
            ],
        ),
    }
}

/// More of a compacted partition is committed, up to `to`: what that means for what may be compacted away.
///
/// # Errors
/// What the disk says.
pub(crate) fn committed(
    (broker, disk): (&dyn BrokerView, &mut dyn Disk),
    tp: TopicIdPartition,
    gone: &mut Gone,
    (change, to): (&Change<'_>, Offset),
) -> Result<(), DiskError> {
    broker.records(disk, tp, change.committed.end, &mut |record| {
        if record.offset < to {
            gone.committed(&record);
        }
    })
}

/// Everything is over: looks whether a replica of a compacted topic still has the last record of each key. `disk` is a copy of
/// its broker's.
pub(crate) fn at_rest(
    now: Now,
    node: NodeId,
    (log, disk): (&UnifiedLog, &mut dyn Disk),
    (name, gone): (&TopicPartition, &Gone),
    out: &mut Findings,
) {
    if gone.last_of_key.is_empty() || (log.topic_id().is_some() && log.topic_id() != gone.topic_id) {
        return;
    }
    let mut found: BTreeSet<Offset> = BTreeSet::new();
    let options = LogOpen {
        clean_shutdown: false,
        log_start_offset: log.log_start_offset(),
        high_watermark: log.high_watermark(),
        ..LogOpen::new(*log.config())
    };
    let log = match UnifiedLog::open(disk, log.folder(), options, now.wall_ms) {
        Ok((log, _)) => log,
        Err(error) => return out.report(now.mono, vec![format!("broker {node}: {error}")]),
    };
    let read = log.records(disk, log.log_start_offset(), &mut |record| {
        if record.key.is_some_and(|key| gone.last_of_key.get(key) == Some(&record.offset)) {
            found.insert(record.offset);
        }
    });
    if let Err(error) = read {
        return out
            .report(now.mono, vec![format!("broker {node} cannot read its replica of {name}: {error}")]);
    }
    let in_log = |offset: Offset| (log.log_start_offset()..log.log_end_offset()).contains(&offset);
    let lost = gone.last_of_key.iter().filter(|(_, offset)| {
        in_log(**offset) && !gone.superseded.contains(*offset) && !found.contains(*offset)
    });
    for (key, offset) in lost {
        out.report(
            now.mono,
            vec![format!(
                "broker {node}'s replica of {name} does not have offset {offset}, the last record of the key {}",
                String::from_utf8_lossy(key).escape_default()
            )],
        );
    }
}
