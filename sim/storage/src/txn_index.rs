//! `*.txnindex`: the aborted transactions of a segment, which readers of committed data must leave out (KIP-98).

use bytes::{BufMut, BytesMut};
use trial_node::view::AbortedTransactionView;
use trial_node::{Offset, ProducerId};

use crate::index::{Entry, Index};

const VERSION: i16 = 0;

/// An aborted transaction, in the segment that holds its marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AbortedTxn {
    pub(crate) producer_id: ProducerId,
    /// Its first record's offset.
    pub(crate) first_offset: Offset,
    /// Its marker's offset.
    pub(crate) last_offset: Offset,
    /// What was stable once the marker was there: no transaction that ends later has records before it.
    pub(crate) last_stable_offset: Offset,
}

impl Entry for AbortedTxn {
    const SIZE: usize = 34;

    fn encode(&self, out: &mut BytesMut) {
        out.put_i16(VERSION);
        out.put_i64(self.producer_id.0);
        out.put_i64(self.first_offset.0);
        out.put_i64(self.last_offset.0);
        out.put_i64(self.last_stable_offset.0);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let field = |at: usize| i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let version = i16::from_be_bytes(bytes[..2].try_into().expect("two bytes"));
        (version == VERSION).then(|| AbortedTxn {
            producer_id: ProducerId(field(2)),
            first_offset: Offset(field(10)),
            last_offset: Offset(field(18)),
            last_stable_offset: Offset(field(26)),
        })
    }

    fn follows(&self, previous: &Self) -> bool {
        self.last_offset > previous.last_offset
    }
}

impl Index<AbortedTxn> {
    /// Calls `each` with every transaction that has records, its marker included, from `from` up to, not including, `to`.
    /// Returns whether later segments can hold no more of them.
    pub(crate) fn collect(
        &self,
        from: Offset,
        to: Offset,
        each: &mut dyn FnMut(AbortedTransactionView),
    ) -> bool {
        let first = self.entries().partition_point(|txn| txn.last_offset < from);
        for txn in &self.entries()[first..] {
            if txn.first_offset < to {
                each(AbortedTransactionView {
                    producer_id: txn.producer_id,
                    first_offset: txn.first_offset,
                    last_offset: txn.last_offset,
                });
            }
            if txn.last_stable_offset >= to {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SimDisk, whole_file};

    fn txn(producer: i64, first: i64, last: i64, stable: i64) -> AbortedTxn {
        AbortedTxn {
            producer_id: ProducerId(producer),
            first_offset: Offset(first),
            last_offset: Offset(last),
            last_stable_offset: Offset(stable),
        }
    }

    #[test]
    fn the_file_has_kafkas_format() {
        let mut disk = SimDisk::new();
        let mut index = Index::default();
        index.maybe_append(txn(5, 10, 20, 12));
        index.persist(&mut disk, "i").unwrap();
        let bytes = whole_file::read(&mut disk, "i").unwrap().unwrap();
        let expected = [
            &0i16.to_be_bytes()[..],
            &5i64.to_be_bytes(),
            &10i64.to_be_bytes(),
            &20i64.to_be_bytes(),
            &12i64.to_be_bytes(),
        ];
        assert_eq!(bytes[..], expected.concat());
        let loaded = Index::<AbortedTxn>::load(&mut disk, "i").unwrap().unwrap();
        assert_eq!(loaded.entries(), index.entries());
        let mut newer = bytes.to_vec();
        newer[1] = 1;
        whole_file::write(&mut disk, "i", newer.into()).unwrap();
        let refused = Index::<AbortedTxn>::load(&mut disk, "i").unwrap().unwrap_err();
        assert_eq!(refused, "it has an entry of another version");
    }

    #[test]
    fn a_reader_is_told_the_transactions_that_reach_into_its_range() {
        let mut index = Index::default();
        // Producer 1 aborts 0..=5 while 2, which began at 3, goes on to 9.
        for aborted in [txn(1, 0, 5, 3), txn(2, 3, 9, 10), txn(3, 12, 15, 16)] {
            index.maybe_append(aborted);
        }
        let told = |from, to| {
            let mut producers = Vec::new();
            let done = index.collect(Offset(from), Offset(to), &mut |txn| producers.push(txn.producer_id.0));
            (producers, done)
        };
        assert_eq!(told(0, 3), (vec![1], true));
        assert_eq!(told(0, 4), (vec![1, 2], true));
        assert_eq!(told(6, 10), (vec![2], true));
        assert_eq!(told(6, 13), (vec![2, 3], true));
        assert_eq!(told(10, 12), (vec![], true), "the third begins behind the range");
        assert_eq!(told(10, 17), (vec![3], false));
    }
}
