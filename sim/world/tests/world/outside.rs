//! Hosts whose node is outside: what they do counts, and what arrives at them, like any node's.

use bytes::Bytes;
use trial_faults::{Fault, Hosts, Links};
use trial_node::{CloseReason, ConnId, Endpoint, Input, Request};
use trial_wire::messages::{ApiVersionsRequest, SaslAuthenticateRequest};
use trial_wire::{RequestKind, StrBytes};
use trial_world::{HostId, HostState, Ignore, MachineProfile, World, WorldConfig};

use crate::probe::{Config, Probe, at, log, run, spec};

fn world(server: Config) -> (World<Probe>, HostId, HostId) {
    let mut world = World::new(WorldConfig::new(1));
    let server = world.add_host(spec("server", MachineProfile::default(), server));
    let outside = world.add_outside("outside");
    world.start(server, &mut Ignore);
    (world, server, outside)
}

fn request(correlation_id: i32, api_version: i16, bytes: usize) -> Request {
    let body = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(vec![7; bytes]));
    let client_id = StrBytes::from_static_str("outside");
    Request { correlation_id, api_version, client_id, body: Box::new(RequestKind::SaslAuthenticate(body)) }
}

fn connect(world: &mut World<Probe>, host: HostId) -> ConnId {
    world.outside_connect(host, &Endpoint::new("server", 9092)).expect("it is up")
}

/// What has arrived, as `"time what"`, the time in microseconds.
fn arrived(world: &mut World<Probe>) -> Vec<String> {
    let arrivals = world.arrivals().into_iter().map(|arrival| {
        let what = match arrival.input {
            Input::Connected { .. } => "connected".to_owned(),
            Input::Response { response, .. } => format!("response {}", response.correlation_id),
            Input::Closed { reason, .. } => format!("closed {reason:?}"),
            other => panic!("{other:?} is nothing for an outside host"),
        };
        format!("{} {what}", arrival.at.0 / 1_000)
    });
    arrivals.collect()
}

#[test]
fn requests_and_responses_take_the_networks_time() {
    let (mut world, server, outside) = world(Config::default());
    let conn = connect(&mut world, outside);
    world.outside_request(outside, conn, request(1, 2, 10)).unwrap();
    run(&mut world, 1_000);
    world.outside_request(outside, conn, request(2, 2, 10)).unwrap();
    run(&mut world, 2_000);
    world.outside_close(outside, conn);
    run(&mut world, 3_000);
    assert_eq!(arrived(&mut world), ["200 connected", "400 response 1", "1200 response 2"]);
    assert_eq!(arrived(&mut world), [""; 0]);
    let at_server = ["300 accepted 9092", "300 request 1", "1100 request 2", "2100 closed PeerClosed"];
    assert_eq!(log(&world, server), at_server);
}

#[test]
fn the_same_calls_give_the_same_hash_and_every_call_counts() {
    let hash = |bytes: usize, close: bool| {
        let (mut world, _, outside) = world(Config::default());
        let conn = connect(&mut world, outside);
        world.outside_request(outside, conn, request(1, 2, bytes)).unwrap();
        run(&mut world, 1_000);
        if close {
            world.outside_close(outside, conn);
        }
        run(&mut world, 2_000);
        world.hash()
    };
    assert_eq!(hash(10, true), hash(10, true));
    assert_ne!(hash(10, true), hash(11, true));
    assert_ne!(hash(10, true), hash(10, false));
}

#[test]
fn a_request_that_its_version_cannot_express_is_the_callers_mistake() {
    let (mut world, _, outside) = world(Config::default());
    let conn = connect(&mut world, outside);
    let before = world.hash();
    assert!(world.outside_request(outside, conn, request(1, 99, 10)).is_err());
    assert_eq!(world.hash(), before);
    run(&mut world, 1_000);
    assert_eq!(arrived(&mut world), ["200 connected"]);
}

