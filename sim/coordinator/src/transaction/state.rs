//! The states of a transactional id by name and number.

use trial_node::view::TransactionState;

/// Every state, in the order of the numbers in the log.
const ALL: [TransactionState; 8] = [
    TransactionState::Empty,
    TransactionState::Ongoing,
    TransactionState::PrepareCommit,
    TransactionState::PrepareAbort,
    TransactionState::CompleteCommit,
    TransactionState::CompleteAbort,
    TransactionState::Dead,
    TransactionState::PrepareEpochFence,
];

/// The state with this number (KIP-98).
pub(super) fn from_id(id: i8) -> Option<TransactionState> {
    ALL.into_iter().find(|state| *state as i8 == id)
}

/// The state with this name, as ListTransactions filters by it (KIP-664).
pub(super) fn from_name(name: &str) -> Option<TransactionState> {
    ALL.into_iter().find(|state| self::name(*state) == name)
}

/// The state's name, as DescribeTransactions tells it (KIP-664).
pub(super) fn name(state: TransactionState) -> &'static str {
    match state {
        TransactionState::Empty => "Empty",
        TransactionState::Ongoing => "Ongoing",
        TransactionState::PrepareCommit => "PrepareCommit",
        TransactionState::PrepareAbort => "PrepareAbort",
        TransactionState::CompleteCommit => "CompleteCommit",
        TransactionState::CompleteAbort => "CompleteAbort",
        TransactionState::Dead => "Dead",
        TransactionState::PrepareEpochFence => "PrepareEpochFence",
    }
}

/// Whether the transaction is decided and its markers are on their way.
pub(super) fn is_prepared(state: TransactionState) -> bool {
    matches!(state, TransactionState::PrepareCommit | TransactionState::PrepareAbort)
}
