//! Connections to all brokers, requests on them, and the refresh of metadata.

use std::collections::BTreeMap;

use trial_node::{
    CloseReason, ConnId, Endpoint, Input, Io, NodeId, Now, Request, Response, Span, Time, TraceEvent,
};
use trial_wire::messages::ApiVersionsRequest;
use trial_wire::messages::api_versions_response::ApiVersionsResponse;
use trial_wire::{ApiKey, ErrorCode, RequestKind, ResponseKind, StrBytes, api, message};

use super::config::NetworkConfig;
use super::connection::{Connection, InFlight, Purpose, State};
use super::metadata::Metadata;
use super::sasl::{Dialogue, Next};

/// A client's connections: at most one per broker, made when somebody wants to send.
///
/// How to drive it: give it every input of its connections with [`NetworkClient::handle`]; call [`NetworkClient::poll`]
/// afterwards and whenever [`NetworkClient::deadline`] has come; both append what became of requests to a list of
/// [`Completion`]s. Before sending, ask [`NetworkClient::ready`] (which connects if need be), then
/// [`NetworkClient::version`], and [`NetworkClient::send`].
///
/// `C` is what the owner wants back with the response.
#[derive(Clone, Debug)]
pub struct NetworkClient<C> {
    config: NetworkConfig,
    client_id: StrBytes,
    metadata: Metadata,
    connections: BTreeMap<NodeId, Connection<C>>,
    /// Brokers that a second connection is kept to, under another id.
    apart: BTreeMap<NodeId, Endpoint>,
    /// What the connections want, as long as none of them has changed since.
    wants: Option<Wants>,
    last_correlation_id: i32,
    metadata_in_flight: bool,
    /// Asking for metadata found no broker to ask; the next attempt.
    metadata_retry_at: Option<Time>,
    /// The newest finalized features that a broker has told (KIP-584): their epoch, and what we care for.
    features_epoch: i64,
    transaction_version: i16,
}

/// What all connections together want.
#[derive(Clone, Copy, Debug)]
struct Wants {
    /// The next instant at which something must be done about one of them.
    deadline: Option<Time>,
    /// One of them is being made.
    preparing: bool,
}

/// A request to send.
#[derive(Clone, Debug)]
pub struct Outgoing<C> {
    /// Its API; the response must be of the same.
    pub api: ApiKey,
    /// The version that [`NetworkClient::version`] told.
    pub api_version: i16,
    /// The message.
    pub body: RequestKind,
    /// What comes back with the response.
    pub context: C,
    /// How long to wait for the response; the connection is closed when it has not come by then.
    pub timeout: Span,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub struct Completion<C> {
    /// The broker that it was sent to.
    pub node: NodeId,
    /// The version that it was sent in.
    pub api_version: i16,
    /// What came with it.
    pub context: C,
    /// The response, or why there is none.
    pub outcome: Result<ResponseKind, Failure>,
}

/// Why there is no response. The request may have been carried out all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The connection was lost.
    Disconnected,
    /// The response did not come in time; the connection was closed for it.
    TimedOut,
}

impl<C> NetworkClient<C> {
    /// A client without connections.
    pub fn new(config: NetworkConfig, client_id: StrBytes, bootstrap: Vec<Endpoint>) -> NetworkClient<C> {
        let metadata = Metadata::new(bootstrap, config.metadata_max_age, config.retry);
        NetworkClient {
            config,
            client_id,
            metadata,
            connections: BTreeMap::new(),
            apart: BTreeMap::new(),
            wants: None,
            last_correlation_id: -1,
            metadata_in_flight: false,
            metadata_retry_at: None,
            features_epoch: -1,
            transaction_version: 0,
        }
    }

    /// What is known of the cluster.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Whether there is nothing to do before the [`NetworkClient::deadline`] unless something happens: no connection is being
    /// made, and metadata is not wanted, or asked for.
    pub fn is_settled(&mut self, now: Time) -> bool {
        self.metadata_retry_at.is_none()
            && !self.wants().preparing
            && (self.metadata_in_flight || self.metadata.next_update() > now)
    }

