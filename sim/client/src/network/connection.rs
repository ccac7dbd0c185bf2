//! The one connection that a client keeps to a broker, and what it waits for on it.

use std::collections::VecDeque;

use trial_node::{ConnId, Endpoint, Rng, Time};
use trial_wire::messages::api_versions_response::ApiVersion;
use trial_wire::{ApiKey, api};

use super::config::NetworkConfig;
use super::sasl::Dialogue;

/// The newest version of an API that clients ask in. OffsetCommit and OffsetFetch name topics by id from version 10 on; a
/// consumer knows the names of all its topics, but for those that it was just assigned not always the ids.
fn newest(ours: &api::Api) -> i16 {
    match ours.key {
        ApiKey::OffsetCommit | ApiKey::OffsetFetch => 9,
        _ => ours.versions.max,
    }
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// There is none; the next may be made at `retry_at`.
    Disconnected { retry_at: Time },
    /// It is being made; given up at `deadline`.
    Connecting { conn: ConnId, deadline: Time },
    /// It stands; the broker has been asked for its API versions.
    CheckingVersions { conn: ConnId },
    /// The client logs in; `again` if it had before.
    LoggingIn { conn: ConnId, again: bool },
    /// Requests may be sent.
    Ready { conn: ConnId },
}

/// Who waits for a response.
#[derive(Clone, Debug)]
pub(super) enum Purpose<C> {
    ApiVersions,
    Metadata,
    Login,
    /// The owner of the network client, who gets this back.
    Owner(C),
}

/// A request that was sent and not answered.
#[derive(Clone, Debug)]
pub(super) struct InFlight<C> {
    pub correlation_id: i32,
    pub api: ApiKey,
    pub api_version: i16,
    pub expires_at: Time,
    pub purpose: Purpose<C>,
}

/// A broker as a client sees it.
#[derive(Clone, Debug)]
pub(super) struct Connection<C> {
    pub endpoint: Endpoint,
    pub state: State,
    pub in_flight: VecDeque<InFlight<C>>,
    /// Negotiated versions, sorted by API key.
    versions: Vec<(i16, i16)>,
    pub last_attempt: Time,
    pub last_used: Time,
    /// How far the client has come with logging in, while it does.
    pub dialogue: Option<Box<Dialogue>>,
    /// When it has to log in again.
    pub log_in_at: Time,
    /// Disconnects since the connection was last ready.
    pub failures: u32,
    /// Connection attempts in a row that did not even connect.
    setup_failures: u32,
    /// The owner wants to send and waits for the back-off to end.
    pub wanted: bool,
    /// Nothing is sent before this instant, as the broker has asked (KIP-219).
    pub throttled_until: Option<Time>,
}

impl<C> Connection<C> {
    pub fn new(endpoint: Endpoint) -> Connection<C> {
        Connection {
            endpoint,
            state: State::Disconnected { retry_at: Time::ZERO },
            in_flight: VecDeque::new(),
            versions: Vec::new(),
            last_attempt: Time::ZERO,
            last_used: Time::ZERO,
            dialogue: None,
            log_in_at: Time::MAX,
            failures: 0,
            setup_failures: 0,
            wanted: false,
            throttled_until: None,
        }
    }

    pub fn conn(&self) -> Option<ConnId> {
        match self.state {
            State::Disconnected { .. } => None,
            State::Connecting { conn, .. }
            | State::CheckingVersions { conn }
            | State::LoggingIn { conn, .. }
            | State::Ready { conn } => Some(conn),
        }
    }

    pub fn can_connect(&self, now: Time) -> bool {
        matches!(self.state, State::Disconnected { retry_at } if retry_at <= now)
    }

    pub fn is_preparing(&self) -> bool {
        matches!(
            self.state,
            State::Connecting { .. } | State::CheckingVersions { .. } | State::LoggingIn { .. }
        )
    }

    /// Ready, not throttled, and not too many requests are waiting for their responses.
    pub fn can_send(&self, config: &NetworkConfig) -> bool {
        matches!(self.state, State::Ready { .. })
            && self.throttled_until.is_none()
            && self.in_flight.len() < config.max_in_flight
    }

    pub fn connecting(&mut self, now: Time, conn: ConnId, config: &NetworkConfig, rng: &mut Rng) {
        let deadline = now + config.connection_setup.wait(self.setup_failures, rng);
        self.state = State::Connecting { conn, deadline };
        self.last_attempt = now;
        self.last_used = now;
        self.wanted = false;
    }

    /// The connection is gone. What was in flight is left in place for the caller to take.
    pub fn disconnected(&mut self, now: Time, config: &NetworkConfig, rng: &mut Rng) {
        if matches!(self.state, State::Connecting { .. }) {
            self.setup_failures += 1;
        } else {
            self.setup_failures = 0;
        }
        self.last_attempt = now;
        self.state = State::Disconnected { retry_at: now + config.reconnect.wait(self.failures, rng) };
        self.failures += 1;
        self.throttled_until = None;
        self.versions.clear();
        self.dialogue = None;
        self.log_in_at = Time::MAX;
    }

    /// The broker told its versions: ours and its newest common ones hold from now on.
    pub fn negotiated(&mut self, theirs: &[ApiVersion]) {
        self.versions.clear();
        for ours in api::APIS {
            let Some(theirs) = theirs.iter().find(|theirs| theirs.api_key == ours.key as i16) else {
                continue;
            };
            let version = newest(ours).min(theirs.max_version);
            if version >= ours.versions.min.max(theirs.min_version) {
                self.versions.push((ours.key as i16, version));
            }
        }
        self.versions.sort_unstable();
    }

    /// The client has logged in, or need not.
    pub fn make_ready(&mut self, conn: ConnId) {
        self.state = State::Ready { conn };
        self.dialogue = None;
        self.failures = 0;
        self.setup_failures = 0;
    }

    /// The version of an API that both ends speak; `None` if there is none or the connection is not ready.
    pub fn version(&self, api: ApiKey) -> Option<i16> {
        let at = self.versions.binary_search_by_key(&(api as i16), |(key, _)| *key).ok()?;
        Some(self.versions[at].1)
    }

    /// The next instant at which something must be done about the connection.
    pub fn deadline(&self, config: &NetworkConfig) -> Option<Time> {
        match self.state {
            State::Disconnected { retry_at } => self.wanted.then_some(retry_at),
            State::Connecting { deadline, .. } => Some(deadline),
            State::CheckingVersions { .. } | State::LoggingIn { .. } | State::Ready { .. } => {
                let idle = self.last_used + config.connections_max_idle;
                let end = self.in_flight.iter().map(|request| request.expires_at).min().unwrap_or(idle);
                Some(self.throttled_until.map_or(end, |until| until.min(end)))
            }
        }
    }
}
