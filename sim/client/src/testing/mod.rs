//! A cluster that answers by script, for the clients' tests.
//!
//! It answers ApiVersions, Metadata and InitProducerId by itself; everything else waits for the test, unless the cluster
//! serves ([`Cluster::serve`]). Messages take no time; time passes only in [`Bench::run_until`].

mod cluster;
mod group;

use std::collections::{BTreeMap, VecDeque};

use trial_node::{
    ClientEvent, CloseReason, ConnId, Disk, DiskError, Effect, FileId, HaltReason, Input, Io, Message,
    NodeId, Now, Request, Response, Rng, Span, Time, TraceEvent,
};
use trial_wire::messages::ListOffsetsRequest;
use trial_wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use trial_wire::{RequestKind, ResponseKind, StrBytes, TopicName, message};

use crate::admin::Admin;
use crate::consumer::Consumer;
use crate::producer::Producer;
use crate::workload::ClientNode;

pub use cluster::{Answer, Cluster, Partition};

/// What the bench can drive.
pub trait Machine {
    fn input(&mut self, now: Now, input: Input, io: &mut Io<'_>);
    fn act(&mut self, now: Now, io: &mut Io<'_>);
    fn timeout(&self) -> Option<Time>;
}

impl Machine for Producer {
    fn input(&mut self, now: Now, input: Input, io: &mut Io<'_>) {
        self.handle(now, input, io);
    }
    fn act(&mut self, now: Now, io: &mut Io<'_>) {
        self.poll(now, io);
    }
    fn timeout(&self) -> Option<Time> {
        self.poll_timeout()
    }
}

impl Machine for Consumer {
    fn input(&mut self, now: Now, input: Input, io: &mut Io<'_>) {
        self.handle(now, input, io);
        self.poll(now, io);
    }
    fn act(&mut self, now: Now, io: &mut Io<'_>) {
        self.wake(now, io);
        self.poll(now, io);
    }
    fn timeout(&self) -> Option<Time> {
        self.poll_timeout()
    }
}

impl Machine for Admin {
    fn input(&mut self, now: Now, input: Input, io: &mut Io<'_>) {
        self.handle(now, input, io);
    }
    fn act(&mut self, now: Now, io: &mut Io<'_>) {
        self.poll(now, io);
    }
    fn timeout(&self) -> Option<Time> {
        self.poll_timeout()
    }
}

impl Machine for ClientNode {
    fn input(&mut self, now: Now, input: Input, io: &mut Io<'_>) {
        trial_node::Node::handle(self, now, input, io);
    }
    fn act(&mut self, now: Now, io: &mut Io<'_>) {
        trial_node::Node::handle(self, now, Input::Timeout, io);
    }
    fn timeout(&self) -> Option<Time> {
        trial_node::Node::poll_timeout(self)
    }
}

/// A request that waits for the test to answer it.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub node: NodeId,
    pub conn: ConnId,
    pub request: Request,
}

/// What surrounds a machine.
#[derive(Debug)]
pub struct World {
    pub now: Now,
    pub rng: Rng,
    pub last_conn: u64,
    pub disk: Files,
    pub cluster: Cluster,
    pub history: Vec<ClientEvent>,
    pub traces: Vec<TraceEvent>,
    pub halted: Option<HaltReason>,
    /// Every request that was sent, by API, for tests that count.
    pub sent: Vec<(Time, NodeId, Request)>,
    conns: BTreeMap<ConnId, NodeId>,
    waiting: VecDeque<Waiting>,
    /// On each connection the requests that were not answered, with the answers that must wait for earlier ones.
    order: BTreeMap<ConnId, VecDeque<(i32, Option<Response>)>>,
    inputs: VecDeque<Input>,
    delayed: BTreeMap<(Time, u64), (ConnId, Response)>,
    last_delayed: u64,
}

impl World {
    pub fn new(cluster: Cluster) -> World {
        World {
            now: Now { mono: Time::ZERO, wall_ms: 1_700_000_000_000 },
            rng: Rng::named(1, "client"),
            last_conn: 0,
            disk: Files::default(),
            cluster,
            history: Vec::new(),
            traces: Vec::new(),
            halted: None,
            sent: Vec::new(),
            conns: BTreeMap::new(),
            waiting: VecDeque::new(),
            order: BTreeMap::new(),
            inputs: VecDeque::new(),
            delayed: BTreeMap::new(),
            last_delayed: 0,
        }
    }

