//! The trace hash: a rolling digest of everything that happens, with checkpoints, so that two runs can be compared and
//! the first differing event named.

use trial_node::Time;

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
