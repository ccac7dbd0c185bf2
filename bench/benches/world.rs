//! How fast the world itself is: two typed nodes that answer each other over a 100 µs link.
//!
//! Messages per second are criterion's elements per second: every delivered message counts, requests and responses.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use trial_node::{ConnId, Endpoint, Input, Io, Node, Now, OpenError, Request, Response, Span, Time};
use trial_wire::messages::{FetchRequest, FetchResponse, HeartbeatRequest, HeartbeatResponse};
use trial_wire::messages::{fetch_request, fetch_response};
use trial_wire::{RequestKind, ResponseKind, StrBytes};
use trial_world::{HostSpec, Ignore, MachineProfile, Wire, World, WorldConfig};

/// What the nodes say to each other.
#[derive(Clone, Copy)]
enum Talk {
    /// A heartbeat: the smallest message of use.
    Heartbeat,
    /// A fetch of one partition, empty, as an idle follower's.
    Fetch,
}

#[derive(Clone)]
struct Config {
    /// Whom to send requests to; `None` answers them.
    to: Option<Endpoint>,
    talk: Talk,
}

/// Sends a request for each response, or answers each request.
#[derive(Clone)]
struct Talker {
    talk: Talk,
    correlation_id: i32,
}

impl Talker {
    fn request(&mut self, conn: ConnId, io: &mut Io<'_>) {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let (api_version, body) = match self.talk {
            Talk::Heartbeat => {
                let heartbeat = HeartbeatRequest::default()
                    .with_group_id(StrBytes::from_static_str("billing").into())
                    .with_generation_id(7)
                    .with_member_id(StrBytes::from_static_str("member-1"));
                (4, RequestKind::Heartbeat(heartbeat))
            }
            Talk::Fetch => {
                let partition = fetch_request::FetchPartition::default().with_fetch_offset(42);
                let topic = fetch_request::FetchTopic::default().with_partitions(vec![partition]);
                let fetch = FetchRequest::default().with_max_wait_ms(500).with_topics(vec![topic]);
                (17, RequestKind::Fetch(fetch))
            }
        };
        let client_id = StrBytes::from_static_str("bench");
        io.request(
            conn,
            Request { correlation_id: self.correlation_id, api_version, client_id, body: body.into() },
        );
    }
}

impl Node for Talker {
    type Config = Config;

    fn open(config: Config, io: &mut Io<'_>, _now: Now) -> Result<Self, OpenError> {
        if let Some(to) = config.to {
            io.connect(to);
        }
        Ok(Talker { talk: config.talk, correlation_id: 0 })
    }

    fn handle(&mut self, _now: Now, input: Input, io: &mut Io<'_>) {
        match input {
            Input::Connected { conn } | Input::Response { conn, .. } => self.request(conn, io),
            Input::Request { conn, request } => {
                let body = match *request.body {
                    RequestKind::Fetch(_) => {
                        let partition = fetch_response::PartitionData::default().with_high_watermark(42);
                        let topic = fetch_response::FetchableTopicResponse::default()
                            .with_partitions(vec![partition]);
                        ResponseKind::Fetch(FetchResponse::default().with_responses(vec![topic]))
                    }
                    _ => ResponseKind::Heartbeat(HeartbeatResponse::default()),
                };
                let (correlation_id, api_version) = (request.correlation_id, request.api_version);
                io.respond(conn, Response { correlation_id, api_version, body: body.into() });
            }
            _ => {}
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        None
    }
}

fn world(wire: Wire, talk: Talk) -> World<Talker> {
    let mut world = World::new(WorldConfig { wire, ..WorldConfig::new(1) });
    for (name, to) in [("server", None), ("client", Some(Endpoint::new("server", 9092)))] {
        let config = Config { to, talk };
        let (ports, profile) = (vec![9092], MachineProfile::default());
        let host = world.add_host(HostSpec { name: name.to_owned(), ports, profile, config });
        world.start(host, &mut Ignore);
    }
    world.run_until(Time(1_000_000), &mut Ignore).expect("the talkers are right");
    world
}

const MESSAGES: u64 = 100_000;

fn ping_pong(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("world/ping_pong");
    group.throughput(Throughput::Elements(MESSAGES));
    let cases = [
        ("typed/heartbeat", Wire::Typed, Talk::Heartbeat),
        ("typed/fetch", Wire::Typed, Talk::Fetch),
        ("bytes/heartbeat", Wire::Bytes, Talk::Heartbeat),
        ("bytes/fetch", Wire::Bytes, Talk::Fetch),
    ];
    for (name, wire, talk) in cases {
        let mut world = world(wire, talk);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let before = world.counters().messages;
                let until = world.now() + Span::from_micros(100).times(MESSAGES);
                world.run_until(until, &mut Ignore).expect("the talkers are right");
                assert_eq!(world.counters().messages - before, MESSAGES, "each 100 us one message");
            });
        });
    }
}

fn snapshot(criterion: &mut Criterion) {
    let world = world(Wire::Typed, Talk::Heartbeat);
    criterion.bench_function("world/clone", |bencher| {
        bencher.iter_batched(|| (), |()| world.clone(), BatchSize::SmallInput);
    });
}

criterion_group!(benches, ping_pong, snapshot);
criterion_main!(benches);
