//! The trace hash: a rolling digest of everything that happens, with checkpoints, so that two runs can be compared and
//! the first differing event named.

use std::fmt::{self, Write as _};

use bytes::{BufMut, Bytes, BytesMut};
use trial_node::{ClientEvent, Content, PolledRecord, Time, TopicPartition};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// The trace hash after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// How many events were hashed.
    pub event: u64,
    /// When the last of them happened.
    pub at: Time,
    /// The hash after it.
    pub hash: u128,
}

/// Where two runs differ, as far as their checkpoints tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The number of events after which both were still equal; 0 for the start.
    pub equal_until: u64,
    /// The number of events after which they differ, if a checkpoint says so; `None` if one run has just no more.
    pub differ_at: Option<u64>,
}

/// One event of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// The event's number, from 1.
    pub event: u64,
    /// When it happened.
    pub at: Time,
    /// The host's name.
    pub host: String,
    /// The event in full, for people.
    pub what: String,
    /// The trace hash after it.
    pub hash: u128,
}

/// Finds the first stretch between two checkpoints in which two runs differ; `None` if all checkpoints are equal.
pub fn diff_checkpoints(left: &[Checkpoint], right: &[Checkpoint]) -> Option<Divergence> {
    let equal = left.iter().zip(right).take_while(|(l, r)| l == r).count();
    if equal == left.len() && equal == right.len() {
        return None;
    }
    let equal_until = equal.checked_sub(1).map_or(0, |i| left[i].event);
    let differ_at = left.get(equal).zip(right.get(equal)).map(|(l, r)| l.event.min(r.event));
    Some(Divergence { equal_until, differ_at })
}

/// Finds the first event that differs between two recordings of the same stretch.
pub fn diff_events<'a>(
    left: &'a [EventRecord],
    right: &'a [EventRecord],
) -> Option<(Option<&'a EventRecord>, Option<&'a EventRecord>)> {
    let equal = left.iter().zip(right).take_while(|(l, r)| l == r).count();
    if equal == left.len() && equal == right.len() {
        return None;
    }
    Some((left.get(equal), right.get(equal)))
}

/// What kind of event goes into the hash; the numbers are part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "as in Input, Effect and Fault")]
pub enum Kind {
    Open = 1,
    Timeout,
    Connected,
    Accepted,
    Closed,
    Request,
    Response,
    Signal,
    Connect,
    SendRequest,
    SendResponse,
    Close,
    Trace,
    History,
    Halt,
    Lifecycle,
    Fault,
    Heal,
}

/// The head of each hashed event: the hash before, the instant, who, what, and two numbers that say more.
const HEAD: usize = 48;

/// The rolling digest, for whatever engine.
#[derive(Clone, Debug)]
pub struct TraceHash {
    hash: u128,
    events: u64,
    checkpoint_every: u64,
    checkpoints: Vec<Checkpoint>,
    record: Option<(u64, u64)>,
    recorded: Vec<EventRecord>,
    /// Holds one event's bytes while it is hashed.
    scratch: BytesMut,
    /// What belongs into the scratch buffer at positions, in ascending order, and is hashed where it is.
    apart: Vec<(usize, Bytes)>,
}

impl TraceHash {
    /// The digest of a run in which nothing has happened, with a checkpoint every so many events; 0 keeps none.
    pub fn new(seed: u64, checkpoint_every: u64) -> TraceHash {
        TraceHash {
            hash: u128::from(seed),
            events: 0,
            checkpoint_every,
            checkpoints: Vec::new(),
            record: None,
            recorded: Vec::new(),
            scratch: BytesMut::new(),
            apart: Vec::new(),
        }
    }

