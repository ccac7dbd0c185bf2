//! One step: an input goes into a node, its effects come out, are hashed, shown to the observer, paid for and carried out.

use std::ops::ControlFlow;

use bytes::Bytes;
use trial_node::{Effect, Input, Io, Message, Node, Span, Time};
use trial_wire::ApiKey;
use trial_wire::api::lookup;
use trial_wire::message::{
    MessageError, decode_request, decode_response, encode_request, encode_response, encode_response_around,
    request_api, request_overhead, response_api, response_overhead,
};

use crate::config::Wire;
use crate::error::WorldError;
use crate::machine::{Busy, Pending};
use crate::net::EndState;
use crate::observer::{Observer, Step, StepInput};
use crate::queue::Event;
use crate::sim::Sim;
use crate::trace::{Kind, TraceHash, put_history, put_text};
use crate::world::{HostId, HostState, World};

/// So many steps at one instant are no coincidence.
const STEPS_PER_INSTANT_MAX: u64 = 1_000_000;

impl<N: Node> World<N> {
    /// Gives a host's node what waits for it, as long as it takes it.
    pub(crate) fn wake(&mut self, host: u32, observer: &mut impl Observer<N>) {
        let h = host as usize;
        while self.sim.machines[h].is_ready() {
            if self.failed.is_some() || self.stopped_at.is_some() {
                return;
            }
            if std::mem::take(&mut self.sim.machines[h].timer_fired) {
                let node = self.nodes[h].as_ref().expect("a running host has a node");
                if node.poll_timeout().is_some_and(|at| at <= self.sim.now) {
                    self.sim.trace.event(self.sim.now, host, Kind::Timeout, 0, 0);
                    self.handle(host, Input::Timeout, StepInput::Timeout, 0, observer);
                    continue;
                }
                self.arm_timer(host);
            }
            let Some(pending) = self.sim.machines[h].inbox.pop_front() else { return };
            match pending {
                Pending::Message { place, serial, bytes, pipe, epoch } => {
                    match self.sim.address(place, serial, bytes, pipe, epoch) {
                        Some(summary) => {
                            let input = self.sim.net.messages.remove(place);
                            self.handle(host, input, summary, bytes, observer);
                        }
                        None => drop(self.sim.net.messages.remove(place)),
                    }
                }
                notice => {
                    if let Some((input, summary)) = self.take_notice(host, notice) {
                        self.handle(host, input, summary, 0, observer);
                    }
                }
            }
        }
    }

    /// Takes what is not a message, if it still means something, and hashes it.
    fn take_notice(&mut self, host: u32, pending: Pending) -> Option<(Input, StepInput)> {
        let sim = &mut self.sim;
        let (input, summary, kind, a, b) = match pending {
            Pending::Message { .. } => unreachable!("messages are not notices"),
            Pending::Connected { conn, epoch } => {
                let conn = sim.net.conns.get(conn as usize).filter(|conn| conn.epoch == epoch)?;
                let id = conn.ends[0].id;
                (Input::Connected { conn: id }, StepInput::Connected(id), Kind::Connected, id.0, 0)
            }
            Pending::Accepted { conn, epoch } => {
                let conn = sim.net.conns.get(conn as usize).filter(|conn| conn.epoch == epoch)?;
                let (id, port) = (conn.ends[1].id, conn.port);
                let input = Input::Accepted { conn: id, port };
                (input, StepInput::Accepted(id, port), Kind::Accepted, id.0, u64::from(port))
            }
            Pending::Closed { conn: slot, epoch, end, reason } => {
                let conn = &mut sim.net.conns[slot as usize];
                let end = &mut conn.ends[usize::from(end)];
                if conn.epoch != epoch || end.state != EndState::Open {
                    return None;
                }
                end.state = EndState::Closed;
                let id = end.id;
                sim.machines[host as usize].conns.remove(id);
                sim.net.forget_if_over(slot);
                let input = Input::Closed { conn: id, reason };
                (input, StepInput::Closed(id, reason), Kind::Closed, id.0, reason as u64)
            }
            Pending::Signal(signal) => {
                (Input::Signal(signal), StepInput::Signal(signal), Kind::Signal, signal as u64, 0)
            }
        };
        sim.trace.event(sim.now, host, kind, a, b);
        Some((input, summary))
    }

