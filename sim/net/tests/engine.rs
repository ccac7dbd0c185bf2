//! Nodes on sockets: what arrives, what does not, and what a fault does to it.

use trial_faults::{Fault, Hosts, Leadership, Links, ResolvedFault};
use trial_net::engine::{Driver, Tcp, Turmoil};
use trial_node::{
    ConnId, Endpoint, HaltReason, Input, Io, Node, Now, OpenError, Request, Response, Signal, Span, Time,
};
use trial_wire::messages::{DeleteGroupsRequest, DeleteGroupsResponse, GroupId};
use trial_wire::{RequestKind, ResponseKind, StrBytes};
use trial_world::{Engine, FaultError, HostId, HostSpec, Ignore, MachineProfile, RunEnd, WorldConfig};

/// A client sends requests to `server` at its times and at every signal, a server answers them. Both note what they get.
#[derive(Clone)]
struct Probe {
    /// When to send how many bytes, in milliseconds.
    script: Vec<(u64, usize)>,
    next: usize,
    conn: Option<ConnId>,
    stops_at: Option<Time>,
    log: Vec<String>,
}

impl Probe {
    fn send(&mut self, bytes: usize, io: &mut Io<'_>) {
        let conn = *self.conn.get_or_insert_with(|| io.connect(Endpoint::new("server", 9092)));
        self.next += 1;
        let name = StrBytes::from_string("g".repeat(bytes));
        let body = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(name)]);
        let request = Request {
            correlation_id: self.next as i32,
            api_version: 2,
            client_id: StrBytes::from_static_str("probe"),
            body: Box::new(RequestKind::DeleteGroups(body)),
        };
        io.request(conn, request);
    }
}

impl Node for Probe {
    type Config = Vec<(u64, usize)>;

    fn open(script: Self::Config, _io: &mut Io<'_>, now: Now) -> Result<Self, OpenError> {
        let next = script.iter().take_while(|(at, _)| Time(at * 1_000_000) < now.mono).count();
        Ok(Probe { script, next, conn: None, stops_at: None, log: Vec::new() })
    }

    fn handle(&mut self, now: Now, input: Input, io: &mut Io<'_>) {
        let what = match input {
            Input::Timeout if self.stops_at.is_some_and(|at| at <= now.mono) => {
                return io.halt(HaltReason::Shutdown);
            }
            Input::Timeout => return self.send(self.script[self.next].1, io),
            Input::Signal(Signal::Terminate) => {
                self.stops_at = Some(now.mono + Span::from_millis(500));
                "asked to stop".to_owned()
            }
            Input::Signal(_) => return self.send(1, io),
            Input::Connected { .. } => "connected".to_owned(),
            Input::Accepted { port, .. } => format!("accepted {port}"),
            Input::Closed { conn, reason } => {
                self.conn.take_if(|own| *own == conn);
                format!("closed {reason:?}")
            }
            Input::Request { conn, request: Request { correlation_id, api_version, body, .. } } => {
                let body = match *body {
                    RequestKind::DeleteGroups(body) => body.groups_names[0].0.len(),
                    other => unreachable!("nobody sends {other:?}"),
                };
                let answer = Box::new(ResponseKind::DeleteGroups(DeleteGroupsResponse::default()));
                io.respond(conn, Response { correlation_id, api_version, body: answer });
                format!("request {correlation_id} of {body}")
            }
            Input::Response { response, .. } => format!("response {}", response.correlation_id),
        };
        self.log.push(what);
    }

    fn poll_timeout(&self) -> Option<Time> {
        let next = self.script.get(self.next).map(|(at, _)| Time(at * 1_000_000));
        next.into_iter().chain(self.stops_at).min()
    }
}

const SERVER: HostId = HostId(0);
const CLIENT: HostId = HostId(1);

fn started<E: Engine<Probe>>(mut engine: E, script: &[(u64, usize)]) -> E {
    for (name, config) in [("server", vec![]), ("client", script.to_vec())] {
        let profile = MachineProfile::default();
        engine.add_host(HostSpec { name: name.to_owned(), ports: vec![9092], profile, config });
    }
    engine.start(SERVER, &mut Ignore);
    engine.start(CLIENT, &mut Ignore);
    engine
}

type OnTurmoil = Driver<Probe, Turmoil>;

fn on_turmoil(script: &[(u64, usize)]) -> OnTurmoil {
    let config = WorldConfig::new(7);
    started(Driver::new(&config, Turmoil::new(&config)), script)
}