    /// Lets `act` do something with an `Io`, and carries out the effects.
    pub fn with<R>(&mut self, act: impl FnOnce(Now, &mut Io<'_>) -> R) -> R {
        let mut effects = Vec::new();
        let mut io = Io {
            disk: &mut self.disk,
            rng: &mut self.rng,
            effects: &mut effects,
            last_conn: &mut self.last_conn,
        };
        let result = act(self.now, &mut io);
        for effect in effects {
            self.carry_out(effect);
        }
        result
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Connect { conn, to } => match self.cluster.node_at(&to) {
                Some(node) if self.cluster.silent.contains(&node) => {}
                Some(node) if !self.cluster.down.contains(&node) => {
                    self.conns.insert(conn, node);
                    self.inputs.push_back(Input::Connected { conn });
                }
                _ => self.inputs.push_back(Input::Closed { conn, reason: CloseReason::Refused }),
            },
            Effect::Send { conn, message: Message::Request(request) } => {
                let node = *self.conns.get(&conn).expect("requests go to connections that stand");
                assert_survives_the_wire(&request);
                self.sent.push((self.now.mono, node, request.clone()));
                let answered = !matches!(&*request.body, RequestKind::Produce(produce) if produce.acks == 0);
                if answered {
                    self.order.entry(conn).or_default().push_back((request.correlation_id, None));
                }
                match self.cluster.answer(node, &request) {
                    Answer::Now(body) => self.respond(&Waiting { node, conn, request }, body),
                    Answer::After(wait, body) => {
                        let response = response_to(&request, body);
                        self.last_delayed += 1;
                        self.delayed.insert((self.now.mono + wait, self.last_delayed), (conn, response));
                    }
                    Answer::ByTest => self.waiting.push_back(Waiting { node, conn, request }),
                    Answer::Never => {}
                }
            }
            Effect::Send { message: Message::Response(_), .. } => panic!("clients do not respond"),
            Effect::Close { conn } => self.forget(conn),
            Effect::Trace(event) => self.traces.push(event),
            Effect::History(event) => self.history.push(event),
            Effect::Halt(reason) => self.halted = Some(reason),
        }
    }

    fn forget(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
        self.order.remove(&conn);
        self.waiting.retain(|waiting| waiting.conn != conn);
        self.delayed.retain(|_, (other, _)| *other != conn);
    }

    pub fn respond(&mut self, to: &Waiting, body: ResponseKind) {
        self.deliver(to.conn, response_to(&to.request, body));
    }

    /// Lets a request wait on, behind the others.
    pub fn put_back(&mut self, waiting: Waiting) {
        self.waiting.push_back(waiting);
    }