    fn handle(
        &mut self,
        host: u32,
        input: Input,
        summary: StepInput,
        bytes: u32,
        observer: &mut impl Observer<N>,
    ) {
        if self.sim.trace.records() {
            let name = &self.sim.machines[host as usize].name;
            self.sim.trace.record(self.sim.now, name, format!("{input:?}"));
        }
        let h = host as usize;
        let machine = &mut self.sim.machines[h];
        if machine.outside {
            return self.arrive(host, input);
        }
        if machine.is_metered() {
            // What observers read is not the node's.
            machine.disk.take_usage();
        }
        let cpu = if machine.computes { machine.profile.cpu.input(&input, bytes) } else { Span::ZERO };
        let node = self.nodes[h].as_mut().expect("a running host has a node");
        let mut disk = machine.disk.for_node();
        let mut io = Io {
            disk: &mut disk,
            rng: &mut machine.node_rng,
            effects: &mut self.effects,
            last_conn: &mut machine.last_conn,
        };
        node.handle(machine.clock.now(self.sim.now), input, &mut io);
        self.settle(host, summary, cpu, observer);
    }

    /// What follows a node's call: count it, hash its effects, show it, pay for it, carry it out.
    pub(crate) fn settle(
        &mut self,
        host: u32,
        input: StepInput,
        cpu_in: Span,
        observer: &mut impl Observer<N>,
    ) {
        let h = host as usize;
        let now = self.sim.now;
        self.count_step(host);
        if let Err(error) = self.hash_effects(host) {
            self.effects.clear();
            self.failed.get_or_insert(error);
            return;
        }
        let (cost, stalled) = self.step_cost(host, cpu_in);
        let done = if stalled { Time::MAX } else { now + cost };
        let node = self.nodes[h].as_ref().expect("a node that was called is there");
        let disk = &mut self.sim.machines[h].disk;
        let step = Step { at: now, done, host: HostId(host), input, effects: &self.effects, node, disk };
        if observer.step(step) == ControlFlow::Break(()) {
            self.stopped_at = Some(host);
        }
        if done == now {
            return self.carry_out(host, observer);
        }
        let machine = &mut self.sim.machines[h];
        std::mem::swap(&mut machine.unpaid, &mut self.effects);
        std::mem::swap(&mut machine.unpaid_sizes, &mut self.sizes);
        if stalled {
            machine.busy = Busy::Stalled(cost);
        } else {
            machine.busy = Busy::Paying;
            self.sim.queue.schedule(done, Event::StepDone { host, epoch: machine.step_epoch });
        }
    }

    fn count_step(&mut self, host: u32) {
        self.sim.counters.steps += 1;
        let (at, steps) = &mut self.last_step;
        if *at != self.sim.now {
            (*at, *steps) = (self.sim.now, 0);
        }
        *steps += 1;
        if *steps > STEPS_PER_INSTANT_MAX {
            let host = self.sim.machines[host as usize].name.clone();
            self.failed.get_or_insert(WorldError::Livelock { at: *at, host, steps: *steps });
        }
    }

    /// What the step that just was costs, and whether it waits for a stalled fsync first.
    fn step_cost(&mut self, host: u32, cpu_in: Span) -> (Span, bool) {
        let usage = self.sim.machines[host as usize].disk.take_usage();
        if usage.bytes_written > 0 {
            self.sim.plan_write_back(host);
        }
        let machine = &mut self.sim.machines[host as usize];
        let mut cost = cpu_in;
        if machine.computes {
            for (effect, size) in self.effects.iter().zip(&self.sizes) {
                cost += machine.profile.cpu.effect(effect, *size);
            }
        }
        if !machine.is_metered() {
            return (cost, false);
        }
        cost += machine.disk_cost(self.sim.now + cost, &usage);
        (cost, machine.holds.stalled > 0 && usage.syncs > 0)
    }