fn run(engine: &mut impl Engine<Probe>, until_ms: u64) {
    let until = Time::ZERO + Span::from_millis(until_ms);
    assert_eq!(engine.run_until(until, &mut Ignore), Ok(RunEnd::Reached));
}

fn log(engine: &impl Engine<Probe>, host: HostId) -> Vec<&str> {
    engine.node(host).expect("it runs").log.iter().map(String::as_str).collect()
}

fn server() -> Hosts {
    Hosts::new(vec!["server".to_owned()])
}

fn apply(engine: &mut OnTurmoil, fault: &ResolvedFault) {
    engine.apply(fault, &mut Ignore).expect("it can");
}

fn heal(engine: &mut OnTurmoil, fault: &ResolvedFault) {
    engine.heal(fault, &mut Ignore).expect("it can");
}

#[test]
fn requests_of_any_size_arrive_whole_and_in_order() {
    let script = [(50, 1), (51, 30_000), (51, 2), (52, 32_000), (52, 0)];
    let mut engine = on_turmoil(&script);
    run(&mut engine, 200);
    let requests =
        ["request 1 of 1", "request 2 of 30000", "request 3 of 2", "request 4 of 32000", "request 5 of 0"];
    assert_eq!(log(&engine, SERVER), [&["accepted 9092"][..], &requests].concat());
    let responses = ["connected", "response 1", "response 2", "response 3", "response 4", "response 5"];
    assert_eq!(log(&engine, CLIENT), responses);
}

#[test]
fn the_same_seed_is_the_same_run() {
    let hash = |seed| {
        let config = WorldConfig::new(seed);
        let mut engine: OnTurmoil =
            started(Driver::new(&config, Turmoil::new(&config)), &[(50, 9), (60, 20_000)]);
        run(&mut engine, 100);
        engine.hash()
    };
    assert_eq!(hash(1), hash(1));
    assert_ne!(hash(1), hash(2));
}

#[test]
fn what_a_partition_holds_arrives_when_it_has_healed() {
    let mut engine = on_turmoil(&[(50, 1), (150, 2), (160, 3)]);
    run(&mut engine, 100);
    let partition = Fault::Partition(Links::Around(server()));
    apply(&mut engine, &partition);
    run(&mut engine, 5_000);
    assert_eq!(log(&engine, SERVER), ["accepted 9092", "request 1 of 1"]);
    heal(&mut engine, &partition);
    run(&mut engine, 5_100);
    assert_eq!(log(&engine, SERVER)[2..], ["request 2 of 2", "request 3 of 3"]);
    assert_eq!(log(&engine, CLIENT).last(), Some(&"response 3"));
}

#[test]
fn a_one_way_partition_lets_the_other_direction_through() {
    let mut engine = on_turmoil(&[(50, 1), (150, 2)]);
    run(&mut engine, 100);
    let mute = Fault::Partition(Links::OutOf(server()));
    apply(&mut engine, &mute);
    run(&mut engine, 5_000);
    assert_eq!(log(&engine, SERVER).last(), Some(&"request 2 of 2"));
    assert_eq!(log(&engine, CLIENT), ["connected", "response 1"]);
    heal(&mut engine, &mute);
    run(&mut engine, 5_100);
    assert_eq!(log(&engine, CLIENT).last(), Some(&"response 2"));
}

#[test]
fn who_is_killed_is_missed_at_once_and_refuses() {
    let mut engine = on_turmoil(&[(50, 1), (150, 2), (250, 3)]);
    run(&mut engine, 100);
    apply(&mut engine, &Fault::Kill(server()));
    run(&mut engine, 200);
    assert_eq!(log(&engine, CLIENT)[2..], ["closed PeerClosed", "closed Refused"]);
    heal(&mut engine, &Fault::Kill(server()));
    run(&mut engine, 300);
    assert_eq!(log(&engine, CLIENT)[4..], ["connected", "response 3"]);
    assert_eq!(log(&engine, SERVER), ["accepted 9092", "request 3 of 3"]);
}

