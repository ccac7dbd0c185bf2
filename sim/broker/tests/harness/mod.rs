//! A little cluster in memory: brokers on simulated disks, joined by a network that delivers every message after the same
//! delay, and one client that a test speaks for. Everything repeats.
#![allow(dead_code, reason = "each test program uses a part")]

use std::collections::{BTreeMap, BTreeSet};

use trial_broker::{Broker, BrokerConfig};
use trial_node::view::BrokerView;
use trial_node::{
    CloseReason, ConnId, Effect, Endpoint, HaltReason, Input, Io, Message, Node, NodeId, Now, Request, Rng,
    Signal, Span, Time, TraceEvent,
};
use trial_storage::SimDisk;
use trial_wire::api::latest;
use trial_wire::message::request_api;
use trial_wire::{ApiKey, RequestKind, ResponseKind, StrBytes};

/// How long each message takes.
pub const DELAY: Span = Span::from_micros(100);
/// The wall clock at the start, ms since the epoch.
const WALL_START_MS: i64 = 1_700_000_000_000;

struct Host {
    disk: SimDisk,
    rng: Rng,
    last_conn: u64,
    config: BrokerConfig,
    broker: Option<Broker>,
    halted: Option<HaltReason>,
    /// Grows with each start; what was sent to an earlier one is lost.
    generation: u64,
}

/// One end of a connection: which host, and the name that it knows the connection by.
type End = (usize, ConnId);

/// What the client has received.
#[derive(Debug, PartialEq)]
pub enum Received {
    /// A response.
    Response(Box<trial_node::Response>),
    /// The connection ended.
    Closed(CloseReason),
}

pub struct Cluster {
    pub now: Time,
    hosts: Vec<Host>,
    queue: BTreeMap<(Time, u64), (usize, u64, Input)>,
    sequence: u64,
    links: BTreeMap<End, End>,
    cut: BTreeSet<usize>,
    /// Ends that do not know yet that their connection has gone.
    orphans: Vec<End>,
    client_conn: u64,
    client_correlation: i32,
    pub inbox: Vec<(ConnId, Received)>,
    pub traces: Vec<(Time, usize, TraceEvent)>,
}

impl Cluster {
    /// `n` brokers, not yet started.
    pub fn new(n: usize, properties: &[(&str, &str)]) -> Cluster {
        Cluster::seeded(7, n, properties)
    }

    /// As [`Cluster::new`], with another choice of everything that is left to chance.
    pub fn seeded(seed: u64, n: usize, properties: &[(&str, &str)]) -> Cluster {
        let host = |i: usize| StrBytes::from(format!("broker-{i}"));
        let voters: BTreeMap<NodeId, StrBytes> = (0..n).map(|i| (NodeId(i as i32), host(i))).collect();
        let properties = properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let properties: BTreeMap<String, String> = properties.collect();
        let hosts = (0..n).map(|i| Host {
            disk: SimDisk::new(),
            rng: Rng::named(seed, &format!("broker-{i}")),
            last_conn: 0,
            config: BrokerConfig {
                node_id: NodeId(i as i32),
                cluster_id: StrBytes::from_static_str("trial-test"),
                voters: voters.clone(),
                rack: None,
                properties: properties.clone(),
                users: BTreeMap::new(),
                acls: Vec::new(),
                features: BTreeMap::new(),
            },
            broker: None,
            halted: None,
            generation: 0,
        });
        Cluster {
            now: Time::ZERO,
            hosts: hosts.collect(),
            queue: BTreeMap::new(),
            sequence: 0,
            links: BTreeMap::new(),
            cut: BTreeSet::new(),
            orphans: Vec::new(),
            client_conn: 0,
            client_correlation: 0,
            inbox: Vec::new(),
            traces: Vec::new(),
        }
    }

    /// `n` brokers, started, registered and unfenced.
    pub fn running(n: usize, properties: &[(&str, &str)]) -> Cluster {
        let mut cluster = Cluster::new(n, properties);
        (0..n).for_each(|i| cluster.start(i));
        cluster.run_until("all brokers are unfenced", |cluster| cluster.unfenced() == n);
        cluster
    }

    pub fn start(&mut self, i: usize) {
        let now = self.clocks();
        let host = &mut self.hosts[i];
        assert!(host.broker.is_none(), "broker {i} runs already");
        host.generation += 1;
        host.halted = None;
        let mut effects = Vec::new();
        let mut io = Io {
            disk: &mut host.disk.for_node(),
            rng: &mut host.rng,
            effects: &mut effects,
            last_conn: &mut host.last_conn,
        };
        host.broker = Some(Broker::open(host.config.clone(), &mut io, now).expect("the broker starts"));
        self.carry_out(i, effects);
    }

    /// The process dies.
    pub fn kill(&mut self, i: usize) {
        self.hosts[i].broker = None;
        self.hosts[i].disk.crash_process();
        self.reset_links(i, CloseReason::Reset);
    }

    /// The machine loses power.
    pub fn lose_power(&mut self, i: usize) {
        self.kill(i);
        let host = &mut self.hosts[i];
        host.disk.lose_power(&mut host.rng);
    }

