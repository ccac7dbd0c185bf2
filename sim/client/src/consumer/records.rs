//! Fetched records on their way to the application.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trial_node::{LeaderEpoch, Offset};
use trial_wire::messages::fetch_response::AbortedTransaction;
use trial_wire::{Batch, BatchError, Batches, ControlType, RecordRef, Records};

use super::partition::Position;

/// What one Fetch response brought of one partition.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    /// The partition's index in the assignment.
    pub index: usize,
    /// The next offset to hand out.
    pub next: Position,
    batches: Batches,
    current: Option<(Records, Position)>,
    check_crcs: bool,
    aborted: Option<AbortedTransactions>,
}

/// Under `read_committed`: the aborted transactions among the fetched records.
#[derive(Clone, Debug)]
struct AbortedTransactions {
    /// By first offset: the producers.
    upcoming: VecDeque<(i64, i64)>,
    /// Producers whose records are to be left out until their marker.
    open: BTreeSet<i64>,
}

impl Fetched {
    pub fn new(index: usize, from: Position, records: bytes::Bytes, check_crcs: bool) -> Fetched {
        let batches = Batches::new(records);
        Fetched { index, next: from, batches, current: None, check_crcs, aborted: None }
    }

    /// Leaves out what aborted transactions wrote.
    pub fn without_aborted(mut self, aborted: Vec<AbortedTransaction>) -> Fetched {
        let by_offset: BTreeMap<(i64, i64), ()> =
            aborted.into_iter().map(|a| ((a.first_offset, a.producer_id.0), ())).collect();
        self.aborted =
            Some(AbortedTransactions { upcoming: by_offset.into_keys().collect(), open: BTreeSet::new() });
        self
    }

    /// Hands out at most `max` records. Returns how many it were; fewer than `max` means that nothing is left.
    ///
    /// # Errors
    /// [`BatchError`] at the first batch that is damaged.
    pub fn take(
        &mut self,
        max: usize,
        each: &mut dyn FnMut(usize, &RecordRef<'_>),
    ) -> Result<usize, BatchError> {
        let mut taken = 0;
        while taken < max {
            if self.current.is_none() {
                let Some(batch) = self.next_batch()? else { break };
                self.open(&batch)?;
            }
            let Some((records, after)) = &self.current else { continue };
            let mut complete = true;
            for record in records.iter() {
                let record = record?;
                if record.offset < self.next.offset.0 {
                    continue;
                }
                if taken == max {
                    complete = false;
                    break;
                }
                each(self.index, &record);
                taken += 1;
                self.next = Position { offset: Offset(record.offset + 1), offset_epoch: after.offset_epoch };
            }
            if complete {
                self.next = *after;
                self.current = None;
            }
        }
        Ok(taken)
    }

    fn next_batch(&mut self) -> Result<Option<Batch>, BatchError> {
        let next = if self.check_crcs { self.batches.next() } else { self.batches.next_trusted() };
        match next {
            // A broker cuts off a response's last batch where its limit is.
            None | Some(Err(BatchError::Truncated { .. })) => Ok(None),
            Some(Err(error)) => Err(error),
            Some(Ok(batch)) => Ok(Some(batch)),
        }
    }

    /// Looks at a batch: its records come next, unless they are not for the application.
    fn open(&mut self, batch: &Batch) -> Result<(), BatchError> {
        let header = batch.header();
        let after = Position {
            offset: Offset(header.next_offset()),
            offset_epoch: LeaderEpoch(header.partition_leader_epoch),
        };
        if header.next_offset() <= self.next.offset.0 {
            return Ok(());
        }
        let records = batch.open(trial_wire::batch::RECORDS_MAX)?;
        let mut skip = header.is_control();
        if let Some(aborted) = &mut self.aborted {
            while aborted.upcoming.front().is_some_and(|(first, _)| *first <= header.last_offset()) {
                let (_, producer) = aborted.upcoming.pop_front().expect("the front was just looked at");
                aborted.open.insert(producer);
            }
            if header.is_control() {
                let key = records.iter().next().transpose()?.and_then(|record| record.key);
                if key.is_some_and(|key| ControlType::of_key(key) == Ok(ControlType::Abort)) {
                    aborted.open.remove(&header.producer_id);
                }
            } else {
                skip = header.is_transactional() && aborted.open.contains(&header.producer_id);
            }
        }
        if skip {
            self.next = after;
        } else {
            self.current = Some((records, after));
        }
        Ok(())
    }
}