    /// What is known of the cluster, to ask for more of it.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    /// Whether a connection is one of ours.
    pub fn owns(&self, conn: ConnId) -> bool {
        self.node_of(conn).is_some()
    }

    fn node_of(&self, conn: ConnId) -> Option<NodeId> {
        self.connections.iter().find(|(_, c)| c.conn() == Some(conn)).map(|(id, _)| *id)
    }

    /// The version of an API that a broker and we speak; `None` if the connection is not ready or there is none.
    pub fn version(&self, node: NodeId, api: ApiKey) -> Option<i16> {
        self.connections.get(&node)?.version(api)
    }

    /// The finalized level of `transaction.version` that brokers have last told; 0 while none has.
    pub fn transaction_version(&self) -> i16 {
        self.transaction_version
    }

    /// Whether a connection to a broker is being made.
    pub fn is_preparing(&self, node: NodeId) -> bool {
        self.connections.get(&node).is_some_and(Connection::is_preparing)
    }

    /// Whether a connection to a broker stands, even if too much is in flight on it.
    pub fn is_connected(&self, node: NodeId) -> bool {
        self.connections
            .get(&node)
            .is_some_and(|c| matches!(c.state, State::Ready { .. } | State::LoggingIn { again: true, .. }))
    }

    /// Keeps a second connection to a broker, so that nothing on it has to wait behind the long polls on the first, as Kafka's
    /// clients do with the coordinator of their group. Returns the id that it goes by here.
    pub fn connect_apart(&mut self, node: NodeId, endpoint: Endpoint) -> NodeId {
        let id = NodeId(i32::MAX - node.0);
        self.apart.insert(id, endpoint);
        id
    }

    /// Whether a request may be sent to a broker now. If there is no connection, begins to make one, or remembers to when
    /// back-off ends: the next [`NetworkClient::deadline`] then is no later than that.
    pub fn ready(&mut self, now: Now, io: &mut Io<'_>, node: NodeId) -> bool {
        let endpoint = self.metadata.nodes().get(&node).or_else(|| self.apart.get(&node));
        let Some(endpoint) = endpoint else { return false };
        let connection = self.connections.entry(node).or_insert_with(|| Connection::new(endpoint.clone()));
        if connection.can_send(&self.config) {
            if connection.log_in_at > now.mono {
                return true;
            }
            self.log_in(now, node, true, io);
            return false;
        }
        self.wants = None;
        if matches!(connection.state, State::Disconnected { .. }) {
            if connection.endpoint != *endpoint {
                *connection = Connection::new(endpoint.clone());
            }
            if connection.can_connect(now.mono) {
                let conn = io.connect(connection.endpoint.clone());
                connection.connecting(now.mono, conn, &self.config, io.rng);
            } else {
                connection.wanted = true;
            }
        }
        false
    }

    /// Sends a request; [`NetworkClient::ready`] must just have said that it may.
    pub fn send(&mut self, now: Now, io: &mut Io<'_>, node: NodeId, request: Outgoing<C>) {
        let Outgoing { api, api_version, body, context, timeout } = request;
        self.dispatch(now, io, node, (api, api_version, body), Purpose::Owner(context), timeout);
    }

    /// As [`NetworkClient::send`] for a request that gets no response (Produce with `acks=0`).
    pub fn send_unanswered(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        node: NodeId,
        api_version: i16,
        body: RequestKind,
    ) {
        let correlation_id = self.next_correlation_id();
        self.wants = None;
        let connection = self.connections.get_mut(&node).expect("ready() was asked before");
        let conn = connection.conn().expect("ready() was asked before");
        connection.last_used = now.mono;
        let client_id = self.client_id.clone();
        io.request(conn, Request { correlation_id, api_version, client_id, body: Box::new(body) });
    }

    fn next_correlation_id(&mut self) -> i32 {
        self.last_correlation_id = self.last_correlation_id.wrapping_add(1);
        self.last_correlation_id
    }

