//! Records of one partition on their way into one record batch.

use bytes::Bytes;
use trial_node::{LeaderEpoch, ProducerEpoch, ProducerId, Time};
use trial_wire::batch::{self, BatchBuilder};
use trial_wire::{Batch, BatchError, Compression};

use super::accumulator::Slot;

/// A batch of a producer, numbered in the order in which batches are begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BatchId(pub u64);

/// Which idempotent producer wrote a batch, and where in its order (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sequence {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    /// The first record's number.
    pub base: i32,
}

/// A record to send.
#[derive(Clone, Copy, Debug)]
pub struct ProducerRecord<'a> {
    /// CreateTime, ms since the epoch.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its partition; if none is given, the key decides, or the sticky partitioner.
    pub partition: Option<i32>,
    /// Its headers.
    pub headers: &'a [(&'a [u8], &'a [u8])],
    /// What the caller knows the record by; comes back with its [`super::Delivery`].
    pub token: u64,
}

impl ProducerRecord<'_> {
    /// An upper bound of what the record adds to a batch, in bytes.
    pub(super) fn size_bound(&self) -> usize {
        BatchBuilder::record_size_bound(self.key, self.value, self.headers)
    }
}

#[derive(Clone, Debug)]
pub(super) struct ProducerBatch {
    pub slot: Slot,
    pub tokens: Vec<u64>,
    pub created: Time,
    builder: BatchBuilder,
    /// As it was last sent; gone when its producer state changes.
    built: Option<Batch>,
    transactional: bool,
    /// Takes no more records.
    closed: bool,
    /// Failed attempts.
    pub attempts: u32,
    /// No attempt before this instant, unless the leader changes.
    pub retry_at: Time,
    /// The leader epoch that was known at the last attempt.
    pub leader_epoch: LeaderEpoch,
    /// An attempt ended without telling whether the batch was appended.
    pub maybe_written: bool,
    pub sequence: Option<Sequence>,
    /// The sequence was assigned anew after the batch had been sent with another, and not sent again since.
    pub sequence_reset: bool,
    /// What the batch takes of `buffer.memory`, in bytes.
    pub charged: usize,
    /// In its partition's queue, as opposed to in a request in flight.
    pub queued: bool,
}

impl ProducerBatch {
    pub fn new(slot: Slot, created: Time, compression: Compression, charged: usize) -> ProducerBatch {
        ProducerBatch {
            slot,
            tokens: Vec::new(),
            created,
            builder: BatchBuilder::new(compression),
            built: None,
            transactional: false,
            closed: false,
            attempts: 0,
            retry_at: Time::ZERO,
            leader_epoch: LeaderEpoch::NONE,
            maybe_written: false,
            sequence: None,
            sequence_reset: false,
            charged,
            queued: true,
        }
    }

    /// Makes it part of a transaction.
    pub fn transactional(&mut self) {
        self.builder.transactional();
        self.transactional = true;
    }

    pub fn push(&mut self, record: &ProducerRecord<'_>) {
        self.builder.push(record.timestamp, record.key, record.value, record.headers);
        self.tokens.push(record.token);
    }

    pub fn record_count(&self) -> i32 {
        self.tokens.len() as i32
    }

    pub fn close(&mut self) {
        self.closed = true;
    }

    /// The size that the batch will have, in bytes, given how well its codec has done lately.
    pub fn estimated_size(&self, ratio: &CompressionRatio) -> usize {
        match &self.built {
            Some(built) => built.header().size,
            None => ratio.estimate(self.builder.uncompressed_size()),
        }
    }

    pub fn is_full(&self, batch_size: usize, ratio: &CompressionRatio) -> bool {
        self.closed || (!self.tokens.is_empty() && self.estimated_size(ratio) >= batch_size)
    }

    pub fn has_room(&self, record_bound: usize, batch_size: usize, ratio: &CompressionRatio) -> bool {
        !self.closed && self.estimated_size(ratio) + record_bound <= batch_size
    }

    /// Gives the batch another place in its producer's order.
    pub fn set_sequence(&mut self, sequence: Sequence) {
        self.builder.producer(sequence.id.0, sequence.epoch.0, sequence.base);
        self.sequence = Some(sequence);
        self.built = None;
    }

    /// The sequence number of the last record.
    pub fn last_sequence(&self) -> Option<i32> {
        self.sequence.map(|sequence| add_to_sequence(sequence.base, self.record_count() - 1))
    }