    fn head(&self, at: Time, host: u32, kind: Kind, a: u64, b: u64) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[..16].copy_from_slice(&self.hash.to_le_bytes());
        head[16..24].copy_from_slice(&at.0.to_le_bytes());
        head[24..28].copy_from_slice(&host.to_le_bytes());
        head[28] = kind as u8;
        head[32..40].copy_from_slice(&a.to_le_bytes());
        head[40..].copy_from_slice(&b.to_le_bytes());
        head
    }

    /// Hashes an event that two numbers describe.
    pub fn event(&mut self, at: Time, host: u32, kind: Kind, a: u64, b: u64) {
        let head = self.head(at, host, kind, a, b);
        self.roll(at, xxh3_128(&head));
    }

    /// Begins an event that has a body; the caller appends it to what this returns and calls [`TraceHash::finish`].
    pub fn begin(&mut self, at: Time, host: u32, kind: Kind, a: u64, b: u64) -> &mut BytesMut {
        let head = self.head(at, host, kind, a, b);
        self.scratch.clear();
        self.scratch.extend_from_slice(&head);
        &mut self.scratch
    }

    /// As [`TraceHash::begin`], with room for what need not be copied: each belongs at a position in the buffer, in ascending order.
    /// The hash is the same as if it had been copied.
    pub fn begin_around(
        &mut self,
        at: Time,
        host: u32,
        kind: Kind,
        a: u64,
        b: u64,
    ) -> (&mut BytesMut, &mut Vec<(usize, Bytes)>) {
        self.begin(at, host, kind, a, b);
        (&mut self.scratch, &mut self.apart)
    }

    /// Hashes the event that [`TraceHash::begin`] began.
    pub fn finish(&mut self, at: Time) {
        let hash = match self.apart.is_empty() {
            true => xxh3_128(&self.scratch),
            false => self.hash_around(),
        };
        self.roll(at, hash);
    }

    fn hash_around(&mut self) -> u128 {
        let (mut hasher, mut done) = (Xxh3::new(), 0);
        for (position, apart) in self.apart.drain(..) {
            hasher.update(&self.scratch[done..position]);
            hasher.update(&apart);
            done = position;
        }
        hasher.update(&self.scratch[done..]);
        hasher.digest128()
    }

    fn roll(&mut self, at: Time, hash: u128) {
        self.hash = hash;
        self.events += 1;
        if self.checkpoint_every != 0 && self.events.is_multiple_of(self.checkpoint_every) {
            self.checkpoints.push(Checkpoint { event: self.events, at, hash });
        }
    }

    /// The hash after the last event.
    pub fn hash(&self) -> u128 {
        self.hash
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The checkpoints so far.
    pub fn checkpoints(&self) -> &[Checkpoint] {
        &self.checkpoints
    }

    /// Keeps a record of every event with a number from `first` to `last`.
    pub fn record_events(&mut self, first: u64, last: u64) {
        self.record = Some((first, last));
        self.recorded.clear();
    }

    /// What was recorded.
    pub fn recorded(&self) -> &[EventRecord] {
        &self.recorded
    }

    /// Whether the event that was hashed last is to be recorded.
    pub fn records(&self) -> bool {
        self.record.is_some_and(|(first, last)| (first..=last).contains(&self.events))
    }

    /// Records the event that was hashed last.
    #[cold]
    pub fn record(&mut self, at: Time, host: &str, what: String) {
        let record = EventRecord { event: self.events, at, host: host.to_owned(), what, hash: self.hash };
        self.recorded.push(record);
    }
}

/// Appends what something looks like to people.
pub fn put_text(out: &mut BytesMut, what: &impl fmt::Display) {
    write!(out, "{what}").expect("a buffer grows");
}

