//! What the network knows: connections, their two pipes, and which connection a host means by an id.

use std::collections::VecDeque;

use trial_node::{CloseReason, ConnId, Time};

use super::Link;
use crate::messages::Messages;

/// One thing that travels through a pipe, in order with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) kind: SegmentKind,
    /// Its size on the wire.
    pub(crate) bytes: u32,
    /// How long its last byte is behind its first, in nanoseconds, when it travels.
    pub(crate) spread_ns: u32,
}

impl Segment {
    pub(crate) fn new(kind: SegmentKind, bytes: u32) -> Segment {
        Segment { kind, bytes, spread_ns: 0 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentKind {
    /// The last step of setting up a connection: its end accepts.
    Accept,
    /// A message, by its place among the messages under way.
    Message { place: u32, serial: u64 },
    /// The end of the connection.
    Close(CloseReason),
}

/// What one end of a connection has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndState {
    /// Its node does not know of it yet.
    Pending,
    /// Its node knows it.
    Open,
    /// Its node closed it, was told that it is closed, or died.
    Closed,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) host: u32,
    pub(crate) id: ConnId,
    pub(crate) state: EndState,
}

/// How a pipe's sender stands with the other end's acknowledgements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// They come.
    Clear,
    /// One has not come; the retransmission timer runs. What is new is still sent.
    Doubt,
    /// The timer has expired so many times (or something is known to be lost): nothing new is sent before a
    /// retransmission gets through.
    Backoff { attempt: u32 },
    /// Given up.
    Dead,
}

/// One direction of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Pipe {
    /// Which generation of this pipe's events is valid.
    pub(crate) epoch: u32,
    /// Which retransmission timer is valid.
    pub(crate) timer_epoch: u32,
    pub(crate) flow: Flow,
    /// In the sender's socket: not sent yet, or lost.
    pub(crate) waiting: VecDeque<Segment>,
    /// In the sender's network card.
    pub(crate) outgoing: VecDeque<Segment>,
    /// How much of the first of them is still to be sent.
    pub(crate) outgoing_left: u32,
    /// Whether the network card has the pipe in its round.
    pub(crate) in_round: bool,
    /// On the wire.
    pub(crate) in_flight: VecDeque<Segment>,
    /// In the receiver's network card.
    pub(crate) incoming: VecDeque<Segment>,
    /// Sent and not yet read by the receiver's node, in bytes.
    pub(crate) in_window: u32,
    /// Whether the sender is about to learn that the window has opened.
    pub(crate) window_opens: bool,
    /// When the last segment sent arrives: later ones arrive after it.
    pub(crate) last_arrival: Time,
}

/// A connection, or a free place for one.
#[derive(Clone, Debug)]
pub(crate) struct Conn {
    /// Which connection this is; another one in the same place has another epoch. 0 marks a free place.
    pub(crate) epoch: u32,
    pub(crate) established: bool,
    /// The port of the accepting end.
    pub(crate) port: u16,
    pub(crate) syn_attempt: u32,
    pub(crate) syn_sent: Time,
    /// 0 opened it, 1 accepts it.
    pub(crate) ends: [End; 2],
    /// Pipe `i` carries what end `i` sends.
    pub(crate) pipes: [Pipe; 2],
}

impl Conn {
    /// Nothing is known of it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.ends.iter().all(|end| end.state == EndState::Closed)
    }
}

/// Which pipe a host's end of a connection sends on, by the id that its node knows it by. Ids grow, so a window over them
/// is enough.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnTable {
    first: u64,
    pipes: VecDeque<u32>,
}

const NO_PIPE: u32 = u32::MAX;

impl ConnTable {
    pub(crate) fn insert(&mut self, id: ConnId, pipe: u32) {
        if self.pipes.is_empty() {
            self.first = id.0;
        }
        while self.first + self.pipes.len() as u64 <= id.0 {
            self.pipes.push_back(NO_PIPE);
        }
        // A node takes its ids before the driver hears of them, so a smaller one may come after a larger one.
        while id.0 < self.first {
            self.first -= 1;
            self.pipes.push_front(NO_PIPE);
        }
        self.pipes[(id.0 - self.first) as usize] = pipe;
    }

    pub(crate) fn get(&self, id: ConnId) -> Option<u32> {
        let index = id.0.checked_sub(self.first)?;
        self.pipes.get(usize::try_from(index).ok()?).copied().filter(|pipe| *pipe != NO_PIPE)
    }

    pub(crate) fn remove(&mut self, id: ConnId) {
        if self.get(id).is_some() {
            self.pipes[(id.0 - self.first) as usize] = NO_PIPE;
        }
        while self.pipes.front() == Some(&NO_PIPE) {
            self.pipes.pop_front();
            self.first += 1;
        }
    }

    /// The ids that are in it, in order.
    pub(crate) fn ids(&self) -> Vec<ConnId> {
        let pipes = (self.first..).zip(&self.pipes);
        pipes.filter(|(_, pipe)| **pipe != NO_PIPE).map(|(id, _)| ConnId(id)).collect()
    }

    /// Takes out all, in the order of their ids.
    pub(crate) fn drain(&mut self) -> Vec<u32> {
        let pipes = std::mem::take(&mut self.pipes);
        pipes.into_iter().filter(|pipe| *pipe != NO_PIPE).collect()
    }
}

