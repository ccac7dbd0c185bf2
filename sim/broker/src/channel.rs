//! Connections that this node opens to others: one per (node, purpose), as Kafka's network clients are.
//!
//! How to drive: [`Channels::send`] hands over a request; [`Channels::connected`], [`Channels::closed`],
//! [`Channels::response`] and [`Channels::timeout`] take in what the driver tells; [`Channels::take_completion`] gives out
//! what became of each request, exactly once each.

use std::collections::{BTreeMap, VecDeque};

use trial_node::{ConnId, Endpoint, Io, NodeId, Now, Request, Response, Span, Time};
use trial_wire::{RequestKind, ResponseKind, StrBytes};

/// What a connection is for. Purposes never share a connection, so a slow one does not hold up another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// The quorum's requests, to the controller listener (KIP-595).
    Raft,
    /// Registration and heartbeats, to the controller listener of the active controller.
    Lifecycle,
    /// AlterPartition and AllocateProducerIds, to the controller listener of the active controller.
    Replication,
    /// Requests of clients that only the active controller can serve (KIP-590), to its controller listener.
    Forwarding,
    /// The replica fetcher's requests, to the broker listener of a partition's leader.
    Fetcher,
    /// What coordinators send, transaction markers that is, to the broker listener of partitions' leaders; also to ourselves.
    Coordinator,
    /// Verification of transactions (KIP-890), to the broker listener of their coordinator; also to ourselves.
    Verification,
}

/// One channel's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChannelId {
    /// The node at the other end.
    pub node: NodeId,
    /// What it is for.
    pub purpose: Purpose,
}

/// Why a request got no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The connection could not be made, or went away. The request may or may not have been carried out.
    Disconnected,
    /// No response came in time; the connection was closed. The request may or may not have been carried out.
    TimedOut,
}

/// A request to send.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The sender's own name for it.
    pub tag: u64,
    /// The version.
    pub version: i16,
    /// The message.
    pub body: Box<RequestKind>,
    /// Under which name it is sent; `None` for the node's own.
    pub client_id: Option<StrBytes>,
}

impl<B: Into<Box<RequestKind>>> From<(u64, i16, B)> for Outgoing {
    fn from((tag, version, body): (u64, i16, B)) -> Outgoing {
        Outgoing { tag, version, body: body.into(), client_id: None }
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The channel that it went over.
    pub channel: ChannelId,
    /// The sender's own name for it.
    pub tag: u64,
    /// The response, or why there is none.
    pub result: Result<Box<ResponseKind>, SendError>,
}

/// How long a channel waits before it connects again, and for how long it tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconnectPolicy {
    /// `reconnect.backoff.ms`: the wait after the first failure.
    pub backoff: Span,
    /// `reconnect.backoff.max.ms`: the longest wait; it doubles up to here, plus or minus a fifth by chance.
    pub backoff_max: Span,
    /// `socket.connection.setup.timeout.ms`: how long an attempt may take.
    pub setup_timeout: Span,
}

impl ReconnectPolicy {
    /// What Kafka uses on a channel for this purpose. A fetcher has its own back-off above the channel.
    pub fn of(purpose: Purpose) -> ReconnectPolicy {
        let (backoff, backoff_max) = match purpose {
            Purpose::Raft => (50, 500),
            Purpose::Lifecycle
            | Purpose::Replication
            | Purpose::Forwarding
            | Purpose::Coordinator
            | Purpose::Verification => (50, 50),
            Purpose::Fetcher => (0, 0),
        };
        ReconnectPolicy {
            backoff: Span::from_millis(backoff),
            backoff_max: Span::from_millis(backoff_max),
            setup_timeout: Span::from_secs(10),
        }
    }
}

#[derive(Clone, Debug)]
struct Waiting {
    tag: u64,
    version: i16,
    body: Box<RequestKind>,
    client_id: StrBytes,
    deadline: Time,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    correlation_id: i32,
    tag: u64,
    deadline: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// No connection, and none wanted before this instant.
    Down {
        retry_at: Time,
    },
    Connecting {
        conn: ConnId,
        deadline: Time,
    },
    Up {
        conn: ConnId,
    },
}