    /// Hashes each effect of the step and notes the sizes of messages. On the wire of bytes, each message becomes what its
    /// receiver decodes.
    fn hash_effects(&mut self, host: u32) -> Result<(), WorldError> {
        let Sim { now, trace, machines, .. } = &mut self.sim;
        let (now, wire) = (*now, self.config.wire);
        let name = &machines[host as usize].name;
        self.sizes.clear();
        for effect in &mut self.effects {
            let size = match effect {
                Effect::Send { conn, message } => hash_message(trace, now, host, conn.0, message, wire)
                    .map_err(|error| bad_message(now, name, error))?,
                _ => {
                    hash_notice(trace, now, host, effect);
                    0
                }
            };
            self.sizes.push(size);
            if trace.records() {
                trace.record(now, name, format!("{effect:?}"));
            }
        }
        Ok(())
    }

    /// The cost of a step is paid.
    pub(crate) fn on_step_done(
        &mut self,
        host: u32,
        epoch: u32,
        observer: &mut impl Observer<N>,
    ) -> Option<u32> {
        let machine = &mut self.sim.machines[host as usize];
        if machine.step_epoch != epoch {
            return None;
        }
        if machine.state == HostState::Paused {
            machine.busy = Busy::Paid;
            return None;
        }
        self.carry_out_paid(host, observer);
        Some(host)
    }

    /// Carries out the effects that were waiting for their step to be paid.
    pub(crate) fn carry_out_paid(&mut self, host: u32, observer: &mut impl Observer<N>) {
        let machine = &mut self.sim.machines[host as usize];
        machine.busy = Busy::No;
        std::mem::swap(&mut machine.unpaid, &mut self.effects);
        std::mem::swap(&mut machine.unpaid_sizes, &mut self.sizes);
        self.carry_out(host, observer);
    }

    /// Carries out the effects of a step, in order.
    fn carry_out(&mut self, host: u32, observer: &mut impl Observer<N>) {
        let mut effects = std::mem::take(&mut self.effects);
        let mut halted = None;
        for (effect, size) in effects.iter_mut().zip(&self.sizes) {
            match effect {
                Effect::Send { conn, message } => {
                    // A node may not know yet that a connection is gone.
                    let Some(pipe) = self.sim.machines[host as usize].conns.get(*conn) else { continue };
                    let opened = pipe & 1 == 0;
                    if matches!(message, Message::Request(_)) != opened {
                        let what = if opened { "response" } else { "request" };
                        let (at, host) = (self.sim.now, self.sim.machines[host as usize].name.clone());
                        self.failed.get_or_insert(WorldError::WrongEnd { at, host, conn: conn.0, what });
                        continue;
                    }
                    let place = self.sim.net.messages.insert(effect);
                    self.sim.send(pipe, place, *size);
                }
                Effect::Connect { conn, to } => self.sim.connect(host, *conn, to),
                Effect::Close { conn } => self.sim.close(host, *conn),
                Effect::Trace(_) | Effect::History(_) => {}
                Effect::Halt(reason) => {
                    halted = Some(reason.clone());
                    break;
                }
            }
        }
        effects.clear();
        self.effects = effects;
        match halted {
            Some(reason) => self.halted(host, reason, observer),
            None => self.arm_timer(host),
        }
    }

    /// Sees to it that the node gets its next time-out. One event per host is enough: if it comes too early, it is
    /// scheduled again then.
    pub(crate) fn arm_timer(&mut self, host: u32) {
        let Some(node) = &self.nodes[host as usize] else { return };
        let Some(wanted) = node.poll_timeout() else { return };
        let at = wanted.max(self.sim.now);
        let machine = &mut self.sim.machines[host as usize];
        if machine.timer_at.is_none_or(|scheduled| at < scheduled) {
            machine.timer_at = Some(at);
            machine.timer_epoch += 1;
            self.sim.queue.schedule(at, Event::Timer { host, epoch: machine.timer_epoch });
        }
    }
}

/// The version that a request's body is in. Clients newer than us ask for our versions in a version of ApiVersions that we
/// cannot know, and all that can be said of their question is what version 0 says (KIP-511).
fn body_version(api: ApiKey, version: i16) -> i16 {
    let known = api != ApiKey::ApiVersions || lookup(api).is_some_and(|api| api.supports(version));
    if known { version } else { 0 }
}