    fn dispatch(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        node: NodeId,
        (api, api_version, body): (ApiKey, i16, RequestKind),
        purpose: Purpose<C>,
        timeout: Span,
    ) {
        let correlation_id = self.next_correlation_id();
        self.wants = None;
        let connection = self.connections.get_mut(&node).expect("only sent to a broker that is connected");
        let conn = connection.conn().expect("only sent to a broker that is connected");
        connection.last_used = now.mono;
        let expires_at = now.mono + timeout;
        connection.in_flight.push_back(InFlight { correlation_id, api, api_version, expires_at, purpose });
        let client_id = self.client_id.clone();
        io.request(conn, Request { correlation_id, api_version, client_id, body: Box::new(body) });
    }

    /// Takes in what happened to a connection of ours. Inputs of other connections are ignored: they may be of one that
    /// was closed just before.
    pub fn handle(&mut self, now: Now, input: Input, io: &mut Io<'_>, done: &mut Vec<Completion<C>>) {
        self.wants = None;
        match input {
            Input::Connected { conn } => self.connected(now, conn, io),
            Input::Closed { conn, reason } => {
                if let Some(node) = self.node_of(conn) {
                    self.disconnect(now, node, Lost::Closed(reason), io, done);
                }
            }
            Input::Response { conn, response } => self.response(now, conn, response, io, done),
            Input::Timeout | Input::Accepted { .. } | Input::Request { .. } | Input::Signal(_) => {}
        }
    }

    fn connected(&mut self, now: Now, conn: ConnId, io: &mut Io<'_>) {
        let Some(node) = self.node_of(conn) else { return };
        let connection = self.connections.get_mut(&node).expect("node_of finds what is there");
        connection.state = State::CheckingVersions { conn };
        self.ask_versions(now, node, api::latest(ApiKey::ApiVersions), io);
    }

    fn ask_versions(&mut self, now: Now, node: NodeId, version: i16, io: &mut Io<'_>) {
        let mut body = ApiVersionsRequest::default();
        if version >= 3 {
            body = body
                .with_client_software_name(StrBytes::from_static_str("trial"))
                .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        }
        let message = (ApiKey::ApiVersions, version, RequestKind::ApiVersions(body));
        self.dispatch(now, io, node, message, Purpose::ApiVersions, self.config.request_timeout);
    }

    fn response(
        &mut self,
        now: Now,
        conn: ConnId,
        response: Response,
        io: &mut Io<'_>,
        done: &mut Vec<Completion<C>>,
    ) {
        let Some(node) = self.node_of(conn) else { return };
        let connection = self.connections.get_mut(&node).expect("node_of finds what is there");
        connection.last_used = now.mono;
        let expected =
            connection.in_flight.front().is_some_and(|r| r.correlation_id == response.correlation_id);
        if !expected {
            self.disconnect(now, node, Lost::Nonsense("a response that nobody waits for"), io, done);
            return;
        }
        if connection.in_flight[0].api != message::response_api(&response.body) {
            self.disconnect(now, node, Lost::Nonsense("a response of another API"), io, done);
            return;
        }
        let request = connection.in_flight.pop_front().expect("the front was just looked at");
        let throttle_ms = u64::try_from(message::throttle_time_ms(&response.body)).unwrap_or(0);
        if throttle_ms > 0 {
            let until = now.mono + Span::from_millis(throttle_ms);
            connection.throttled_until = Some(connection.throttled_until.map_or(until, |at| at.max(until)));
        }
        match (request.purpose, *response.body) {
            (Purpose::Owner(context), body) => {
                done.push(Completion { node, api_version: request.api_version, context, outcome: Ok(body) });
            }
            (Purpose::ApiVersions, ResponseKind::ApiVersions(body)) => {
                self.versions_told(now, node, request.api_version, &body, io, done);
            }
            (Purpose::Metadata, ResponseKind::Metadata(body)) => {
                self.metadata_in_flight = false;
                if body.error_code == ErrorCode::RebootstrapRequired.code() {
                    self.metadata.rebootstrap();
                } else {
                    self.metadata.update(now.mono, body, io.rng);
                }
            }
            (Purpose::Login, body) => self.logged_in(now, node, &body, io, done),
            (Purpose::ApiVersions | Purpose::Metadata, _) => unreachable!("the API was compared above"),
        }
    }

