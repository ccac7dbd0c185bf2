//! Kafka's admin client: asks a broker to change or describe the cluster, and asks again while the controller is away.

mod call;

use std::collections::{BTreeMap, BTreeSet};

use trial_node::{ConnId, Endpoint, Input, Io, NodeId, Now, OpenError, Span, Time};
use trial_wire::{ResponseKind, StrBytes};

use crate::network::{Completion, Metadata, NetworkClient, NetworkConfig, Outgoing};
use crate::properties::Properties;

pub use call::{AdminCall, AlterConfig, AlterQuota, ConfigResource, ElectionType, NewTopic};

/// What an admin client can be told, with the defaults of Kafka 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// What all clients have in common.
    pub network: NetworkConfig,
    /// `default.api.timeout.ms`: how long a call is tried.
    pub api_timeout: Span,
}

impl AdminConfig {
    /// Reads configs by their Kafka names.
    ///
    /// # Errors
    /// [`OpenError::Config`] for a name that is not one or a value that is not allowed.
    pub fn from_properties(given: &BTreeMap<String, String>) -> Result<AdminConfig, OpenError> {
        let mut properties = Properties::new(given);
        let network = NetworkConfig::read(&mut properties)?;
        let mut config = AdminConfig { network, api_timeout: Span::from_secs(60) };
        properties.millis("default.api.timeout.ms", &mut config.api_timeout)?;
        properties.finish()?;
        Ok(config)
    }
}

/// A call, numbered in the order in which calls are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// A call came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No useful answer came within `default.api.timeout.ms`. The request may have been carried out.
    #[error("no answer within default.api.timeout.ms")]
    TimedOut,
    /// The broker does not know the API.
    #[error("the broker does not support the API")]
    UnsupportedVersion,
}

/// An admin client.
///
/// How to drive it: [`Admin::call`], then [`Admin::poll`]; [`Admin::handle`] for inputs of its connections, [`Admin::poll`]
/// whenever [`Admin::poll_timeout`] has come; answers are in [`Admin::answers`]. Errors of single topics or configs are in
/// the responses.
#[derive(Clone, Debug)]
pub struct Admin {
    config: AdminConfig,
    network: NetworkClient<CallId>,
    calls: BTreeMap<CallId, Pending>,
    /// Calls that are not in flight.
    to_send: BTreeSet<CallId>,
    last_call: u64,
    answers: Vec<(CallId, Result<ResponseKind, CallError>)>,
    completions: Vec<Completion<CallId>>,
    wake_at: Option<Time>,
}

#[derive(Clone, Debug)]
struct Pending {
    call: AdminCall,
    deadline: Time,
    attempts: u32,
    retry_at: Time,
}

impl Admin {
    /// An admin client without connections.
    ///
    /// # Errors
    /// [`OpenError::Config`] for an empty bootstrap list.
    pub fn new(
        config: AdminConfig,
        client_id: StrBytes,
        bootstrap: Vec<Endpoint>,
    ) -> Result<Admin, OpenError> {
        if bootstrap.is_empty() {
            return Err(crate::properties::invalid("bootstrap.servers", "must name a broker".to_owned()));
        }
        Ok(Admin {
            network: NetworkClient::new(config.network.clone(), client_id, bootstrap),
            config,
            calls: BTreeMap::new(),
            to_send: BTreeSet::new(),
            last_call: 0,
            answers: Vec::new(),
            completions: Vec::new(),
            wake_at: Some(Time::ZERO),
        })
    }

    /// Whether a connection is this client's.
    pub fn owns(&self, conn: ConnId) -> bool {
        self.network.owns(conn)
    }

    /// What the client knows of the cluster.
    pub fn metadata(&self) -> &Metadata {
        self.network.metadata()
    }