#[cold]
fn bad_message(at: Time, host: &str, error: MessageError) -> WorldError {
    let MessageError { api, version, what } = error;
    WorldError::BadMessage { at, host: host.to_owned(), api, version, what }
}

impl Sim {
    /// Gives the message in `place` the receiver's name of its connection, and hashes its delivery; `None` if nobody wants
    /// it any more.
    fn address(&mut self, place: u32, serial: u64, bytes: u32, pipe: u32, epoch: u32) -> Option<StepInput> {
        let (conn, sender) = self.net.pipe(pipe);
        let end = conn.ends[1 - sender];
        if conn.epoch != epoch || end.state != EndState::Open {
            return None;
        }
        self.consumed(pipe, bytes);
        self.counters.messages += 1;
        let (kind, summary) = match self.net.messages.get_mut(place) {
            Input::Request { conn, request } => {
                *conn = end.id;
                (Kind::Request, StepInput::Request(end.id, request_api(&request.body)))
            }
            Input::Response { conn, response } => {
                *conn = end.id;
                self.counters.rpcs += 1;
                (Kind::Response, StepInput::Response(end.id, response_api(&response.body)))
            }
            other => unreachable!("{other:?} is not a message"),
        };
        self.trace.event(self.now, end.host, kind, end.id.0, serial);
        Some(summary)
    }
}

/// Hashes a message as its encoding; returns its size on the wire.
pub(crate) fn hash_message(
    trace: &mut TraceHash,
    now: Time,
    host: u32,
    conn: u64,
    message: &mut Message,
    wire: Wire,
) -> Result<u32, MessageError> {
    let about = |api: ApiKey, version: i16, correlation_id: i32| {
        u64::from(correlation_id as u32)
            | u64::from(version as u16) << 32
            | u64::from(api as i16 as u16) << 48
    };
    let size = match message {
        Message::Request(request) => {
            let (api, version) = (request_api(&request.body), request.api_version);
            let about = about(api, version, request.correlation_id);
            let out = trace.begin(now, host, Kind::SendRequest, conn, about);
            out.extend_from_slice(request.client_id.as_bytes());
            let start = out.len();
            let version = body_version(api, version);
            encode_request(&request.body, version, out)?;
            if wire == Wire::Bytes {
                *request.body = decode_request(api, version, Bytes::copy_from_slice(&out[start..]))?;
            }
            out.len() - start + request_overhead(api, version, &request.client_id)
        }
        Message::Response(response) => {
            let (api, version) = (response_api(&response.body), response.api_version);
            let about = about(api, version, response.correlation_id);
            let (out, apart) = trace.begin_around(now, host, Kind::SendResponse, conn, about);
            let start = out.len();
            if wire == Wire::Bytes {
                encode_response(&response.body, version, out)?;
                *response.body = decode_response(api, version, Bytes::copy_from_slice(&out[start..]))?;
            } else {
                encode_response_around(&response.body, version, out, apart)?;
            }
            let apart: usize = apart.iter().map(|(_, records)| records.len()).sum();
            out.len() - start + apart + response_overhead(api, version)
        }
    };
    trace.finish(now);
    Ok(u32::try_from(size).unwrap_or(u32::MAX))
}

/// Hashes an effect that is not a message.
///
/// # Panics
/// When it is one.
pub fn hash_notice(trace: &mut TraceHash, now: Time, host: u32, effect: &Effect) {
    match effect {
        Effect::Send { .. } => unreachable!("messages are hashed by hash_message"),
        Effect::Close { conn } => return trace.event(now, host, Kind::Close, conn.0, 0),
        Effect::Connect { conn, to } => {
            let out = trace.begin(now, host, Kind::Connect, conn.0, u64::from(to.port));
            out.extend_from_slice(to.host.as_bytes());
        }
        Effect::Trace(event) => put_text(trace.begin(now, host, Kind::Trace, 0, 0), event),
        Effect::History(event) => put_history(trace.begin(now, host, Kind::History, 0, 0), event),
        Effect::Halt(reason) => put_text(trace.begin(now, host, Kind::Halt, 0, 0), reason),
    }
    trace.finish(now);
}
