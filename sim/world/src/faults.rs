//! Carrying out faults.

use trial_faults::{Fault, Hosts, Leadership, Links, ResolvedFault};
use trial_node::{Node, Signal};

use crate::machine::Busy;
use crate::net::Link;
use crate::observer::Observer;
use crate::queue::Event;
use crate::trace::{Kind, put_text};
use crate::world::{HostId, World};

/// A fault that the world cannot carry out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No host has that name.
    #[error("there is no host called {0:?}")]
    NoSuchHost(String),
    /// An admin client must do it.
    #[error("{0}: an admin client must ask the cluster for it")]
    NotOfTheWorld(String),
    /// There is nothing on the disk that it could happen to.
    #[error("{0}: there is no such file, or nothing of it is on the device yet")]
    NothingToStrike(String),
    /// The engine cannot do that.
    #[error("{fault}: {why}")]
    Refused {
        /// What was asked for.
        fault: String,
        /// Why not.
        why: &'static str,
    },
}

/// Not a host: what happens to the world as such.
const NOBODY: u32 = u32::MAX;

impl<N: Node> World<N> {
    /// Injects a fault now. Faults may overlap: a host that two of them keep down starts when both have healed.
    ///
    /// # Errors
    /// [`FaultError`]; nothing has happened then.
    pub fn apply(
        &mut self,
        fault: &ResolvedFault,
        observer: &mut impl Observer<N>,
    ) -> Result<(), FaultError> {
        self.check(fault)?;
        self.hash_fault(Kind::Fault, fault);
        match fault {
            Fault::Kill(on) => self.each(on, |world, host| {
                world.sim.machines[host.0 as usize].holds.down += 1;
                world.kill(host, observer);
            }),
            Fault::PowerOff(on) => self.each(on, |world, host| {
                let holds = &mut world.sim.machines[host.0 as usize].holds;
                holds.down += 1;
                holds.off += 1;
                world.power_off(host, observer);
            }),
            Fault::Restart(on) => self.each(on, |world, host| {
                let machine = &mut world.sim.machines[host.0 as usize];
                machine.holds.down += 1;
                machine.terminating = machine.has_process();
                world.signal(host, Signal::Terminate, observer);
            }),
            Fault::Pause(on) => self.each(on, |world, host| {
                world.sim.machines[host.0 as usize].holds.paused += 1;
                world.pause(host, observer);
            }),
            Fault::Partition(on) => self.each_link(on, |link| link.cuts += 1),
            Fault::LinkDelay { on, add, jitter } => self.each_link(on, |link| link.add_delay(*add, *jitter)),
            Fault::LinkBandwidth { on, limit } => self.each_link(on, |link| link.add_limit(*limit)),
            Fault::SlowDisk { on, factor } => {
                self.each(on, |world, host| world.sim.machines[host.0 as usize].holds.slow.push(*factor));
            }
            Fault::FsyncStall(on) => {
                self.each(on, |world, host| world.sim.machines[host.0 as usize].holds.stalled += 1);
            }
            Fault::ClockSkew { on, offset, ppm } => self.each(on, |world, host| {
                let now = world.sim.now;
                world.sim.machines[host.0 as usize].clock.skew(now, *offset, *ppm);
            }),
            Fault::TransferLeadership(Leadership::Quorum(on)) => self.each(on, |world, host| {
                world.signal(host, Signal::ResignQuorumLeadership, observer);
            }),
            Fault::TransferLeadership(Leadership::Partition(_)) => {}
            Fault::Disk { on, part, what } => {
                let mut struck = false;
                self.each(on, |world, host| {
                    let machine = &mut world.sim.machines[host.0 as usize];
                    struck |= machine.disk.inject(part, what, &mut machine.fault_rng);
                });
                if !struck {
                    return Err(FaultError::NothingToStrike(fault.to_string()));
                }
            }
        }
        Ok(())
    }