#[test]
fn an_unknown_version_of_api_versions_arrives() {
    let (mut world, server, outside) = world(Config { mute: true, ..Config::default() });
    let conn = connect(&mut world, outside);
    let body = Box::new(RequestKind::ApiVersions(ApiVersionsRequest::default()));
    let asked = Request { body, ..request(1, 99, 0) };
    world.outside_request(outside, conn, asked).unwrap();
    run(&mut world, 1_000);
    assert_eq!(log(&world, server), ["300 accepted 9092", "300 request 1"]);
}

#[test]
fn a_partition_holds_back_what_is_sent_and_what_arrives() {
    let (mut world, server, outside) = world(Config::default());
    let conn = connect(&mut world, outside);
    run(&mut world, 1_000);
    let hosts = Hosts::new(vec!["outside".to_owned()]);
    let partition = Fault::Partition(Links::Around(hosts));
    world.apply(&partition, &mut Ignore).unwrap();
    world.outside_request(outside, conn, request(1, 2, 10)).unwrap();
    run(&mut world, 100_000);
    assert_eq!((arrived(&mut world).len(), log(&world, server).len()), (1, 1));
    assert!(world.outside_unread(outside, conn) > 10);
    world.heal(&partition, &mut Ignore).unwrap();
    run(&mut world, 1_000_000);
    // The first retransmission after 200 ms gets through.
    assert_eq!(arrived(&mut world), ["201200 response 1"]);
    assert_eq!(world.outside_unread(outside, conn), 0);
}

#[test]
fn the_death_of_the_server_is_told() {
    let (mut world, server, outside) = world(Config::default());
    let conn = connect(&mut world, outside);
    run(&mut world, 1_000);
    world.kill(server, &mut Ignore);
    run(&mut world, 2_000);
    assert_eq!(arrived(&mut world), ["200 connected", "1100 closed Reset"]);
    // What comes too late is dropped.
    world.outside_request(outside, conn, request(1, 2, 10)).unwrap();
    world.outside_close(outside, conn);
    let refused = connect(&mut world, outside);
    run(&mut world, 3_000);
    assert_eq!(
        world.arrivals().pop().map(|arrival| arrival.input),
        Some(closed(refused, CloseReason::Refused))
    );
}

#[test]
fn an_outside_host_can_be_killed_and_paused() {
    let (mut world, server, outside) = world(Config::default());
    let conn = connect(&mut world, outside);
    run(&mut world, 1_000);
    world.pause(outside, &mut Ignore);
    world.outside_request(outside, conn, request(1, 2, 10)).unwrap();
    run(&mut world, 2_000);
    assert_eq!(arrived(&mut world), ["200 connected"]);
    world.resume(outside, &mut Ignore);
    assert_eq!(arrived(&mut world), ["2000 response 1"]);

    let kill = Fault::Kill(Hosts::new(vec!["outside".to_owned()]));
    world.apply(&kill, &mut Ignore).unwrap();
    assert_eq!(world.state(outside), HostState::Down);
    assert_eq!(arrived(&mut world), ["2000 closed Reset"]);
    assert_eq!(world.outside_connect(outside, &Endpoint::new("server", 9092)), None);
    run(&mut world, 3_000);
    assert_eq!(log(&world, server).last().map(String::as_str), Some("2100 closed Reset"));
    world.heal(&kill, &mut Ignore).unwrap();
    connect(&mut world, outside);
    run(&mut world, 4_000);
    assert_eq!(arrived(&mut world), ["3200 connected"]);
}

#[test]
fn the_next_event_says_how_far_nothing_happens() {
    let (mut world, _, outside) = world(Config::default());
    assert_eq!(world.next_event(), None);
    connect(&mut world, outside);
    assert_eq!(world.next_event(), Some(at(100)));
    run(&mut world, 100);
    assert_eq!(world.next_event(), Some(at(200)));
}

fn closed(conn: ConnId, reason: CloseReason) -> Input {
    Input::Closed { conn, reason }
}