/// Appends what a workload did and saw.
pub(crate) fn put_history(out: &mut BytesMut, event: &ClientEvent) {
    let put_tp = |out: &mut BytesMut, tp: &TopicPartition| {
        out.put_slice(tp.topic.as_bytes());
        out.put_i32(tp.partition);
    };
    let put_sequences = |out: &mut BytesMut, producer: u32, sequences: &[u64]| {
        out.put_u32(producer);
        out.put_u32(sequences.len() as u32);
        sequences.iter().for_each(|sequence| out.put_u64(*sequence));
    };
    match event {
        ClientEvent::SendInvoked { id, topic, intended, bytes, idempotent, acks, content } => {
            // Fields of fixed sizes go in together: these events are the most frequent ones.
            let mut fixed = [1; 13];
            fixed[1..].copy_from_slice(&id.to_bytes());
            out.put_slice(&fixed);
            out.put_slice(topic.as_bytes());
            let mut fixed = [0; 15];
            fixed[..8].copy_from_slice(&intended.0.to_be_bytes());
            fixed[8..12].copy_from_slice(&bytes.to_be_bytes());
            fixed[12] = u8::from(*idempotent);
            fixed[13..].copy_from_slice(&acks.to_be_bytes());
            out.put_slice(&fixed);
            match content {
                Content::Plain => {}
                Content::Copy { source, offset } => {
                    put_tp(out, source);
                    out.put_i64(offset.0);
                }
                Content::Transfer { account, amount } => {
                    out.put_u32(*account);
                    out.put_i64(*amount);
                }
                Content::Append => out.put_u8(1),
            }
        }
        ClientEvent::SendAcked { producer, sequences, tp, base_offset } => {
            out.put_u8(2);
            put_sequences(out, *producer, sequences);
            put_tp(out, tp);
            out.put_i64(base_offset.0);
        }
        ClientEvent::SendFailed { producer, sequences, error, ambiguous } => {
            out.put_u8(3);
            put_sequences(out, *producer, sequences);
            out.put_slice(error.as_bytes());
            out.put_u8(u8::from(*ambiguous));
        }
        ClientEvent::Polled { consumer, tp, records } => {
            out.put_u8(4);
            out.put_u32(*consumer);
            put_tp(out, tp);
            for PolledRecord { offset, id } in records {
                let mut fixed = [0; 21];
                fixed[..8].copy_from_slice(&offset.0.to_be_bytes());
                // No record without an identity looks like one with it.
                fixed[8] = u8::from(id.is_some());
                let len = match id {
                    Some(id) => {
                        fixed[9..].copy_from_slice(&id.to_bytes());
                        21
                    }
                    None => 9,
                };
                out.put_slice(&fixed[..len]);
            }
        }
        ClientEvent::PositionReset { consumer, tp, from, to } => {
            out.put_u8(5);
            out.put_u32(*consumer);
            put_tp(out, tp);
            out.put_i64(from.0);
            out.put_i64(to.0);
        }
        ClientEvent::ClientStarted { consumers, first, count } => {
            out.put_u8(6);
            out.put_u8(u8::from(*consumers));
            out.put_u32(*first);
            out.put_u32(*count);
        }
        // Rare enough to be hashed as people read them.
        ClientEvent::Transaction(event) => {
            out.put_u8(7);
            write!(out, "{event:?}").expect("a buffer grows");
        }
        ClientEvent::Group(event) => {
            out.put_u8(8);
            write!(out, "{event:?}").expect("a buffer grows");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(values: &[u64]) -> TraceHash {
        let mut trace = TraceHash::new(1, 2);
        for (i, value) in values.iter().enumerate() {
            trace.event(Time(i as u64), 0, Kind::Timeout, *value, 0);
        }
        trace
    }

    #[test]
    fn what_is_kept_apart_is_hashed_as_if_it_were_copied() {
        let mut copied = run(&[1, 2]);
        copied.begin(Time(3), 1, Kind::SendResponse, 4, 5).extend_from_slice(b"one-two-three");
        copied.finish(Time(3));
        let mut around = run(&[1, 2]);
        let (out, apart) = around.begin_around(Time(3), 1, Kind::SendResponse, 4, 5);
        out.extend_from_slice(b"one-");
        apart.push((out.len(), Bytes::from_static(b"two")));
        out.extend_from_slice(b"-");
        apart.push((out.len(), Bytes::from_static(b"three")));
        around.finish(Time(3));
        assert_eq!(around.hash(), copied.hash());
        // Nothing is left for the next one.
        copied.event(Time(4), 1, Kind::Timeout, 0, 0);
        around.begin(Time(4), 1, Kind::Timeout, 0, 0);
        around.finish(Time(4));
        assert_eq!(around.hash(), copied.hash());
    }

    #[test]
    fn checkpoints_find_the_stretch_that_differs() {
        let (left, right) = (run(&[1, 2, 3, 4, 5, 6, 7]), run(&[1, 2, 3, 4, 9, 6, 7]));
        assert_ne!(left.hash(), right.hash());
        let divergence = diff_checkpoints(left.checkpoints(), right.checkpoints());
        assert_eq!(divergence, Some(Divergence { equal_until: 4, differ_at: Some(6) }));
        assert_eq!(diff_checkpoints(left.checkpoints(), left.checkpoints()), None);
        let longer = run(&[1, 2, 3, 4, 5, 6, 7, 8]);
        let divergence = diff_checkpoints(left.checkpoints(), longer.checkpoints());
        assert_eq!(divergence, Some(Divergence { equal_until: 6, differ_at: None }));
    }
}
