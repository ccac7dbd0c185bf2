//! The fates of hosts: start, kill, power off, pause, resume, halt, signals. As in `trial_world`, on sockets.

use trial_node::{HaltReason, Io, Node, Signal};
use trial_world::{HostId, HostState, Kind, Lifecycle, Observer, StepInput, put_text};

use super::driver::Driver;
use super::fabric::Fabric;
use super::host::Waiting;
use super::kernel::Call;

impl<N: Node, F: Fabric> Driver<N, F> {
    /// Opens the host's node now, switching the machine on if it is off, unless it runs already.
    pub(super) fn start_host(&mut self, host: u32, observer: &mut impl Observer<N>) {
        self.power_on(host);
        let h = &mut self.hosts[host as usize];
        if h.has_process() {
            return;
        }
        h.restarts = false;
        h.process += 1;
        let mut disk = h.disk.for_node();
        let mut io = Io {
            disk: &mut disk,
            rng: &mut h.node_rng,
            effects: &mut self.effects,
            last_conn: &mut h.last_conn,
        };
        self.trace.event(self.now, host, Kind::Open, 0, 0);
        match N::open(h.config.clone(), &mut io, h.clock.now(self.now)) {
            Ok(node) => {
                h.node = Some(node);
                h.state = HostState::Running;
                for &port in &h.ports {
                    h.call(Call::Listen { process: h.process, port });
                }
                self.settle(host, StepInput::Open, observer);
                if self.hosts[host as usize].has_process() {
                    self.tell(host, Lifecycle::Started, observer);
                }
            }
            Err(error) => {
                self.effects.clear();
                h.state = HostState::Down;
                h.disk.crash_process();
                self.tell(host, Lifecycle::OpenFailed(error), observer);
            }
        }
    }

    /// SIGKILL: the process dies, what it wrote stays in the page cache.
    pub(super) fn kill(&mut self, host: u32, observer: &mut impl Observer<N>) {
        if self.end_process(host, HostState::Down) {
            self.hosts[host as usize].call(Call::Kill);
            self.tell(host, Lifecycle::Killed, observer);
        }
    }

    /// The machine loses power: what was not synced may be lost.
    pub(super) fn power_off(&mut self, host: u32, observer: &mut impl Observer<N>) {
        if self.hosts[host as usize].state == HostState::Off {
            return;
        }
        self.end_process(host, HostState::Off);
        let h = &mut self.hosts[host as usize];
        h.disk.lose_power(&mut h.disk_rng);
        self.fabric.switch_off(host);
        self.cut_off(host, true);
        self.tell(host, Lifecycle::PoweredOff, observer);
    }

    /// Switches the machine on without starting its node.
    pub(super) fn power_on(&mut self, host: u32) {
        if self.hosts[host as usize].state == HostState::Off {
            let kernel = self.fabric.switch_on(host, self.to_driver.clone());
            let h = &mut self.hosts[host as usize];
            h.kernel = kernel;
            h.state = HostState::Down;
            self.cut_off(host, false);
        }
    }

    /// Cuts all links of a host, or joins them again.
    fn cut_off(&mut self, host: u32, cut: bool) {
        for other in (0..self.hosts.len() as u32).filter(|other| *other != host) {
            for (from, to) in [(host, other), (other, host)] {
                let (a, b, link) = self.links.cut(from, to, cut);
                self.fabric.set_link(a, b, link);
            }
        }
    }

    /// SIGSTOP: the node takes no input and gets no time-out; the kernel goes on until its buffers are full.
    pub(super) fn pause(&mut self, host: u32, observer: &mut impl Observer<N>) {
        let h = &mut self.hosts[host as usize];
        if h.state == HostState::Running {
            h.state = HostState::Paused;
            self.tell(host, Lifecycle::Paused, observer);
        }
    }

    /// SIGCONT.
    pub(super) fn resume(&mut self, host: u32, observer: &mut impl Observer<N>) {
        let h = &mut self.hosts[host as usize];
        if h.state == HostState::Paused {
            h.state = HostState::Running;
            self.tell(host, Lifecycle::Resumed, observer);
        }
    }

    /// Sends the node a signal; it takes it after what waits already. A host without a process takes none.
    pub(super) fn signal(&mut self, host: u32, signal: Signal) {
        let h = &mut self.hosts[host as usize];
        if h.has_process() {
            h.waiting.push_back(Waiting::Signal(signal));
        }
    }

    /// The node stopped by itself: its process ends in an orderly way.
    pub(super) fn halted(&mut self, host: u32, reason: HaltReason, observer: &mut impl Observer<N>) {
        self.end_process(host, HostState::Down);
        self.hosts[host as usize].call(Call::Exit);
        self.tell(host, Lifecycle::Halted(reason), observer);
    }

    /// Ends the process, if there is one; returns whether there was.
    fn end_process(&mut self, host: u32, state: HostState) -> bool {
        let h = &mut self.hosts[host as usize];
        let had_process = h.node.take().is_some();
        if had_process {
            h.waiting.clear();
            h.ends.clear();
            h.terminating = false;
            h.disk.crash_process();
        }
        if had_process || state == HostState::Off {
            h.state = state;
        }
        had_process
    }

    fn tell(&mut self, host: u32, event: Lifecycle, observer: &mut impl Observer<N>) {
        put_text(self.trace.begin(self.now, host, Kind::Lifecycle, 0, 0), &event);
        self.trace.finish(self.now);
        if self.trace.records() {
            self.trace.record(self.now, &self.hosts[host as usize].name, event.to_string());
        }
        observer.lifecycle(self.now, HostId(host), &event);
    }
}
