//! Carrying segments through a pipe: window, order, loss and retransmission, reset.

use trial_node::{CloseReason, ConnId, Span, Time};

use super::conn::{End, EndState, Flow};
use super::{Segment, SegmentKind};
use crate::machine::Pending;
use crate::queue::Event;
use crate::sim::Sim;

/// The shortest retransmission time-out (Linux, `TCP_RTO_MIN`).
const RTO_MIN: Span = Span::from_millis(200);
/// The longest (Linux, `TCP_RTO_MAX`).
const RTO_MAX: Span = Span::from_secs(120);
/// How often something is retransmitted before the connection is given up (Linux, `tcp_retries2`): 924.6 s with the
/// shortest time-out.
const RETRIES: u32 = 15;

impl Sim {
    /// How long a message from one host to another travels, drawn anew.
    pub(crate) fn latency(&mut self, from: u32, to: u32) -> Span {
        if from == to {
            return self.loopback;
        }
        self.net.links[from as usize][to as usize].latency(&mut self.machines[from as usize].net_rng)
    }

    /// A node sends the message in `place`, of so many bytes on the wire.
    pub(crate) fn send(&mut self, pipe: u32, place: u32, bytes: u32) {
        self.sent += 1;
        self.counters.bytes += u64::from(bytes);
        self.enqueue(pipe, Segment::new(SegmentKind::Message { place, serial: self.sent }, bytes));
    }

    /// A node closes its end.
    pub(crate) fn close(&mut self, host: u32, id: ConnId) {
        let table = &mut self.machines[host as usize].conns;
        if let Some(pipe) = table.get(id) {
            table.remove(id);
            self.close_end(pipe, CloseReason::PeerClosed);
        }
    }

    /// The end that sends on `pipe` closes, or its process ends; the other is told `reason` after all that was sent.
    pub(crate) fn close_end(&mut self, pipe: u32, reason: CloseReason) {
        let (slot, end) = (pipe >> 1, (pipe & 1) as usize);
        let conn = &mut self.net.conns[slot as usize];
        conn.ends[end].state = EndState::Closed;
        if !conn.established {
            conn.ends[1 - end].state = EndState::Closed;
        }
        self.net.forget_if_over(slot);
        if self.net.conns[slot as usize].epoch != 0 {
            self.enqueue(pipe, Segment::new(SegmentKind::Close(reason), 0));
        }
    }

    /// A process died: the kernel sends what it has put on the wire, and says that there is no more.
    pub(crate) fn kill_end(&mut self, pipe: u32) {
        self.net.discard_unsent(pipe);
        self.close_end(pipe, CloseReason::Reset);
    }

    /// A machine lost power: nobody is told anything.
    pub(crate) fn silence_end(&mut self, pipe: u32) {
        self.net.discard_unsent(pipe);
        let (slot, end) = (pipe >> 1, (pipe & 1) as usize);
        let conn = &mut self.net.conns[slot as usize];
        conn.ends[end].state = EndState::Closed;
        conn.pipes[end].flow = Flow::Dead;
        if conn.ends[1 - end].state == EndState::Pending {
            conn.ends[1 - end].state = EndState::Closed;
        }
        self.net.forget_if_over(slot);
    }

    fn enqueue(&mut self, pipe: u32, segment: Segment) {
        let (conn, end) = self.net.pipe(pipe);
        let p = &conn.pipes[end];
        let sends = conn.established && matches!(p.flow, Flow::Clear | Flow::Doubt);
        if sends && p.waiting.is_empty() && self.fits(p.in_window, segment.bytes) {
            self.transmit(pipe, segment);
        } else {
            self.net.pipe_mut(pipe).waiting.push_back(segment);
        }
    }

    fn fits(&self, in_window: u32, bytes: u32) -> bool {
        in_window == 0 || in_window.saturating_add(bytes) <= self.window_bytes
    }

    /// Sends what waits, as far as the window allows.
    pub(crate) fn flush(&mut self, pipe: u32) {
        loop {
            let (conn, end) = self.net.pipe(pipe);
            let p = &conn.pipes[end];
            let Some(segment) = p.waiting.front().copied() else { return };
            let sends = conn.established && matches!(p.flow, Flow::Clear | Flow::Doubt);
            if !sends || !self.fits(p.in_window, segment.bytes) {
                return;
            }
            self.net.pipe_mut(pipe).waiting.pop_front();
            self.transmit(pipe, segment);
        }
    }

    fn transmit(&mut self, pipe: u32, segment: Segment) {
        let (from, to) = self.net.hosts(pipe);
        if self.net.is_cut(from, to) {
            self.net.pipe_mut(pipe).waiting.push_front(segment);
            return self.back_off(pipe, 0);
        }
        self.net.pipe_mut(pipe).in_window += segment.bytes;
        if self.machines[from as usize].nic.out_bytes_per_s > 0 && from != to {
            self.nic_send(from, pipe, segment);
        } else {
            self.depart(pipe, segment, self.now);
        }
    }

