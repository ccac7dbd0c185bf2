//! Connections that others opened to this node: one request in progress on each, answered in order.
//!
//! Kafka's socket server stops reading from a connection while one of its requests is in progress, so that responses
//! leave in the order of the requests. Here the later ones are held until the response is out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trial_node::{ConnId, Io, Request, Response, Time};
use trial_wire::{RequestKind, ResponseKind, StrBytes};

use crate::Token;
use crate::security::{Amendment, Session};

/// The port of the listener for clients and other brokers.
pub const BROKER_PORT: u16 = 9092;
/// The port of the listener for the quorum and for requests to the active controller.
pub const CONTROLLER_PORT: u16 = 9093;

/// A request whose turn has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Names the request.
    pub token: Token,
    /// The port of ours that it came in on.
    pub port: u16,
    /// The caller's name for itself.
    pub client_id: StrBytes,
    /// The message.
    pub body: Box<RequestKind>,
}

#[derive(Clone, Debug)]
struct Connection {
    port: u16,
    /// The correlation id of the request in progress.
    in_progress: Option<i32>,
    held: VecDeque<Request>,
    /// Until when nothing is read from it (KIP-219).
    muted_until: Option<Time>,
    /// How far the client is known; `None` where everybody is trusted.
    session: Option<Box<Session>>,
    /// What is to be done with the response to the request in progress.
    amendment: Option<Box<Amendment>>,
}

/// What is sent before a connection is closed: to which request, and what.
type LastResponse = (Token, Box<ResponseKind>);

/// All connections that this node accepted.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    connections: BTreeMap<ConnId, Connection>,
    ready: VecDeque<Call>,
    /// Connections that are to be closed at an instant, with the response to send before.
    closing: BTreeMap<(Time, ConnId), Option<LastResponse>>,
    /// Connections that nothing is read from until an instant.
    muted: BTreeSet<(Time, ConnId)>,
}

impl Connections {
    /// A node connected to `port`.
    pub(crate) fn accepted(&mut self, conn: ConnId, port: u16, session: Option<Session>) {
        let session = session.map(Box::new);
        self.connections.insert(
            conn,
            Connection {
                port,
                in_progress: None,
                held: VecDeque::new(),
                muted_until: None,
                session,
                amendment: None,
            },
        );
    }

    /// How far a connection's client is known; `None` if it is trusted, or has gone.
    pub(crate) fn session(&self, conn: ConnId) -> Option<&Session> {
        self.connections.get(&conn)?.session.as_deref()
    }

    /// Lets the response to the request that `token` names be amended on its way out.
    pub(crate) fn amend(&mut self, token: Token, amendment: Amendment) {
        let connection = self.connections.get_mut(&token.conn).expect("a request is served on a connection");
        assert_eq!(connection.in_progress, Some(token.correlation_id), "it has not been answered yet");
        connection.amendment = Some(Box::new(amendment));
    }

    /// As [`Connections::session`], to change it.
    pub(crate) fn session_mut(&mut self, conn: ConnId) -> Option<&mut Session> {
        self.connections.get_mut(&conn)?.session.as_deref_mut()
    }

    /// Lets the client wait until `at` and then closes the connection, perhaps with a response before; until then nothing that
    /// it sends is looked at.
    pub(crate) fn close_at(&mut self, at: Time, token: Token, response: Option<ResponseKind>) {
        self.closing.insert((at, token.conn), response.map(|body| (token, Box::new(body))));
    }

    /// When [`Connections::timeout`] has something to do; [`Time::MAX`] for never.
    pub fn deadline(&self) -> Time {
        let closing = self.closing.first_key_value().map_or(Time::MAX, |((at, _), _)| *at);
        let muted = self.muted.first().map_or(Time::MAX, |(at, _)| *at);
        closing.min(muted)
    }

