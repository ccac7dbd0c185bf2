//! Ids for idempotent producers, from blocks that the controller gives out (KIP-730).

use trial_node::Span;
use trial_wire::messages::{
    AllocateProducerIdsRequest, ApiKey, BrokerId, InitProducerIdResponse, ProducerId,
};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, api};

use super::timers::Timer;
use super::{Context, Output, ReplicaManager, RequestFailure, Sent};
use crate::Token;

/// How long to wait after the controller gave no block.
const RETRY_BACKOFF: Span = Span::from_millis(50);

/// The ids that are left.
#[derive(Clone, Debug, Default)]
pub(super) struct ProducerIds {
    next: i64,
    left: i64,
    /// At so many ids left the next block is asked for.
    low: i64,
    /// The block after this one.
    reserve: Option<(i64, i64)>,
    asking: bool,
}

impl ProducerIds {
    fn take(&mut self) -> Option<i64> {
        if self.left == 0 {
            let (start, len) = self.reserve.take()?;
            (self.next, self.left, self.low) = (start, len, len / 10);
        }
        self.next += 1;
        self.left -= 1;
        Some(self.next - 1)
    }

    fn wants_block(&self) -> bool {
        !self.asking && self.reserve.is_none() && self.left <= self.low
    }
}

impl ReplicaManager {
    /// A producer id that nobody has; `None` until the controller has given a block of them.
    pub fn take_producer_id(&mut self) -> Option<trial_node::ProducerId> {
        let id = self.producer_ids.take();
        if self.producer_ids.wants_block() {
            self.producer_ids.asking = true;
            self.request_producer_ids();
        }
        id.map(trial_node::ProducerId)
    }

    /// An InitProducerId request without a transactional id.
    pub fn handle_init_producer_id(&mut self, token: Token) {
        let response =
            InitProducerIdResponse::default().with_producer_id(ProducerId(-1)).with_producer_epoch(-1);
        let response = match self.take_producer_id() {
            Some(id) => response.with_producer_id(ProducerId(id.0)).with_producer_epoch(0),
            // As Kafka: the client comes back after its back-off, when the block is there.
            None => response.with_error_code(ErrorCode::CoordinatorLoadInProgress.code()),
        };
        self.after.respond(token, ResponseKind::InitProducerId(response));
    }

    pub(super) fn request_producer_ids(&mut self) {
        let request = AllocateProducerIdsRequest::default()
            .with_broker_id(BrokerId(self.config.node_id.0))
            .with_broker_epoch(self.broker_epoch);
        let id = self.send(Sent::AllocateProducerIds);
        self.after.outputs.push_back(Output::ToController {
            id,
            version: api::latest(ApiKey::AllocateProducerIds),
            body: Box::new(RequestKind::AllocateProducerIds(request)),
        });
    }

    pub(super) fn handle_allocate_producer_ids_response(
        &mut self,
        ctx: &Context<'_>,
        result: Result<ResponseKind, RequestFailure>,
    ) {
        match result {
            Ok(ResponseKind::AllocateProducerIds(block))
                if block.error_code == 0 && block.producer_id_len > 0 =>
            {
                self.producer_ids.asking = false;
                self.producer_ids.reserve =
                    Some((block.producer_id_start.0, i64::from(block.producer_id_len)));
            }
            _ => self.timers.set(ctx.now.mono + RETRY_BACKOFF, Timer::AllocateProducerIds),
        }
    }
}