#[derive(Clone, Debug)]
struct Channel {
    endpoint: Endpoint,
    link: Link,
    /// Failed attempts since the connection last stood.
    failures: u32,
    /// Requests that wait for the connection.
    waiting: VecDeque<Waiting>,
    /// Requests that were sent, oldest first. Kafka answers in order.
    in_flight: VecDeque<InFlight>,
}

/// All channels of a node.
#[derive(Clone, Debug)]
pub struct Channels {
    client_id: StrBytes,
    channels: BTreeMap<ChannelId, Channel>,
    by_conn: BTreeMap<ConnId, ChannelId>,
    completions: VecDeque<Completion>,
    last_correlation_id: i32,
    /// Nothing is due before this instant. Responses do not move it, so it may be early; [`Channels::timeout`] then finds
    /// nothing to do and moves it.
    deadline: Time,
}

impl Channels {
    /// No channel yet; requests will carry `client_id`.
    pub fn new(client_id: StrBytes) -> Channels {
        Channels {
            client_id,
            channels: BTreeMap::new(),
            by_conn: BTreeMap::new(),
            completions: VecDeque::new(),
            last_correlation_id: 0,
            deadline: Time::MAX,
        }
    }

    /// Sends a request over the channel, or keeps it until the channel's connection stands. `endpoint` is where the node
    /// listens; a channel whose node has moved drops its connection. After `timeout` without a response the request fails
    /// and the connection is closed.
    #[allow(clippy::too_many_arguments, reason = "a request, where it goes and how long it may take")]
    pub fn send(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        id: ChannelId,
        endpoint: &Endpoint,
        request: impl Into<Outgoing>,
        timeout: Span,
    ) {
        let Outgoing { tag, version, body, client_id } = request.into();
        let client_id = client_id.unwrap_or_else(|| self.client_id.clone());
        let deadline = now.mono + timeout;
        self.deadline = self.deadline.min(deadline);
        if self.channels.get(&id).is_some_and(|channel| channel.endpoint != *endpoint) {
            self.disconnect(io, id);
        }
        let channel = self.channels.entry(id).or_insert_with(|| Channel {
            endpoint: endpoint.clone(),
            link: Link::Down { retry_at: Time::ZERO },
            failures: 0,
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
        });
        if channel.endpoint != *endpoint {
            channel.endpoint = endpoint.clone();
        }
        match channel.link {
            Link::Up { conn } => {
                self.last_correlation_id = self.last_correlation_id.wrapping_add(1) & i32::MAX;
                let correlation_id = self.last_correlation_id;
                channel.in_flight.push_back(InFlight { correlation_id, tag, deadline });
                io.request(conn, Request { correlation_id, api_version: version, client_id, body });
            }
            Link::Connecting { .. } => {
                channel.waiting.push_back(Waiting { tag, version, body, client_id, deadline });
            }
            Link::Down { retry_at } => {
                channel.waiting.push_back(Waiting { tag, version, body, client_id, deadline });
                if retry_at <= now.mono {
                    self.connect(now, io, id);
                } else {
                    self.deadline = self.deadline.min(retry_at);
                }
            }
        }
    }

    /// A connection stands. False if it is none of ours.
    pub fn connected(&mut self, io: &mut Io<'_>, conn: ConnId) -> bool {
        let Some(&id) = self.by_conn.get(&conn) else { return false };
        let channel = self.channels.get_mut(&id).expect("a connection belongs to a channel");
        channel.link = Link::Up { conn };
        channel.failures = 0;
        while let Some(Waiting { tag, version, body, client_id, deadline }) = channel.waiting.pop_front() {
            self.last_correlation_id = self.last_correlation_id.wrapping_add(1) & i32::MAX;
            let correlation_id = self.last_correlation_id;
            channel.in_flight.push_back(InFlight { correlation_id, tag, deadline });
            io.request(conn, Request { correlation_id, api_version: version, client_id, body });
        }
        true
    }

