//! What clients did with transactions.

/// Names a transaction over the whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId {
    /// The workload's producer, numbered from 0 over the whole run.
    pub producer: u32,
    /// Its transactions, numbered from 0. A process that starts again goes on with a number that it has not used.
    pub number: u64,
}

/// One thing that happened to a transaction. Records that the producer is handed (`SendInvoked`) between
/// [`TransactionEvent::Begun`] and [`TransactionEvent::Ending`] belong to it, and so do offsets that are committed with it
/// ([`crate::history::GroupEvent::CommitInvoked`]). A producer has at most one at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransactionEvent {
    /// `beginTransaction`.
    Begun {
        /// The transaction.
        id: TransactionId,
        /// The consumer whose records are read within it (`Polled` between begin and end), if it has one.
        consumer: Option<u32>,
    },
    /// `commitTransaction` or `abortTransaction` was called.
    Ending {
        /// The transaction.
        id: TransactionId,
        /// Which of the two.
        commit: bool,
    },
    /// The transaction is over as far as the client is concerned.
    Ended {
        /// The transaction.
        id: TransactionId,
        /// How.
        outcome: TransactionOutcome,
    },
}

/// How a transaction ended, as far as its client knows. A process that crashes leaves its transaction without an end: that
/// is as [`TransactionOutcome::Unknown`] if `Ending` with commit was there, else it must never be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionOutcome {
    /// The coordinator has said that it is committed.
    Committed,
    /// It is certain that it is not and will not be committed: the coordinator has said so, or the client was fenced before
    /// it asked to commit.
    Aborted,
    /// The client asked to commit and does not know what became of it.
    Unknown {
        /// Kafka's name of the last error.
        error: &'static str,
    },
}
