//! Hosts whose node is outside of the world: real clients, or whoever drives the world, act in its place.
//!
//! Such a host has a place in the network like any other: what it sends takes the links' time, partitions hold it back, the
//! death of a peer resets its connections. What it does ([`World::outside_connect`], [`World::outside_request`],
//! [`World::outside_close`]) goes into the trace hash as a node's effects do, and what arrives at it ([`World::arrivals`])
//! as a node's inputs do. The same calls at the same instants give the same run.

use trial_node::{CloseReason, ConnId, Effect, Endpoint, Input, Message, Node, Request, Time};
use trial_wire::message::MessageError;

use crate::config::MachineProfile;
use crate::machine::Machine;
use crate::net::EndState;
use crate::step::{hash_message, hash_notice};
use crate::trace::Kind;
use crate::world::{HostId, HostState, World};

/// What arrived at an outside host: [`Input::Connected`], [`Input::Response`] or [`Input::Closed`].
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// When.
    pub at: Time,
    /// Where.
    pub host: HostId,
    /// What.
    pub input: Input,
}

impl<N: Node> World<N> {
    /// Adds a machine whose node is outside; it runs at once. Nobody can connect to it. A fault that kills it, or cuts its
    /// power, closes its connections and keeps it from making new ones; one that pauses it holds back what arrives.
    ///
    /// # Panics
    /// When the name is taken.
    pub fn add_outside(&mut self, name: &str) -> HostId {
        let (seed, wall_start_ms) = (self.config.seed, self.config.wall_start_ms);
        let mut machine =
            Machine::new(seed, name.to_owned(), Vec::new(), MachineProfile::default(), wall_start_ms);
        machine.outside = true;
        machine.state = HostState::Running;
        self.add_machine(machine, None)
    }

    /// Whether the host's node is outside.
    pub fn is_outside(&self, host: HostId) -> bool {
        self.sim.machines[host.0 as usize].outside
    }

    /// An outside host asks for a connection. `None` if it is down.
    pub fn outside_connect(&mut self, host: HostId, to: &Endpoint) -> Option<ConnId> {
        let machine = self.outside_mut(host);
        if !machine.has_process() {
            return None;
        }
        machine.last_conn += 1;
        let conn = ConnId(machine.last_conn);
        self.note(host, &Effect::Connect { conn, to: to.clone() });
        self.sim.connect(host.0, conn, to);
        Some(conn)
    }

    /// An outside host sends a request on a connection that it asked for; it need not stand yet. Dropped if the connection
    /// has gone.
    ///
    /// # Errors
    /// [`MessageError`] when the version cannot express the request; nothing has happened then.
    pub fn outside_request(
        &mut self,
        host: HostId,
        conn: ConnId,
        request: Request,
    ) -> Result<(), MessageError> {
        let Some(pipe) = self.outside_mut(host).conns.get(conn) else { return Ok(()) };
        let mut message = Message::Request(request);
        let (now, wire) = (self.sim.now, self.config.wire);
        let size = hash_message(&mut self.sim.trace, now, host.0, conn.0, &mut message, wire)?;
        let mut send = Effect::Send { conn, message };
        self.record(host, &send);
        let place = self.sim.net.messages.insert(&mut send);
        self.sim.send(pipe, place, size);
        Ok(())
    }

    /// An outside host closes a connection. What it sent before may still arrive.
    pub fn outside_close(&mut self, host: HostId, conn: ConnId) {
        if self.outside_mut(host).conns.get(conn).is_some() {
            self.note(host, &Effect::Close { conn });
            self.sim.close(host.0, conn);
        }
    }

    /// How many bytes an outside host has sent on a connection that the other end has not taken yet; 0 if it has gone.
    pub fn outside_unread(&self, host: HostId, conn: ConnId) -> u64 {
        let Some(pipe) = self.sim.machines[host.0 as usize].conns.get(conn) else { return 0 };
        let (conn, end) = self.sim.net.pipe(pipe);
        let pipe = &conn.pipes[end];
        let waiting: u64 = pipe.waiting.iter().map(|segment| u64::from(segment.bytes)).sum();
        waiting + u64::from(pipe.in_window)
    }

    /// Takes out what has arrived at outside hosts, in the order of arrival.
    pub fn arrivals(&mut self) -> Vec<Arrival> {
        std::mem::take(&mut self.arrived)
    }

    /// When something happens next, if nobody outside does anything before.
    pub fn next_event(&self) -> Option<Time> {
        self.sim.queue.next_at()
    }

    /// An input is there for an outside host.
    pub(crate) fn arrive(&mut self, host: u32, input: Input) {
        self.arrived.push(Arrival { at: self.sim.now, host: HostId(host), input });
    }

    /// The process of an outside host ends: its connections are gone, and whoever stands for it is told.
    pub(crate) fn end_outside(&mut self, host: u32) {
        let now = self.sim.now;
        for id in self.sim.machines[host as usize].conns.ids() {
            let Some(pipe) = self.sim.machines[host as usize].conns.get(id) else { continue };
            let (conn, end) = self.sim.net.pipe(pipe);
            if conn.ends[end].state == EndState::Open {
                let reason = CloseReason::Reset;
                self.sim.trace.event(now, host, Kind::Closed, id.0, reason as u64);
                self.arrive(host, Input::Closed { conn: id, reason });
            }
        }
    }

    fn outside_mut(&mut self, host: HostId) -> &mut Machine {
        let machine = &mut self.sim.machines[host.0 as usize];
        assert!(machine.outside, "{} has a node of its own", machine.name);
        machine
    }

    fn note(&mut self, host: HostId, effect: &Effect) {
        hash_notice(&mut self.sim.trace, self.sim.now, host.0, effect);
        self.record(host, effect);
    }

    fn record(&mut self, host: HostId, effect: &Effect) {
        if self.sim.trace.records() {
            let name = &self.sim.machines[host.0 as usize].name;
            self.sim.trace.record(self.sim.now, name, format!("{effect:?}"));
        }
    }
}