    /// A segment goes onto the wire; its first byte did at `first`.
    pub(crate) fn depart(&mut self, pipe: u32, mut segment: Segment, first: Time) {
        let (from, to) = self.net.hosts(pipe);
        let left = match from == to {
            true => self.now,
            false => self.net.links[from as usize][to as usize].carry(first, self.now, segment.bytes),
        };
        segment.spread_ns = u32::try_from(left.since(first).0).unwrap_or(u32::MAX);
        let at = left + self.latency(from, to);
        let p = self.net.pipe_mut(pipe);
        let at = at.max(p.last_arrival);
        p.last_arrival = at;
        p.in_flight.push_back(segment);
        let epoch = p.epoch;
        self.queue.schedule(at, Event::Arrive { pipe, epoch });
    }

    /// The oldest segment in flight arrives at the machine, or is found to be lost.
    pub(crate) fn on_arrive(&mut self, pipe: u32, epoch: u32) -> Option<u32> {
        let p = self.net.pipe_mut(pipe);
        if p.epoch != epoch {
            return None;
        }
        let segment = p.in_flight.pop_front().expect("each segment in flight has its arrival");
        let (from, to) = self.net.hosts(pipe);
        if self.net.is_cut(from, to) || self.machines[to as usize].is_off() {
            self.lose(pipe, segment);
            return None;
        }
        if from != to && self.machines[to as usize].nic.in_bytes_per_s > 0 {
            let received = self.machines[to as usize].nic.take_in(self.now, &segment);
            let conn_epoch = self.net.pipe(pipe).0.epoch;
            let p = self.net.pipe_mut(pipe);
            if received > self.now || !p.incoming.is_empty() {
                p.incoming.push_back(segment);
                self.queue.schedule(received, Event::Received { pipe, epoch: conn_epoch });
                return None;
            }
        }
        self.receive(pipe, segment)
    }

    /// The receiver's network card has taken in the oldest segment that arrived.
    pub(crate) fn on_received(&mut self, pipe: u32, epoch: u32) -> Option<u32> {
        if self.net.pipe(pipe).0.epoch != epoch {
            return None;
        }
        let segment = self.net.pipe_mut(pipe).incoming.pop_front();
        let segment = segment.expect("each incoming segment has its event");
        let (_, to) = self.net.hosts(pipe);
        if self.machines[to as usize].is_off() {
            self.lose(pipe, segment);
            return None;
        }
        self.receive(pipe, segment)
    }

    fn receive(&mut self, pipe: u32, segment: Segment) -> Option<u32> {
        let (slot, sender) = (pipe >> 1, (pipe & 1) as usize);
        let receiver = 1 - sender;
        let (from, to) = self.net.hosts(pipe);
        let conn = &self.net.conns[slot as usize];
        let (epoch, end) = (conn.epoch, conn.ends[receiver]);
        let mut wake = Some(to);
        match (segment.kind, end.state) {
            (SegmentKind::Accept, _) => self.accept(slot),
            (SegmentKind::Message { place, serial }, EndState::Open) => {
                let pending = Pending::Message { place, serial, bytes: segment.bytes, pipe, epoch };
                self.machines[to as usize].inbox.push_back(pending);
            }
            (SegmentKind::Close(reason), EndState::Open) => {
                let end = receiver as u8;
                self.machines[to as usize].inbox.push_back(Pending::Closed {
                    conn: slot,
                    epoch,
                    end,
                    reason,
                });
            }
            (SegmentKind::Message { .. }, _) => {
                self.net.discard(segment);
                self.net.pipe_mut(pipe).in_window -= segment.bytes;
                self.send_reset(slot, sender);
                wake = None;
            }
            (SegmentKind::Close(_), _) => {
                // Of a connection whose acceptance died with the process that asked for it, nobody ever hears.
                self.net.conns[slot as usize].ends[receiver].state = EndState::Closed;
                wake = None;
            }
        }
        self.net.forget_if_over(slot);
        // The data came, but its acknowledgement is lost.
        if self.net.is_cut(to, from) && self.net.pipe(pipe).0.epoch == epoch {
            let p = self.net.pipe_mut(pipe);
            if p.flow == Flow::Clear {
                p.flow = Flow::Doubt;
                self.arm_retransmission(pipe, 0);
            }
        }
        wake
    }

