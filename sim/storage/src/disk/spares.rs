//! Memory for reads that put chunks together, used again once its readers are done: memory that is new to a machine takes many times
//! as long to come by as it takes to fill it.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// So many reads are remembered, the newest.
const READS: usize = 8;
/// And so many bytes of them: what one reader after the other gets, not what a disk holds.
const BYTES: usize = 16 << 20;

/// Reads that were handed out, each with how much room it has.
#[derive(Clone, Debug, Default)]
pub(super) struct Spares {
    reads: VecDeque<(usize, Bytes)>,
    bytes: usize,
}

impl Spares {
    /// Room for `len` bytes: what a reader has given back, if there is something that is not much too large.
    pub(super) fn take(&mut self, len: usize) -> BytesMut {
        let fits = |(room, read): &(usize, Bytes)| (len..=2 * len).contains(room) && read.is_unique();
        if let Some(place) = self.reads.iter().position(fits)
            && let Some((room, read)) = self.reads.remove(place)
        {
            self.bytes -= room;
            if let Ok(mut memory) = read.try_into_mut() {
                memory.clear();
                return memory;
            }
        }
        BytesMut::with_capacity(len)
    }

    /// Hands out what was read into memory from [`Spares::take`].
    pub(super) fn lend(&mut self, read: BytesMut) -> Bytes {
        let room = read.capacity();
        let read = read.freeze();
        if room <= BYTES {
            self.reads.push_back((room, read.clone()));
            self.bytes += room;
        }
        while self.reads.len() > READS || self.bytes > BYTES {
            let (room, _) = self.reads.pop_front().expect("what was just put in fits alone");
            self.bytes -= room;
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(spares: &mut Spares, len: usize) -> Bytes {
        let mut memory = spares.take(len);
        assert!(memory.is_empty() && memory.capacity() >= len);
        memory.resize(len, 7);
        spares.lend(memory)
    }

    #[test]
    fn memory_is_used_again_once_its_reader_is_done() {
        let mut spares = Spares::default();
        let first = read(&mut spares, 100_000);
        let place = first.as_ptr();
        let part = first.slice(10..20);
        drop(first);
        assert_ne!(read(&mut spares, 100_000).as_ptr(), place);
        assert_eq!(part[..], [7; 10]);
        drop(part);
        let again = read(&mut spares, 90_000);
        assert_eq!((again.as_ptr(), again.len()), (place, 90_000));
    }

    #[test]
    fn what_is_much_larger_is_not_wasted_on_a_short_read() {
        let mut spares = Spares::default();
        let place = read(&mut spares, 1 << 20).as_ptr();
        assert_ne!(read(&mut spares, 100_000).as_ptr(), place);
        assert_eq!(read(&mut spares, 1 << 20).as_ptr(), place);
    }

    #[test]
    fn it_keeps_a_few_reads_and_not_much_memory() {
        let mut spares = Spares::default();
        let kept: Vec<Bytes> = (0..20).map(|_| read(&mut spares, 100_000)).collect();
        assert_eq!((spares.reads.len(), spares.bytes), (READS, READS * 100_000));
        drop(kept);
        drop([read(&mut spares, 10 << 20), read(&mut spares, 10 << 20), read(&mut spares, BYTES + 1)]);
        assert_eq!((spares.reads.len(), spares.bytes), (1, 10 << 20));
    }
}
