//! Waiting, inside the broker, for records to be committed.

use trial_node::{Offset, Span, TopicIdPartition};
use trial_wire::ErrorCode;

use super::directories::not_served;
use super::purgatory::Verdict;
use super::{Context, Output, ReplicaManager};

/// Names somebody inside the broker who waits for an [`Output`]. The caller chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Waiter(pub u64);

/// Somebody who waits for the high watermark.
#[derive(Clone, Copy, Debug)]
pub(super) struct CommitWait {
    waiter: Waiter,
    required: Offset,
}

impl ReplicaManager {
    /// Lets `waiter` wait, for at most `timeout`, until everything below `offset` is committed; the answer is an
    /// [`Output::Committed`], at once or later. Those who wait for a partition are answered in the order in which they came,
    /// as far as their offsets allow.
    pub fn await_committed(
        &mut self,
        ctx: &mut Context<'_>,
        tp: TopicIdPartition,
        offset: Offset,
        waiter: Waiter,
        timeout: Span,
    ) {
        match self.committed(tp, offset) {
            Some(result) => self.after.outputs.push_back(Output::Committed { waiter, result }),
            None => {
                let wait = CommitWait { waiter, required: offset };
                self.commits.watch(wait, std::iter::once(tp), ctx.now.mono + timeout);
            }
        }
    }

    fn committed(&self, tp: TopicIdPartition, offset: Offset) -> Option<Result<(), ErrorCode>> {
        match self.partitions.get(&tp) {
            Some(partition) => partition.acknowledgement(offset),
            None => Some(Err(not_served(&self.offline, tp))),
        }
    }

    /// Looks at those that wait for a partition.
    pub(super) fn complete_commits(&mut self, tp: TopicIdPartition) {
        let partition = self.partitions.get(&tp);
        let outputs = &mut self.after.outputs;
        self.commits.check(tp, &mut Vec::new(), |wait| {
            let result = match partition {
                Some(partition) => partition.acknowledgement(wait.required),
                None => Some(Err(not_served(&self.offline, tp))),
            };
            match result {
                None => Verdict::Waits,
                Some(result) => {
                    outputs.push_back(Output::Committed { waiter: wait.waiter, result });
                    Verdict::Complete
                }
            }
        });
    }

    /// The time of one who waits is up.
    pub(super) fn expire_commit(&mut self, wait: CommitWait) {
        let result = Err(ErrorCode::RequestTimedOut);
        self.after.outputs.push_back(Output::Committed { waiter: wait.waiter, result });
    }
}
