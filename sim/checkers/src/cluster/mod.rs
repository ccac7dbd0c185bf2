//! Properties of the replicas of partitions, judged after every event.

pub(crate) mod batch_identity;
pub(crate) mod committed_regression;
pub(crate) mod elr_completeness;
pub(crate) mod isr_completeness;
pub(crate) mod leader_completeness;
pub(crate) mod log_matching;
pub(crate) mod one_leader;
pub(crate) mod producer_sequence;

#[cfg(test)]
mod tests;
