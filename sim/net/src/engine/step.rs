//! One step: an input goes into a node, its effects are encoded, hashed, shown to the observer, and carried out.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use bytes::{Bytes, BytesMut};
use trial_node::{ConnId, Effect, Input, Io, Message, Node, Request, Response};
use trial_wire::frame::{decode_response_frame, encode_request_frame, encode_response_frame};
use trial_wire::message::{request_api, response_api};
use trial_world::{HostId, HostState, Kind, Observer, Step, StepInput, WorldError, hash_notice};

use super::driver::Driver;
use super::fabric::Fabric;
use super::host::{End, Host, Question, Waiting};
use super::kernel::{Call, Socket};
use crate::edge;

/// So many steps at one instant are no coincidence.
const STEPS_PER_INSTANT_MAX: u64 = 1_000_000;

impl<N: Node> Host<N> {
    /// Whether its node can take an input now.
    pub(super) fn is_ready(&self) -> bool {
        self.state == HostState::Running
    }
}

impl<N: Node, F: Fabric> Driver<N, F> {
    /// Gives a host's node what there is for it.
    pub(super) fn wake(&mut self, host: u32, observer: &mut impl Observer<N>) {
        while self.failed.is_none() && !self.stopped && self.hosts[host as usize].is_ready() {
            let h = &mut self.hosts[host as usize];
            let node = h.node.as_ref().expect("a running host has a node");
            if node.poll_timeout().is_some_and(|at| at <= self.now) {
                self.trace.event(self.now, host, Kind::Timeout, 0, 0);
                self.handle(host, Input::Timeout, StepInput::Timeout, observer);
                continue;
            }
            let Some(waiting) = h.waiting.pop_front() else { return };
            match self.input(host, waiting) {
                Ok(Some((input, summary))) => self.handle(host, input, summary, observer),
                Ok(None) => {}
                Err(what) => self.fail(host, what),
            }
        }
    }

    /// What a node takes of what has waited for it, if it still means something.
    fn input(&mut self, host: u32, waiting: Waiting) -> Result<Option<(Input, StepInput)>, String> {
        let h = &mut self.hosts[host as usize];
        let (input, summary, kind, a, b) = match waiting {
            Waiting::Signal(signal) => {
                (Input::Signal(signal), StepInput::Signal(signal), Kind::Signal, signal as u64, 0)
            }
            Waiting::Accepted { process, port, socket } => {
                // A process that is gone may have accepted it.
                if process != h.process {
                    return Ok(None);
                }
                h.last_conn += 1;
                let conn = ConnId(h.last_conn);
                h.ends.insert(conn, End { socket, asked: None });
                let input = Input::Accepted { conn, port };
                (input, StepInput::Accepted(conn, port), Kind::Accepted, conn.0, u64::from(port))
            }
            Waiting::Connected { socket } => {
                let Some(conn) = h.ends.name(socket) else { return Ok(None) };
                (Input::Connected { conn }, StepInput::Connected(conn), Kind::Connected, conn.0, 0)
            }
            Waiting::Closed { socket, reason } => {
                let Some(conn) = h.ends.name(socket) else { return Ok(None) };
                h.ends.remove(conn);
                let input = Input::Closed { conn, reason };
                (input, StepInput::Closed(conn, reason), Kind::Closed, conn.0, reason as u64)
            }
            Waiting::Frame { socket, frame } => {
                let Some(conn) = h.ends.name(socket) else { return Ok(None) };
                let end = h.ends.get_mut(conn).expect("a connection that has a name is there");
                let bytes = frame.len();
                end.socket.taken(bytes);
                let (input, summary) = decoded(conn, end, frame)?;
                self.counters.messages += 1;
                let kind = match input {
                    Input::Response { .. } => {
                        self.counters.rpcs += 1;
                        Kind::Response
                    }
                    _ => Kind::Request,
                };
                (input, summary, kind, conn.0, bytes as u64)
            }
        };
        self.trace.event(self.now, host, kind, a, b);
        Ok(Some((input, summary)))
    }

    fn handle(&mut self, host: u32, input: Input, summary: StepInput, observer: &mut impl Observer<N>) {
        let h = &mut self.hosts[host as usize];
        if self.trace.records() {
            self.trace.record(self.now, &h.name, format!("{input:?}"));
        }
        let node = h.node.as_mut().expect("a running host has a node");
        let mut disk = h.disk.for_node();
        let mut io = Io {
            disk: &mut disk,
            rng: &mut h.node_rng,
            effects: &mut self.effects,
            last_conn: &mut h.last_conn,
        };
        node.handle(h.clock.now(self.now), input, &mut io);
        self.settle(host, summary, observer);
    }

