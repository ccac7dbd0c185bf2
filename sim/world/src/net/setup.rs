//! Setting connections up: a request, its answer, and what happens when either is lost.

use trial_node::{CloseReason, ConnId, Endpoint, Span, Time};

use super::conn::EndState;
use super::{Segment, SegmentKind};
use crate::machine::Pending;
use crate::queue::Event;
use crate::sim::Sim;

/// How often a connection request is repeated (Linux, `tcp_syn_retries`). The first answer is waited for for 1 s, each
/// further one for twice as long: 127 s in all.
const SYN_RETRIES: u32 = 6;

impl Sim {
    /// A node asks for a connection.
    pub(crate) fn connect(&mut self, host: u32, id: ConnId, to: &Endpoint) {
        let Some(acceptor) = self.find(&to.host) else {
            // No such name. The answer takes as long as asking oneself.
            let slot = self.net.open(host, id, host, to.port);
            self.machines[host as usize].conns.insert(id, slot << 1);
            let at = self.now + self.loopback.times(2);
            self.queue
                .schedule(at, Event::Refused { conn: slot, epoch: self.net.conns[slot as usize].epoch });
            return;
        };
        let slot = self.net.open(host, id, acceptor, to.port);
        self.machines[host as usize].conns.insert(id, slot << 1);
        self.send_syn(slot);
    }

    fn send_syn(&mut self, slot: u32) {
        let conn = &mut self.net.conns[slot as usize];
        conn.syn_sent = self.now;
        let (from, to, epoch) = (conn.ends[0].host, conn.ends[1].host, conn.epoch);
        if self.net.is_cut(from, to) {
            return self.syn_lost(slot);
        }
        let at = self.now + self.latency(from, to);
        self.queue.schedule(at, Event::Syn { conn: slot, epoch });
    }

    fn syn_lost(&mut self, slot: u32) {
        let conn = &self.net.conns[slot as usize];
        let at = conn.syn_sent + Span::from_secs(1 << conn.syn_attempt);
        self.queue.schedule(at.max(self.now), Event::SynTimeout { conn: slot, epoch: conn.epoch });
    }

    /// A connection request arrives.
    pub(crate) fn on_syn(&mut self, slot: u32, epoch: u32) {
        let conn = &self.net.conns[slot as usize];
        if conn.epoch != epoch {
            return;
        }
        let (from, to) = (conn.ends[0].host, conn.ends[1].host);
        let machine = &self.machines[to as usize];
        if machine.is_off() || self.net.is_cut(from, to) || self.net.is_cut(to, from) {
            return self.syn_lost(slot);
        }
        let answer = match machine.has_process() && machine.ports.contains(&conn.port) {
            true => Event::SynAck { conn: slot, epoch },
            false => Event::Refused { conn: slot, epoch },
        };
        let at = self.now + self.latency(to, from);
        self.queue.schedule(at, answer);
    }

    /// No answer came in time.
    pub(crate) fn on_syn_timeout(&mut self, slot: u32, epoch: u32) -> Option<u32> {
        let conn = &mut self.net.conns[slot as usize];
        if conn.epoch != epoch {
            return None;
        }
        if conn.syn_attempt == SYN_RETRIES {
            return self.set_up_failed(slot, CloseReason::TimedOut);
        }
        conn.syn_attempt += 1;
        self.send_syn(slot);
        None
    }

    /// A refusal arrives.
    pub(crate) fn on_refused(&mut self, slot: u32, epoch: u32) -> Option<u32> {
        let conn = &self.net.conns[slot as usize];
        if conn.epoch != epoch {
            return None;
        }
        if self.net.is_cut(conn.ends[1].host, conn.ends[0].host) {
            self.syn_lost(slot);
            return None;
        }
        self.set_up_failed(slot, CloseReason::Refused)
    }

    fn set_up_failed(&mut self, slot: u32, reason: CloseReason) -> Option<u32> {
        let conn = &mut self.net.conns[slot as usize];
        conn.ends[1].state = EndState::Closed;
        let host = conn.ends[0].host;
        let pending = Pending::Closed { conn: slot, epoch: conn.epoch, end: 0, reason };
        self.machines[host as usize].inbox.push_back(pending);
        Some(host)
    }

    /// The answer arrives: the connection stands for the end that asked.
    pub(crate) fn on_syn_ack(&mut self, slot: u32, epoch: u32) -> Option<u32> {
        let conn = &mut self.net.conns[slot as usize];
        if conn.epoch != epoch {
            return None;
        }
        let (from, to) = (conn.ends[0].host, conn.ends[1].host);
        if self.net.links[to as usize][from as usize].is_cut() {
            self.syn_lost(slot);
            return None;
        }
        conn.established = true;
        let pending = Pending::Connected { conn: slot, epoch };
        self.machines[from as usize].inbox.push_back(pending);
        // The other end accepts when this end's acknowledgement comes, ahead of all that this end sends.
        let accept = Segment::new(SegmentKind::Accept, 0);
        self.net.pipe_mut(slot << 1).waiting.push_front(accept);
        self.flush(slot << 1);
        Some(from)
    }

    /// The acknowledgement that completes a connection arrives at the accepting end.
    pub(crate) fn accept(&mut self, slot: u32) {
        let conn = &mut self.net.conns[slot as usize];
        let machine = &mut self.machines[conn.ends[1].host as usize];
        if !machine.has_process() {
            conn.ends[1].state = EndState::Closed;
            self.send_reset(slot, 0);
            return;
        }
        machine.last_conn += 1;
        let id = ConnId(machine.last_conn);
        conn.ends[1].id = id;
        conn.ends[1].state = EndState::Open;
        machine.conns.insert(id, slot << 1 | 1);
        machine.inbox.push_back(Pending::Accepted { conn: slot, epoch: conn.epoch });
    }

    /// Answers a segment for which there is no connection: a reset goes to end `end`.
    pub(crate) fn send_reset(&mut self, slot: u32, end: usize) {
        let conn = &self.net.conns[slot as usize];
        let (from, to, epoch) = (conn.ends[1 - end].host, conn.ends[end].host, conn.epoch);
        if !self.net.is_cut(from, to) {
            let at: Time = self.now + self.latency(from, to);
            self.queue.schedule(at, Event::Reset { conn: slot, end: end as u8, epoch });
        }
    }

    /// A reset arrives.
    pub(crate) fn on_reset(&mut self, slot: u32, end: usize, epoch: u32) -> Option<u32> {
        let conn = &self.net.conns[slot as usize];
        if conn.epoch != epoch {
            return None;
        }
        let (from, to) = (conn.ends[1 - end].host, conn.ends[end].host);
        if conn.ends[end].state != EndState::Open || self.net.is_cut(from, to) {
            return None;
        }
        let reason = CloseReason::Reset;
        self.machines[to as usize].inbox.push_back(Pending::Closed {
            conn: slot,
            epoch,
            end: end as u8,
            reason,
        });
        Some(to)
    }
}
