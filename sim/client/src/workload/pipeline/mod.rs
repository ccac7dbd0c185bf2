//! Reads one topic, and writes what it makes of each record to another.

mod exactly_once;
mod plain;

use std::collections::BTreeMap;

use trial_node::{Content, Io, Now, Offset, TopicPartition};
use trial_wire::RecordRef;

use super::numbers::Numbers;
use super::source::Source;
use super::writer::{Output, Writer};

pub(super) use exactly_once::ExactlyOnce;
pub(super) use plain::Plain;

/// Nothing more is read while so many records are on their way.
const MAX_OUTSTANDING: u64 = 1_000;

/// What was read and is not committed: of each partition, by index, the first record's offset and the one after the last's.
#[derive(Clone, Debug, Default)]
struct Work(BTreeMap<usize, (Offset, Offset)>);

impl Work {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, index: usize, offset: i64) {
        let (_, next) = self.0.entry(index).or_insert((Offset(offset), Offset::UNKNOWN));
        *next = Offset(offset + 1);
    }

    /// Forgets partitions that are another's by now.
    fn lose(&mut self, indexes: &[usize]) {
        self.0.retain(|index, _| !indexes.contains(index));
    }

    /// The offsets to commit.
    fn offsets(&self) -> Vec<(usize, Offset)> {
        self.0.iter().map(|(index, (_, next))| (*index, *next)).collect()
    }

    /// Reads it all once more.
    fn rewind(&mut self, source: &mut Source, io: &mut Io<'_>) {
        for (index, (first, _)) in std::mem::take(&mut self.0) {
            source.seek(io, index, first);
        }
    }
}

/// Writes the output for a record: the same key and value.
fn copy(
    writer: &mut Writer,
    numbers: &mut Numbers,
    now: Now,
    io: &mut Io<'_>,
    source: &TopicPartition,
    record: &RecordRef<'_>,
) {
    let output = Output {
        sequence: numbers.next(io),
        intended: now.mono,
        partition: None,
        key: record.key,
        value: record.value,
    };
    let content = Content::Copy { source: source.clone(), offset: Offset(record.offset) };
    writer.send(now, io, output, content);
}
