//! Carrying out faults.

use trial_faults::{Fault, Hosts, Leadership, Links, ResolvedFault};
use trial_node::{Node, Signal};
use trial_world::{Engine, FaultError, Kind, Observer, put_text};

use super::driver::Driver;
use super::fabric::Fabric;

/// Not a host: what happens to the network as such.
const NOBODY: u32 = u32::MAX;

impl<N: Node, F: Fabric> Driver<N, F> {
    pub(super) fn apply_fault(
        &mut self,
        fault: &ResolvedFault,
        observer: &mut impl Observer<N>,
    ) -> Result<(), FaultError> {
        self.check(fault)?;
        self.hash_fault(Kind::Fault, fault);
        match fault {
            Fault::Kill(on) => self.each(on, |driver, host| {
                driver.hosts[host as usize].holds.down += 1;
                driver.kill(host, observer);
            }),
            Fault::PowerOff(on) => self.each(on, |driver, host| {
                let holds = &mut driver.hosts[host as usize].holds;
                holds.down += 1;
                holds.off += 1;
                driver.power_off(host, observer);
            }),
            Fault::Restart(on) => self.each(on, |driver, host| {
                let h = &mut driver.hosts[host as usize];
                h.holds.down += 1;
                h.terminating = h.has_process();
                driver.signal(host, Signal::Terminate);
            }),
            Fault::Pause(on) => self.each(on, |driver, host| {
                driver.hosts[host as usize].holds.paused += 1;
                driver.pause(host, observer);
            }),
            Fault::Partition(on) => self.cut(on, true),
            Fault::LinkDelay { on, add, jitter } => self.each_pair(on, |driver, a, b| {
                let (a, b, link) = driver.links.delay(a, b, *add, *jitter);
                driver.fabric.set_link(a, b, link);
            }),
            Fault::ClockSkew { on, offset, ppm } => self.each(on, |driver, host| {
                driver.hosts[host as usize].clock.skew(driver.now, *offset, *ppm);
            }),
            Fault::TransferLeadership(Leadership::Quorum(on)) => {
                self.each(on, |driver, host| driver.signal(host, Signal::ResignQuorumLeadership));
            }
            Fault::Disk { on, part, what } => {
                let mut struck = false;
                self.each(on, |driver, host| {
                    let h = &mut driver.hosts[host as usize];
                    struck |= h.disk.inject(part, what, &mut h.fault_rng);
                });
                if !struck {
                    return Err(FaultError::NothingToStrike(fault.to_string()));
                }
            }
            Fault::TransferLeadership(Leadership::Partition(_))
            | Fault::LinkBandwidth { .. }
            | Fault::SlowDisk { .. }
            | Fault::FsyncStall(_) => unreachable!("it was refused"),
        }
        Ok(())
    }

    pub(super) fn heal_fault(
        &mut self,
        fault: &ResolvedFault,
        observer: &mut impl Observer<N>,
    ) -> Result<(), FaultError> {
        self.check(fault)?;
        self.hash_fault(Kind::Heal, fault);
        match fault {
            Fault::Kill(on) => self.each(on, |driver, host| driver.lift(host, observer)),
            Fault::PowerOff(on) => self.each(on, |driver, host| {
                let holds = &mut driver.hosts[host as usize].holds;
                holds.off = holds.off.saturating_sub(1);
                if holds.off == 0 {
                    driver.power_on(host);
                }
                driver.lift(host, observer);
            }),
            Fault::Restart(on) => self.each(on, |driver, host| {
                driver.lift(host, observer);
                // A process that is still stopping starts again when it has stopped.
                let h = &mut driver.hosts[host as usize];
                h.restarts = h.terminating && h.holds.down == 0;
            }),
            Fault::Pause(on) => self.each(on, |driver, host| {
                let holds = &mut driver.hosts[host as usize].holds;
                holds.paused = holds.paused.saturating_sub(1);
                if holds.paused == 0 {
                    driver.resume(host, observer);
                }
            }),
            Fault::Partition(on) => self.cut(on, false),
            Fault::LinkDelay { on, add, jitter } => self.each_pair(on, |driver, a, b| {
                let (a, b, link) = driver.links.end_delay(a, b, *add, *jitter);
                driver.fabric.set_link(a, b, link);
            }),
            Fault::ClockSkew { on, offset, ppm } => self.each(on, |driver, host| {
                driver.hosts[host as usize].clock.unskew(driver.now, *offset, *ppm);
            }),
            Fault::Disk { on, part, what } => {
                self.each(on, |driver, host| driver.hosts[host as usize].disk.heal(part, what));
            }
            Fault::TransferLeadership(_)
            | Fault::LinkBandwidth { .. }
            | Fault::SlowDisk { .. }
            | Fault::FsyncStall(_) => {}
        }
        Ok(())
    }

    /// One fault less keeps the host down.
    fn lift(&mut self, host: u32, observer: &mut impl Observer<N>) {
        let holds = &mut self.hosts[host as usize].holds;
        holds.down = holds.down.saturating_sub(1);
        if holds.down == 0 {
            self.start_host(host, observer);
        }
    }

    fn check(&self, fault: &ResolvedFault) -> Result<(), FaultError> {
        if let Fault::TransferLeadership(Leadership::Partition(_)) = fault {
            return Err(FaultError::NotOfTheWorld(fault.to_string()));
        }
        if let Some(why) = self.refuses(fault) {
            return Err(FaultError::Refused { fault: fault.to_string(), why });
        }
        let hosts = fault.hosts();
        match hosts.names().iter().find(|name| self.find(name).is_none()) {
            Some(name) => Err(FaultError::NoSuchHost(name.clone())),
            None => Ok(()),
        }
    }

    fn hash_fault(&mut self, kind: Kind, fault: &ResolvedFault) {
        put_text(self.trace.begin(self.now, NOBODY, kind, 0, 0), fault);
        self.trace.finish(self.now);
        if self.trace.records() {
            self.trace.record(self.now, "", format!("{kind:?}: {fault}"));
        }
    }

    fn each(&mut self, hosts: &Hosts, mut act: impl FnMut(&mut Driver<N, F>, u32)) {
        let ids: Vec<u32> = hosts.names().iter().filter_map(|name| Some(self.find(name)?.0)).collect();
        ids.into_iter().for_each(|id| act(self, id));
    }

    fn directed(&self, links: &Links<Hosts>) -> Vec<(u32, u32)> {
        links.directed(self.hosts.len() as u32, |name| Some(self.find(name)?.0))
    }

    fn cut(&mut self, links: &Links<Hosts>, more: bool) {
        for (from, to) in self.directed(links) {
            let (a, b, link) = self.links.cut(from, to, more);
            self.fabric.set_link(a, b, link);
        }
    }

    /// Acts on each link whose two directions are both meant, once.
    fn each_pair(&mut self, links: &Links<Hosts>, mut act: impl FnMut(&mut Driver<N, F>, u32, u32)) {
        for (a, b) in self.directed(links).into_iter().filter(|(from, to)| from < to) {
            act(self, a, b);
        }
    }
}
