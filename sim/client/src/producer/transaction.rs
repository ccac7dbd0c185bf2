//! A producer's transactions (KIP-98): what the application may do now, and what must be asked of which coordinator next.
//!
//! Under transaction version 1 every partition is added to the transaction (AddPartitionsToTxn, AddOffsetsToTxn) before it is
//! written to, and the epoch stays unless something went wrong (KIP-360). Under version 2 (KIP-890) writing adds it, and
//! every EndTxn brings a new epoch.

use std::collections::BTreeSet;

use trial_node::{NodeId, Offset, Time, TopicPartition};
use trial_wire::{ErrorCode, StrBytes};

use crate::consumer::GroupMetadata;

use super::accumulator::Slot;

/// What a transactional producer's application may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionState {
    /// [`super::Producer::init_transactions`].
    Uninitialized,
    /// Wait for a producer id, or for a new epoch after an abort.
    Initializing,
    /// [`super::Producer::begin_transaction`].
    Ready,
    /// Send records and offsets, commit or abort.
    InTransaction,
    /// Wait for the end: [`TransactionState::Ready`] says that the transaction is committed.
    Committing,
    /// Wait for the end.
    Aborting,
    /// Nothing more can be done in this transaction but [`super::Producer::abort_transaction`]. It is not committed.
    AbortableError(ErrorCode),
    /// Nothing more can be done with this producer: another has taken its transactional id, or it may not use it. Whether
    /// the last transaction is committed tells [`super::Producer::commit_in_doubt`].
    FatalError(ErrorCode),
}

/// A request to a coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    FindCoordinator(CoordinatorType),
    InitProducerId,
    AddPartitions(Vec<Slot>),
    AddOffsets,
    CommitOffsets,
    EndTxn { commit: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CoordinatorType {
    Group = 0,
    Transaction = 1,
}

impl Ask {
    /// Which coordinator answers it; `None` if any broker does.
    pub fn coordinator(&self) -> Option<CoordinatorType> {
        match self {
            Ask::FindCoordinator(_) => None,
            Ask::CommitOffsets => Some(CoordinatorType::Group),
            Ask::InitProducerId | Ask::AddPartitions(_) | Ask::AddOffsets | Ask::EndTxn { .. } => {
                Some(CoordinatorType::Transaction)
            }
        }
    }
}

/// Offsets that are to be committed with the transaction.
#[derive(Clone, Debug)]
pub(super) struct PendingOffsets {
    pub group: GroupMetadata,
    pub offsets: Vec<(TopicPartition, Offset)>,
    /// The transaction has the group's partition, so they can be sent.
    added: bool,
    /// AddOffsetsToTxn was sent and not answered: the coordinator may have the partition.
    asked: bool,
}

/// What an error says of the request that it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Ask again, after a while.
    Retry,
    /// Ask again, but ask for the coordinator before.
    Moved,
    /// The transaction must be aborted.
    Abortable,
    /// So it must, and the producer then needs a new epoch (KIP-360).
    AbortableBump,
    /// The end of this producer.
    Fatal,
}

#[derive(Clone, Debug)]
pub(super) struct Transactions {
    pub id: StrBytes,
    pub state: TransactionState,
    /// Transaction version 2 or newer is in force for the current transaction.
    pub implicit: bool,
    /// The coordinator may know of the transaction, so that it must be told of the end.
    started: bool,
    /// The partitions of the transaction.
    partitions: BTreeSet<Slot>,
    /// Those that are still to be added to it.
    new: BTreeSet<Slot>,
    /// AddPartitionsToTxn was sent for `new` and not answered: the coordinator may have them.
    new_asked: bool,
    pub offsets: Option<PendingOffsets>,
    /// The epoch must be raised before the next transaction.
    bump: bool,
    /// The coordinator does not know the producer id any more, and takes no EndTxn from it.
    forgotten: bool,
    /// EndTxn was sent to commit, and may have been carried out without an answer.
    pub commit_in_doubt: bool,
    transaction_coordinator: Option<NodeId>,
    group_coordinator: Option<NodeId>,
    /// One request at a time.
    pub in_flight: bool,
    /// No request before this instant.
    pub retry_at: Time,
}