    /// Nothing leaves or reaches the host any more, silently.
    pub fn isolate(&mut self, i: usize) {
        self.cut.insert(i);
    }

    /// Messages flow again; connections that stood have lost some, and are reset.
    pub fn heal(&mut self, i: usize) {
        if self.cut.remove(&i) {
            let ends: Vec<End> = self.links.keys().filter(|end| end.0 == i).copied().collect();
            for end in ends {
                if let Some(peer) = self.links.remove(&end) {
                    self.links.remove(&peer);
                    self.orphans.extend([end, peer]);
                }
            }
            for (host, conn) in std::mem::take(&mut self.orphans) {
                self.schedule(host, Input::Closed { conn, reason: CloseReason::Reset });
            }
        }
    }

    pub fn is_isolated(&self, i: usize) -> bool {
        self.cut.contains(&i)
    }

    pub fn signal(&mut self, i: usize, signal: Signal) {
        self.deliver(i, Input::Signal(signal));
    }

    pub fn broker(&self, i: usize) -> &Broker {
        self.hosts[i].broker.as_ref().expect("the broker runs")
    }

    pub fn is_up(&self, i: usize) -> bool {
        self.hosts[i].broker.is_some()
    }

    pub fn halted(&self, i: usize) -> Option<&HaltReason> {
        self.hosts[i].halted.as_ref()
    }

    pub fn disk(&mut self, i: usize) -> &mut SimDisk {
        &mut self.hosts[i].disk
    }

    /// The brokers that run, with their indexes.
    pub fn up(&self) -> impl Iterator<Item = (usize, &Broker)> {
        self.hosts.iter().enumerate().filter_map(|(i, host)| Some((i, host.broker.as_ref()?)))
    }

    /// The running broker that leads the quorum in the highest epoch.
    pub fn quorum_leader(&self) -> Option<usize> {
        let leaders = self.up().filter(|(_, broker)| broker.quorum().is_leader);
        leaders.max_by_key(|(_, broker)| broker.quorum().epoch).map(|(i, _)| i)
    }

    /// How many running brokers are unfenced, by what they traced.
    pub fn unfenced(&self) -> usize {
        let unfenced = |i: usize| {
            let mine = self.traces.iter().filter(|(_, host, _)| *host == i);
            let last = mine.rev().find(|(_, _, event)| {
                matches!(
                    event,
                    TraceEvent::BrokerStarted | TraceEvent::BrokerUnfenced | TraceEvent::BrokerFenced
                )
            });
            matches!(last, Some((_, _, TraceEvent::BrokerUnfenced)))
        };
        self.up().filter(|(i, _)| unfenced(*i)).count()
    }