    /// Lets no request of a connection take its turn before `until`.
    pub(crate) fn mute(&mut self, conn: ConnId, until: Time) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if connection.muted_until.is_none_or(|before| before < until) {
            connection.muted_until = Some(until);
            self.muted.insert((until, conn));
        }
    }

    /// Lets those have their turn again that were muted until now.
    fn unmute(&mut self, now: Time) {
        while let Some((at, conn)) = self.muted.first().copied().filter(|(at, _)| *at <= now) {
            self.muted.pop_first();
            let Some(connection) = self.connections.get_mut(&conn) else { continue };
            // It may have been muted for longer meanwhile.
            if connection.muted_until == Some(at) {
                connection.muted_until = None;
                self.ready.extend(connection.next(conn));
            }
        }
    }

    /// Closes what is to be closed by now, and goes on reading from what was muted until now.
    pub fn timeout(&mut self, now: Time, io: &mut Io<'_>) {
        while let Some(entry) = self.closing.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((_, conn), response) = entry.remove_entry();
            if let Some((token, body)) = response {
                self.respond_boxed(io, token, body);
            }
            self.close(io, conn);
        }
        self.unmute(now);
    }

    /// A connection is gone. False if it was not an accepted one.
    pub fn closed(&mut self, conn: ConnId) -> bool {
        self.connections.remove(&conn).is_some()
    }

    /// A request arrived.
    pub fn request(&mut self, conn: ConnId, request: Request) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        connection.held.push_back(request);
        self.ready.extend(connection.next(conn));
    }

    /// Whether no request waits for its turn that has come.
    pub fn is_idle(&self) -> bool {
        self.ready.is_empty()
    }

    /// The next request whose turn has come.
    #[inline]
    pub fn next_call(&mut self) -> Option<Call> {
        loop {
            let call = self.ready.pop_front()?;
            // The connection may have gone since.
            if self.connections.contains_key(&call.token.conn) {
                return Some(call);
            }
        }
    }

    /// Sends the response to the request that `token` names and lets the connection's next one take its turn. Dropped if the
    /// connection has gone.
    pub fn respond(&mut self, io: &mut Io<'_>, token: Token, body: ResponseKind) {
        self.respond_boxed(io, token, Box::new(body));
    }

    /// As [`Connections::respond`], for a response that has its box already.
    pub fn respond_boxed(&mut self, io: &mut Io<'_>, token: Token, mut body: Box<ResponseKind>) {
        let Some(finished) = self.finish(token) else { return };
        if let Some(amendment) = finished.amendment {
            amendment.apply(&mut body);
        }
        if let Some(port) = finished.clients_port {
            advertise(port, &mut body);
        }
        let Token { conn, correlation_id, api_version } = token;
        io.respond(conn, Response { correlation_id, api_version, body });
    }

    /// The request that `token` names is done and gets no response (Produce with `acks=0`). If parts of it were refused, only
    /// the end of the connection can tell.
    pub fn no_response(&mut self, io: &mut Io<'_>, token: Token) {
        let amendment = self.finish(token).and_then(|finished| finished.amendment);
        if amendment.is_some_and(|amendment| amendment.refused.is_some()) {
            self.close(io, token.conn);
        }
    }

    /// Closes a connection, and with it drops what it still owes.
    pub fn close(&mut self, io: &mut Io<'_>, conn: ConnId) {
        if self.connections.remove(&conn).is_some() {
            io.close(conn);
        }
    }

    /// Closes every connection but those that came in on the quorum's listener.
    pub fn close_clients(&mut self, io: &mut Io<'_>) {
        self.connections.retain(|conn, connection| {
            if connection.port != CONTROLLER_PORT {
                io.close(*conn);
            }
            connection.port == CONTROLLER_PORT
        });
    }

    /// Ends the request in progress; `None` if the connection has gone.
    fn finish(&mut self, token: Token) -> Option<Finished> {
        let connection = self.connections.get_mut(&token.conn)?;
        assert_eq!(
            connection.in_progress,
            Some(token.correlation_id),
            "a request is answered once, and while it is in progress"
        );
        connection.in_progress = None;
        let amendment = connection.amendment.take();
        let clients_port = connection.session.is_some().then_some(connection.port);
        self.ready.extend(connection.next(token.conn));
        Some(Finished { amendment, clients_port })
    }
}

/// What is to be done with a response before it goes out.
struct Finished {
    amendment: Option<Box<Amendment>>,
    /// The port of the listener, if that is one for clients only.
    clients_port: Option<u16>,
}

/// Tells clients of a listener of their own to come back to it: each broker has the same.
fn advertise(port: u16, response: &mut ResponseKind) {
    let listener = i32::from(port);
    let replace = |port: &mut i32| {
        if *port == i32::from(BROKER_PORT) {
            *port = listener;
        }
    };
    match response {
        ResponseKind::Metadata(metadata) => metadata.brokers.iter_mut().for_each(|b| replace(&mut b.port)),
        ResponseKind::FindCoordinator(found) => {
            replace(&mut found.port);
            found.coordinators.iter_mut().for_each(|c| replace(&mut c.port));
        }
        ResponseKind::DescribeCluster(cluster) => {
            cluster.brokers.iter_mut().for_each(|b| replace(&mut b.port));
        }
        ResponseKind::Produce(produce) => {
            produce.node_endpoints.iter_mut().for_each(|n| replace(&mut n.port))
        }
        ResponseKind::Fetch(fetch) => fetch.node_endpoints.iter_mut().for_each(|n| replace(&mut n.port)),
        _ => {}
    }
}

impl Connection {
    /// The next request that it holds, if its turn has come.
    fn next(&mut self, conn: ConnId) -> Option<Call> {
        if self.in_progress.is_some() || self.muted_until.is_some() {
            return None;
        }
        let next = self.held.pop_front()?;
        Some(self.begin(conn, next))
    }