    /// What follows a node's call: count it, encode and hash its effects, show it, carry it out.
    pub(super) fn settle(&mut self, host: u32, input: StepInput, observer: &mut impl Observer<N>) {
        self.counters.steps += 1;
        self.steps_now += 1;
        if self.steps_now > STEPS_PER_INSTANT_MAX {
            let (at, steps) = (self.now, self.steps_now);
            let host = self.hosts[host as usize].name.clone();
            self.failed.get_or_insert(WorldError::Livelock { at, host, steps });
        }
        if let Err(error) = self.encode(host) {
            self.effects.clear();
            self.frames.clear();
            self.failed.get_or_insert(error);
            return;
        }
        let h = &mut self.hosts[host as usize];
        let step = Step {
            at: self.now,
            done: self.now,
            host: HostId(host),
            input,
            effects: &self.effects,
            node: h.node.as_ref().expect("a node that was called is there"),
            disk: &mut h.disk,
        };
        if observer.step(step) == ControlFlow::Break(()) {
            self.stopped = true;
        }
        self.carry_out(host, observer);
    }

    /// Makes a frame of each message of the step, and hashes each effect.
    fn encode(&mut self, host: u32) -> Result<(), WorldError> {
        let name = &self.hosts[host as usize].name;
        for effect in &self.effects {
            if let Effect::Send { conn, message } = effect {
                let mut frame = BytesMut::new();
                let (kind, encoded) = match message {
                    Message::Request(Request { correlation_id, api_version, client_id, body }) => {
                        let encoded =
                            encode_request_frame(*correlation_id, *api_version, client_id, body, &mut frame);
                        (Kind::SendRequest, encoded)
                    }
                    Message::Response(Response { correlation_id, api_version, body }) => {
                        let encoded = encode_response_frame(*correlation_id, *api_version, body, &mut frame);
                        (Kind::SendResponse, encoded)
                    }
                };
                encoded.map_err(|error| WorldError::BadMessage {
                    at: self.now,
                    host: name.clone(),
                    api: error.api,
                    version: error.version,
                    what: error.what,
                })?;
                self.trace.begin(self.now, host, kind, conn.0, 0).extend_from_slice(&frame);
                self.trace.finish(self.now);
                self.counters.bytes += frame.len() as u64;
                self.frames.push(frame.freeze());
            } else {
                hash_notice(&mut self.trace, self.now, host, effect);
            }
            if self.trace.records() {
                self.trace.record(self.now, name, format!("{effect:?}"));
            }
        }
        Ok(())
    }

    /// Carries out the effects of a step, in order.
    fn carry_out(&mut self, host: u32, observer: &mut impl Observer<N>) {
        let mut effects = std::mem::take(&mut self.effects);
        let mut frames = std::mem::take(&mut self.frames);
        let mut halted = None;
        let mut frame_of_next = frames.drain(..);
        for effect in effects.drain(..) {
            let h = &mut self.hosts[host as usize];
            match effect {
                Effect::Send { conn, message } => {
                    let frame = frame_of_next.next().expect("each message has a frame");
                    // A node may not know yet that a connection is gone.
                    let Some(end) = h.ends.get_mut(conn) else { continue };
                    match (&mut end.asked, &message) {
                        (Some(asked), Message::Request(request)) => asked.extend(question(request)),
                        (None, Message::Response(_)) => {}
                        (asked, _) => {
                            let what = if asked.is_some() { "response" } else { "request" };
                            let (at, host) = (self.now, h.name.clone());
                            self.failed.get_or_insert(WorldError::WrongEnd { at, host, conn: conn.0, what });
                            continue;
                        }
                    }
                    end.socket.send(frame);
                }
                Effect::Connect { conn, to } => {
                    let (socket, end) = Socket::new(&self.to_driver.ids);
                    h.ends.insert(conn, End { socket, asked: Some(VecDeque::new()) });
                    h.call(Call::Connect { socket: end, to });
                }
                Effect::Close { conn } => h.ends.remove(conn),
                Effect::Trace(_) | Effect::History(_) => {}
                Effect::Halt(reason) => {
                    halted = Some(reason);
                    break;
                }
            }
        }
        drop(frame_of_next);
        effects.clear();
        (self.effects, self.frames) = (effects, frames);
        if let Some(reason) = halted {
            self.halted(host, reason, observer);
        }
    }
}

/// The request as a question, if it gets an answer.
fn question(request: &Request) -> Option<Question> {
    let Request { correlation_id, api_version, body, .. } = request;
    edge::is_answered(request).then(|| Question {
        correlation_id: *correlation_id,
        api: request_api(body),
        version: *api_version,
    })
}

/// The message in a frame that came to this end.
fn decoded(conn: ConnId, end: &mut End, frame: Bytes) -> Result<(Input, StepInput), String> {
    let Some(asked) = &mut end.asked else {
        let request = edge::read_request(frame, None).map_err(|refused| refused.to_string())?;
        let summary = StepInput::Request(conn, request_api(&request.body));
        return Ok((Input::Request { conn, request }, summary));
    };
    let question = asked.pop_front().ok_or_else(|| format!("an answer on {conn:?} that nobody waits for"))?;
    let (correlation_id, body) =
        decode_response_frame(question.api, question.version, frame).map_err(|error| error.to_string())?;
    if correlation_id != question.correlation_id {
        return Err(format!("{correlation_id} is answered on {conn:?}, and {question:?} is next"));
    }
    let summary = StepInput::Response(conn, response_api(&body));
    let response = Response { correlation_id, api_version: question.version, body: Box::new(body) };
    Ok((Input::Response { conn, response }, summary))
}