    /// The receiver's node has taken a message.
    pub(crate) fn consumed(&mut self, pipe: u32, bytes: u32) {
        let p = self.net.pipe_mut(pipe);
        p.in_window -= bytes;
        if p.waiting.is_empty() || p.window_opens || !matches!(p.flow, Flow::Clear | Flow::Doubt) {
            return;
        }
        p.window_opens = true;
        let epoch = p.epoch;
        let (from, to) = self.net.hosts(pipe);
        let at = self.now + self.latency(to, from);
        self.queue.schedule(at, Event::WindowOpen { pipe, epoch });
    }

    /// The sender learns of it.
    pub(crate) fn on_window_open(&mut self, pipe: u32, epoch: u32) {
        let p = self.net.pipe_mut(pipe);
        if p.epoch == epoch {
            p.window_opens = false;
            self.flush(pipe);
        }
    }

    /// A segment is lost, and with it all behind it: the sender has them to send again.
    fn lose(&mut self, pipe: u32, segment: Segment) {
        let (from, _) = self.net.hosts(pipe);
        let epoch = self.net.next_epoch();
        let p = self.net.pipe_mut(pipe);
        // Voids the arrivals.
        p.epoch = epoch;
        p.window_opens = false;
        p.outgoing_left = 0;
        while let Some(later) = p.outgoing.pop_back().or_else(|| p.in_flight.pop_back()) {
            p.in_window -= later.bytes;
            p.waiting.push_front(later);
        }
        p.in_window -= segment.bytes;
        p.waiting.push_front(segment);
        p.last_arrival = Time::ZERO;
        if self.machines[from as usize].is_off() || p.flow == Flow::Dead {
            self.silence_end(pipe);
        } else {
            self.back_off(pipe, 0);
        }
    }

    /// Waits for the retransmission timer, which has expired `attempt` times.
    fn back_off(&mut self, pipe: u32, attempt: u32) {
        self.net.pipe_mut(pipe).flow = Flow::Backoff { attempt };
        self.arm_retransmission(pipe, attempt);
    }

    /// Starts the retransmission timer, in place of the one that may run.
    fn arm_retransmission(&mut self, pipe: u32, attempt: u32) {
        let epoch = self.net.next_epoch();
        let at = self.now + self.rto(pipe, attempt);
        self.net.pipe_mut(pipe).timer_epoch = epoch;
        self.queue.schedule(at, Event::Retransmit { pipe, epoch });
    }

    fn rto(&self, pipe: u32, attempt: u32) -> Span {
        let (from, to) = self.net.hosts(pipe);
        let one_way = |from: u32, to: u32| self.net.links[from as usize][to as usize].typical_max();
        let round_trip = one_way(from, to) + one_way(to, from);
        RTO_MIN.max(round_trip.times(2)).times(1 << attempt.min(32)).min(RTO_MAX)
    }

    /// The retransmission timer expires.
    pub(crate) fn on_retransmit(&mut self, pipe: u32, epoch: u32) -> Option<u32> {
        let (conn, sender) = self.net.pipe(pipe);
        let p = &conn.pipes[sender];
        if p.timer_epoch != epoch {
            return None;
        }
        let (from, to) = self.net.hosts(pipe);
        if self.machines[from as usize].is_off() {
            self.silence_end(pipe);
            return None;
        }
        let gets_through =
            !self.net.is_cut(from, to) && !self.net.is_cut(to, from) && !self.machines[to as usize].is_off();
        let attempt = match p.flow {
            Flow::Clear | Flow::Dead => return None,
            Flow::Doubt => 0,
            Flow::Backoff { attempt } => attempt,
        };
        if gets_through {
            let unknown = conn.ends[1 - sender].state == EndState::Closed;
            self.net.pipe_mut(pipe).flow = Flow::Clear;
            if unknown && self.net.pipe(pipe).0.pipes[sender].waiting.is_empty() {
                // What was in doubt is retransmitted, and nobody there knows the connection.
                self.send_reset(pipe >> 1, sender);
            }
            self.flush(pipe);
            return None;
        }
        if attempt < RETRIES {
            self.back_off(pipe, attempt + 1);
            return None;
        }
        self.give_up(pipe)
    }

    /// The sender's kernel gives up on a silent receiver.
    fn give_up(&mut self, pipe: u32) -> Option<u32> {
        let (slot, sender) = (pipe >> 1, (pipe & 1) as usize);
        self.net.discard_unsent(pipe);
        let conn = &mut self.net.conns[slot as usize];
        conn.pipes[sender].flow = Flow::Dead;
        let End { host, state, .. } = conn.ends[sender];
        if conn.ends[1 - sender].state == EndState::Pending {
            conn.ends[1 - sender].state = EndState::Closed;
        }
        if state == EndState::Open {
            let (end, reason) = (sender as u8, CloseReason::TimedOut);
            let pending = Pending::Closed { conn: slot, epoch: conn.epoch, end, reason };
            self.machines[host as usize].inbox.push_back(pending);
            return Some(host);
        }
        self.net.forget_if_over(slot);
        None
    }
}
