//! Faults carried out.

use trial_faults::{Fault, Hosts, Leadership, Links, ResolvedFault};
use trial_node::{Span, TopicPartition};
use trial_world::{FaultError, HostState, Ignore, World, WorldConfig};

use crate::probe::{Config, Do, Probe, log, pair, run, spec};

const SEC: u64 = 1_000_000;

fn hosts(names: &[&str]) -> Hosts {
    Hosts::new(names.iter().map(|name| (*name).to_owned()).collect())
}

fn apply(world: &mut World<Probe>, fault: &ResolvedFault) {
    world.apply(fault, &mut Ignore).unwrap();
}

fn heal(world: &mut World<Probe>, fault: &ResolvedFault) {
    world.heal(fault, &mut Ignore).unwrap();
}

fn partition() -> ResolvedFault {
    Fault::Partition(Links::Between(vec![hosts(&["client"]), hosts(&["server"])]))
}

#[test]
fn what_a_partition_holds_arrives_at_the_next_retransmission_after_it_heals() {
    let script =
        [(0, Do::Connect("server")), (20_000, Do::Send(1)), (30_000, Do::Send(1)), (700_000, Do::Send(1))];
    let (mut world, client, server) = pair(WorldConfig::new(1), &script);
    run(&mut world, 10_000);
    apply(&mut world, &partition());
    run(&mut world, SEC);
    assert_eq!(log(&world, server), ["300 accepted 9092"]);
    heal(&mut world, &partition());
    run(&mut world, 5 * SEC);
    // Sent at 20 ms; again after 200, 400 and 800 ms: at 1,420 ms the network is whole again.
    let came = ["1420100 request 1", "1420100 request 2", "1420100 request 3"];
    assert_eq!(log(&world, server)[1..], came);
    assert_eq!(log(&world, client).last().unwrap(), "1420200 response 3");
}

#[test]
fn what_is_on_the_way_when_the_network_is_cut_is_lost_and_sent_again() {
    let script = [(0, Do::Connect("server")), (20_000, Do::Send(1))];
    let (mut world, _, server) = pair(WorldConfig::new(1), &script);
    run(&mut world, 20_050);
    apply(&mut world, &partition());
    run(&mut world, 100_000);
    heal(&mut world, &partition());
    run(&mut world, SEC);
    assert_eq!(log(&world, server), ["300 accepted 9092", "220200 request 1"]);
}

#[test]
fn one_way_cut_stalls_both_directions() {
    let mut script = vec![(0, Do::Connect("server"))];
    script.extend([20_000, 100_000, 400_000, 500_000].map(|at| (at, Do::Send(1))));
    script.push((600_000, Do::Connect("server")));
    let (mut world, client, server) = pair(WorldConfig::new(1), &script);
    run(&mut world, 10_000);
    let deaf = Fault::Partition(Links::Into(hosts(&["client"])));
    apply(&mut world, &deaf);
    run(&mut world, 10 * SEC);
    // What is sent before the first acknowledgement is missed arrives; no answer does, and no connection comes about.
    assert_eq!(log(&world, server), ["300 accepted 9092", "20100 request 1", "100100 request 2"]);
    assert_eq!(log(&world, client), ["200 connected"]);
    heal(&mut world, &deaf);
    run(&mut world, 60 * SEC);
    assert_eq!(log(&world, server).len(), 6);
    let responses = log(&world, client).iter().filter(|line| line.contains("response")).count();
    assert_eq!(responses, 4);
}

#[test]
fn partition_between_groups_leaves_the_rest_alone() {
    let mut world = World::new(WorldConfig::new(1));
    let mut ids = vec![];
    for (name, to) in [("a", "b"), ("b", "c"), ("c", "a")] {
        let script = vec![(1_000, Do::Connect(to))];
        ids.push(world.add_host(spec(name, Default::default(), Config { script, ..Config::default() })));
    }
    ids.iter().for_each(|id| world.start(*id, &mut Ignore));
    apply(&mut world, &Fault::Partition(Links::Between(vec![hosts(&["a"]), hosts(&["b"])])));
    run(&mut world, 10_000);
    let connected: Vec<bool> =
        ids.iter().map(|id| log(&world, *id).contains(&"1200 connected".to_owned())).collect();
    assert_eq!(connected, [false, true, true]);
}

