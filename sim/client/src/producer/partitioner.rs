//! Which partition a record goes to, as Kafka's producer decides.

use trial_node::Rng;

use crate::network::{Metadata, TopicSlot};

/// The 32-bit murmur2 hash as Kafka's producer computes it over a record's key.
pub fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mut h = SEED ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * i);
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

/// The partition of a record with this key, in a topic of `partitions` partitions.
pub fn partition_for_key(key: &[u8], partitions: usize) -> usize {
    (murmur2(key) & 0x7fff_ffff) as usize % partitions
}

/// Where records without a key go (KIP-480, KIP-794): to one partition until about a batch's worth of bytes is there, then
/// to another one that has a leader, all alike likely.
#[derive(Clone, Debug, Default)]
pub(super) struct StickyPartitioner {
    current: Option<usize>,
    produced: usize,
}

impl StickyPartitioner {
    /// The partition for the next record. `partitions` is how many the topic has, 1 and up.
    pub fn partition(
        &mut self,
        metadata: &Metadata,
        topic: TopicSlot,
        partitions: usize,
        rng: &mut Rng,
    ) -> usize {
        match self.current {
            Some(current) if current < partitions => current,
            _ => self.switch(metadata, topic, partitions, rng),
        }
    }

    /// Counts `bytes` that were appended to the current partition. `batch_full` says that the partition's last batch takes
    /// no more: switching in the middle of a batch would leave it half empty.
    pub fn appended(&mut self, bytes: usize, batch_size: usize, batch_full: bool) {
        self.produced += bytes;
        if (self.produced >= batch_size && batch_full) || self.produced >= 2 * batch_size {
            self.current = None;
        }
    }

    fn switch(&mut self, metadata: &Metadata, topic: TopicSlot, partitions: usize, rng: &mut Rng) -> usize {
        let led = |partition: &usize| metadata.leader(topic, *partition as i32).is_some();
        let available = (0..partitions).filter(led).count();
        let next = if available == 0 {
            rng.below(partitions as u64) as usize
        } else {
            let nth = rng.below(available as u64) as usize;
            (0..partitions).filter(led).nth(nth).expect("nth is below their number")
        };
        self.current = Some(next);
        self.produced = 0;
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values that Kafka's own tests use.
    #[test]
    fn murmur2_gives_kafkas_values() {
        let vectors: [(&[u8], i32); 6] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
        ];
        for (data, hash) in vectors {
            assert_eq!(murmur2(data) as i32, hash, "{}", String::from_utf8_lossy(data));
        }
    }

    #[test]
    fn key_partition_is_the_positive_hash_modulo_the_partitions() {
        assert_eq!(partition_for_key(b"21", 7), ((-973_932_308i32 & 0x7fff_ffff) % 7) as usize);
        assert_eq!(partition_for_key(b"foobar", 1), 0);
    }
}