impl Transactions {
    pub fn new(id: StrBytes) -> Transactions {
        Transactions {
            id,
            state: TransactionState::Uninitialized,
            implicit: false,
            started: false,
            partitions: BTreeSet::new(),
            new: BTreeSet::new(),
            new_asked: false,
            offsets: None,
            bump: false,
            forgotten: false,
            commit_in_doubt: false,
            transaction_coordinator: None,
            group_coordinator: None,
            in_flight: false,
            retry_at: Time::ZERO,
        }
    }

    pub fn begin(&mut self, implicit: bool) {
        assert_eq!(self.state, TransactionState::Ready, "begin_transaction is for producers that are ready");
        self.state = TransactionState::InTransaction;
        self.implicit = implicit;
        self.commit_in_doubt = false;
    }

    /// A record was taken for a partition.
    pub fn add(&mut self, slot: Slot) {
        if self.implicit {
            self.partitions.insert(slot);
            self.started = true;
        } else if !self.partitions.contains(&slot) {
            self.new.insert(slot);
        }
    }

    /// Whether records of a partition may be sent.
    pub fn has(&self, slot: Slot) -> bool {
        self.partitions.contains(&slot)
    }

    pub fn send_offsets(&mut self, offsets: Vec<(TopicPartition, Offset)>, group: GroupMetadata) {
        assert_eq!(
            self.state,
            TransactionState::InTransaction,
            "there is a transaction to send offsets with"
        );
        assert!(self.offsets.is_none(), "offsets are sent once in a transaction");
        // Under version 2 the group coordinator adds its partition itself.
        self.started |= self.implicit;
        self.offsets = Some(PendingOffsets { group, offsets, added: self.implicit, asked: false });
    }

    pub fn commit(&mut self) {
        assert_eq!(self.state, TransactionState::InTransaction, "there is a transaction to commit");
        self.state = TransactionState::Committing;
    }

    pub fn abort(&mut self) {
        let abortable =
            matches!(self.state, TransactionState::InTransaction | TransactionState::AbortableError(_));
        assert!(abortable, "there is a transaction to abort");
        self.state = TransactionState::Aborting;
        // What was never asked for need not be; what was must be known to be in the transaction, or it would stay open.
        if !self.new_asked {
            self.new.clear();
        }
        self.offsets = self.offsets.take().filter(|offsets| offsets.asked && !offsets.added);
    }

    /// Whether the transaction waits for its records to be acknowledged, so that none should linger.
    pub fn is_committing(&self) -> bool {
        self.state == TransactionState::Committing
    }

    /// Whether records that have not been sent must not be sent any more.
    pub fn drops_unsent(&self) -> bool {
        matches!(self.state, TransactionState::Aborting | TransactionState::AbortableError(_))
    }

    /// What is to be asked next; `idle` says that every record is acknowledged or given up. A transaction that no
    /// coordinator knows of ends here and now.
    pub fn next(&mut self, idle: bool) -> Option<Ask> {
        if self.in_flight {
            return None;
        }
        let ask = match self.state {
            TransactionState::Initializing => Ask::InitProducerId,
            TransactionState::InTransaction | TransactionState::Committing | TransactionState::Aborting => {
                self.next_in_transaction(idle)?
            }
            TransactionState::Uninitialized
            | TransactionState::Ready
            | TransactionState::AbortableError(_)
            | TransactionState::FatalError(_) => return None,
        };
        match ask.coordinator() {
            Some(kind) if self.coordinator(kind).is_none() => Some(Ask::FindCoordinator(kind)),
            _ => Some(ask),
        }
    }

    fn next_in_transaction(&mut self, idle: bool) -> Option<Ask> {
        if !self.new.is_empty() {
            return Some(Ask::AddPartitions(self.new.iter().copied().collect()));
        }
        if let Some(offsets) = &self.offsets {
            return Some(if offsets.added { Ask::CommitOffsets } else { Ask::AddOffsets });
        }
        let commit = match self.state {
            TransactionState::Committing => true,
            TransactionState::Aborting => false,
            _ => return None,
        };
        if !idle {
            return None;
        }
        if self.started && (self.implicit || !self.forgotten) {
            return Some(Ask::EndTxn { commit });
        }
        self.complete();
        (self.state == TransactionState::Initializing).then_some(Ask::InitProducerId)
    }

