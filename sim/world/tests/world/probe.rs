//! A node that does what it is told and notes what it gets.

use bytes::Bytes;
use trial_node::{
    ConnId, Endpoint, HaltReason, Input, Io, Node, Now, OpenError, Request, Response, Signal, Span, Time,
};
use trial_wire::messages::{DeleteGroupsRequest, DeleteGroupsResponse, GroupId};
use trial_wire::{RequestKind, ResponseKind, StrBytes};
use trial_world::{HostId, HostSpec, Ignore, MachineProfile, RunEnd, World, WorldConfig};

/// One thing that a probe is told to do.
#[derive(Clone, Copy, Debug)]
pub enum Do {
    /// Connect to port 9092 of that host.
    Connect(&'static str),
    /// Send a request with so many bytes on the connection opened last.
    Send(usize),
    /// Send a request in a version that there is not.
    SendWrong,
    /// Close the connection opened last.
    Close,
    /// Append so many bytes to a file; sync it if told to.
    Write(usize, bool),
    /// Stop.
    Halt,
}

#[derive(Clone, Default)]
pub struct Config {
    /// What to do when, in microseconds since the start of the world.
    pub script: Vec<(u64, Do)>,
    /// For each request, append so many bytes and sync them before answering.
    pub sync_per_request: Option<usize>,
    /// Take requests without answering.
    pub mute: bool,
}

#[derive(Clone)]
pub struct Probe {
    config: Config,
    next: usize,
    conn: ConnId,
    correlation_id: i32,
    /// What it got, and when in microseconds.
    pub log: Vec<(u64, String)>,
    pub wall_ms: i64,
    pub drawn: u64,
}

impl Probe {
    fn act(&mut self, what: Do, io: &mut Io<'_>) {
        match what {
            Do::Connect(host) => self.conn = io.connect(Endpoint::new(host, 9092)),
            Do::Send(bytes) => self.send(bytes, 2, io),
            Do::SendWrong => self.send(1, 99, io),
            Do::Close => io.close(self.conn),
            Do::Write(bytes, sync) => write(bytes, sync, io),
            Do::Halt => io.halt(HaltReason::Shutdown),
        }
    }

    fn send(&mut self, bytes: usize, api_version: i16, io: &mut Io<'_>) {
        self.correlation_id += 1;
        // One byte of them says how many groups there are.
        let group = GroupId(StrBytes::from_string("g".repeat(bytes.saturating_sub(1))));
        let body = DeleteGroupsRequest::default().with_groups_names(vec![group]);
        let request = Request {
            correlation_id: self.correlation_id,
            api_version,
            client_id: StrBytes::from_static_str("probe"),
            body: Box::new(RequestKind::DeleteGroups(body)),
        };
        io.request(self.conn, request);
    }
}

fn write(bytes: usize, sync: bool, io: &mut Io<'_>) {
    let file = io.disk.open("file", true).unwrap();
    io.disk.append(file, &[Bytes::from(vec![1; bytes])]).unwrap();
    if sync {
        io.disk.sync(file).unwrap();
        io.disk.sync_folder("").unwrap();
    }
    io.disk.close(file);
}

impl Node for Probe {
    type Config = Config;

    fn open(config: Config, io: &mut Io<'_>, now: Now) -> Result<Self, OpenError> {
        let next = config.script.iter().take_while(|(at, _)| at * 1_000 < now.mono.0).count();
        let drawn = io.rng.next_u64();
        let probe = Probe {
            config,
            next,
            conn: ConnId(0),
            correlation_id: 0,
            log: Vec::new(),
            wall_ms: now.wall_ms,
            drawn,
        };
        Ok(probe)
    }

    fn handle(&mut self, now: Now, input: Input, io: &mut Io<'_>) {
        self.wall_ms = now.wall_ms;
        let what = match input {
            Input::Timeout => {
                while let Some((at, what)) = self.config.script.get(self.next).copied() {
                    if at * 1_000 > now.mono.0 {
                        break;
                    }
                    self.next += 1;
                    self.act(what, io);
                }
                return;
            }
            Input::Connected { .. } => "connected".to_owned(),
            Input::Accepted { port, .. } => format!("accepted {port}"),
            Input::Closed { reason, .. } => format!("closed {reason:?}"),
            Input::Request { conn, request } => {
                if let Some(bytes) = self.config.sync_per_request {
                    write(bytes, true, io);
                }
                let (correlation_id, api_version) = (request.correlation_id, request.api_version);
                if !self.config.mute {
                    let body = ResponseKind::DeleteGroups(DeleteGroupsResponse::default());
                    io.respond(conn, Response { correlation_id, api_version, body: body.into() });
                }
                format!("request {correlation_id}")
            }
            Input::Response { response, .. } => format!("response {}", response.correlation_id),
            Input::Signal(Signal::Terminate) => {
                io.halt(HaltReason::Shutdown);
                "terminate".to_owned()
            }
            Input::Signal(signal) => format!("{signal:?}"),
        };
        self.log.push((now.mono.0 / 1_000, what));
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.config.script.get(self.next).map(|(at, _)| Time(at * 1_000))
    }
}

pub fn spec(name: &str, profile: MachineProfile, config: Config) -> HostSpec<Config> {
    HostSpec { name: name.to_owned(), ports: vec![9092], profile, config }
}

/// A client that follows `script` (microseconds) and a server that answers, 100 µs apart, both started.
pub fn pair(config: WorldConfig, script: &[(u64, Do)]) -> (World<Probe>, HostId, HostId) {
    pair_with(config, script, MachineProfile::default(), Config::default())
}

pub fn pair_with(
    config: WorldConfig,
    script: &[(u64, Do)],
    profile: MachineProfile,
    server: Config,
) -> (World<Probe>, HostId, HostId) {
    let mut world = World::new(config);
    let server = world.add_host(spec("server", profile, server));
    let client = Config { script: script.to_vec(), ..Config::default() };
    let client = world.add_host(spec("client", MachineProfile::default(), client));
    world.start(server, &mut Ignore);
    world.start(client, &mut Ignore);
    (world, client, server)
}

pub fn run(world: &mut World<Probe>, micros: u64) {
    assert_eq!(world.run_until(at(micros), &mut Ignore), Ok(RunEnd::Reached));
}

pub fn at(micros: u64) -> Time {
    Time::ZERO + Span::from_micros(micros)
}

/// What a host's probe has got since it was started, as `"time what"`.
pub fn log(world: &World<Probe>, host: HostId) -> Vec<String> {
    let log = &world.node(host).expect("the host runs").log;
    log.iter().map(|(at, what)| format!("{at} {what}")).collect()
}