    /// A connection is gone or could not be made. False if it is none of ours.
    pub fn closed(&mut self, now: Now, io: &mut Io<'_>, conn: ConnId) -> bool {
        let Some(id) = self.by_conn.remove(&conn) else { return false };
        self.fail(now, io, id, SendError::Disconnected);
        true
    }

    /// A response arrived. False if the connection is none of ours.
    pub fn response(&mut self, now: Now, io: &mut Io<'_>, conn: ConnId, response: Response) -> bool {
        let Some(&id) = self.by_conn.get(&conn) else { return false };
        let channel = self.channels.get_mut(&id).expect("a connection belongs to a channel");
        match channel.in_flight.front() {
            Some(oldest) if oldest.correlation_id == response.correlation_id => {
                let tag = oldest.tag;
                channel.in_flight.pop_front();
                self.completions.push_back(Completion { channel: id, tag, result: Ok(response.body) });
            }
            // Not an answer to what we asked: nothing on this connection can be trusted any more.
            _ => {
                io.close(conn);
                self.by_conn.remove(&conn);
                self.fail(now, io, id, SendError::Disconnected);
            }
        }
        true
    }

    /// Carries out what has become due.
    pub fn timeout(&mut self, now: Now, io: &mut Io<'_>) {
        if now.mono < self.deadline {
            return;
        }
        let ids: Vec<ChannelId> = self.channels.keys().copied().collect();
        for id in ids {
            let channel = &self.channels[&id];
            let overdue = |deadline: Time| deadline <= now.mono;
            match channel.link {
                Link::Connecting { conn, deadline } if overdue(deadline) => {
                    io.close(conn);
                    self.by_conn.remove(&conn);
                    self.fail(now, io, id, SendError::Disconnected);
                }
                Link::Up { conn } if channel.in_flight.iter().any(|sent| overdue(sent.deadline)) => {
                    io.close(conn);
                    self.by_conn.remove(&conn);
                    self.fail(now, io, id, SendError::TimedOut);
                }
                _ => {}
            }
            let channel = self.channels.get_mut(&id).expect("channels are not removed here");
            let mut kept = VecDeque::new();
            for waiting in channel.waiting.drain(..) {
                if overdue(waiting.deadline) {
                    let result = Err(SendError::TimedOut);
                    self.completions.push_back(Completion { channel: id, tag: waiting.tag, result });
                } else {
                    kept.push_back(waiting);
                }
            }
            channel.waiting = kept;
            if let Link::Down { retry_at } = channel.link
                && !channel.waiting.is_empty()
                && overdue(retry_at)
            {
                self.connect(now, io, id);
            }
        }
        self.deadline = self.channels.values().map(Channel::deadline).min().unwrap_or(Time::MAX);
    }

    /// Closes a channel's connection, if there is one; requests in flight on it fail as disconnected. Requests that wait for
    /// a connection go on waiting.
    pub fn disconnect(&mut self, io: &mut Io<'_>, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if let Link::Up { conn } | Link::Connecting { conn, .. } = channel.link {
            io.close(conn);
            self.by_conn.remove(&conn);
        }
        channel.link = Link::Down { retry_at: Time::ZERO };
        for sent in channel.in_flight.drain(..).map(|sent| sent.tag) {
            let result = Err(SendError::Disconnected);
            self.completions.push_back(Completion { channel: id, tag: sent, result });
        }
        // Whoever still waits here wakes at once to connect again.
        if !channel.waiting.is_empty() {
            self.deadline = Time::ZERO;
        }
    }

    /// What became of one more request.
    pub fn take_completion(&mut self) -> Option<Completion> {
        self.completions.pop_front()
    }

    /// Whether [`Channels::take_completion`] has something.
    pub fn have_completions(&self) -> bool {
        !self.completions.is_empty()
    }

    /// When [`Channels::timeout`] has to be called, at the latest; [`Time::MAX`] for never.
    pub fn deadline(&self) -> Time {
        self.deadline
    }

    fn connect(&mut self, now: Now, io: &mut Io<'_>, id: ChannelId) {
        let channel = self.channels.get_mut(&id).expect("only existing channels connect");
        let conn = io.connect(channel.endpoint.clone());
        let deadline = now.mono + ReconnectPolicy::of(id.purpose).setup_timeout;
        channel.link = Link::Connecting { conn, deadline };
        self.by_conn.insert(conn, id);
        self.deadline = self.deadline.min(deadline);
    }

    /// The channel's connection is gone: everything on it fails, and everything that waited for it.
    fn fail(&mut self, now: Now, io: &mut Io<'_>, id: ChannelId, error: SendError) {
        let policy = ReconnectPolicy::of(id.purpose);
        let channel = self.channels.get_mut(&id).expect("a connection belongs to a channel");
        let wait = backoff(policy.backoff, policy.backoff_max, channel.failures, io);
        channel.failures = channel.failures.saturating_add(1);
        channel.link = Link::Down { retry_at: now.mono + wait };
        let sent = channel.in_flight.drain(..).map(|sent| sent.tag);
        let waited = channel.waiting.drain(..).map(|waiting| waiting.tag);
        for tag in sent.chain(waited) {
            self.completions.push_back(Completion { channel: id, tag, result: Err(error) });
        }
    }
}