    fn begin(&mut self, conn: ConnId, request: Request) -> Call {
        let Request { correlation_id, api_version, client_id, body } = request;
        self.in_progress = Some(correlation_id);
        Call { token: Token { conn, correlation_id, api_version }, port: self.port, client_id, body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Surroundings;
    use trial_node::{Effect, Message};
    use trial_wire::messages::{ApiVersionsRequest, ApiVersionsResponse};

    const CONN: ConnId = ConnId(5);

    fn request(correlation_id: i32) -> Request {
        let body = Box::new(RequestKind::ApiVersions(ApiVersionsRequest::default()));
        Request { correlation_id, api_version: 4, client_id: StrBytes::default(), body }
    }

    fn answer() -> ResponseKind {
        ResponseKind::ApiVersions(ApiVersionsResponse::default())
    }

    fn sent(correlation_id: i32) -> Effect {
        let response = Response { correlation_id, api_version: 4, body: Box::new(answer()) };
        Effect::Send { conn: CONN, message: Message::Response(response) }
    }

    fn next(connections: &mut Connections) -> Option<Token> {
        connections.next_call().map(|call| call.token)
    }

    #[test]
    fn the_next_request_is_held_until_the_response_is_out() {
        let (mut connections, mut around) = (Connections::default(), Surroundings::new());
        connections.accepted(CONN, BROKER_PORT, None);
        (1..=3).for_each(|id| connections.request(CONN, request(id)));
        let first = next(&mut connections).expect("the first takes its turn");
        assert_eq!(first, Token { conn: CONN, correlation_id: 1, api_version: 4 });
        assert_eq!(next(&mut connections), None);
        let ((), effects) = around.call(|io| connections.respond(io, first, answer()));
        assert_eq!(effects, [sent(1)]);
        let second = next(&mut connections).expect("the second takes its turn");
        assert_eq!(second.correlation_id, 2);
        around.call(|io| connections.no_response(io, second));
        assert_eq!(next(&mut connections).expect("the third takes its turn").correlation_id, 3);
    }

    #[test]
    fn connections_do_not_hold_up_each_other() {
        let mut connections = Connections::default();
        connections.accepted(CONN, BROKER_PORT, None);
        connections.accepted(ConnId(6), CONTROLLER_PORT, None);
        connections.request(CONN, request(1));
        connections.request(ConnId(6), request(1));
        assert_eq!(next(&mut connections).map(|token| token.conn), Some(CONN));
        assert_eq!(next(&mut connections).map(|token| token.conn), Some(ConnId(6)));
    }

    #[test]
    fn a_connection_that_has_gone_gets_nothing() {
        let (mut connections, mut around) = (Connections::default(), Surroundings::new());
        connections.accepted(CONN, BROKER_PORT, None);
        connections.request(CONN, request(1));
        connections.request(CONN, request(2));
        let first = next(&mut connections).expect("the first takes its turn");
        assert!(connections.closed(CONN));
        let ((), effects) = around.call(|io| connections.respond(io, first, answer()));
        assert_eq!(effects, []);
        assert_eq!(next(&mut connections), None);
    }

    #[test]
    fn clients_are_disconnected_with_what_they_are_owed() {
        let (mut connections, mut around) = (Connections::default(), Surroundings::new());
        connections.accepted(CONN, BROKER_PORT, None);
        connections.accepted(ConnId(6), CONTROLLER_PORT, None);
        connections.request(CONN, request(1));
        let ((), effects) = around.call(|io| connections.close_clients(io));
        assert_eq!(effects, [Effect::Close { conn: CONN }]);
        assert_eq!(next(&mut connections), None);
        assert!(connections.closed(ConnId(6)));
    }

    #[test]
    fn a_muted_connection_has_its_answer_and_waits_with_the_next_request() {
        let (mut connections, mut around) = (Connections::default(), Surroundings::new());
        connections.accepted(CONN, BROKER_PORT, None);
        connections.request(CONN, request(1));
        let first = next(&mut connections).expect("the first takes its turn");
        connections.mute(CONN, Time::ZERO + trial_node::Span::from_millis(7));
        connections.mute(CONN, Time::ZERO + trial_node::Span::from_millis(5));
        let ((), effects) = around.call(|io| connections.respond(io, first, answer()));
        assert_eq!(effects, [sent(1)]);
        connections.request(CONN, request(2));
        assert_eq!(connections.deadline(), Time::ZERO + trial_node::Span::from_millis(7));
        around.call(|io| connections.timeout(Time::ZERO + trial_node::Span::from_millis(6), io));
        assert_eq!(next(&mut connections), None);
        around.call(|io| connections.timeout(Time::ZERO + trial_node::Span::from_millis(7), io));
        assert_eq!(next(&mut connections).map(|token| token.correlation_id), Some(2));
        assert_eq!(connections.deadline(), Time::MAX);
    }
}
