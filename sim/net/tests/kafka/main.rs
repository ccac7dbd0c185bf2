//! A cluster behind real listeners, spoken to in bytes.

mod control;
mod session;
mod tls;
mod traps;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use trial_broker::{Broker, BrokerConfig};
use trial_net::session::{Checkpoint, Entry, Journal, Outcome, Recorded};
use trial_net::{Cluster, Doors, FaultId, Order, Server, Stop, Tally, TimeScale};
use trial_node::{ConnId, Endpoint, Input, NodeId, Request, Span, Time};
use trial_wire::frame::{decode_response_frame, encode_request_frame, split};
use trial_wire::message::{MessageError, request_api};
use trial_wire::messages::create_topics_request::CreatableTopic;
use trial_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use trial_wire::messages::metadata_request::MetadataRequestTopic;
use trial_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use trial_wire::messages::{
    ApiVersionsRequest, ApiVersionsResponse, CreateTopicsRequest, CreateTopicsResponse, FetchRequest,
    FetchResponse, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse,
};
use trial_wire::{BatchBuilder, Batches, RequestKind, ResponseKind, StrBytes, TopicName};
use trial_world::{HostId, HostSpec, Ignore, MachineProfile, World, WorldConfig};

/// Three brokers and nobody who watches.
struct Plain {
    world: World<Broker>,
    outside: HostId,
}

impl Plain {
    fn new() -> Plain {
        let mut world = World::new(WorldConfig::new(1));
        let name = |id: i32| StrBytes::from_string(format!("broker-{id}"));
        for id in 1..=3 {
            let config = BrokerConfig {
                node_id: NodeId(id),
                cluster_id: StrBytes::from_static_str("net-test"),
                voters: (1..=3).map(|id| (NodeId(id), name(id))).collect(),
                rack: None,
                properties: Default::default(),
                users: Default::default(),
                acls: Default::default(),
                features: Default::default(),
            };
            let (ports, profile) = (vec![9092, 9093], MachineProfile::default());
            world.add_host(HostSpec { name: name(id).to_string(), ports, profile, config });
        }
        let outside = world.add_outside("outside");
        (0..3).for_each(|host| world.start(HostId(host), &mut Ignore));
        world.run_until(Time::ZERO + Span::from_secs(5), &mut Ignore).expect("the cluster forms");
        Plain { world, outside }
    }
}

impl Plain {
    fn outcome(&self) -> Outcome {
        Outcome { events: self.world.counters().events, hash: self.world.hash(), passed: true }
    }
}

impl Cluster for Plain {
    type Error = trial_world::WorldError;

    fn now(&self) -> Time {
        self.world.now()
    }

    fn next_event(&self) -> Option<Time> {
        self.world.next_event()
    }

    fn run_until(&mut self, until: Time) -> Result<(), Self::Error> {
        self.world.run_until(until, &mut Ignore).map(drop)
    }

    fn connect(&mut self, to: &Endpoint) -> Option<ConnId> {
        self.world.outside_connect(self.outside, to)
    }

    fn request(&mut self, conn: ConnId, request: Request, _frame: Bytes) -> Result<(), MessageError> {
        self.world.outside_request(self.outside, conn, request)
    }

    fn close(&mut self, conn: ConnId) {
        self.world.outside_close(self.outside, conn);
    }

    fn unread(&self, conn: ConnId) -> u64 {
        self.world.outside_unread(self.outside, conn)
    }

    fn arrivals(&mut self) -> Vec<Input> {
        self.world.arrivals().into_iter().map(|arrival| arrival.input).collect()
    }

    fn order(&mut self, order: &Order) -> Result<String, String> {
        match order {
            Order::Fault(host) => {
                let host = self.world.find(host).ok_or_else(|| format!("there is no host {host:?}"))?;
                self.world.kill(host, &mut Ignore);
                Ok(format!("{{\"killed\":{}}}", host.0))
            }
            Order::Heal(FaultId(id)) => Err(format!("there is no fault {id}")),
            Order::HealAll | Order::CallOff => {
                (0..3).for_each(|host| self.world.start(HostId(host), &mut Ignore));
                Ok("{}".to_owned())
            }
        }
    }

    fn state(&self) -> String {
        format!("{{\"time_ns\":{}}}", self.world.now().0)
    }

    fn checkpoint(&self, index: usize) -> Option<Checkpoint> {
        let trial_world::Checkpoint { event, at, hash } = *self.world.checkpoints().get(index)?;
        Some(Checkpoint { event, at, hash })
    }
}

/// A server on a thread of its own.
struct Running {
    addresses: Vec<SocketAddr>,
    control: SocketAddr,
    stop: Stop,
    server: JoinHandle<Tally>,
}

fn brokers() -> Vec<Endpoint> {
    (1..=3).map(|id| Endpoint::new(format!("broker-{id}"), 9092)).collect()
}

impl Running {
    fn start() -> Running {
        Running::with(|server| {
            server.run(&mut Plain::new(), TimeScale::default()).expect("the cluster goes on")
        })
    }