    /// The bytes to send, and what compression made of the records if that was only found out now.
    pub fn build(&mut self, ratio: &mut CompressionRatio) -> Bytes {
        self.closed = true;
        self.sequence_reset = false;
        let builder = &self.builder;
        let built = self.built.get_or_insert_with(|| {
            let built = builder.build();
            ratio.observe(builder.uncompressed_size(), built.header().size);
            built
        });
        built.bytes().clone()
    }

    /// Splits a batch that the broker found too large: into batches of at most `batch_size` bytes uncompressed, or of one
    /// record each.
    ///
    /// # Errors
    /// None unless the batch builder writes what the batch reader cannot read.
    pub fn split(
        mut self,
        batch_size: usize,
        compression: Compression,
    ) -> Result<Vec<ProducerBatch>, BatchError> {
        let built = self.built.take().unwrap_or_else(|| self.builder.build());
        let mut parts: Vec<ProducerBatch> = Vec::new();
        let mut base = self.sequence;
        let raw = CompressionRatio::default();
        for (record, token) in built.records(usize::MAX)?.into_iter().zip(&self.tokens) {
            let headers: Vec<(&[u8], &[u8])> =
                record.headers.iter().map(|(k, v)| (k.as_ref(), v.as_deref().unwrap_or_default())).collect();
            let again = ProducerRecord {
                timestamp: record.timestamp,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                partition: None,
                headers: &headers,
                token: *token,
            };
            if !parts.last().is_some_and(|part| part.has_room(again.size_bound(), batch_size, &raw)) {
                if let Some(part) = parts.last() {
                    base = base.map(|base| Sequence {
                        base: add_to_sequence(base.base, part.record_count()),
                        ..base
                    });
                }
                let mut part = ProducerBatch::new(self.slot, self.created, compression, 0);
                part.maybe_written = self.maybe_written;
                if self.transactional {
                    part.transactional();
                }
                if let Some(base) = base {
                    part.set_sequence(base);
                }
                parts.push(part);
            }
            parts.last_mut().expect("a part was just begun").push(&again);
        }
        for part in &mut parts {
            part.close();
        }
        Ok(parts)
    }
}

/// Adds to a sequence number; they go from 0 to 2³¹ − 1 and round again.
pub(super) fn add_to_sequence(sequence: i32, n: i32) -> i32 {
    (i64::from(sequence) + i64::from(n)).rem_euclid(1 << 31) as i32
}

/// How well a topic's batches compress, to guess when a batch is full before it is compressed. As Kafka's estimator: bad
/// news counts at once, good news little by little.
#[derive(Clone, Debug)]
pub(super) struct CompressionRatio {
    permille: usize,
    compressed: bool,
}

impl Default for CompressionRatio {
    fn default() -> CompressionRatio {
        CompressionRatio::of(Compression::None)
    }
}

impl CompressionRatio {
    pub fn of(compression: Compression) -> CompressionRatio {
        CompressionRatio { permille: 1_000, compressed: compression != Compression::None }
    }

    fn estimate(&self, uncompressed: usize) -> usize {
        if !self.compressed {
            return uncompressed;
        }
        let records = uncompressed.saturating_sub(batch::HEADER_LEN);
        // 5 % on top, so that a batch rather comes out a little smaller than too large.
        batch::HEADER_LEN + records * self.permille / 1_000 * 105 / 100
    }

    fn observe(&mut self, uncompressed: usize, compressed: usize) {
        if !self.compressed {
            return;
        }
        let records = uncompressed.saturating_sub(batch::HEADER_LEN).max(1);
        let observed = compressed.saturating_sub(batch::HEADER_LEN) * 1_000 / records;
        self.permille = if observed > self.permille {
            observed.max(self.permille + 50)
        } else {
            observed.max(self.permille.saturating_sub(5))
        };
    }

    /// After a batch came out too large: expect the worst.
    pub fn reset(&mut self) {
        self.permille = self.permille.max(1_000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(add_to_sequence(i32::MAX, 1), 0);
        assert_eq!(add_to_sequence(i32::MAX - 1, 3), 1);
        assert_eq!(add_to_sequence(5, 2), 7);
    }

    #[test]
    fn compression_ratio_believes_bad_news_at_once() {
        let mut ratio = CompressionRatio::of(Compression::Zstd);
        for _ in 0..100 {
            ratio.observe(10_061, 2_061);
        }
        assert_eq!(ratio.permille, 500);
        assert_eq!(ratio.estimate(10_061), 61 + 5_000 * 105 / 100);
        ratio.observe(10_061, 9_061);
        assert_eq!(ratio.permille, 900);
    }
}
