//! The shell: takes requests in, gives outputs out.

use std::collections::VecDeque;

use trial_node::view::CoordinatorEntry;
use trial_node::{LeaderEpoch, Offset, ProducerId, Time};
use trial_wire::{ErrorCode, ResponseKind};

use super::TransactionConfig;
use crate::{Coordinator, CorruptRecord, Env, LogRecord, Marker, Output, Request, SendId, Ticket};

/// The coordinator of one partition of `__transaction_state` (KIP-98, KIP-890).
#[derive(Clone, Debug)]
pub struct TransactionCoordinator {
    #[expect(dead_code, reason = "what obeys it comes next")]
    config: TransactionConfig,
    outputs: VecDeque<Output>,
}

impl Coordinator for TransactionCoordinator {
    type Config = TransactionConfig;

    fn new(config: TransactionConfig) -> TransactionCoordinator {
        TransactionCoordinator { config, outputs: VecDeque::new() }
    }

    fn replay(&mut self, _record: LogRecord<'_>) -> Result<(), CorruptRecord> {
        Ok(())
    }

    fn replay_marker(&mut self, _marker: Marker) {}

    fn activate(&mut self, _env: &mut Env<'_>, _leader_epoch: LeaderEpoch) {}

    fn handle(&mut self, _env: &mut Env<'_>, _request: Request<'_>) {}

    fn completed(&mut self, _env: &mut Env<'_>, _ticket: Ticket, _result: Result<Offset, ErrorCode>) {}

    fn handle_response(&mut self, _env: &mut Env<'_>, _id: SendId, _response: Option<ResponseKind>) {}

    fn producer_id(&mut self, _env: &mut Env<'_>, _id: SendId, _result: Result<ProducerId, ErrorCode>) {}

    fn metadata_changed(&mut self, _env: &mut Env<'_>) {}

    fn handle_timeout(&mut self, _env: &mut Env<'_>) {}

    fn poll_timeout(&self) -> Option<Time> {
        None
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn resign(&mut self) {}

    fn entries(&self, _each: &mut dyn FnMut(CoordinatorEntry<'_>)) {}
}
