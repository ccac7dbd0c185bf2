//! A machine: power, process, clock, what waits for its node, and what its node's steps cost.

use std::collections::VecDeque;

use trial_node::{CloseReason, Effect, Rng, Signal, Span, Time};
use trial_storage::disk::sim::{DiskUsage, SimDisk};

use crate::clock::WallClock;
use crate::config::{CpuProfile, DiskProfile, MachineProfile};
use crate::net::{ConnTable, Nic};
use crate::world::HostState;

/// How long so many bytes take, rounded up; nothing if the rate has no limit.
pub(crate) fn transfer_time(bytes: u64, bytes_per_s: u64) -> Span {
    if bytes_per_s == 0 {
        return Span::ZERO;
    }
    match bytes.checked_mul(1_000_000_000) {
        Some(scaled) => Span(scaled.div_ceil(bytes_per_s)),
        None => Span((u128::from(bytes) * 1_000_000_000).div_ceil(u128::from(bytes_per_s)) as u64),
    }
}

/// An input that waits for its node. The epoch tells whether its connection is still the same.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pending {
    Message { place: u32, serial: u64, bytes: u32, pipe: u32, epoch: u32 },
    Connected { conn: u32, epoch: u32 },
    Accepted { conn: u32, epoch: u32 },
    Closed { conn: u32, epoch: u32, end: u8, reason: CloseReason },
    Signal(Signal),
}

/// What a node's thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Busy {
    /// It waits for an input.
    No,
    /// It pays for a step; the effects wait.
    Paying,
    /// It waits for an fsync that is stalled, and for so long after that.
    Stalled(Span),
    /// It has paid while it was paused; the effects wait for the end of the pause.
    Paid,
}

/// What faults hold a machine down by. Each counts, so that faults may overlap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holds {
    pub(crate) down: u32,
    pub(crate) off: u32,
    pub(crate) paused: u32,
    pub(crate) stalled: u32,
    /// Factors by which its disk is slower.
    pub(crate) slow: Vec<u32>,
}

/// A machine without its node.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) ports: Vec<u16>,
    pub(crate) profile: MachineProfile,
    /// Whether its processor costs anything.
    pub(crate) computes: bool,
    pub(crate) state: HostState,
    /// Its node is outside of the world.
    pub(crate) outside: bool,
    pub(crate) holds: Holds,
    /// A restart has asked the process to stop, and it has not yet.
    pub(crate) terminating: bool,
    /// Start the node as soon as it has halted.
    pub(crate) restarts: bool,
    pub(crate) clock: WallClock,

    pub(crate) disk: SimDisk,
    device_free_at: Time,
    /// Whether the kernel is going to write back dirty pages.
    pub(crate) writes_back: bool,
    pub(crate) disk_epoch: u32,

    pub(crate) nic: Nic,
    pub(crate) conns: ConnTable,
    pub(crate) last_conn: u64,

    pub(crate) inbox: VecDeque<Pending>,
    /// When the timer event that is scheduled comes.
    pub(crate) timer_at: Option<Time>,
    pub(crate) timer_epoch: u32,
    /// The time-out may be due: ask the node before its next input.
    pub(crate) timer_fired: bool,
    pub(crate) busy: Busy,
    pub(crate) step_epoch: u32,
    /// Effects of a step that is not paid yet, and the sizes of their messages.
    pub(crate) unpaid: Vec<Effect>,
    pub(crate) unpaid_sizes: Vec<u32>,

    pub(crate) node_rng: Rng,
    pub(crate) net_rng: Rng,
    pub(crate) disk_rng: Rng,
    /// Where faults of the disk strike.
    pub(crate) fault_rng: Rng,
}

impl Machine {
    pub(crate) fn new(
        seed: u64,
        name: String,
        ports: Vec<u16>,
        profile: MachineProfile,
        wall_ms: i64,
    ) -> Machine {
        let stream = |what: &str| Rng::named(seed, &format!("host/{name}/{what}"));
        let (node_rng, net_rng, disk_rng) = (stream("node"), stream("net"), stream("disk"));
        let fault_rng = stream("disk/faults");
        let nic = Nic::new(profile.nic_out_bytes_per_s, profile.nic_in_bytes_per_s);
        Machine {
            name,
            ports,
            profile,
            computes: profile.cpu != CpuProfile::default(),
            state: HostState::Down,
            outside: false,
            holds: Holds::default(),
            terminating: false,
            restarts: false,
            clock: WallClock::new(wall_ms),
            disk: SimDisk::new(),
            device_free_at: Time::ZERO,
            writes_back: false,
            disk_epoch: 0,
            nic,
            conns: ConnTable::default(),
            last_conn: 0,
            inbox: VecDeque::new(),
            timer_at: None,
            timer_epoch: 0,
            timer_fired: false,
            busy: Busy::No,
            step_epoch: 0,
            unpaid: Vec::new(),
            unpaid_sizes: Vec::new(),
            node_rng,
            net_rng,
            disk_rng,
            fault_rng,
        }
    }

