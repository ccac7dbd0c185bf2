//! DescribeTransactions and ListTransactions (KIP-664, KIP-994, KIP-1152).

use std::collections::BTreeSet;

use trial_node::view::TransactionState;
use trial_wire::messages::describe_transactions_response::{TopicData, TransactionState as Described};
use trial_wire::messages::list_transactions_response::TransactionState as Listed;
use trial_wire::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ListTransactionsRequest,
    ListTransactionsResponse, ProducerId, TransactionalId,
};
use trial_wire::{ErrorCode, ResponseKind, StrBytes};

use super::{TransactionCoordinator, state};
use crate::{CallId, Env, Output, pattern};

impl TransactionCoordinator {
    pub(super) fn describe_transactions(&mut self, call: CallId, body: DescribeTransactionsRequest) {
        let states = body.transactional_ids.into_iter().map(|id| self.describe(id)).collect();
        let response = DescribeTransactionsResponse::default().with_transaction_states(states);
        self.outputs.push_back(Output::Respond { call, body: ResponseKind::DescribeTransactions(response) });
    }

    fn describe(&self, id: TransactionalId) -> Described {
        let described = Described::default().with_transactional_id(id.clone());
        if id.is_empty() {
            return described.with_error_code(ErrorCode::InvalidRequest.code());
        }
        let entry = self.ids.get(&id.0);
        let Some((entry, known)) = entry.and_then(|entry| Some((entry, entry.committed()?))) else {
            return described.with_error_code(ErrorCode::TransactionalIdNotFound.code());
        };
        let partitions = match state::is_prepared(known.log.state) {
            true => &entry.unmarked,
            false => &known.log.partitions,
        };
        let mut topics: Vec<TopicData> = Vec::new();
        for tp in partitions {
            match topics.last_mut() {
                Some(topic) if topic.topic == tp.topic => topic.partitions.push(tp.partition),
                _ => topics.push(
                    TopicData::default().with_topic(tp.topic.clone()).with_partitions(vec![tp.partition]),
                ),
            }
        }
        described
            .with_producer_id(ProducerId(known.log.producer_id.0))
            .with_producer_epoch(known.log.producer_epoch.0)
            .with_transaction_state(name(known.log.state))
            .with_transaction_timeout_ms(known.log.timeout_ms)
            .with_transaction_start_time_ms(known.log.start_ms)
            .with_topics(topics)
    }

    pub(super) fn list_transactions(&mut self, env: &Env<'_>, call: CallId, body: ListTransactionsRequest) {
        let mut states: BTreeSet<TransactionState> = BTreeSet::new();
        let mut unknown: Vec<StrBytes> = Vec::new();
        for filter in &body.state_filters {
            match state::from_name(filter) {
                Some(state) => {
                    states.insert(state);
                }
                None => unknown.push(filter.clone()),
            }
        }
        let pattern = body.transactional_id_pattern.as_deref().filter(|pattern| !pattern.is_empty());
        let Ok(pattern) = pattern.map(pattern::whole).transpose() else {
            let response = ListTransactionsResponse::default()
                .with_error_code(ErrorCode::InvalidRegularExpression.code());
            self.outputs.push_back(Output::Respond { call, body: ResponseKind::ListTransactions(response) });
            return;
        };
        let producers: BTreeSet<i64> = body.producer_id_filters.iter().map(|id| id.0).collect();
        let mut listed = Vec::new();
        for (id, entry) in &self.ids {
            let Some(known) = entry.committed() else { continue };
            let open_ms = env.now.wall_ms - known.log.start_ms;
            let is_wanted = (producers.is_empty() || producers.contains(&known.log.producer_id.0))
                && (body.state_filters.is_empty() || states.contains(&known.log.state))
                && pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
                && (body.duration_filter < 0 || open_ms > body.duration_filter);
            if is_wanted {
                listed.push(
                    Listed::default()
                        .with_transactional_id(TransactionalId(id.clone()))
                        .with_producer_id(ProducerId(known.log.producer_id.0))
                        .with_transaction_state(name(known.log.state)),
                );
            }
        }
        let response = ListTransactionsResponse::default()
            .with_unknown_state_filters(unknown)
            .with_transaction_states(listed);
        self.outputs.push_back(Output::Respond { call, body: ResponseKind::ListTransactions(response) });
    }
}

fn name(state: TransactionState) -> StrBytes {
    StrBytes::from_static_str(state::name(state))
}