/// All connections and links, and the messages that are under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    pub(crate) conns: Vec<Conn>,
    pub(crate) free: Vec<u32>,
    epochs: u32,
    /// By sender, then by receiver.
    pub(crate) links: Vec<Vec<Link>>,
    pub(crate) messages: Messages,
}

impl Network {
    /// An epoch that nothing has had.
    pub(crate) fn next_epoch(&mut self) -> u32 {
        self.epochs = self.epochs.checked_add(1).expect("a run has fewer than 2^32 connections");
        self.epochs
    }

    /// A new connection from `opener`, which knows it as `id`, to a port of `acceptor`.
    pub(crate) fn open(&mut self, opener: u32, id: ConnId, acceptor: u32, port: u16) -> u32 {
        let ends = [
            End { host: opener, id, state: EndState::Open },
            End { host: acceptor, id: ConnId(0), state: EndState::Pending },
        ];
        let epochs = [self.next_epoch(), self.next_epoch(), self.next_epoch()];
        let slot = self.free.pop().unwrap_or_else(|| {
            let pipe = || Pipe {
                epoch: 0,
                timer_epoch: 0,
                flow: Flow::Clear,
                waiting: VecDeque::new(),
                outgoing: VecDeque::new(),
                outgoing_left: 0,
                in_round: false,
                in_flight: VecDeque::new(),
                incoming: VecDeque::new(),
                in_window: 0,
                window_opens: false,
                last_arrival: Time::ZERO,
            };
            let conn = Conn {
                epoch: 0,
                established: false,
                port,
                syn_attempt: 0,
                syn_sent: Time::ZERO,
                ends,
                pipes: [pipe(), pipe()],
            };
            self.conns.push(conn);
            (self.conns.len() - 1) as u32
        });
        let conn = &mut self.conns[slot as usize];
        conn.epoch = epochs[0];
        conn.established = false;
        conn.port = port;
        conn.syn_attempt = 0;
        conn.ends = ends;
        for (pipe, epoch) in conn.pipes.iter_mut().zip(&epochs[1..]) {
            pipe.epoch = *epoch;
            pipe.flow = Flow::Clear;
            pipe.in_round = false;
            pipe.in_window = 0;
            pipe.window_opens = false;
            pipe.last_arrival = Time::ZERO;
        }
        slot
    }

    /// The connection of a pipe and which of its two it is; the same as the end that sends on it.
    pub(crate) fn pipe(&self, pipe: u32) -> (&Conn, usize) {
        (&self.conns[(pipe >> 1) as usize], (pipe & 1) as usize)
    }

    /// As [`Network::pipe`], to change it.
    pub(crate) fn pipe_mut(&mut self, pipe: u32) -> &mut Pipe {
        &mut self.conns[(pipe >> 1) as usize].pipes[(pipe & 1) as usize]
    }

    /// The hosts that a pipe leads from and to.
    pub(crate) fn hosts(&self, pipe: u32) -> (u32, u32) {
        let (conn, end) = self.pipe(pipe);
        (conn.ends[end].host, conn.ends[1 - end].host)
    }

    /// Whether what `from` sends to `to` is lost on the way.
    pub(crate) fn is_cut(&self, from: u32, to: u32) -> bool {
        self.links[from as usize][to as usize].is_cut()
    }

    /// Throws away what a segment carries.
    pub(crate) fn discard(&mut self, segment: Segment) {
        if let SegmentKind::Message { place, .. } = segment.kind {
            self.messages.remove(place);
        }
    }

    /// Throws away what a pipe's sender has not put on the wire.
    pub(crate) fn discard_unsent(&mut self, pipe: u32) {
        while let Some(segment) = self.pipe_mut(pipe).waiting.pop_front() {
            self.discard(segment);
        }
        while let Some(segment) = self.pipe_mut(pipe).outgoing.pop_front() {
            self.pipe_mut(pipe).in_window -= segment.bytes;
            self.discard(segment);
        }
    }

    /// Forgets a connection that is over for both ends, with all that is still under way on it.
    pub(crate) fn forget_if_over(&mut self, slot: u32) {
        let conn = &self.conns[slot as usize];
        if conn.epoch == 0 || !conn.is_over() {
            return;
        }
        for pipe in [slot << 1, slot << 1 | 1] {
            self.discard_unsent(pipe);
            while let Some(segment) = self.pipe_mut(pipe).in_flight.pop_front() {
                self.discard(segment);
            }
            while let Some(segment) = self.pipe_mut(pipe).incoming.pop_front() {
                self.discard(segment);
            }
            // Voids its events.
            self.pipe_mut(pipe).epoch = 0;
            self.pipe_mut(pipe).timer_epoch = 0;
        }
        self.conns[slot as usize].epoch = 0;
        self.free.push(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_finds_ids_in_any_order_and_forgets_them() {
        let mut table = ConnTable::default();
        for (id, pipe) in [(7, 70), (9, 90), (5, 50)] {
            table.insert(ConnId(id), pipe);
        }
        let found = |table: &ConnTable| (4..=10).map(|id| table.get(ConnId(id))).collect::<Vec<_>>();
        assert_eq!(found(&table), [None, Some(50), None, Some(70), None, Some(90), None]);
        table.remove(ConnId(5));
        table.remove(ConnId(7));
        table.remove(ConnId(8));
        assert_eq!(found(&table), [None, None, None, None, None, Some(90), None]);
        assert_eq!(table.first, 9);
        table.insert(ConnId(8), 80);
        assert_eq!(table.drain(), [80, 90]);
        assert_eq!(found(&table), [None; 7]);
    }
}
