//! A list that grows at its end, piece by piece.

use std::ops::Range;

/// How many entries a piece has.
const PIECE: usize = 512;

/// A list of what a run leaves behind, which is most of what checkers keep. Other than a `Vec` it copies nothing when it grows, and
/// takes no more memory than it needs: memory that is touched for the first time costs more than what is done with it.
#[derive(Clone, Debug)]
pub(crate) struct Chunked<T> {
    /// All are full but the last.
    pieces: Vec<Vec<T>>,
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Chunked { pieces: Vec::new() }
    }
}

impl<T> Chunked<T> {
    pub(crate) fn len(&self) -> usize {
        self.pieces.last().map_or(0, |last| (self.pieces.len() - 1) * PIECE + last.len())
    }

    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.pieces.get(index / PIECE)?.get(index % PIECE)
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.pieces.get_mut(index / PIECE)?.get_mut(index % PIECE)
    }

    pub(crate) fn last(&self) -> Option<&T> {
        self.pieces.last()?.last()
    }

    pub(crate) fn push(&mut self, entry: T) {
        match self.pieces.last_mut() {
            Some(last) if last.len() < PIECE => last.push(entry),
            // The first piece grows with what is in it: most lists are short.
            last => {
                let mut piece = Vec::with_capacity(if last.is_some() { PIECE } else { 4 });
                piece.push(entry);
                self.pieces.push(piece);
            }
        }
    }

    /// Puts an entry in between. All those behind it move.
    pub(crate) fn insert(&mut self, index: usize, entry: T) {
        self.push(entry);
        for last in (index / PIECE..self.pieces.len()).rev() {
            let first = if last == index / PIECE { index % PIECE } else { 0 };
            self.pieces[last][first..].rotate_right(1);
            if last > index / PIECE {
                let (before, piece) = self.pieces.split_at_mut(last);
                let end = before[last - 1].last_mut().expect("only the last piece may be empty");
                std::mem::swap(end, &mut piece[0][0]);
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.pieces.iter().flatten()
    }

    /// The entries at these places, all of which must be there.
    pub(crate) fn range(&self, places: Range<usize>) -> impl Iterator<Item = &T> + Clone {
        places.map(|place| &self.pieces[place / PIECE][place % PIECE])
    }

    /// The first place in `places` whose entry `is_before` does not hold for; it must hold for all before and none behind.
    pub(crate) fn partition_point(&self, places: Range<usize>, is_before: impl Fn(&T) -> bool) -> usize {
        let Range { start: mut low, end: mut high } = places;
        while low < high {
            let middle = low.midpoint(high);
            match self.get(middle) {
                Some(entry) if is_before(entry) => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }
}

impl<T: Clone> Chunked<T> {
    /// The entry at `index`; if the list ends before, it is filled up to there with `filling`.
    pub(crate) fn grown(&mut self, index: usize, filling: &T) -> &mut T {
        for _ in self.len()..=index {
            self.push(filling.clone());
        }
        self.get_mut(index).expect("just made")
    }
}

impl<T> Extend<T> for Chunked<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, entries: I) {
        entries.into_iter().for_each(|entry| self.push(entry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_several_pieces_is_one_list() {
        let end = 3 * PIECE + 7;
        let mut list = Chunked::default();
        list.extend((0..end).map(|i| i * 2));
        assert_eq!((list.len(), list.last(), list.get(end)), (end, Some(&(2 * end - 2)), None));
        assert!(list.iter().copied().eq((0..end).map(|i| i * 2)));
        assert!(list.range(PIECE - 1..PIECE + 2).copied().eq((PIECE - 1..PIECE + 2).map(|i| i * 2)));
        for i in [0, PIECE - 1, PIECE, end - 1, end] {
            assert_eq!(list.partition_point(0..end, |entry| *entry < 2 * i), i);
        }
        *list.grown(end + 1, &7) += 1;
        assert_eq!((list.len(), list.get(end), list.last()), (end + 2, Some(&7), Some(&8)));
    }

    #[test]
    fn insertion_moves_all_behind_it() {
        for at in [0, 5, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 3] {
            for len in [2 * PIECE, 2 * PIECE + 3].into_iter().filter(|len| *len >= at) {
                let mut plain: Vec<usize> = (0..len).collect();
                let mut list = Chunked::default();
                list.extend(plain.iter().copied());
                plain.insert(at, 999);
                list.insert(at, 999);
                assert!(list.iter().eq(&plain), "at {at} of {len}");
            }
        }
    }
}
