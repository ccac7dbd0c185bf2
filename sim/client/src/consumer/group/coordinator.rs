//! Finding the group's coordinator, and noticing when it is another (KIP-98's FindCoordinator, of groups).

use trial_node::{Endpoint, Io, NodeId, Now, Time};
use trial_wire::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use trial_wire::{ApiKey, ErrorCode, RequestKind};

use crate::consumer::{Consumer, Context};
use crate::network::Outgoing;

use super::Question;

/// The key type of groups.
const GROUP: i8 = 0;

/// Where the group's coordinator is.
#[derive(Clone, Debug, Default)]
pub(super) struct Coordinator {
    /// The id of our own connection to it; `None` while it must be found.
    node: Option<NodeId>,
    /// A request is in flight.
    finding: bool,
    /// No request before this instant.
    retry_at: Time,
    failures: u32,
}

impl Coordinator {
    /// It is no longer the coordinator, or cannot be reached.
    pub fn forget(&mut self) {
        self.node = None;
    }

    /// The next instant at which something can be done about it.
    pub fn deadline(&self) -> Option<Time> {
        (self.node.is_none() && !self.finding).then_some(self.retry_at)
    }
}

/// Whether an error says that the coordinator is another one, or not there.
pub(super) fn is_coordinator_gone(error: ErrorCode) -> bool {
    matches!(error, ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable)
}

impl Consumer {
    /// The coordinator's connection and the version of an API on it, if a request can be sent now. If not, what is missing
    /// is under way.
    pub(super) fn coordinator(&mut self, now: Now, io: &mut Io<'_>, api: ApiKey) -> Option<(NodeId, i16)> {
        let Some(node) = self.group_mut().coordinator.node else {
            self.find_coordinator(now, io);
            return None;
        };
        if self.network.ready(now, io, node) {
            return Some((node, self.network.version(node, api)?));
        }
        if !self.network.is_preparing(node) && !self.network.is_connected(node) {
            // It cannot be reached. There may be another one by now.
            self.lose_coordinator(now, io);
        }
        None
    }

    /// Looks for the coordinator before anybody needs it.
    pub(super) fn keep_coordinator(&mut self, now: Now, io: &mut Io<'_>) {
        if self.group_mut().coordinator.node.is_none() {
            self.find_coordinator(now, io);
        }
    }

    /// The coordinator cannot be reached: it is looked for again after a while.
    pub(super) fn lose_coordinator(&mut self, now: Now, io: &mut Io<'_>) {
        let wait = self.config.network.retry.wait(0, io.rng);
        let coordinator = &mut self.group_mut().coordinator;
        coordinator.node = None;
        coordinator.retry_at = coordinator.retry_at.max(now.mono + wait);
    }

    fn find_coordinator(&mut self, now: Now, io: &mut Io<'_>) {
        let coordinator = &self.group_mut().coordinator;
        if coordinator.finding || coordinator.retry_at > now.mono {
            return;
        }
        let Some(node) = self.network.least_loaded(now, io) else { return self.not_found(now, io) };
        if !self.network.ready(now, io, node) {
            return;
        }
        let Some(api_version) = self.network.version(node, ApiKey::FindCoordinator) else {
            return self.not_found(now, io);
        };
        let timeout = self.config.network.request_timeout;
        let group = self.group_mut();
        group.coordinator.finding = true;
        let key = group.config.group_id.clone();
        let body = FindCoordinatorRequest::default();
        // KIP-699: from version 4 on several are asked for at once.
        let body = match api_version {
            0 => body.with_key(key),
            1..4 => body.with_key(key).with_key_type(GROUP),
            _ => body.with_coordinator_keys(vec![key]).with_key_type(GROUP),
        };
        let request = Outgoing {
            api: ApiKey::FindCoordinator,
            api_version,
            body: RequestKind::FindCoordinator(body),
            context: Context::Group(Question::Coordinator),
            timeout,
        };
        self.network.send(now, io, node, request);
    }

    fn not_found(&mut self, now: Now, io: &mut Io<'_>) {
        let retry = self.config.network.retry;
        let coordinator = &mut self.group_mut().coordinator;
        coordinator.finding = false;
        coordinator.retry_at = now.mono + retry.wait(coordinator.failures, io.rng);
        coordinator.failures += 1;
    }

    /// The answer to a FindCoordinator request; `None` if there was none.
    pub(super) fn coordinator_told(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        response: Option<FindCoordinatorResponse>,
    ) {
        let Some(mut response) = response else { return self.not_found(now, io) };
        if let Some(told) = response.coordinators.pop() {
            response = response
                .with_error_code(told.error_code)
                .with_node_id(told.node_id)
                .with_host(told.host)
                .with_port(told.port);
        }
        match ErrorCode::try_from_code(response.error_code) {
            None => {}
            Some(error @ (ErrorCode::GroupAuthorizationFailed | ErrorCode::InvalidGroupId)) => {
                self.group_mut().coordinator.finding = false;
                return self.fail_group(error);
            }
            Some(_) => return self.not_found(now, io),
        }
        let Ok(port) = u16::try_from(response.port) else { return self.not_found(now, io) };
        let endpoint = Endpoint { host: response.host, port };
        let node = self.network.connect_apart(NodeId(response.node_id.0), endpoint);
        let coordinator = &mut self.group_mut().coordinator;
        *coordinator = Coordinator { node: Some(node), ..Coordinator::default() };
    }
}