    /// What the client knows of the cluster, to ask for more of it.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        self.network.metadata_mut()
    }

    /// Begins a call. Nothing is sent before the next [`Admin::poll`].
    pub fn call(&mut self, now: Now, call: AdminCall) -> CallId {
        self.last_call += 1;
        let id = CallId(self.last_call);
        let deadline = now.mono + self.config.api_timeout;
        self.calls.insert(id, Pending { call, deadline, attempts: 0, retry_at: now.mono });
        self.to_send.insert(id);
        id
    }

    /// The answers that came since this was last asked.
    pub fn answers(&mut self) -> std::vec::Drain<'_, (CallId, Result<ResponseKind, CallError>)> {
        self.answers.drain(..)
    }

    /// Takes in what happened to one of the client's connections, and acts on it.
    pub fn handle(&mut self, now: Now, input: Input, io: &mut Io<'_>) {
        self.network.handle(now, input, io, &mut self.completions);
        self.poll(now, io);
    }

    /// Does everything that is due.
    pub fn poll(&mut self, now: Now, io: &mut Io<'_>) {
        self.network.poll(now, io, &mut self.completions);
        let mut completions = std::mem::take(&mut self.completions);
        for completion in completions.drain(..) {
            self.complete(now, io, completion);
        }
        self.completions = completions;
        for id in self.to_send.clone() {
            self.try_send(now, io, id);
        }
        let retries = self.to_send.iter().map(|id| {
            let pending = &self.calls[id];
            if pending.retry_at > now.mono {
                pending.retry_at.min(pending.deadline)
            } else {
                pending.deadline
            }
        });
        self.wake_at = self.network.deadline().into_iter().chain(retries).min();
    }

    /// The next instant at which the client wants [`Admin::poll`].
    pub fn poll_timeout(&self) -> Option<Time> {
        self.wake_at
    }

    /// Closes all connections; calls that are not answered never will be.
    pub fn close(&mut self, io: &mut Io<'_>) {
        self.network.close(io);
    }

    fn try_send(&mut self, now: Now, io: &mut Io<'_>, id: CallId) {
        let pending = &self.calls[&id];
        if pending.deadline <= now.mono {
            self.answer(id, Err(CallError::TimedOut));
            return;
        }
        if pending.retry_at > now.mono {
            return;
        }
        let timeout = pending.deadline.since(now.mono).min(self.config.network.request_timeout);
        let Some(node) = self.target(now, io, id).filter(|node| self.network.ready(now, io, *node)) else {
            return;
        };
        let call = &self.calls[&id].call;
        let Some(api_version) = self.network.version(node, call.api()) else {
            self.answer(id, Err(CallError::UnsupportedVersion));
            return;
        };
        let request =
            Outgoing { api: call.api(), api_version, body: call.request(timeout), context: id, timeout };
        self.to_send.remove(&id);
        self.network.send(now, io, node, request);
    }

    /// The broker to ask: the one that metadata names as the controller, for what changes the cluster, else any.
    fn target(&mut self, now: Now, io: &mut Io<'_>, id: CallId) -> Option<NodeId> {
        if !self.calls[&id].call.needs_controller() {
            return self.network.least_loaded(now, io);
        }
        let controller = self.network.metadata().controller();
        if self.network.metadata().nodes().contains_key(&controller) {
            return Some(controller);
        }
        self.network.metadata_mut().request_update();
        None
    }

    fn complete(&mut self, now: Now, io: &mut Io<'_>, completion: Completion<CallId>) {
        let Completion { context: id, outcome, .. } = completion;
        let answer = outcome.ok().filter(|response| !call::must_retry(response));
        if let Some(response) = answer {
            self.answer(id, Ok(response));
            return;
        }
        let pending = self.calls.get_mut(&id).expect("calls are kept until they are answered");
        pending.retry_at = now.mono + self.config.network.retry.wait(pending.attempts, io.rng);
        pending.attempts += 1;
        self.to_send.insert(id);
        self.network.metadata_mut().request_update();
    }

    fn answer(&mut self, id: CallId, answer: Result<ResponseKind, CallError>) {
        self.calls.remove(&id);
        self.to_send.remove(&id);
        self.answers.push((id, answer));
    }
}

#[cfg(test)]
mod tests;
