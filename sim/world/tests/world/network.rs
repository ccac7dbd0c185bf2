//! TCP as an application sees it.

use trial_node::{Signal, Span};
use trial_world::{HostState, Ignore, Latency, LinkProfile, MachineProfile, WorldConfig, WorldError};

use crate::probe::{Config, Do, at, log, pair, pair_with, run, spec};

const SEC: u64 = 1_000_000;

#[test]
fn set_up_and_each_round_trip_take_exactly_200_us() {
    let (mut world, client, server) =
        pair(WorldConfig::new(1), &[(0, Do::Connect("server")), (1_000, Do::Send(10))]);
    run(&mut world, 2_000);
    assert_eq!(log(&world, client), ["200 connected", "1200 response 1"]);
    assert_eq!(log(&world, server), ["300 accepted 9092", "1100 request 1"]);
    let counters = world.counters();
    assert_eq!((counters.messages, counters.rpcs), (2, 1));
}

#[test]
fn messages_of_a_connection_keep_their_order_whatever_the_latency() {
    let mut script = vec![(0, Do::Connect("server"))];
    script.extend((0..200).map(|i| (10_000 + i * 10, Do::Send(1))));
    let latency = Latency::Uniform { low: Span::from_micros(1), high: Span::from_millis(5) };
    let link = LinkProfile { latency, bytes_per_s: 0 };
    let (mut world, client, server) = pair(WorldConfig { link, ..WorldConfig::new(1) }, &script);
    run(&mut world, SEC);
    let ids = |host, what: &str| -> Vec<u32> {
        log(&world, host).iter().filter_map(|line| line.split_once(what)?.1.trim().parse().ok()).collect()
    };
    assert_eq!(ids(server, "request"), (1..=200).collect::<Vec<_>>());
    assert_eq!(ids(client, "response"), (1..=200).collect::<Vec<_>>());
}

#[test]
fn nobody_listening_refuses_after_a_round_trip() {
    let script = [(0, Do::Connect("nowhere")), (1_000, Do::Connect("server"))];
    let (mut world, client, server) = pair(WorldConfig::new(1), &script);
    world.kill(server, &mut Ignore);
    run(&mut world, SEC);
    assert_eq!(log(&world, client), ["40 closed Refused", "1200 closed Refused"]);
}

#[test]
fn killed_process_resets_its_connections_and_a_machine_without_power_is_silent() {
    let script = [(0, Do::Connect("server")), (1_000, Do::Send(1)), (SEC, Do::Send(1))];
    let (world, client, server) = pair(WorldConfig::new(1), &script);

    let mut killed = world.clone();
    run(&mut killed, 10_000);
    killed.kill(server, &mut Ignore);
    run(&mut killed, 2 * SEC);
    assert_eq!(log(&killed, client), ["200 connected", "1200 response 1", "10100 closed Reset"]);

    let mut off = world;
    run(&mut off, 10_000);
    off.power_off(server, &mut Ignore);
    assert_eq!(off.state(server), HostState::Off);
    run(&mut off, 900 * SEC);
    assert_eq!(log(&off, client), ["200 connected", "1200 response 1"]);
    // The kernel gives up on the request of the first second 924.6 s after its first retransmission timer began.
    run(&mut off, 1_000 * SEC);
    assert_eq!(log(&off, client)[2..], ["925600100 closed TimedOut"]);
}

#[test]
fn host_that_lost_power_answers_what_it_does_not_know_with_a_reset() {
    let script = [(0, Do::Connect("server")), (20_000, Do::Send(1))];
    let (mut world, client, server) = pair(WorldConfig::new(1), &script);
    run(&mut world, 10_000);
    world.power_off(server, &mut Ignore);
    run(&mut world, 100_000);
    world.start(server, &mut Ignore);
    run(&mut world, SEC);
    // Lost on arrival at 20.1 ms, sent again 200 ms later, answered with a reset after a round trip.
    assert_eq!(log(&world, client), ["200 connected", "220300 closed Reset"]);
    assert_eq!(log(&world, server), Vec::<String>::new());
}

#[test]
fn connecting_to_a_silent_host_times_out_after_127_s() {
    let (mut world, client, server) = pair(WorldConfig::new(1), &[(0, Do::Connect("server"))]);
    world.power_off(server, &mut Ignore);
    run(&mut world, 200 * SEC);
    assert_eq!(log(&world, client), ["127000000 closed TimedOut"]);
}

#[test]
fn connecting_succeeds_at_the_first_retry_after_the_host_is_back() {
    let (mut world, client, server) = pair(WorldConfig::new(1), &[(0, Do::Connect("server"))]);
    world.power_off(server, &mut Ignore);
    run(&mut world, 2 * SEC);
    world.start(server, &mut Ignore);
    run(&mut world, 10 * SEC);
    assert_eq!(log(&world, client), ["3000200 connected"]);
}

#[test]
fn close_comes_after_what_was_sent_before_it() {
    let script = [(0, Do::Connect("server")), (1_000, Do::Send(1)), (1_000, Do::Send(1)), (1_000, Do::Close)];
    let (mut world, client, server) = pair(WorldConfig::new(1), &script);
    run(&mut world, SEC);
    let expected = ["300 accepted 9092", "1100 request 1", "1100 request 2", "1100 closed PeerClosed"];
    assert_eq!(log(&world, server), expected);
    assert_eq!(log(&world, client), ["200 connected"]);
}

#[test]
fn orderly_stop_closes_connections_and_stops_listening() {
    let script = [(0, Do::Connect("server")), (20_000, Do::Connect("server"))];
    let (mut world, client, server) = pair(WorldConfig::new(1), &script);
    run(&mut world, 10_000);
    world.signal(server, Signal::Terminate, &mut Ignore);
    assert_eq!(world.state(server), HostState::Down);
    run(&mut world, SEC);
    assert_eq!(log(&world, client), ["200 connected", "10100 closed PeerClosed", "20200 closed Refused"]);
}