    /// Runs for a span of time.
    pub fn run(&mut self, span: Span) {
        let end = self.now + span;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until `done`, for a minute at most.
    #[track_caller]
    pub fn run_until(&mut self, what: &str, done: impl Fn(&Cluster) -> bool) {
        let end = self.now + Span::from_secs(60);
        while !done(self) {
            if !self.step(end) {
                panic!("a minute has passed, but not yet: {what}; last:\n{}", self.last_traces());
            }
        }
    }

    pub fn last_traces(&self) -> String {
        let lines = self.traces.iter().rev().take(60).rev();
        lines.map(|(time, host, event)| format!("{time} broker-{host} {event}\n")).collect()
    }

    /// Opens a connection from the client.
    pub fn connect(&mut self, to: usize, port: u16) -> ConnId {
        self.client_conn += 1;
        let conn = ConnId(self.client_conn);
        self.join((CLIENT, conn), to, port);
        conn
    }

    /// Sends a request from the client; gives its correlation id.
    pub fn send(&mut self, conn: ConnId, version: i16, body: RequestKind) -> i32 {
        self.client_correlation += 1;
        let correlation_id = self.client_correlation;
        let client_id = StrBytes::from_static_str("test");
        let request = Request { correlation_id, api_version: version, client_id, body: Box::new(body) };
        if let Some(&(host, peer)) = self.links.get(&(CLIENT, conn)) {
            self.schedule(host, Input::Request { conn: peer, request });
        }
        correlation_id
    }

    /// Sends a request on a connection of its own and waits for the response.
    #[track_caller]
    pub fn ask(&mut self, to: usize, port: u16, body: impl Into<RequestKind>) -> ResponseKind {
        let body = body.into();
        let version = match request_api(&body) {
            // The newest that names topics by name.
            ApiKey::OffsetCommit | ApiKey::OffsetFetch => 9,
            api => latest(api),
        };
        self.ask_in(version, to, port, body)
    }

    /// As [`Cluster::ask`], in this version.
    #[track_caller]
    pub fn ask_in(&mut self, version: i16, to: usize, port: u16, body: RequestKind) -> ResponseKind {
        let conn = self.connect(to, port);
        self.send(conn, version, body);
        self.run_until("the response to a request", |cluster| {
            cluster.inbox.iter().any(|(from, _)| *from == conn)
        });
        let at = self.inbox.iter().position(|(from, _)| *from == conn).expect("it has come");
        match self.inbox.remove(at).1 {
            Received::Response(response) => *response.body,
            Received::Closed(reason) => panic!("broker {to} closed the connection: {reason:?}"),
        }
    }

    fn clocks(&self) -> Now {
        Now { mono: self.now, wall_ms: WALL_START_MS + Span(self.now.0).as_millis() as i64 }
    }

    /// Lets the next thing happen, if it happens before `end`.
    fn step(&mut self, end: Time) -> bool {
        let timeouts = self.up().filter_map(|(i, broker)| Some((broker.poll_timeout()?, i)));
        let timeout = timeouts.min().map(|(at, i)| (at.max(self.now), i));
        let message = self.queue.first_key_value().map(|((at, sequence), _)| (*at, *sequence));
        match (message, timeout) {
            (Some(key), timeout) if timeout.is_none_or(|(at, _)| key.0 <= at) && key.0 <= end => {
                self.now = key.0;
                let (host, generation, input) = self.queue.remove(&key).expect("it is the first");
                if host == CLIENT {
                    self.client_receives(input);
                } else if self.hosts[host].generation == generation && !self.cut.contains(&host) {
                    self.deliver(host, input);
                }
                true
            }
            (_, Some((at, host))) if at <= end => {
                self.now = at;
                self.deliver(host, Input::Timeout);
                true
            }
            _ => false,
        }
    }

    fn deliver(&mut self, i: usize, input: Input) {
        let now = self.clocks();
        let host = &mut self.hosts[i];
        let Some(broker) = &mut host.broker else { return };
        let mut effects = Vec::new();
        let mut io = Io {
            disk: &mut host.disk.for_node(),
            rng: &mut host.rng,
            effects: &mut effects,
            last_conn: &mut host.last_conn,
        };
        let timeout = input == Input::Timeout;
        broker.handle(now, input, &mut io);
        let stuck = timeout && effects.is_empty() && broker.poll_timeout().is_some_and(|at| at <= now.mono);
        assert!(!stuck, "broker {i} wants the same time-out again and again");
        self.carry_out(i, effects);
    }

    fn client_receives(&mut self, input: Input) {
        match input {
            Input::Response { conn, response } => {
                self.inbox.push((conn, Received::Response(Box::new(response))))
            }
            Input::Closed { conn, reason } => self.inbox.push((conn, Received::Closed(reason))),
            Input::Connected { .. } => {}
            other => panic!("a client does not get {other:?}"),
        }
    }

    fn carry_out(&mut self, i: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Connect { conn, to: Endpoint { host, port } } => {
                    let to = (0..self.hosts.len()).find(|to| host.as_str() == format!("broker-{to}"));
                    self.join((i, conn), to.expect("a known host"), port);
                }
                Effect::Send { conn, message } => {
                    let Some(&(to, conn)) = self.links.get(&(i, conn)) else { continue };
                    if self.cut.contains(&i) {
                        continue;
                    }
                    let input = match message {
                        Message::Request(request) => Input::Request { conn, request },
                        Message::Response(response) => Input::Response { conn, response },
                    };
                    self.schedule(to, input);
                }
                Effect::Close { conn } => self.part((i, conn), CloseReason::PeerClosed),
                Effect::Trace(event) => self.traces.push((self.now, i, event)),
                Effect::History(event) => panic!("a broker has no history: {event:?}"),
                Effect::Halt(reason) => {
                    self.hosts[i].halted = Some(reason);
                    self.hosts[i].broker = None;
                    self.hosts[i].disk.crash_process();
                    self.reset_links(i, CloseReason::Reset);
                }
            }
        }
    }

    fn join(&mut self, from: End, to: usize, port: u16) {
        if self.cut.contains(&to) || self.cut.contains(&from.0) && from.0 != to {
            return;
        }
        let host = &mut self.hosts[to];
        if host.broker.is_none() {
            return self.schedule(from.0, Input::Closed { conn: from.1, reason: CloseReason::Refused });
        }
        host.last_conn += 1;
        let accepted = ConnId(host.last_conn);
        self.links.insert(from, (to, accepted));
        self.links.insert((to, accepted), from);
        self.schedule(to, Input::Accepted { conn: accepted, port });
        self.schedule(from.0, Input::Connected { conn: from.1 });
    }

    fn part(&mut self, end: End, reason: CloseReason) {
        if let Some(peer) = self.links.remove(&end) {
            self.links.remove(&peer);
            if self.cut.contains(&end.0) || self.cut.contains(&peer.0) {
                self.orphans.push(peer);
            } else {
                self.schedule(peer.0, Input::Closed { conn: peer.1, reason });
            }
        }
    }

    fn reset_links(&mut self, i: usize, reason: CloseReason) {
        let ends: Vec<End> = self.links.keys().filter(|end| end.0 == i).copied().collect();
        ends.into_iter().for_each(|end| self.part(end, reason));
    }

    fn schedule(&mut self, to: usize, input: Input) {
        self.sequence += 1;
        let generation = if to == CLIENT { 0 } else { self.hosts[to].generation };
        self.queue.insert((self.now + DELAY, self.sequence), (to, generation, input));
    }
}

/// The client's place among the hosts.
const CLIENT: usize = usize::MAX;