    pub(crate) fn is_off(&self) -> bool {
        self.state == HostState::Off
    }

    pub(crate) fn has_process(&self) -> bool {
        matches!(self.state, HostState::Running | HostState::Paused)
    }

    /// Whether its node can take an input now.
    pub(crate) fn is_ready(&self) -> bool {
        self.state == HostState::Running && self.busy == Busy::No
    }

    /// Whether the use of its disk can cost anything.
    pub(crate) fn is_metered(&self) -> bool {
        self.profile.disk != DiskProfile::default() || self.holds.stalled > 0
    }

    fn slowness(&self) -> u64 {
        self.holds.slow.iter().fold(1, |all, one| all.saturating_mul(u64::from(*one)))
    }

    /// What a step's use of the disk costs, from `now` on; the device is busy for its part of it.
    pub(crate) fn disk_cost(&mut self, now: Time, usage: &DiskUsage) -> Span {
        let (disk, slowness) = (self.profile.disk, self.slowness());
        let copied = disk.operation.times(u64::from(usage.operations))
            + transfer_time(usage.bytes_written, disk.write_bytes_per_s)
            + transfer_time(usage.bytes_read, disk.read_bytes_per_s);
        let copied = copied.times(slowness);
        if usage.syncs == 0 {
            return copied;
        }
        let synced = disk.sync_latency.times(u64::from(usage.syncs))
            + transfer_time(usage.bytes_synced, disk.device_bytes_per_s);
        let begin = (now + copied).max(self.device_free_at);
        self.device_free_at = begin + synced.times(slowness);
        self.device_free_at.since(now)
    }

    /// The kernel writes back dirty pages: the device is busy for so long.
    pub(crate) fn write_back(&mut self, now: Time) {
        let bytes = self.disk.write_back();
        let span = transfer_time(bytes, self.profile.disk.device_bytes_per_s).times(self.slowness());
        self.device_free_at = self.device_free_at.max(now) + span;
    }

    /// The timer event; whether it is the one that counts.
    pub(crate) fn on_timer(&mut self, epoch: u32) -> bool {
        if self.timer_epoch != epoch {
            return false;
        }
        self.timer_at = None;
        self.timer_fired = true;
        true
    }

    /// Forgets all that the process was doing, but not what waits in its inbox.
    pub(crate) fn forget_process(&mut self) {
        self.unpaid.clear();
        self.unpaid_sizes.clear();
        self.busy = Busy::No;
        self.step_epoch += 1;
        self.timer_at = None;
        self.timer_epoch += 1;
        self.timer_fired = false;
        self.terminating = false;
        self.disk.crash_process();
    }

    /// What a stopped machine's device still had to do is no longer anybody's concern.
    pub(crate) fn device_is_idle(&mut self) {
        self.device_free_at = Time::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfer_takes_at_least_a_nanosecond_and_survives_large_sizes() {
        assert_eq!(transfer_time(1, 125_000_000), Span(8));
        assert_eq!(transfer_time(1, u64::MAX), Span(1));
        assert_eq!(transfer_time(1 << 40, 1 << 30), Span::from_secs(1024));
        assert_eq!(transfer_time(1 << 40, 0), Span::ZERO);
    }

    #[test]
    fn fsyncs_wait_for_the_device_and_slow_disks_take_longer() {
        let disk = DiskProfile {
            sync_latency: Span::from_millis(1),
            device_bytes_per_s: 1_000_000,
            write_bytes_per_s: 1_000_000_000,
            ..DiskProfile::default()
        };
        let profile = MachineProfile { disk, ..MachineProfile::default() };
        let mut machine = Machine::new(1, "a".to_owned(), vec![], profile, 0);
        let written = DiskUsage { bytes_written: 1_000, operations: 1, ..DiskUsage::default() };
        assert_eq!(machine.disk_cost(Time(0), &written), Span::from_micros(1));
        let synced = DiskUsage { syncs: 1, bytes_synced: 1_000, ..DiskUsage::default() };
        assert_eq!(machine.disk_cost(Time(0), &synced), Span::from_millis(2));
        // The second waits for the first.
        assert_eq!(machine.disk_cost(Time(500_000), &synced), Span(3_500_000));
        machine.holds.slow.push(3);
        assert_eq!(machine.disk_cost(Time(4_000_000), &synced), Span::from_millis(6));
    }
}
