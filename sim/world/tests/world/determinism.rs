//! The same again, and again.

use std::ops::ControlFlow;

use trial_node::{Disk as _, Span, Time};
use trial_world::{
    DiskProfile, HostId, Ignore, Latency, Lifecycle, LinkProfile, MachineProfile, Observer, RunEnd, Step,
    Wire, World, WorldConfig, diff_checkpoints, diff_events,
};

use crate::probe::{Config, Do, Probe, at, log, run, spec};

/// Three clients, a server with a disk that costs, long-tailed links; a crash in the middle.
fn busy_world(config: WorldConfig, extra_host: bool) -> World<Probe> {
    let latency = Latency::LongTail { median: Span::from_micros(300) };
    let link = LinkProfile { latency, bytes_per_s: 50_000_000 };
    let mut world = World::new(WorldConfig { link, checkpoint_every: 16, ..config });
    let disk = DiskProfile {
        operation: Span::from_micros(1),
        read_bytes_per_s: 1_000_000_000,
        sync_latency: Span::from_micros(50),
        ..DiskProfile::default()
    };
    let profile = MachineProfile { disk, nic_in_bytes_per_s: 100_000_000, ..MachineProfile::default() };
    let server = Config { sync_per_request: Some(10), ..Config::default() };
    let mut hosts = vec![world.add_host(spec("server", profile, server))];
    for (i, name) in ["a", "b", "c"].into_iter().enumerate() {
        let mut script = vec![(i as u64, Do::Connect("server"))];
        script.extend((0..100).map(|n| (5_000 + n * 100, Do::Send(100 * i))));
        script.push((40_000, Do::Connect("server")));
        script.extend((0..100).map(|n| (50_000 + n * 100, Do::Send(100 * i))));
        hosts.push(world.add_host(spec(
            name,
            MachineProfile::default(),
            Config { script, ..Config::default() },
        )));
    }
    if extra_host {
        hosts.push(world.add_host(spec("another", MachineProfile::default(), Config::default())));
    }
    hosts.iter().for_each(|host| world.start(*host, &mut Ignore));
    world
}

fn finish(world: &mut World<Probe>, observer: &mut impl Observer<Probe>) -> u128 {
    world.run_until(at(12_000), observer).unwrap();
    world.power_off(HostId(0), observer);
    world.run_until(at(30_000), observer).unwrap();
    world.start(HostId(0), observer);
    world.run_until(at(2_000_000), observer).unwrap();
    world.hash()
}

#[test]
fn same_seed_same_hash_other_seed_other_hash() {
    let hash = |seed| finish(&mut busy_world(WorldConfig::new(seed), false), &mut Ignore);
    assert_eq!(hash(7), hash(7));
    assert_ne!(hash(7), hash(8));
}

#[test]
fn wire_of_bytes_gives_the_same_hash() {
    let mut typed = busy_world(WorldConfig::new(7), false);
    let mut bytes = busy_world(WorldConfig { wire: Wire::Bytes, ..WorldConfig::new(7) }, false);
    assert_eq!(finish(&mut typed, &mut Ignore), finish(&mut bytes, &mut Ignore));
    assert_eq!(typed.counters(), bytes.counters());
    assert!(typed.counters().messages > 500, "{:?}", typed.counters());
    assert_eq!(diff_checkpoints(typed.checkpoints(), bytes.checkpoints()), None);
}

#[test]
fn clone_and_original_go_on_alike() {
    let mut original = busy_world(WorldConfig::new(7), false);
    original.run_until(at(8_000), &mut Ignore).unwrap();
    let mut branch = original.clone();
    let mut other = original.clone();
    other.kill(HostId(2), &mut Ignore);
    let (original, branch, other) = (
        finish(&mut original, &mut Ignore),
        finish(&mut branch, &mut Ignore),
        finish(&mut other, &mut Ignore),
    );
    assert_eq!(original, branch);
    assert_ne!(original, other);
}