    /// Writes the session into a file.
    fn recorded(file: PathBuf) -> Running {
        Running::with(move |server| {
            let journal = Journal::create(&file, "{}".to_owned()).expect("the file can be written");
            let mut recorded = Recorded::new(Plain::new(), journal, brokers());
            let tally = server.run(&mut recorded, TimeScale::default()).expect("the cluster goes on");
            let (plain, journal) = recorded.end();
            assert!(journal.put(vec![Entry::Outcome(plain.outcome())]));
            journal.close().expect("the file can be written");
            tally
        })
    }

    fn with(serve: impl FnOnce(&mut Server) -> Tally + Send + 'static) -> Running {
        Running::at(Doors::open(brokers()), serve)
    }

    #[allow(clippy::disallowed_methods, reason = "the test is the client, and needs the server beside it")]
    fn at(doors: Doors, serve: impl FnOnce(&mut Server) -> Tally + Send + 'static) -> Running {
        let mut server = Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), doors).expect("ports are free");
        let control = server.control(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port is free");
        let (addresses, stop) = (server.addresses().to_vec(), server.stop());
        let server = std::thread::spawn(move || serve(&mut server));
        Running { addresses, control, stop, server }
    }

    fn client(&self, broker: usize) -> Client {
        let socket = TcpStream::connect(self.addresses[broker]).expect("the server listens");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("it is no zero");
        Client { socket, received: BytesMut::new(), correlation_id: 100 }
    }

    fn end(self) -> Tally {
        self.stop.stop();
        self.server.join().expect("the server does not panic")
    }
}

struct Client {
    socket: TcpStream,
    received: BytesMut,
    correlation_id: i32,
}

impl Client {
    fn send(&mut self, version: i16, body: &RequestKind) -> i32 {
        self.correlation_id += 1;
        let mut frame = BytesMut::new();
        encode_request_frame(self.correlation_id, version, "test", body, &mut frame)
            .expect("it can be encoded");
        self.socket.write_all(&frame).expect("the socket stands");
        self.correlation_id
    }