#[test]
fn overlapping_faults_hold_until_both_have_healed() {
    let (mut world, client, server) = pair(WorldConfig::new(1), &[(SEC, Do::Connect("server"))]);
    let kill = Fault::Kill(hosts(&["server"]));
    let power = Fault::PowerOff(hosts(&["server"]));
    apply(&mut world, &kill);
    apply(&mut world, &power);
    assert_eq!(world.state(server), HostState::Off);
    heal(&mut world, &power);
    assert_eq!(world.state(server), HostState::Down);
    heal(&mut world, &kill);
    assert_eq!(world.state(server), HostState::Running);

    apply(&mut world, &partition());
    let around = Fault::Partition(Links::Around(hosts(&["server"])));
    apply(&mut world, &around);
    heal(&mut world, &partition());
    run(&mut world, 2 * SEC - 1);
    assert_eq!(log(&world, client), Vec::<String>::new());
    heal(&mut world, &around);
    run(&mut world, 3 * SEC);
    assert_eq!(log(&world, client), ["2000200 connected"]);
}

#[test]
fn restart_stops_in_an_orderly_way_and_starts_again() {
    let (mut world, client, server) = pair(WorldConfig::new(1), &[(0, Do::Connect("server"))]);
    run(&mut world, 10_000);
    let restart = Fault::Restart(hosts(&["server"]));
    apply(&mut world, &restart);
    assert_eq!(world.state(server), HostState::Down);
    run(&mut world, 20_000);
    heal(&mut world, &restart);
    assert_eq!(world.state(server), HostState::Running);
    run(&mut world, 30_000);
    assert_eq!(log(&world, client), ["200 connected", "10100 closed PeerClosed"]);

    // A process that is too slow to stop before the fault heals starts again when it has stopped.
    world.pause(server, &mut Ignore);
    apply(&mut world, &restart);
    heal(&mut world, &restart);
    assert_eq!(world.state(server), HostState::Paused);
    world.resume(server, &mut Ignore);
    assert_eq!(world.state(server), HostState::Down);
    run(&mut world, 30_000);
    assert_eq!(world.state(server), HostState::Running);
}

#[test]
fn delay_and_bandwidth_hold_while_the_fault_lasts() {
    let script =
        [(0, Do::Connect("server")), (20_000, Do::Send(1_000 - 23)), (300_000, Do::Send(1_000 - 23))];
    let (mut world, _, server) = pair(WorldConfig::new(1), &script);
    run(&mut world, 10_000);
    let between = Links::Between(vec![hosts(&["client"]), hosts(&["server"])]);
    let delay = Fault::LinkDelay { on: between.clone(), add: Span::from_millis(50), jitter: Span::ZERO };
    let narrow = Fault::LinkBandwidth { on: between, limit: 100_000 };
    apply(&mut world, &delay);
    apply(&mut world, &narrow);
    run(&mut world, 200_000);
    assert_eq!(log(&world, server)[1..], ["80100 request 1"]);
    heal(&mut world, &delay);
    heal(&mut world, &narrow);
    run(&mut world, 400_000);
    assert_eq!(log(&world, server)[2..], ["300100 request 2"]);
}

#[test]
fn clock_skew_shows_on_the_wall_clock_only() {
    let (mut world, client, _) = pair(WorldConfig::new(1), &[]);
    let right = world.clocks(client);
    let skew = Fault::ClockSkew { on: hosts(&["client"]), offset: -5_000_000_000, ppm: 0 };
    apply(&mut world, &skew);
    assert_eq!(world.clocks(client).wall_ms, right.wall_ms - 5_000);
    assert_eq!(world.clocks(client).mono, right.mono);
    heal(&mut world, &skew);
    assert_eq!(world.clocks(client), right);
}

#[test]
fn what_the_world_cannot_do_is_an_error_and_changes_nothing() {
    let (mut world, _, _) = pair(WorldConfig::new(1), &[]);
    let before = world.hash();
    let unknown = Fault::Kill(hosts(&["client", "nobody"]));
    assert_eq!(world.apply(&unknown, &mut Ignore), Err(FaultError::NoSuchHost("nobody".to_owned())));
    let transfer = Fault::TransferLeadership(Leadership::Partition(TopicPartition::new(
        trial_wire::StrBytes::from_static_str("orders"),
        0,
    )));
    assert!(matches!(world.apply(&transfer, &mut Ignore), Err(FaultError::NotOfTheWorld(_))));
    assert_eq!(world.hash(), before);
}