#[test]
fn another_host_does_not_disturb_the_streams_of_the_others() {
    let (mut without, mut with) =
        (busy_world(WorldConfig::new(7), false), busy_world(WorldConfig::new(7), true));
    finish(&mut without, &mut Ignore);
    finish(&mut with, &mut Ignore);
    for host in (0..4).map(HostId) {
        assert_eq!(log(&without, host), log(&with, host));
        let drawn = |world: &World<Probe>| world.node(host).unwrap().drawn;
        assert_eq!(drawn(&without), drawn(&with));
    }
}

/// Reads nodes and disks after every step.
#[derive(Default)]
struct Nosy {
    steps: u64,
    lives: Vec<(Time, HostId, Lifecycle)>,
    late: u64,
}

impl Observer<Probe> for Nosy {
    fn step(&mut self, step: Step<'_, Probe>) -> ControlFlow<()> {
        self.steps += 1;
        self.late += u64::from(step.done > step.at);
        assert!(step.node.log.len() < 10_000);
        if let Ok(file) = step.disk.open("file", false) {
            let len = step.disk.len(file);
            assert_eq!(step.disk.read(file, 0, len).unwrap().len() as u64, len);
            step.disk.close(file);
        }
        ControlFlow::Continue(())
    }

    fn lifecycle(&mut self, at: Time, host: HostId, event: &Lifecycle) {
        self.lives.push((at, host, event.clone()));
    }
}

#[test]
fn an_observer_that_reads_everything_changes_nothing() {
    let mut nosy = Nosy::default();
    let mut watched = busy_world(WorldConfig::new(7), false);
    let watched_hash = finish(&mut watched, &mut nosy);
    let mut alone = busy_world(WorldConfig::new(7), false);
    assert_eq!(watched_hash, finish(&mut alone, &mut Ignore));
    // The four first starts were not watched.
    assert_eq!(nosy.steps + 4, watched.counters().steps);
    assert!(nosy.late > 100, "{}", nosy.late);
    let server = HostId(0);
    let lives = [(at(12_000), server, Lifecycle::PoweredOff), (at(30_000), server, Lifecycle::Started)];
    assert_eq!(nosy.lives, lives);
}

/// Breaks off at every step.
struct Stopper;

impl Observer<Probe> for Stopper {
    fn step(&mut self, _step: Step<'_, Probe>) -> ControlFlow<()> {
        ControlFlow::Break(())
    }

    fn lifecycle(&mut self, _at: Time, _host: HostId, _event: &Lifecycle) {}
}

#[test]
fn a_run_that_is_broken_off_at_every_step_goes_on_as_if_it_had_not_been() {
    let mut whole = busy_world(WorldConfig::new(7), false);
    let mut pieces = busy_world(WorldConfig::new(7), false);
    run(&mut whole, 100_000);
    let mut stops = 0;
    while pieces.run_until(at(100_000), &mut Stopper).unwrap() == RunEnd::Stopped {
        stops += 1;
    }
    assert_eq!(stops + 4, whole.counters().steps);
    assert_eq!(pieces.hash(), whole.hash());
}

#[test]
fn first_event_that_differs_is_found() {
    let mut left = busy_world(WorldConfig::new(7), false);
    let mut right = busy_world(WorldConfig::new(7), false);
    run(&mut left, 7_000);
    run(&mut right, 7_000);
    let (start, before) = (left.clone(), left.counters().events);
    right.kill(HostId(3), &mut Ignore);
    let right_start = right.clone();
    run(&mut left, 10_000);
    run(&mut right, 10_000);
    let divergence = diff_checkpoints(left.checkpoints(), right.checkpoints()).unwrap();
    assert!(divergence.equal_until <= before && divergence.differ_at.unwrap() > before);

    let (mut left, mut right) = (start, right_start);
    // A tool would replay both from the start; the kill is the first event that only one of them has.
    for world in [&mut left, &mut right] {
        world.record_events(divergence.equal_until + 1, divergence.differ_at.unwrap());
        run(world, 10_000);
    }
    let (l, r) = diff_events(left.recorded(), right.recorded()).unwrap();
    let (l, r) = (l.unwrap(), r.unwrap());
    assert_eq!(l.event, before + 1);
    assert_ne!(l.hash, r.hash);
    assert!(l.what.contains("Request") || l.what.contains("Response") || l.what.contains("Timeout"), "{l:?}");
}