    pub fn coordinator(&self, kind: CoordinatorType) -> Option<NodeId> {
        match kind {
            CoordinatorType::Group => self.group_coordinator,
            CoordinatorType::Transaction => self.transaction_coordinator,
        }
    }

    pub fn set_coordinator(&mut self, kind: CoordinatorType, node: Option<NodeId>) {
        match kind {
            CoordinatorType::Group => self.group_coordinator = node,
            CoordinatorType::Transaction => self.transaction_coordinator = node,
        }
    }

    /// The request was sent.
    pub fn asked(&mut self, ask: &Ask) {
        self.in_flight = true;
        match ask {
            Ask::AddPartitions(_) => self.new_asked = true,
            Ask::AddOffsets => {
                if let Some(offsets) = &mut self.offsets {
                    offsets.asked = true;
                }
            }
            _ => {}
        }
    }

    /// There was no answer: ask again, perhaps another broker.
    pub fn unanswered(&mut self, ask: &Ask, retry_at: Time) {
        self.retry_at = retry_at;
        if let Some(kind) = ask.coordinator() {
            self.set_coordinator(kind, None);
        }
        self.commit_in_doubt |= *ask == Ask::EndTxn { commit: true };
    }

    /// The coordinator has done what it was asked for.
    pub fn done(&mut self, ask: &Ask) {
        match ask {
            Ask::FindCoordinator(_) => {}
            Ask::InitProducerId => {
                self.state = TransactionState::Ready;
                (self.bump, self.forgotten) = (false, false);
            }
            Ask::AddPartitions(added) => {
                for slot in added {
                    self.new.remove(slot);
                    self.partitions.insert(*slot);
                }
                self.new_asked = false;
                self.started = true;
            }
            Ask::AddOffsets => {
                self.started = true;
                if self.state == TransactionState::Aborting {
                    self.offsets = None;
                } else if let Some(offsets) = &mut self.offsets {
                    offsets.added = true;
                }
            }
            Ask::CommitOffsets => self.offsets = None,
            Ask::EndTxn { .. } => self.complete(),
        }
    }

    /// Of offsets that were sent, `left` are not committed yet.
    pub fn offsets_left(&mut self, left: &[TopicPartition]) {
        if let Some(offsets) = &mut self.offsets {
            offsets.offsets.retain(|(tp, _)| left.contains(tp));
        }
    }

    fn complete(&mut self) {
        self.state = if self.bump { TransactionState::Initializing } else { TransactionState::Ready };
        self.started = false;
        self.partitions.clear();
        self.new.clear();
        self.new_asked = false;
        self.offsets = None;
    }

    /// The request was refused with `error`. `retry_at` is when it may be made again, if it may.
    pub fn refused(&mut self, ask: &Ask, error: ErrorCode, retry_at: Time) {
        if *ask == (Ask::EndTxn { commit: true }) && !refuses_commit(error) {
            self.commit_in_doubt = true;
        }
        let verdict = verdict(ask, error);
        match verdict {
            Verdict::Retry | Verdict::Moved => self.retry_at = retry_at,
            Verdict::Abortable | Verdict::AbortableBump => {
                let bump = verdict == Verdict::AbortableBump && !self.implicit;
                let cannot_abort = *ask == Ask::EndTxn { commit: false };
                self.bump |= bump;
                self.forgotten |= error == ErrorCode::InvalidProducerIdMapping || (bump && cannot_abort);
                self.undone(ask);
                if cannot_abort && !bump {
                    self.state = TransactionState::FatalError(error);
                } else {
                    self.fail(error);
                }
            }
            Verdict::Fatal => {
                let fenced = matches!(error, ErrorCode::InvalidProducerEpoch | ErrorCode::ProducerFenced);
                let error = if fenced { ErrorCode::ProducerFenced } else { error };
                self.state = TransactionState::FatalError(error);
            }
        }
        if verdict == Verdict::Moved
            && let Some(kind) = ask.coordinator()
        {
            self.set_coordinator(kind, None);
        }
    }

