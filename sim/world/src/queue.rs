//! The event queue: integer nanoseconds, ties broken by the order of scheduling.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use trial_node::Time;

/// Something that happens at an instant. Small and `Copy`: messages wait elsewhere. An `epoch` that is no longer that of
/// what it names makes the event void, so that nothing ever has to be taken out of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A host's node wants its time-out, as far as we knew when it was scheduled.
    Timer { host: u32, epoch: u32 },
    /// The cost of a host's step is paid.
    StepDone { host: u32, epoch: u32 },
    /// A host is to be started.
    Start { host: u32 },
    /// A host's kernel writes back dirty pages.
    WriteBack { host: u32, epoch: u32 },
    /// A host's network card has sent what it was sending.
    NicDone { host: u32, epoch: u32 },
    /// The oldest segment on the way through a pipe arrives.
    Arrive { pipe: u32, epoch: u32 },
    /// A host's network card has taken in the oldest segment of a pipe that arrived.
    Received { pipe: u32, epoch: u32 },
    /// A pipe's retransmission timer.
    Retransmit { pipe: u32, epoch: u32 },
    /// A pipe's sender learns that the receiver has read something.
    WindowOpen { pipe: u32, epoch: u32 },
    /// A connection request arrives.
    Syn { conn: u32, epoch: u32 },
    /// A connection request was not answered in time.
    SynTimeout { conn: u32, epoch: u32 },
    /// A connection request's answer arrives.
    SynAck { conn: u32, epoch: u32 },
    /// A connection request is refused.
    Refused { conn: u32, epoch: u32 },
    /// A reset arrives at one end of a connection.
    Reset { conn: u32, end: u8, epoch: u32 },
}

#[derive(Clone, Copy, Debug)]
struct Scheduled {
    at: Time,
    sequence: u64,
    event: Event,
}

impl Scheduled {
    fn key(&self) -> u128 {
        u128::from(self.at.0) << 64 | u128::from(self.sequence)
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    /// The earliest is the greatest, as the heap wants it.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

/// What is going to happen, the earliest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventQueue {
    heap: BinaryHeap<Scheduled>,
    sequence: u64,
}

impl EventQueue {
    pub(crate) fn schedule(&mut self, at: Time, event: Event) {
        self.sequence += 1;
        self.heap.push(Scheduled { at, sequence: self.sequence, event });
    }

    /// When the next event happens. A void one counts too.
    pub(crate) fn next_at(&self) -> Option<Time> {
        self.heap.peek().map(|scheduled| scheduled.at)
    }

    /// The next event, if it happens up to and including `until`.
    pub(crate) fn pop_until(&mut self, until: Time) -> Option<(Time, Event)> {
        if self.heap.peek()?.at > until {
            return None;
        }
        self.heap.pop().map(|scheduled| (scheduled.at, scheduled.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_then_by_order_of_scheduling() {
        let mut queue = EventQueue::default();
        for (at, host) in [(5, 0), (3, 1), (5, 2), (3, 3), (9, 4)] {
            queue.schedule(Time(at), Event::Start { host });
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop_until(Time(5))).collect();
        let start = |at, host| (Time(at), Event::Start { host });
        assert_eq!(order, [start(3, 1), start(3, 3), start(5, 0), start(5, 2)]);
    }
}