impl Channel {
    fn deadline(&self) -> Time {
        let waiting = self.waiting.iter().map(|waiting| waiting.deadline);
        let in_flight = self.in_flight.iter().map(|sent| sent.deadline);
        let link = match self.link {
            Link::Down { retry_at } if !self.waiting.is_empty() => retry_at,
            Link::Connecting { deadline, .. } => deadline,
            Link::Down { .. } | Link::Up { .. } => Time::MAX,
        };
        waiting.chain(in_flight).min().unwrap_or(Time::MAX).min(link)
    }
}

/// The wait after `failures` earlier failures in a row: `first`, doubled each time up to `max`, plus or minus a fifth by
/// chance so that nodes do not come back in step (KIP-144).
pub(crate) fn backoff(first: Span, max: Span, failures: u32, io: &mut Io<'_>) -> Span {
    let wait = first.times(1 << failures.min(20)).0.min(max.0);
    match wait / 5 {
        0 => Span(wait),
        fifth => Span(io.rng.between(wait - fifth, wait + fifth)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Surroundings, at};
    use trial_node::{Effect, Message};
    use trial_wire::messages::{ApiVersionsRequest, ApiVersionsResponse};

    const CHANNEL: ChannelId = ChannelId { node: NodeId(1), purpose: Purpose::Raft };

    fn endpoint() -> Endpoint {
        Endpoint::new("broker-1".to_owned(), 9093)
    }

    fn request(tag: u64) -> (u64, i16, RequestKind) {
        (tag, 3, RequestKind::ApiVersions(ApiVersionsRequest::default()))
    }

    fn response(correlation_id: i32) -> Response {
        let body = ResponseKind::ApiVersions(ApiVersionsResponse::default());
        Response { correlation_id, api_version: 3, body: Box::new(body) }
    }

    fn sent(conn: u64, correlation_id: i32) -> Effect {
        let (_, api_version, body) = request(0);
        let client_id = StrBytes::from_static_str("0");
        let request = Request { correlation_id, api_version, client_id, body: Box::new(body) };
        Effect::Send { conn: ConnId(conn), message: Message::Request(request) }
    }

    fn failed(tag: u64, error: SendError) -> Option<Completion> {
        Some(Completion { channel: CHANNEL, tag, result: Err(error) })
    }

    fn channels() -> (Channels, Surroundings) {
        (Channels::new(StrBytes::from_static_str("0")), Surroundings::new())
    }

    #[test]
    fn requests_wait_for_the_connection_and_are_answered_in_order() {
        let (mut channels, mut around) = channels();
        let timeout = Span::from_secs(30);
        let ((), effects) =
            around.call(|io| channels.send(at(0), io, CHANNEL, &endpoint(), request(7), timeout));
        assert_eq!(effects, [Effect::Connect { conn: ConnId(1), to: endpoint() }]);
        let ((), effects) =
            around.call(|io| channels.send(at(1), io, CHANNEL, &endpoint(), request(8), timeout));
        assert_eq!(effects, []);
        let (ours, effects) = around.call(|io| channels.connected(io, ConnId(1)));
        assert!(ours);
        assert_eq!(effects, [sent(1, 1), sent(1, 2)]);
        let (ours, _) = around.call(|io| channels.response(at(2), io, ConnId(1), response(1)));
        assert!(ours);
        let completion = channels.take_completion().expect("an answer");
        assert_eq!((completion.tag, completion.result), (7, Ok(response(1).body)));
        assert_eq!(channels.take_completion(), None);
    }

    #[test]
    fn an_answer_to_another_question_ends_the_connection() {
        let (mut channels, mut around) = channels();
        let timeout = Span::from_secs(30);
        around.call(|io| channels.send(at(0), io, CHANNEL, &endpoint(), request(7), timeout));
        around.call(|io| channels.connected(io, ConnId(1)));
        let (_, effects) = around.call(|io| channels.response(at(2), io, ConnId(1), response(5)));
        assert_eq!(effects, [Effect::Close { conn: ConnId(1) }]);
        assert_eq!(channels.take_completion(), failed(7, SendError::Disconnected));
        let (ours, _) = around.call(|io| channels.closed(at(3), io, ConnId(1)));
        assert!(!ours);
    }

    #[test]
    fn a_lost_connection_fails_everything_and_is_made_again_after_a_growing_wait() {
        let (mut channels, mut around) = channels();
        let timeout = Span::from_secs(30);
        let mut now = at(0);
        for (attempt, wait) in [(1, 40..=60), (2, 80..=120), (3, 160..=240), (4, 320..=480), (5, 400..=600)] {
            let ((), effects) =
                around.call(|io| channels.send(now, io, CHANNEL, &endpoint(), request(attempt), timeout));
            if attempt == 1 {
                assert_eq!(effects, [Effect::Connect { conn: ConnId(1), to: endpoint() }]);
            } else {
                assert_eq!(effects, []);
                now = Now { mono: channels.deadline(), wall_ms: 0 };
                let ((), effects) = around.call(|io| channels.timeout(now, io));
                assert_eq!(effects, [Effect::Connect { conn: ConnId(attempt), to: endpoint() }]);
            }
            around.call(|io| channels.closed(now, io, ConnId(attempt)));
            assert_eq!(channels.take_completion(), failed(attempt, SendError::Disconnected));
            let Link::Down { retry_at } = channels.channels[&CHANNEL].link else { panic!("it is down") };
            assert!(wait.contains(&retry_at.since(now.mono).as_millis()), "attempt {attempt}");
        }
    }

    #[test]
    fn a_request_without_a_response_in_time_closes_the_connection() {
        let (mut channels, mut around) = channels();
        around.call(|io| {
            channels.send(at(0), io, CHANNEL, &endpoint(), request(7), Span::from_millis(100));
            channels.connected(io, ConnId(1));
            channels.send(at(50), io, CHANNEL, &endpoint(), request(8), Span::from_millis(100));
        });
        assert_eq!(channels.deadline(), at(100).mono);
        let ((), effects) = around.call(|io| channels.timeout(at(100), io));
        assert_eq!(effects, [Effect::Close { conn: ConnId(1) }]);
        assert_eq!(channels.take_completion(), failed(7, SendError::TimedOut));
        assert_eq!(channels.take_completion(), failed(8, SendError::TimedOut));
        assert_eq!(channels.deadline(), Time::MAX);
    }

    #[test]
    fn a_connection_that_does_not_come_about_is_given_up() {
        let (mut channels, mut around) = channels();
        let timeout = Span::from_secs(30);
        around.call(|io| channels.send(at(0), io, CHANNEL, &endpoint(), request(7), timeout));
        assert_eq!(channels.deadline(), at(10_000).mono);
        let ((), effects) = around.call(|io| channels.timeout(at(10_000), io));
        assert_eq!(effects, [Effect::Close { conn: ConnId(1) }]);
        assert_eq!(channels.take_completion(), failed(7, SendError::Disconnected));
    }
}
