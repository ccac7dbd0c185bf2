//! DescribeTransactions (KIP-664): the state of transactional ids.

use trial_node::view::CoordinatorKind;
use trial_node::{Io, Now};
use trial_wire::messages::describe_transactions_response::TransactionState;
use trial_wire::messages::{DescribeTransactionsRequest, DescribeTransactionsResponse};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes};

use super::Caller;
use super::coordinated::{Part, answers, by_partition, serve_parts};
use crate::Broker;

pub(super) fn serve(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    caller: (Caller, &StrBytes),
    request: DescribeTransactionsRequest,
) {
    let kind = CoordinatorKind::Transaction;
    let parts = by_partition(broker, kind, request.transactional_ids, |id| id.as_str()).into_iter();
    let parts = parts.map(|(partition, ids)| {
        let part = DescribeTransactionsRequest::default().with_transactional_ids(ids);
        Part::Ask(partition, part.into(), refuse)
    });
    serve_parts(broker, now, io, caller, kind, parts.collect(), merge);
}

pub(super) fn refuse(request: &RequestKind, _: i16, error: ErrorCode) -> ResponseKind {
    let RequestKind::DescribeTransactions(request) = request else { unreachable!("it is what was asked") };
    let states = request.transactional_ids.iter().map(|id| {
        TransactionState::default().with_transactional_id(id.clone()).with_error_code(error.code())
    });
    DescribeTransactionsResponse::default().with_transaction_states(states.collect()).into()
}

fn merge(parts: Vec<ResponseKind>) -> ResponseKind {
    let states = answers!(parts, DescribeTransactions).flat_map(|response| response.transaction_states);
    DescribeTransactionsResponse::default().with_transaction_states(states.collect()).into()
}
