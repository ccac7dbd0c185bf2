//! A machine's network card: out, connections take turns in pieces of 64 KiB, so that one large response does not hold
//! up all the others; in, messages follow each other as they come.

use std::collections::VecDeque;

use trial_node::Time;

use super::Segment;
use crate::machine::transfer_time;
use crate::queue::Event;
use crate::sim::Sim;

/// What one connection may send at a time, in bytes: what a kernel hands to a network card at once (TSO).
const PIECE: u32 = 64 << 10;

/// What a network card is sending.
#[derive(Clone, Copy, Debug)]
struct Piece {
    pipe: u32,
    conn_epoch: u32,
    pipe_epoch: u32,
    bytes: u32,
}

/// A network card. Without limits it is never asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nic {
    pub(crate) out_bytes_per_s: u64,
    pub(crate) in_bytes_per_s: u64,
    /// Pipes that have something to send, each with the epoch of its connection; the first is next.
    round: VecDeque<(u32, u32)>,
    sending: Option<Piece>,
    /// Which [`Event::NicDone`] is valid.
    epoch: u32,
    /// When it has taken in all that has arrived.
    in_free_at: Time,
}

impl Nic {
    pub(crate) fn new(out_bytes_per_s: u64, in_bytes_per_s: u64) -> Nic {
        Nic { out_bytes_per_s, in_bytes_per_s, ..Nic::default() }
    }

    /// Power is lost: what it was sending is gone. Returns the pipes, with their connections' epochs, that still had
    /// something to send.
    pub(crate) fn switch_off(&mut self) -> VecDeque<(u32, u32)> {
        self.epoch += 1;
        self.sending = None;
        std::mem::take(&mut self.round)
    }

    /// When a message whose last byte arrives now has been taken in: at once, if the card keeps up with how it comes.
    pub(crate) fn take_in(&mut self, now: Time, segment: &Segment) -> Time {
        let first = Time(now.0.saturating_sub(u64::from(segment.spread_ns)));
        let begin = self.in_free_at.max(first);
        self.in_free_at = now.max(begin + transfer_time(u64::from(segment.bytes), self.in_bytes_per_s));
        self.in_free_at
    }
}

impl Sim {
    /// Hands a segment to the sender's network card, which has a limit.
    pub(crate) fn nic_send(&mut self, host: u32, pipe: u32, segment: Segment) {
        let p = self.net.pipe_mut(pipe);
        if p.outgoing.is_empty() {
            p.outgoing_left = segment.bytes;
        }
        p.outgoing.push_back(segment);
        let enters = !std::mem::replace(&mut p.in_round, true);
        if enters {
            let epoch = self.net.pipe(pipe).0.epoch;
            self.machines[host as usize].nic.round.push_back((pipe, epoch));
        }
        if self.machines[host as usize].nic.sending.is_none() {
            self.nic_next(host);
        }
    }

    /// Begins the next piece.
    fn nic_next(&mut self, host: u32) {
        while let Some((pipe, conn_epoch)) = self.machines[host as usize].nic.round.pop_front() {
            if self.net.pipe(pipe).0.epoch != conn_epoch {
                continue;
            }
            let p = self.net.pipe_mut(pipe);
            if p.outgoing.is_empty() {
                p.in_round = false;
                continue;
            }
            let bytes = p.outgoing_left.min(PIECE);
            let piece = Piece { pipe, conn_epoch, pipe_epoch: p.epoch, bytes };
            let nic = &mut self.machines[host as usize].nic;
            nic.sending = Some(piece);
            let done = self.now + transfer_time(u64::from(bytes), nic.out_bytes_per_s);
            self.queue.schedule(done, Event::NicDone { host, epoch: nic.epoch });
            return;
        }
    }

    /// A piece has left the network card.
    pub(crate) fn nic_done(&mut self, host: u32, epoch: u32) {
        let nic = &mut self.machines[host as usize].nic;
        if nic.epoch != epoch {
            return;
        }
        let out_bytes_per_s = nic.out_bytes_per_s;
        let piece = nic.sending.take().expect("a piece that is done was being sent");
        let pipe = piece.pipe;
        let mut departed = None;
        // Otherwise it is another connection's by now.
        if self.net.pipe(pipe).0.epoch == piece.conn_epoch {
            let p = self.net.pipe_mut(pipe);
            // Otherwise the pipe took back what it had given.
            if p.epoch == piece.pipe_epoch && !p.outgoing.is_empty() {
                p.outgoing_left -= piece.bytes.min(p.outgoing_left);
                if p.outgoing_left == 0 {
                    departed = p.outgoing.pop_front();
                    p.outgoing_left = p.outgoing.front().map_or(0, |segment| segment.bytes);
                }
            }
            self.machines[host as usize].nic.round.push_back((pipe, piece.conn_epoch));
        }
        if let Some(segment) = departed {
            let first =
                Time(self.now.0 - transfer_time(u64::from(segment.bytes), out_bytes_per_s).0.min(self.now.0));
            self.depart(pipe, segment, first);
        }
        self.nic_next(host);
    }
}