#[test]
fn who_has_no_power_is_silent_and_then_knows_no_connection() {
    let mut engine = on_turmoil(&[(50, 1), (150, 2), (6_000, 3)]);
    run(&mut engine, 100);
    apply(&mut engine, &Fault::PowerOff(server()));
    run(&mut engine, 5_000);
    assert_eq!(log(&engine, CLIENT), ["connected", "response 1"]);
    heal(&mut engine, &Fault::PowerOff(server()));
    run(&mut engine, 6_100);
    assert_eq!(log(&engine, CLIENT)[2..], ["closed Reset", "connected", "response 3"]);
}

#[test]
fn who_is_paused_takes_what_came_when_it_goes_on() {
    let mut engine = on_turmoil(&[(50, 1), (150, 2)]);
    run(&mut engine, 100);
    apply(&mut engine, &Fault::Pause(server()));
    run(&mut engine, 5_000);
    assert_eq!(log(&engine, SERVER).len(), 2);
    heal(&mut engine, &Fault::Pause(server()));
    run(&mut engine, 5_100);
    assert_eq!(log(&engine, SERVER).last(), Some(&"request 2 of 2"));
}

#[test]
fn a_process_that_dies_and_starts_at_once_listens_again() {
    let mut engine = on_turmoil(&[(50, 1), (150, 2)]);
    run(&mut engine, 100);
    apply(&mut engine, &Fault::Kill(server()));
    heal(&mut engine, &Fault::Kill(server()));
    run(&mut engine, 200);
    assert_eq!(log(&engine, CLIENT)[2..], ["closed PeerClosed", "connected", "response 2"]);
}

#[test]
fn a_process_that_stops_slowly_starts_again_when_it_has_stopped() {
    let mut engine = on_turmoil(&[]);
    run(&mut engine, 100);
    apply(&mut engine, &Fault::Restart(server()));
    heal(&mut engine, &Fault::Restart(server()));
    run(&mut engine, 200);
    assert_eq!(log(&engine, SERVER), ["asked to stop"], "it takes its time");
    run(&mut engine, 2_000);
    assert_eq!(log(&engine, SERVER), [""; 0], "another process");
}

#[test]
fn what_an_engine_cannot_do_is_refused() {
    let mut engine = on_turmoil(&[]);
    let slow: ResolvedFault = Fault::SlowDisk { on: server(), factor: 2 };
    assert!(matches!(engine.apply(&slow, &mut Ignore), Err(FaultError::Refused { .. })));
    let late = |on| Fault::LinkDelay { on, add: Span::from_millis(5), jitter: Span::ZERO };
    assert!(engine.refuses::<Hosts>(&late(Links::OutOf(server()))).is_some());
    assert!(engine.refuses::<Hosts>(&late(Links::Around(server()))).is_none());
    let config = WorldConfig::new(1);
    let tcp: Driver<Probe, Tcp> = Driver::new(&config, Tcp::new().expect("the system has sockets"));
    assert!(tcp.refuses::<Hosts>(&Fault::Partition(Links::Around(server()))).is_some());
    assert!(tcp.refuses::<Hosts>(&Fault::Pause(server())).is_none());
}

/// Runs until the client has got this, as long as it takes: real time is what the machine makes of it.
fn wait_for(engine: &mut Driver<Probe, Tcp>, what: &str) {
    for _ in 0..1_000 {
        let until = engine.now() + Span::from_millis(20);
        assert_eq!(engine.run_until(until, &mut Ignore), Ok(RunEnd::Reached));
        if log(engine, CLIENT).last() == Some(&what) {
            return;
        }
    }
    panic!("{what} has not come: {:?}", log(engine, CLIENT));
}

#[test]
fn on_loopback_sockets_requests_arrive_in_order_and_a_killed_server_comes_back() {
    let config = WorldConfig::new(1);
    let sockets = Tcp::new().expect("the system has sockets");
    let mut engine: Driver<Probe, Tcp> = started(Driver::new(&config, sockets), &[(200, 3), (200, 30_000)]);
    wait_for(&mut engine, "response 2");
    engine.apply(&Fault::Kill(server()), &mut Ignore).expect("it can");
    engine.heal(&Fault::Kill(server()), &mut Ignore).expect("it can");
    wait_for(&mut engine, "closed PeerClosed");
    let signal = Fault::TransferLeadership(Leadership::Quorum(Hosts::new(vec!["client".to_owned()])));
    engine.apply(&signal, &mut Ignore).expect("it can");
    wait_for(&mut engine, "response 3");
    let got = ["connected", "response 1", "response 2", "closed PeerClosed", "connected", "response 3"];
    assert_eq!(log(&engine, CLIENT), got);
}
