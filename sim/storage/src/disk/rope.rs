//! A file's content as shared chunks.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::spares::Spares;

/// Chunks of this size together, in bytes, are not joined for good: only who catches up reads so much at once, seldom another one
/// the same, and a joined copy beside the chunks that others share costs memory.
const JOINED_MAX: u64 = 16 * 1024;

/// A read of so many bytes is long: memory for it is worth to be used again.
const LONG: u64 = 256 * 1024;

/// Bytes in chunks that share memory with what was appended.
#[derive(Clone, Debug, Default)]
pub(super) struct Rope {
    chunks: Vec<Chunk>,
    len: u64,
}

#[derive(Clone, Debug)]
struct Chunk {
    start: u64,
    bytes: Bytes,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl Rope {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.chunks.push(Chunk { start: self.len, bytes });
            self.len = self.chunks.last().expect("just pushed").end();
        }
    }

    /// Appends what is written at once. A write in pieces that is too long for its readers to join is joined now: else each of
    /// them copies it, and all memory that it came in with is kept.
    pub(super) fn write(&mut self, pieces: &[Bytes]) {
        let len: usize = pieces.iter().map(Bytes::len).sum();
        if pieces.len() == 1 || len as u64 <= JOINED_MAX {
            return pieces.iter().for_each(|piece| self.push(piece.clone()));
        }
        let mut joined = BytesMut::with_capacity(len);
        pieces.iter().for_each(|piece| joined.extend_from_slice(piece));
        self.push(joined.freeze());
    }

    /// The chunk that holds `position`.
    fn find(&self, position: u64) -> usize {
        self.chunks.partition_point(|chunk| chunk.start <= position).saturating_sub(1)
    }

    /// As [`Rope::find`], for a reader whose last chunk was `cursor`: most readers go on from where they were.
    #[inline]
    fn find_from(&self, cursor: &mut usize, position: u64) -> usize {
        let holds = |place: usize| {
            self.chunks.get(place).is_some_and(|chunk| chunk.start <= position && position < chunk.end())
        };
        if !holds(*cursor) {
            *cursor = if holds(*cursor + 1) { *cursor + 1 } else { self.find(position) };
        }
        *cursor
    }

    /// How many bytes from `position` on are in one chunk; 0 beyond the end.
    pub(super) fn shared_from(&self, position: u64) -> u64 {
        self.chunks.get(self.find(position)).map_or(0, |chunk| chunk.end().saturating_sub(position))
    }

    /// `len` bytes at `position`, which must be there. A read across chunks joins them for good, so that the next reader of
    /// the same bytes (another replica, then the consumers) shares one allocation.
    pub(super) fn read(&mut self, position: u64, len: u64) -> Bytes {
        let mut cursor = self.chunks.len();
        let read = self.read_within(&mut cursor, position, len);
        read.unwrap_or_else(|| self.read_across(position, len, &mut Spares::default()))
    }

    /// As [`Rope::read`], if the bytes are in one chunk. `cursor` is the reader's place: any number at first, then what the last
    /// read left there.
    pub(super) fn read_within(&self, cursor: &mut usize, position: u64, len: u64) -> Option<Bytes> {
        if len == 0 {
            return Some(Bytes::new());
        }
        let (chunk, range) = self.within(cursor, position, len)?;
        Some(chunk.slice(range))
    }

    /// As [`Rope::read_within`], without a reference to what holds the bytes.
    pub(super) fn peek_within(&self, cursor: &mut usize, position: u64, len: u64) -> Option<&[u8]> {
        let (chunk, range) = self.within(cursor, position, len)?;
        Some(&chunk[range])
    }

    #[inline]
    fn within(&self, cursor: &mut usize, position: u64, len: u64) -> Option<(&Bytes, Range<usize>)> {
        assert!(position + len <= self.len, "reads are checked against the length before");
        let chunk = self.chunks.get(self.find_from(cursor, position))?;
        let from = position.checked_sub(chunk.start)? as usize;
        (position + len <= chunk.end()).then_some((&chunk.bytes, from..from + len as usize))
    }

    /// As [`Rope::read`], if the bytes are not in one chunk. A long read is put together in memory of `spares`.
    pub(super) fn read_across(&mut self, position: u64, len: u64, spares: &mut Spares) -> Bytes {
        let first = self.find(position);
        let last = self.find(position + len - 1);
        let start = self.chunks[first].start;
        let touched = self.chunks[last].end() - start;
        // A few bytes on the border of two large chunks are not worth copying both.
        if touched > 4 * len || touched > JOINED_MAX {
            let long = len >= LONG;
            let mut out = match long {
                true => spares.take(len as usize),
                false => BytesMut::with_capacity(len as usize),
            };
            for chunk in &self.chunks[first..=last] {
                let from = position.saturating_sub(chunk.start) as usize;
                let to = (position + len - chunk.start).min(chunk.bytes.len() as u64) as usize;
                out.extend_from_slice(&chunk.bytes[from..to]);
            }
            return if long { spares.lend(out) } else { out.freeze() };
        }
        let mut joined = BytesMut::with_capacity(touched as usize);
        for chunk in &self.chunks[first..=last] {
            joined.extend_from_slice(&chunk.bytes);
        }
        let bytes = joined.freeze();
        let from = (position - start) as usize;
        let out = bytes.slice(from..from + len as usize);
        self.chunks[first] = Chunk { start, bytes };
        self.chunks.drain(first + 1..=last);
        out
    }

    /// Cuts everything from `len` on off and returns it.
    pub(super) fn split_off(&mut self, len: u64) -> Rope {
        let mut tail = Rope::default();
        if len >= self.len {
            return tail;
        }
        let first = self.find(len);
        for chunk in self.chunks.split_off(first) {
            let keep = len.saturating_sub(chunk.start) as usize;
            tail.push(chunk.bytes.slice(keep..));
            if keep > 0 {
                self.chunks.push(Chunk { start: chunk.start, bytes: chunk.bytes.slice(..keep) });
            }
        }
        self.len = len;
        tail
    }

    pub(super) fn extend(&mut self, other: Rope) {
        for chunk in other.chunks {
            self.push(chunk.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(chunks: &[&'static str]) -> Rope {
        let mut rope = Rope::default();
        for chunk in chunks {
            rope.push(Bytes::from_static(chunk.as_bytes()));
        }
        rope
    }

    #[test]
    fn read_within_a_chunk_shares_memory() {
        let chunk = Bytes::from(b"hello world".to_vec());
        let mut rope = Rope::default();
        rope.push(chunk.clone());
        assert_eq!(rope.read(6, 5).as_ptr(), chunk[6..].as_ptr());
    }

    #[test]
    fn read_across_chunks_joins_them_once() {
        let mut rope = rope(&["ab", "cd", "ef", "gh", "ij", "kl"]);
        assert_eq!(rope.read(1, 6), "bcdefg");
        assert_eq!(rope.chunks.len(), 3);
        assert_eq!(rope.read(0, 8).as_ptr(), rope.read(0, 1).as_ptr());
        assert_eq!(rope.read(7, 5), "hijkl");
    }

    #[test]
    fn a_long_write_is_joined_and_a_short_one_by_its_reader() {
        let mut rope = Rope::default();
        let pieces = [Bytes::from_static(b"head"), Bytes::from(vec![7; 20_000])];
        rope.write(&pieces);
        rope.write(&[Bytes::from_static(b"head"), Bytes::from_static(b"tail")]);
        assert_eq!(rope.chunks.len(), 3);
        assert_eq!(rope.read(0, 20_004), pieces.concat());
        assert_eq!(rope.read(0, 20_004).as_ptr(), rope.read(0, 1).as_ptr());
        assert_eq!(rope.read(20_004, 8), "headtail");
    }

    #[test]
    fn a_short_read_across_large_chunks_leaves_them_alone() {
        let mut rope = rope(&["abcdefgh", "ijklmnop"]);
        assert_eq!(rope.read(7, 2), "hi");
        assert_eq!(rope.chunks.len(), 2);
    }

    #[test]
    fn a_long_read_leaves_its_chunks_alone() {
        let mut rope = Rope::default();
        let chunks: Vec<Bytes> = (0..5).map(|i| Bytes::from(vec![i; 5_000])).collect();
        chunks.iter().for_each(|chunk| rope.push(chunk.clone()));
        assert_eq!(rope.read(0, 25_000), chunks.concat());
        assert_eq!(rope.chunks.len(), 5);
        assert_eq!(rope.read(0, 15_000), chunks[..3].concat());
        assert_eq!(rope.chunks.len(), 3);
    }

    #[test]
    fn what_is_in_one_chunk_is_known() {
        let rope = rope(&["abc", "de"]);
        let lens: Vec<u64> = (0..=6).map(|position| rope.shared_from(position)).collect();
        assert_eq!(lens, [3, 2, 1, 2, 1, 0, 0]);
        assert_eq!(Rope::default().shared_from(0), 0);
    }

    #[test]
    fn split_off_keeps_both_sides() {
        for at in 0..=6 {
            let mut rope = rope(&["ab", "cd", "ef"]);
            let mut tail = rope.split_off(at);
            assert_eq!((rope.len(), tail.len()), (at, 6 - at));
            assert_eq!(rope.read(0, at), &"abcdef"[..at as usize]);
            assert_eq!(tail.read(0, 6 - at), &"abcdef"[at as usize..]);
            rope.extend(tail);
            assert_eq!(rope.read(0, 6), "abcdef");
        }
    }
}