#[test]
fn node_that_halts_by_itself_is_down_and_its_peers_are_told() {
    let script = [(0, Do::Connect("server")), (1_000, Do::Send(1)), (1_000, Do::Halt), (1_000, Do::Send(1))];
    let (mut world, client, server) = pair(WorldConfig::new(1), &script);
    run(&mut world, SEC);
    assert_eq!(world.state(client), HostState::Down);
    assert!(world.node(client).is_none());
    let expected = ["300 accepted 9092", "1100 request 1", "1100 closed PeerClosed"];
    assert_eq!(log(&world, server), expected, "what it wanted after it halted does not happen");
}

#[test]
fn bandwidth_of_a_link_adds_the_time_for_the_bytes() {
    let link = LinkProfile { latency: Latency::Constant(Span::from_micros(100)), bytes_per_s: 1_000_000 };
    let config = WorldConfig { link, ..WorldConfig::new(1) };
    let (mut world, _, server) = pair(config, &[(0, Do::Connect("server")), (1_000, Do::Send(10_000 - 23))]);
    run(&mut world, SEC);
    assert_eq!(world.counters().bytes, 10_000 + 15, "the request and its response");
    assert_eq!(log(&world, server), ["300 accepted 9092", "11100 request 1"]);
}

#[test]
fn connections_share_a_network_card() {
    let profile = MachineProfile { nic_out_bytes_per_s: 10_000_000, ..MachineProfile::default() };
    let mut world = trial_world::World::new(WorldConfig::new(1));
    let server =
        world.add_host(spec("server", MachineProfile::default(), Config { mute: true, ..Config::default() }));
    let script = vec![
        (0, Do::Connect("server")),
        (1_000, Do::Send(1_000_000)),
        (1_001, Do::Connect("server")),
        (2_000, Do::Send(50_000)),
    ];
    let client = world.add_host(spec("client", profile, Config { script, ..Config::default() }));
    world.start(server, &mut Ignore);
    world.start(client, &mut Ignore);
    run(&mut world, SEC);
    let requests: Vec<String> = log(&world, server).split_off(2);
    // The small one, and the set-up of its connection before it, wait for a piece of the large one each, not for all.
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert!(requests[0].ends_with("request 2") && requests[0].starts_with("192"), "{requests:?}");
    assert!(requests[1].ends_with("request 1") && requests[1].starts_with("106"), "{requests:?}");
}

#[test]
fn network_card_takes_in_one_message_after_the_other() {
    let profile = MachineProfile { nic_in_bytes_per_s: 1_000_000, ..MachineProfile::default() };
    let mut world = trial_world::World::new(WorldConfig::new(1));
    let server = world.add_host(spec("server", profile, Config { mute: true, ..Config::default() }));
    for name in ["a", "b"] {
        let script = vec![(0, Do::Connect("server")), (1_000, Do::Send(10_000 - 23))];
        let client =
            world.add_host(spec(name, MachineProfile::default(), Config { script, ..Config::default() }));
        world.start(client, &mut Ignore);
    }
    world.start(server, &mut Ignore);
    run(&mut world, SEC);
    assert_eq!(log(&world, server)[2..], ["11100 request 1", "21100 request 1"][..]);
}

#[test]
fn full_window_holds_back_the_sender_until_the_receiver_reads() {
    let mut script = vec![(0, Do::Connect("server"))];
    script.extend((0..10).map(|_| (1_000, Do::Send(1_000))));
    let config = WorldConfig { window_bytes: 3_200, ..WorldConfig::new(1) };
    let (mut world, _, server) = pair_with(config, &script, MachineProfile::default(), Config::default());
    run(&mut world, 900);
    world.pause(server, &mut Ignore);
    run(&mut world, 50_000);
    assert_eq!(log(&world, server), ["300 accepted 9092"]);
    world.resume(server, &mut Ignore);
    run(&mut world, 60_000);
    let requests = log(&world, server).split_off(1);
    let at: Vec<&str> = requests.iter().map(|line| line.split(' ').next().unwrap()).collect();
    // Three fit; each three more come a round trip after those were read.
    let expected = ["50000"; 3].into_iter().chain(["50200"; 3]).chain(["50400"; 3]).chain(["50600"]);
    assert_eq!(at, expected.collect::<Vec<_>>());
}

#[test]
fn message_larger_than_the_window_goes_alone() {
    let script = [(0, Do::Connect("server")), (1_000, Do::Send(10_000)), (1_000, Do::Send(1))];
    let config = WorldConfig { window_bytes: 1_000, ..WorldConfig::new(1) };
    let (mut world, _, server) = pair(config, &script);
    run(&mut world, SEC);
    assert_eq!(log(&world, server), ["300 accepted 9092", "1100 request 1", "1300 request 2"]);
}

#[test]
fn message_that_does_not_encode_ends_the_run_with_its_sender() {
    let script = [(0, Do::Connect("server")), (1_000, Do::SendWrong)];
    let (mut world, _, _) = pair(WorldConfig::new(1), &script);
    let error = world.run_until(at(2_000), &mut Ignore).unwrap_err();
    let WorldError::BadMessage { at: when, host, version, .. } = &error else { panic!("{error}") };
    assert_eq!((*when, host.as_str(), *version), (at(1_000), "client", 99));
    assert!(error.to_string().contains("DeleteGroups"), "{error}");
    assert_eq!(world.run_until(at(3_000), &mut Ignore), Err(error));
}