    /// Heals a fault that [`World::apply`] injected, now: the dead start again, what is cut is joined.
    ///
    /// # Errors
    /// As [`World::apply`].
    pub fn heal(&mut self, fault: &ResolvedFault, observer: &mut impl Observer<N>) -> Result<(), FaultError> {
        self.check(fault)?;
        self.hash_fault(Kind::Heal, fault);
        match fault {
            Fault::Kill(on) => self.each(on, |world, host| world.lift(host, observer)),
            Fault::PowerOff(on) => self.each(on, |world, host| {
                let holds = &mut world.sim.machines[host.0 as usize].holds;
                holds.off = holds.off.saturating_sub(1);
                if holds.off == 0 {
                    world.power_on(host);
                }
                world.lift(host, observer);
            }),
            Fault::Restart(on) => self.each(on, |world, host| {
                world.lift(host, observer);
                // A process that is still stopping starts again when it has stopped.
                let machine = &mut world.sim.machines[host.0 as usize];
                machine.restarts = machine.terminating && machine.holds.down == 0;
            }),
            Fault::Pause(on) => self.each(on, |world, host| {
                let holds = &mut world.sim.machines[host.0 as usize].holds;
                holds.paused = holds.paused.saturating_sub(1);
                if holds.paused == 0 {
                    world.resume(host, observer);
                }
            }),
            Fault::Partition(on) => self.each_link(on, |link| link.cuts = link.cuts.saturating_sub(1)),
            Fault::LinkDelay { on, add, jitter } => {
                self.each_link(on, |link| link.remove_delay(*add, *jitter));
            }
            Fault::LinkBandwidth { on, limit } => self.each_link(on, |link| link.remove_limit(*limit)),
            Fault::SlowDisk { on, factor } => self.each(on, |world, host| {
                let slow = &mut world.sim.machines[host.0 as usize].holds.slow;
                if let Some(i) = slow.iter().position(|f| f == factor) {
                    slow.swap_remove(i);
                }
            }),
            Fault::FsyncStall(on) => self.each(on, |world, host| world.end_stall(host)),
            Fault::ClockSkew { on, offset, ppm } => self.each(on, |world, host| {
                let now = world.sim.now;
                world.sim.machines[host.0 as usize].clock.unskew(now, *offset, *ppm);
            }),
            Fault::Disk { on, part, what } => self.each(on, |world, host| {
                world.sim.machines[host.0 as usize].disk.heal(part, what);
            }),
            Fault::TransferLeadership(_) => {}
        }
        Ok(())
    }

    /// One fault less keeps the host down.
    fn lift(&mut self, host: HostId, observer: &mut impl Observer<N>) {
        let holds = &mut self.sim.machines[host.0 as usize].holds;
        holds.down = holds.down.saturating_sub(1);
        if holds.down == 0 {
            self.start(host, observer);
        }
    }

    fn end_stall(&mut self, host: HostId) {
        let machine = &mut self.sim.machines[host.0 as usize];
        machine.holds.stalled = machine.holds.stalled.saturating_sub(1);
        if let (0, Busy::Stalled(cost)) = (machine.holds.stalled, machine.busy) {
            machine.busy = Busy::Paying;
            let step_done = Event::StepDone { host: host.0, epoch: machine.step_epoch };
            self.sim.queue.schedule(self.sim.now + cost, step_done);
        }
    }

    fn check(&self, fault: &ResolvedFault) -> Result<(), FaultError> {
        if let Fault::TransferLeadership(Leadership::Partition(_)) = fault {
            return Err(FaultError::NotOfTheWorld(fault.to_string()));
        }
        let hosts = fault.hosts();
        match hosts.names().iter().find(|name| self.sim.find(name).is_none()) {
            Some(name) => Err(FaultError::NoSuchHost(name.clone())),
            None => Ok(()),
        }
    }

    fn hash_fault(&mut self, kind: Kind, fault: &ResolvedFault) {
        let now = self.sim.now;
        put_text(self.sim.trace.begin(now, NOBODY, kind, 0, 0), fault);
        self.sim.trace.finish(now);
        if self.sim.trace.records() {
            self.sim.trace.record(now, "", format!("{kind:?}: {fault}"));
        }
    }

    fn ids(&self, hosts: &Hosts) -> Vec<u32> {
        hosts.names().iter().filter_map(|name| self.sim.find(name)).collect()
    }

    fn each(&mut self, hosts: &Hosts, mut act: impl FnMut(&mut World<N>, HostId)) {
        for id in self.ids(hosts) {
            act(self, HostId(id));
        }
    }

    /// Acts on each directed link that is meant, once.
    fn each_link(&mut self, links: &Links<Hosts>, mut act: impl FnMut(&mut Link)) {
        for (from, to) in links.directed(self.nodes.len() as u32, |name| self.sim.find(name)) {
            act(&mut self.sim.net.links[from as usize][to as usize]);
        }
    }
}