    /// The next frame; `None` if the server has closed the connection.
    fn frame(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = split(&mut self.received, 100 << 20).expect("the server sends frames") {
                return Some(frame);
            }
            let mut buffer = [0; 4096];
            match self.socket.read(&mut buffer) {
                Ok(0) => return None,
                Ok(bytes) => self.received.extend_from_slice(&buffer[..bytes]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn ask(&mut self, version: i16, body: RequestKind) -> ResponseKind {
        let asked = self.send(version, &body);
        let frame = self.frame().expect("the server answers");
        let (correlation_id, response) =
            decode_response_frame(request_api(&body), version, frame).expect("it can be decoded");
        assert_eq!(correlation_id, asked);
        response
    }

    fn metadata(&mut self, topic: &str) -> MetadataResponse {
        let topic = MetadataRequestTopic::default().with_name(Some(name(topic)));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        match self.ask(12, RequestKind::Metadata(request)) {
            ResponseKind::Metadata(response) => response,
            other => panic!("{other:?}"),
        }
    }
}

fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

fn batch(values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(trial_wire::Compression::None);
    for value in values {
        builder.push(1_000, None, Some(value.as_bytes()), &[]);
    }
    builder.build().bytes().clone()
}

fn produce(topic: &str, acks: i16, values: &[&str]) -> RequestKind {
    let partition = PartitionProduceData::default().with_index(0).with_records(Some(batch(values)));
    let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![partition]);
    let request = ProduceRequest::default().with_acks(acks).with_timeout_ms(10_000);
    RequestKind::Produce(request.with_topic_data(vec![topic]))
}

fn fetch(topic: &str, min_bytes: i32) -> RequestKind {
    let partition = FetchPartition::default().with_partition(0).with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(name(topic)).with_partitions(vec![partition]);
    let request = FetchRequest::default().with_max_wait_ms(10_000).with_min_bytes(min_bytes);
    RequestKind::Fetch(request.with_topics(vec![topic]))
}

fn values(response: ResponseKind) -> Vec<String> {
    let ResponseKind::Fetch(FetchResponse { responses, .. }) = response else { panic!("{response:?}") };
    let records = responses[0].partitions[0].records.clone().unwrap_or_default();
    let mut values = Vec::new();
    for batch in Batches::new(records) {
        let batch = batch.expect("a whole batch");
        for record in batch.records(1 << 20).expect("they are whole") {
            let value = record.value.expect("it has a value");
            values.push(String::from_utf8(value.to_vec()).expect("it is text"));
        }
    }
    values
}

/// Makes a topic of one partition and connects to its leader.
fn with_topic(server: &Running, topic: &str) -> Client {
    let mut client = server.client(0);
    let wanted =
        CreatableTopic::default().with_name(name(topic)).with_num_partitions(1).with_replication_factor(3);
    let request = CreateTopicsRequest::default().with_topics(vec![wanted]).with_timeout_ms(10_000);
    match client.ask(7, RequestKind::CreateTopics(request)) {
        ResponseKind::CreateTopics(CreateTopicsResponse { topics, .. }) => {
            assert_eq!(topics[0].error_code, 0)
        }
        other => panic!("{other:?}"),
    }
    loop {
        let metadata = client.metadata(topic);
        let Some(partition) = metadata.topics[0].partitions.first().filter(|p| p.error_code == 0) else {
            continue;
        };
        let leader = metadata.brokers.iter().find(|broker| broker.node_id == partition.leader_id);
        let leader = leader.expect("the leader is alive");
        let advertised = format!("{}:{}", leader.host, leader.port).parse().expect("it is a real address");
        let index = server.addresses.iter().position(|address| *address == advertised);
        assert_eq!(index, Some(usize::try_from(partition.leader_id.0 - 1).expect("ids count from 1")));
        return server.client(index.expect("it was compared"));
    }
}

#[test]
fn what_is_produced_is_fetched() {
    let server = Running::start();
    let mut client = with_topic(&server, "orders");
    match client.ask(9, produce("orders", -1, &["a", "b"])) {
        ResponseKind::Produce(ProduceResponse { responses, .. }) => {
            let partition = &responses[0].partition_responses[0];
            assert_eq!((partition.error_code, partition.base_offset), (0, 0));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(values(client.ask(12, fetch("orders", 1))), ["a", "b"]);
    let tally = server.end();
    assert_eq!((tally.connections, tally.refused.len()), (2, 0));
    assert_eq!(tally.requests, tally.responses);
}

#[test]
fn acks_0_gets_no_response_and_pipelined_requests_are_answered_in_order() {
    let server = Running::start();
    let mut client = with_topic(&server, "orders");
    for value in ["a", "b", "c"] {
        client.send(9, &produce("orders", 0, &[value]));
    }
    let asked = [
        client.send(12, &fetch("orders", 1)),
        client.send(9, &produce("orders", -1, &["d"])),
        client.send(9, &produce("orders", 1, &["e"])),
    ];
    let ids = asked.map(|_| {
        let frame = client.frame().expect("the server answers");
        i32::from_be_bytes(frame[..4].try_into().expect("a frame has a correlation id"))
    });
    assert_eq!(ids, asked);
    // As many as fit: all five records together.
    assert_eq!(values(client.ask(12, fetch("orders", 1))), ["a", "b", "c", "d", "e"]);
    server.end();
}

#[test]
fn a_newer_client_is_told_our_versions() {
    let server = Running::start();
    let mut client = server.client(1);
    // A frame of version 4 whose version is then written over.
    let mut frame = BytesMut::new();
    let body = RequestKind::ApiVersions(ApiVersionsRequest::default());
    encode_request_frame(5, 4, "test", &body, &mut frame).expect("it can be encoded");
    frame[6..8].copy_from_slice(&99_i16.to_be_bytes());
    client.socket.write_all(&frame).expect("the socket stands");
    let frame = client.frame().expect("the server answers");
    let api = request_api(&body);
    let (correlation_id, response) = decode_response_frame(api, 0, frame).expect("version 0 is spoken");
    let ResponseKind::ApiVersions(ApiVersionsResponse { error_code, api_keys, .. }) = response else {
        panic!("{response:?}")
    };
    assert_eq!((correlation_id, error_code, api_keys[0].max_version), (5, 35, 4));
    server.end();
}

#[test]
fn bytes_that_are_no_request_close_the_connection_and_nothing_else() {
    let server = Running::start();
    let mut bystander = server.client(0);
    let hostile: [&[u8]; 5] = [
        &[0xff; 64],
        &[0x7f, 0xff, 0xff, 0xff],
        &[0, 0, 0, 2, 0, 3],
        &[0, 0, 0, 12, 0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff, 0, 0],
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ];
    for bytes in hostile {
        let mut client = server.client(0);
        client.socket.write_all(bytes).expect("the socket stands");
        assert_eq!(client.frame(), None, "{bytes:?}");
    }
    assert_eq!(bystander.metadata("nothing").brokers.len(), 3);
    let tally = server.end();
    assert_eq!(tally.refused.values().sum::<u64>(), 5, "{tally:?}");
}

#[test]
fn ports_that_cannot_be_had_are_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound");
    let brokers = |count: usize| vec![Endpoint::new("broker-1", 9092); count];
    let error = Server::bind(address, Doors::open(brokers(1))).expect_err("it is taken").to_string();
    assert!(error.starts_with(&format!("cannot listen on {address}: ")), "{error}");
    let last = SocketAddr::from(([127, 0, 0, 1], 65_535));
    let error = Server::bind(last, Doors::open(brokers(2))).expect_err("there is no port 65536").to_string();
    assert!(error.contains("65535"), "{error}");
    let any = SocketAddr::from(([0, 0, 0, 0], 0));
    let error = Server::bind(any, Doors::open(brokers(1))).expect_err("it is nowhere").to_string();
    assert!(error.contains("a particular one"), "{error}");
}
