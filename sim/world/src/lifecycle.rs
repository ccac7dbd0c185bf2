//! The fates of hosts: start, kill, power off, pause, resume, halt, signals.

use trial_node::{CloseReason, HaltReason, Io, Node, Signal, Span};

use crate::machine::{Busy, Pending};
use crate::observer::{Lifecycle, Observer, StepInput};
use crate::queue::Event;
use crate::trace::{Kind, put_text};
use crate::world::{HostId, HostState, World};

impl<N: Node> World<N> {
    /// Opens the host's node now, switching the machine on if it is off. Nothing happens if it runs already. If the node
    /// cannot be opened the host stays down and the observer is told.
    pub fn start(&mut self, host: HostId, observer: &mut impl Observer<N>) {
        let h = host.0 as usize;
        let machine = &mut self.sim.machines[h];
        if machine.has_process() {
            return;
        }
        machine.restarts = false;
        let Some(config) = &self.configs[h] else {
            machine.state = HostState::Running;
            return self.tell(host.0, Lifecycle::Started, observer);
        };
        machine.disk.take_usage();
        let mut disk = machine.disk.for_node();
        let mut io = Io {
            disk: &mut disk,
            rng: &mut machine.node_rng,
            effects: &mut self.effects,
            last_conn: &mut machine.last_conn,
        };
        self.sim.trace.event(self.sim.now, host.0, Kind::Open, 0, 0);
        let now = machine.clock.now(self.sim.now);
        match N::open(config.clone(), &mut io, now) {
            Ok(node) => {
                self.nodes[h] = Some(node);
                machine.state = HostState::Running;
                self.settle(host.0, StepInput::Open, Span::ZERO, observer);
                if self.sim.machines[h].has_process() {
                    self.tell(host.0, Lifecycle::Started, observer);
                    self.wake(host.0, observer);
                }
            }
            Err(error) => {
                self.effects.clear();
                machine.state = HostState::Down;
                machine.forget_process();
                self.tell(host.0, Lifecycle::OpenFailed(error), observer);
            }
        }
    }

    /// SIGKILL: the process dies, what it wrote stays in the page cache. Its peers' connections are reset.
    pub fn kill(&mut self, host: HostId, observer: &mut impl Observer<N>) {
        if self.end_process(host.0, HostState::Down) {
            for pipe in self.sim.machines[host.0 as usize].conns.drain() {
                self.sim.kill_end(pipe);
            }
            self.tell(host.0, Lifecycle::Killed, observer);
        }
    }

    /// The machine loses power: what was not synced may be lost; nobody is told anything.
    pub fn power_off(&mut self, host: HostId, observer: &mut impl Observer<N>) {
        if self.state(host) == HostState::Off {
            return;
        }
        self.end_process(host.0, HostState::Off);
        self.sim.switch_off(host.0);
        self.tell(host.0, Lifecycle::PoweredOff, observer);
    }

    /// Switches the machine on without starting its node.
    pub fn power_on(&mut self, host: HostId) {
        let machine = &mut self.sim.machines[host.0 as usize];
        if machine.is_off() {
            machine.state = HostState::Down;
        }
    }

    /// SIGSTOP: the node takes no input and gets no time-out; the kernel goes on accepting connections and data.
    pub fn pause(&mut self, host: HostId, observer: &mut impl Observer<N>) {
        let machine = &mut self.sim.machines[host.0 as usize];
        if machine.state == HostState::Running {
            machine.state = HostState::Paused;
            self.tell(host.0, Lifecycle::Paused, observer);
        }
    }

    /// SIGCONT.
    pub fn resume(&mut self, host: HostId, observer: &mut impl Observer<N>) {
        let machine = &mut self.sim.machines[host.0 as usize];
        if machine.state != HostState::Paused {
            return;
        }
        machine.state = HostState::Running;
        let paid = machine.busy == Busy::Paid;
        self.tell(host.0, Lifecycle::Resumed, observer);
        if paid {
            self.carry_out_paid(host.0, observer);
        }
        self.wake(host.0, observer);
    }

    /// Sends the node a signal; it takes it after what waits already. A host without a process takes none.
    pub fn signal(&mut self, host: HostId, signal: Signal, observer: &mut impl Observer<N>) {
        let machine = &mut self.sim.machines[host.0 as usize];
        if machine.has_process() {
            machine.inbox.push_back(Pending::Signal(signal));
            self.wake(host.0, observer);
        }
    }

    /// The node stopped by itself: its process ends in an orderly way.
    pub(crate) fn halted(&mut self, host: u32, reason: HaltReason, observer: &mut impl Observer<N>) {
        self.end_process(host, HostState::Down);
        for pipe in self.sim.machines[host as usize].conns.drain() {
            self.sim.close_end(pipe, CloseReason::PeerClosed);
        }
        self.tell(host, Lifecycle::Halted(reason), observer);
        if self.sim.machines[host as usize].restarts {
            self.sim.queue.schedule(self.sim.now, Event::Start { host });
        }
    }

    /// Ends the process, if there is one; returns whether there was.
    fn end_process(&mut self, host: u32, state: HostState) -> bool {
        let machine = &self.sim.machines[host as usize];
        let outside = machine.outside && machine.has_process();
        let had_process = self.nodes[host as usize].take().is_some() || outside;
        if outside {
            self.end_outside(host);
        }
        if had_process {
            self.sim.empty_inbox(host);
            self.sim.machines[host as usize].forget_process();
        }
        if had_process || state == HostState::Off {
            self.sim.machines[host as usize].state = state;
        }
        had_process
    }

    fn tell(&mut self, host: u32, event: Lifecycle, observer: &mut impl Observer<N>) {
        let now = self.sim.now;
        put_text(self.sim.trace.begin(now, host, Kind::Lifecycle, 0, 0), &event);
        self.sim.trace.finish(now);
        if self.sim.trace.records() {
            self.sim.trace.record(now, &self.sim.machines[host as usize].name, event.to_string());
        }
        observer.lifecycle(now, HostId(host), &event);
    }
}