    fn versions_told(
        &mut self,
        now: Now,
        node: NodeId,
        asked_in: i16,
        response: &ApiVersionsResponse,
        io: &mut Io<'_>,
        done: &mut Vec<Completion<C>>,
    ) {
        match ErrorCode::try_from_code(response.error_code) {
            None => {
                let connection = self.connections.get_mut(&node).expect("it just answered");
                connection.negotiated(&response.api_keys);
                if self.config.login.is_none() {
                    connection.make_ready(connection.conn().expect("it just answered"));
                } else {
                    self.log_in(now, node, false, io);
                }
                if response.finalized_features_epoch > self.features_epoch {
                    self.features_epoch = response.finalized_features_epoch;
                    let mut features = response.finalized_features.iter();
                    let level = features.find(|feature| feature.name.as_str() == "transaction.version");
                    self.transaction_version = level.map_or(0, |feature| feature.max_version_level);
                }
            }
            // KIP-511: the broker does not know our version of this API; every broker knows version 0.
            Some(ErrorCode::UnsupportedVersion) if asked_in > 0 => self.ask_versions(now, node, 0, io),
            Some(_) => self.disconnect(now, node, Lost::Nonsense("an error to ApiVersions"), io, done),
        }
    }

    /// Begins to log in.
    fn log_in(&mut self, now: Now, node: NodeId, again: bool, io: &mut Io<'_>) {
        let login = self.config.login.as_ref().expect("only called for a client that logs in");
        let (dialogue, first) = Dialogue::begin(login, io.rng);
        let connection = self.connections.get_mut(&node).expect("it is connected");
        let conn = connection.conn().expect("it is connected");
        connection.state = State::LoggingIn { conn, again };
        connection.dialogue = Some(Box::new(dialogue));
        self.send_login(now, node, ApiKey::SaslHandshake, first, io);
    }

    fn send_login(&mut self, now: Now, node: NodeId, api: ApiKey, body: RequestKind, io: &mut Io<'_>) {
        // A broker that does not speak it will say so in its own way.
        let version = self.version(node, api).unwrap_or_else(|| api::latest(api));
        let message = (api, version, body);
        self.dispatch(now, io, node, message, Purpose::Login, self.config.request_timeout);
    }

    /// The broker has answered a request of the login.
    fn logged_in(
        &mut self,
        now: Now,
        node: NodeId,
        body: &ResponseKind,
        io: &mut Io<'_>,
        done: &mut Vec<Completion<C>>,
    ) {
        let connection = self.connections.get_mut(&node).expect("it just answered");
        let Some(dialogue) = &mut connection.dialogue else { return };
        let next = match body {
            ResponseKind::SaslHandshake(response) => dialogue.shaken(response),
            ResponseKind::SaslAuthenticate(response) => dialogue.answered(response, io.rng),
            _ => unreachable!("the API was compared before"),
        };
        match next {
            Next::Send(body) => self.send_login(now, node, Dialogue::NEXT_API, *body, io),
            Next::Done(again) => {
                connection.make_ready(connection.conn().expect("it just answered"));
                connection.log_in_at = again.map_or(Time::MAX, |after| now.mono + after);
            }
            Next::Failed(why) => self.disconnect(now, node, Lost::NotLetIn(why), io, done),
        }
    }

