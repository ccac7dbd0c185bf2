//! What a machine costs, and what dies with it.

use trial_faults::{Fault, Hosts};
use trial_node::{Disk as _, Span};
use trial_world::{CpuProfile, DiskProfile, Ignore, MachineProfile, World, WorldConfig};

use crate::probe::{Config, Do, Probe, log, pair_with, run};

const SEC: u64 = 1_000_000;

/// An fsync costs 1 ms.
fn slow_sync() -> MachineProfile {
    let disk = DiskProfile { sync_latency: Span::from_micros(500), ..DiskProfile::default() };
    MachineProfile { disk, ..MachineProfile::default() }
}

fn syncing() -> Config {
    Config { sync_per_request: Some(100), ..Config::default() }
}

fn file_len(world: &mut World<Probe>, host: trial_world::HostId) -> Option<u64> {
    let (_, disk) = world.node_and_disk(host);
    let file = disk.open("file", false).ok()?;
    let len = disk.len(file);
    disk.close(file);
    Some(len)
}

#[test]
fn busy_node_answers_when_its_step_is_paid_and_takes_the_next_then() {
    let script = [(0, Do::Connect("server")), (1_000, Do::Send(1)), (1_100, Do::Send(1))];
    let (mut world, client, server) = pair_with(WorldConfig::new(1), &script, slow_sync(), syncing());
    run(&mut world, SEC);
    // Two syncs of 0.5 ms each: file and folder.
    assert_eq!(log(&world, server)[1..], ["1100 request 1", "2100 request 2"]);
    assert_eq!(log(&world, client)[1..], ["2200 response 1", "3200 response 2"]);
}

#[test]
fn crash_inside_a_step_drops_its_effects_but_not_what_it_wrote() {
    let script = [(0, Do::Connect("server")), (1_000, Do::Send(1))];
    let (mut world, client, server) = pair_with(WorldConfig::new(1), &script, slow_sync(), syncing());
    run(&mut world, 1_500);
    world.kill(server, &mut Ignore);
    assert_eq!(file_len(&mut world, server), Some(100));
    run(&mut world, SEC);
    assert_eq!(log(&world, client)[1..], ["1600 closed Reset"]);
}

#[test]
fn stalled_fsync_returns_when_the_fault_heals() {
    let script = [(0, Do::Connect("server")), (1_000, Do::Send(1))];
    let free = MachineProfile::default();
    for (profile, answered) in [(free, "500100 response 1"), (slow_sync(), "501100 response 1")] {
        let (mut world, client, _) = pair_with(WorldConfig::new(1), &script, profile, syncing());
        let stall = Fault::FsyncStall(Hosts::new(vec!["server".to_owned()]));
        world.apply(&stall, &mut Ignore).unwrap();
        run(&mut world, 500_000);
        assert_eq!(log(&world, client), ["200 connected"]);
        world.heal(&stall, &mut Ignore).unwrap();
        run(&mut world, SEC);
        assert_eq!(log(&world, client)[1..], [answered]);
    }
}

#[test]
fn slow_disk_takes_so_many_times_as_long() {
    let script = [(0, Do::Connect("server")), (1_000, Do::Send(1))];
    let (mut world, client, _) = pair_with(WorldConfig::new(1), &script, slow_sync(), syncing());
    let slow = Fault::SlowDisk { on: Hosts::new(vec!["server".to_owned()]), factor: 20 };
    world.apply(&slow, &mut Ignore).unwrap();
    run(&mut world, SEC);
    assert_eq!(log(&world, client)[1..], ["21200 response 1"]);
}

#[test]
fn processor_costs_are_paid_per_message_and_byte() {
    let script = [(0, Do::Connect("server")), (1_000, Do::Send(2_048 - 23))];
    let cpu = CpuProfile {
        per_message_in: Span::from_micros(10),
        per_message_out: Span::from_micros(5),
        ns_per_kib: 1_000,
        ..CpuProfile::default()
    };
    let profile = MachineProfile { cpu, ..MachineProfile::default() };
    let (mut world, client, _) = pair_with(WorldConfig::new(1), &script, profile, Config::default());
    run(&mut world, SEC);
    // 10 + 2 for the request of 2 KiB, 5 for the response.
    assert_eq!(log(&world, client)[1..], ["1217 response 1"]);
}

#[test]
fn pause_holds_inputs_and_timers_and_effects() {
    let script = [(0, Do::Connect("server")), (1_000, Do::Send(1)), (30_000, Do::Connect("server"))];
    let (mut world, client, server) = pair_with(WorldConfig::new(1), &script, slow_sync(), syncing());
    run(&mut world, 1_500);
    // In the middle of a step.
    world.pause(server, &mut Ignore);
    run(&mut world, 50_000);
    // The kernel still sets connections up.
    assert_eq!(log(&world, client)[1..], ["30200 connected"]);
    world.resume(server, &mut Ignore);
    run(&mut world, 60_000);
    assert_eq!(log(&world, client)[2..], ["50100 response 1"]);
    assert_eq!(log(&world, server)[2..], ["50000 accepted 9092"]);

    world.pause(client, &mut Ignore);
    run(&mut world, 70_000);
    world.resume(client, &mut Ignore);
    assert_eq!(log(&world, client).len(), 3);
}

#[test]
fn kernel_writes_dirty_pages_back_after_a_while() {
    for (off_at, survives) in [(20, false), (70, true)] {
        let mut lost = 0;
        for seed in 0..16 {
            let server = Config { script: vec![(1_000, Do::Write(100, false))], ..Config::default() };
            let (mut world, _, server) =
                pair_with(WorldConfig::new(seed), &[], MachineProfile::default(), server);
            run(&mut world, off_at * SEC);
            world.power_off(server, &mut Ignore);
            lost += u32::from(file_len(&mut world, server) != Some(100));
        }
        assert_eq!(lost == 0, survives, "lost {lost} of 16 after {off_at} s");
    }
}