    /// A broker answers the requests of a connection in their order.
    fn deliver(&mut self, conn: ConnId, response: Response) {
        let Some(order) = self.order.get_mut(&conn) else { return };
        let slot = order.iter_mut().find(|(id, _)| *id == response.correlation_id).expect("it was asked");
        slot.1 = Some(response);
        while let Some((_, Some(_))) = order.front() {
            let (_, response) = order.pop_front().unwrap();
            self.inputs.push_back(Input::Response { conn, response: response.unwrap() });
        }
    }
}

/// What is sent must be expressible in the version that was negotiated.
fn assert_survives_the_wire(request: &Request) {
    let api = message::request_api(&request.body);
    let mut bytes = bytes::BytesMut::new();
    message::encode_request(&request.body, request.api_version, &mut bytes).unwrap();
    let decoded = message::decode_request(api, request.api_version, bytes.freeze()).unwrap();
    assert_eq!(decoded, *request.body);
}

fn response_to(request: &Request, body: ResponseKind) -> Response {
    Response {
        correlation_id: request.correlation_id,
        api_version: request.api_version,
        body: Box::new(body),
    }
}

/// A machine and its world.
#[derive(Debug)]
pub struct Bench<M> {
    pub machine: M,
    pub world: World,
}

impl<M: Machine> Bench<M> {
    pub fn new(cluster: Cluster, machine: impl FnOnce(Now, &mut Io<'_>) -> M) -> Bench<M> {
        let mut world = World::new(cluster);
        let machine = world.with(machine);
        Bench { machine, world }
    }

    /// Lets the machine act now, and delivers messages until all is quiet.
    pub fn settle(&mut self) {
        let machine = &mut self.machine;
        self.world.with(|now, io| machine.act(now, io));
        self.deliver();
    }

    fn deliver(&mut self) {
        let mut steps = 0;
        while let Some(input) = self.world.inputs.pop_front() {
            let machine = &mut self.machine;
            self.world.with(|now, io| machine.input(now, input, io));
            steps += 1;
            assert!(steps < 100_000, "messages go back and forth without end");
        }
    }

    /// Lets time pass.
    pub fn run_until(&mut self, end: Time) {
        self.deliver();
        let mut at_this_instant = 0;
        loop {
            let timeout = self.machine.timeout();
            let delayed = self.world.delayed.first_key_value().map(|((at, _), _)| *at);
            let Some(next) = [timeout, delayed].into_iter().flatten().min().filter(|next| *next <= end)
            else {
                break;
            };
            at_this_instant = if next > self.world.now.mono { 0 } else { at_this_instant + 1 };
            assert!(at_this_instant < 1_000, "the machine wants to be called at {next} again and again");
            self.world.set_time(next.max(self.world.now.mono));
            if delayed.is_some_and(|at| at <= self.world.now.mono) {
                let (_, (conn, response)) = self.world.delayed.pop_first().unwrap();
                self.world.deliver(conn, response);
                self.deliver();
            } else {
                self.settle();
            }
        }
        self.world.set_time(end);
    }

    pub fn run_for(&mut self, span: Span) {
        self.run_until(self.world.now.mono + span);
    }

    /// The oldest request that waits for the test.
    pub fn request(&mut self) -> Waiting {
        self.world.waiting.pop_front().expect("a request waits")
    }

    /// How many requests wait for the test.
    pub fn waiting(&self) -> usize {
        self.world.waiting.len()
    }

    pub fn respond(&mut self, to: &Waiting, body: ResponseKind) {
        self.world.respond(to, body);
        self.deliver();
    }

    /// Breaks all connections to a broker.
    pub fn reset(&mut self, node: NodeId) {
        let conns: Vec<ConnId> =
            self.world.conns.iter().filter(|(_, other)| **other == node).map(|(conn, _)| *conn).collect();
        for conn in conns {
            self.world.forget(conn);
            self.world.inputs.push_back(Input::Closed { conn, reason: CloseReason::Reset });
        }
        self.deliver();
    }

    /// The history since this was last asked.
    pub fn history(&mut self) -> Vec<ClientEvent> {
        std::mem::take(&mut self.world.history)
    }
}

impl World {
    fn set_time(&mut self, at: Time) {
        self.now.wall_ms += at.since(self.now.mono).as_millis() as i64;
        self.now.mono = at;
    }
}

pub fn topic_name(name: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(name))
}

/// What ListOffsets says if every partition that was asked for has this offset.
pub fn all_at(asked: &ListOffsetsRequest, offset: i64) -> ResponseKind {
    let topics = asked.topics.iter().map(|topic| {
        let told = topic.partitions.iter().map(|partition| {
            ListOffsetsPartitionResponse::default()
                .with_partition_index(partition.partition_index)
                .with_offset(offset)
        });
        ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(told.collect())
    });
    ListOffsetsResponse::default().with_topics(topics.collect()).into()
}

pub fn properties(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

/// A disk on which nothing is ever lost: files by name, and the names of the open ones.
#[derive(Clone, Debug, Default)]
pub struct Files {
    files: BTreeMap<String, Vec<u8>>,
    open: Vec<String>,
}

impl Files {
    fn file(&mut self, file: FileId) -> &mut Vec<u8> {
        self.files.get_mut(&self.open[file.0 as usize]).unwrap()
    }
}

impl Disk for Files {
    fn open(&mut self, path: &str, create: bool) -> Result<FileId, DiskError> {
        if !create && !self.files.contains_key(path) {
            return Err(DiskError::NotFound { path: path.to_owned() });
        }
        self.files.entry(path.to_owned()).or_default();
        self.open.push(path.to_owned());
        Ok(FileId(self.open.len() as u32 - 1))
    }
    fn close(&mut self, _file: FileId) {}
    fn len(&self, file: FileId) -> u64 {
        self.files[&self.open[file.0 as usize]].len() as u64
    }
    fn append(&mut self, file: FileId, chunks: &[bytes::Bytes]) -> Result<(), DiskError> {
        chunks.iter().for_each(|chunk| self.file(file).extend_from_slice(chunk));
        Ok(())
    }
    fn read(&mut self, file: FileId, position: u64, len: u64) -> Result<bytes::Bytes, DiskError> {
        let range = position as usize..(position + len) as usize;
        Ok(bytes::Bytes::copy_from_slice(&self.file(file)[range]))
    }
    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        self.file(file).truncate(len as usize);
        Ok(())
    }
    fn sync(&mut self, _file: FileId) -> Result<(), DiskError> {
        Ok(())
    }
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let content = self.files.remove(from).unwrap_or_default();
        self.files.insert(to.to_owned(), content);
        Ok(())
    }
    fn remove(&mut self, path: &str) -> Result<(), DiskError> {
        self.files.remove(path);
        Ok(())
    }
    fn list(&mut self, _folder: &str) -> Result<Vec<String>, DiskError> {
        Ok(self.files.keys().cloned().collect())
    }
    fn sync_folder(&mut self, _folder: &str) -> Result<(), DiskError> {
        Ok(())
    }
}