    /// Ends a connection. Everything in flight on it fails.
    fn disconnect(
        &mut self,
        now: Now,
        node: NodeId,
        why: Lost,
        io: &mut Io<'_>,
        done: &mut Vec<Completion<C>>,
    ) {
        let connection = self.connections.get_mut(&node).expect("only called for a connection that stands");
        if !matches!(why, Lost::Closed(_)) {
            io.close(connection.conn().expect("only called for a connection that stands"));
        }
        if connection.failures == 0 && !matches!(why, Lost::Idle) {
            let endpoint = &connection.endpoint;
            io.trace(TraceEvent::ClientError {
                what: format!("{}: {endpoint}: {}", self.client_id.as_str(), why.text()),
            });
        }
        connection.disconnected(now.mono, &self.config, io.rng);
        for request in std::mem::take(&mut connection.in_flight) {
            match request.purpose {
                Purpose::ApiVersions | Purpose::Login => {}
                Purpose::Metadata => {
                    self.metadata_in_flight = false;
                    self.metadata.update_failed(now.mono, io.rng);
                }
                Purpose::Owner(context) => {
                    let timed_out = matches!(why, Lost::TimedOut) && request.expires_at <= now.mono;
                    let failure = if timed_out { Failure::TimedOut } else { Failure::Disconnected };
                    let api_version = request.api_version;
                    done.push(Completion { node, api_version, context, outcome: Err(failure) });
                }
            }
        }
        if matches!(why, Lost::Idle) {
            return;
        }
        // The broker may be gone for good: ask, but not faster than back-off allows.
        if !self.metadata_in_flight && self.metadata.next_update() <= now.mono {
            self.metadata.update_failed(now.mono, io.rng);
        }
        self.metadata.request_update();
    }

    /// Ends what has waited too long and refreshes metadata when it is time.
    pub fn poll(&mut self, now: Now, io: &mut Io<'_>, done: &mut Vec<Completion<C>>) {
        if self.wants().deadline.is_some_and(|deadline| deadline <= now.mono) {
            self.end_late(now, io, done);
        }
        self.refresh_metadata(now, io);
    }

    /// Ends the connections that have waited too long.
    fn end_late(&mut self, now: Now, io: &mut Io<'_>, done: &mut Vec<Completion<C>>) {
        self.wants = None;
        let mut late: Option<(NodeId, Lost)> = None;
        loop {
            for (node, connection) in &mut self.connections {
                let due = connection.deadline(&self.config).is_some_and(|deadline| deadline <= now.mono);
                if !due {
                    continue;
                }
                if connection.throttled_until.is_some_and(|until| until <= now.mono) {
                    connection.throttled_until = None;
                    continue;
                }
                match connection.state {
                    State::Disconnected { .. } => connection.wanted = false,
                    State::Connecting { .. } => late = Some((*node, Lost::SetupTimedOut)),
                    _ if connection.in_flight.is_empty() => late = Some((*node, Lost::Idle)),
                    _ => late = Some((*node, Lost::TimedOut)),
                }
            }
            let Some((node, why)) = late.take() else { break };
            self.disconnect(now, node, why, io, done);
        }
    }

    fn wants(&mut self) -> Wants {
        if let Some(wants) = self.wants {
            return wants;
        }
        let mut wants = Wants { deadline: None, preparing: false };
        for connection in self.connections.values() {
            let deadline = connection.deadline(&self.config);
            wants.deadline = wants.deadline.into_iter().chain(deadline).min();
            wants.preparing |= connection.is_preparing();
        }
        self.wants = Some(wants);
        wants
    }

    fn refresh_metadata(&mut self, now: Now, io: &mut Io<'_>) {
        self.metadata_retry_at = None;
        if self.metadata_in_flight || self.metadata.next_update() > now.mono {
            return;
        }
        if self.metadata.attempt_is_desperate(now.mono, self.config.rebootstrap_trigger) {
            self.metadata.rebootstrap();
        }
        let mut node = self.least_loaded(now, io);
        if node.is_none() && !self.any_ready() {
            self.metadata.rebootstrap();
            node = self.least_loaded(now, io);
        }
        let Some(node) = node else {
            self.metadata_retry_at =
                Some(self.first_reconnect().unwrap_or(now.mono + self.config.reconnect.max));
            return;
        };
        let fit =
            |connection: &Connection<C>| connection.can_send(&self.config) && connection.log_in_at > now.mono;
        if self.connections.get(&node).is_some_and(fit) {
            let Some(api_version) = self.version(node, ApiKey::Metadata) else {
                self.metadata_retry_at = Some(now.mono + self.config.reconnect.max);
                return;
            };
            let message = (ApiKey::Metadata, api_version, RequestKind::Metadata(self.metadata.request()));
            self.metadata_in_flight = true;
            self.dispatch(now, io, node, message, Purpose::Metadata, self.config.request_timeout);
        } else if !self.connections.values().any(Connection::is_preparing) {
            // While one connection is being made, another for the same purpose would be a waste.
            self.ready(now, io, node);
        }
    }