    /// What was asked for has certainly not been done and will not be.
    fn undone(&mut self, ask: &Ask) {
        match ask {
            Ask::AddPartitions(_) => {
                self.new.clear();
                self.new_asked = false;
            }
            Ask::AddOffsets | Ask::CommitOffsets => self.offsets = None,
            Ask::FindCoordinator(_) | Ask::InitProducerId | Ask::EndTxn { .. } => {}
        }
    }

    /// A batch was given up; `numbered` says that it may have been sent.
    pub fn batch_failed(&mut self, error: ErrorCode, numbered: bool) {
        match error {
            ErrorCode::ProducerFenced
            | ErrorCode::TransactionalIdAuthorizationFailed
            | ErrorCode::ClusterAuthorizationFailed
            | ErrorCode::UnsupportedVersion => self.state = TransactionState::FatalError(error),
            _ => {
                // The partition's order has a gap, which only a new epoch closes (KIP-360).
                self.bump |= numbered && !self.implicit;
                self.fail(error);
            }
        }
    }

    /// The transaction cannot be committed any more.
    fn fail(&mut self, error: ErrorCode) {
        match self.state {
            TransactionState::InTransaction | TransactionState::Committing => {
                self.state = TransactionState::AbortableError(error);
            }
            // An abort goes on; the first error stays.
            TransactionState::Aborting
            | TransactionState::AbortableError(_)
            | TransactionState::FatalError(_) => {}
            TransactionState::Uninitialized | TransactionState::Initializing | TransactionState::Ready => {
                self.state = TransactionState::FatalError(error)
            }
        }
    }

    /// Whether the first request of a transaction waits for the end of the one before, which will not take long.
    pub fn waits_for_last_end(&self, ask: &Ask, error: ErrorCode) -> bool {
        error == ErrorCode::ConcurrentTransactions
            && matches!(ask, Ask::AddPartitions(_))
            && self.partitions.is_empty()
    }
}

/// Whether a client may ask again; unlike the table of errors, Kafka's clients count CONCURRENT_TRANSACTIONS as well.
pub(super) fn is_retriable(error: ErrorCode) -> bool {
    error.is_retriable() || error == ErrorCode::ConcurrentTransactions
}

/// Whether an error certainly means that EndTxn has not committed the transaction.
fn refuses_commit(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::ConcurrentTransactions
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::ProducerFenced
            | ErrorCode::InvalidProducerEpoch
            | ErrorCode::InvalidTxnState
            | ErrorCode::InvalidProducerIdMapping
            | ErrorCode::UnknownProducerId
            | ErrorCode::TransactionAbortable
            | ErrorCode::TransactionalIdAuthorizationFailed
            | ErrorCode::InvalidRequest
            | ErrorCode::UnsupportedVersion
    )
}

fn verdict(ask: &Ask, error: ErrorCode) -> Verdict {
    match (error, ask) {
        (ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable, _) => Verdict::Moved,
        (ErrorCode::RequestTimedOut, Ask::CommitOffsets) => Verdict::Moved,
        (error, _) if is_retriable(error) => Verdict::Retry,
        (ErrorCode::TransactionAbortable, _) => Verdict::Abortable,
        (ErrorCode::UnknownProducerId | ErrorCode::InvalidProducerIdMapping, ask)
            if *ask != Ask::InitProducerId =>
        {
            Verdict::AbortableBump
        }
        (
            ErrorCode::FencedInstanceId
            | ErrorCode::UnknownMemberId
            | ErrorCode::IllegalGeneration
            | ErrorCode::StaleMemberEpoch
            | ErrorCode::FencedMemberEpoch
            | ErrorCode::GroupAuthorizationFailed,
            Ask::CommitOffsets | Ask::AddOffsets | Ask::FindCoordinator(CoordinatorType::Group),
        ) => Verdict::Abortable,
        // The coordinator names each partition's error; it adds all or none.
        (
            ErrorCode::TopicAuthorizationFailed
            | ErrorCode::OperationNotAttempted
            | ErrorCode::InvalidTopicException,
            Ask::AddPartitions(_),
        ) => Verdict::Abortable,
        _ => Verdict::Fatal,
    }
}