    fn any_ready(&self) -> bool {
        self.metadata.nodes().keys().any(|node| self.is_connected(*node))
    }

    fn first_reconnect(&self) -> Option<Time> {
        let known = self.metadata.nodes().keys().filter_map(|node| self.connections.get(node));
        known
            .filter_map(|connection| match connection.state {
                State::Disconnected { retry_at } => Some(retry_at),
                _ => None,
            })
            .min()
    }

    /// The best broker for a request that any broker can answer: a ready one with little in flight, else one that is being
    /// connected to, else the one whose last attempt is longest ago; `None` if all must wait for their back-off.
    pub fn least_loaded(&self, now: Now, io: &mut Io<'_>) -> Option<NodeId> {
        let nodes = self.metadata.nodes();
        let first = io.rng.below(nodes.len() as u64) as usize;
        let mut ready: Option<(usize, NodeId)> = None;
        let mut preparing = None;
        let mut can_connect: Option<(Time, NodeId)> = None;
        for node in nodes.keys().cycle().skip(first).take(nodes.len()).copied() {
            let Some(connection) = self.connections.get(&node) else {
                if can_connect.is_none_or(|(at, _)| at > Time::ZERO) {
                    can_connect = Some((Time::ZERO, node));
                }
                continue;
            };
            if connection.can_send(&self.config) {
                let load = connection.in_flight.len();
                if load == 0 {
                    return Some(node);
                }
                if ready.is_none_or(|(least, _)| load < least) {
                    ready = Some((load, node));
                }
            } else if connection.is_preparing() {
                preparing = Some(node);
            } else if connection.can_connect(now.mono)
                && can_connect.is_none_or(|(at, _)| at > connection.last_attempt)
            {
                can_connect = Some((connection.last_attempt, node));
            }
        }
        ready.map(|(_, node)| node).or(preparing).or(can_connect.map(|(_, node)| node))
    }

    /// Closes all connections without a word about what is in flight.
    pub fn close(&mut self, io: &mut Io<'_>) {
        self.wants = None;
        for connection in std::mem::take(&mut self.connections).into_values() {
            if let Some(conn) = connection.conn() {
                io.close(conn);
            }
        }
        self.metadata_in_flight = false;
    }

    /// The next instant at which [`NetworkClient::poll`] has something to do.
    pub fn deadline(&mut self) -> Option<Time> {
        let wants = self.wants();
        let metadata = if self.metadata_in_flight {
            None
        } else if self.metadata_retry_at.is_some() {
            self.metadata_retry_at
        } else if wants.preparing {
            // The connection's end or readiness will be an input.
            None
        } else {
            Some(self.metadata.next_update())
        };
        wants.deadline.into_iter().chain(metadata).min()
    }
}

/// Why a connection ends.
#[derive(Clone, Debug)]
enum Lost {
    Closed(CloseReason),
    SetupTimedOut,
    TimedOut,
    Idle,
    Nonsense(&'static str),
    /// The client could not log in.
    NotLetIn(String),
}

impl Lost {
    fn text(&self) -> &str {
        match self {
            Lost::Closed(CloseReason::Refused) => "connection refused",
            Lost::Closed(CloseReason::PeerClosed) => "closed by the broker",
            Lost::Closed(CloseReason::Reset) => "connection reset",
            Lost::Closed(CloseReason::TimedOut) => "connection timed out",
            Lost::SetupTimedOut => "no connection within socket.connection.setup.timeout.ms",
            Lost::TimedOut => "no response within request.timeout.ms",
            Lost::Idle => "idle",
            Lost::Nonsense(what) => what,
            Lost::NotLetIn(why) => why,
        }
    }
}
