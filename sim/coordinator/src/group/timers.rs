//! When something is due: one queue for both protocols.

use std::collections::BTreeMap;

use trial_node::Time;
use trial_wire::StrBytes;

use super::{classic, consumer};

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Something of a group of the classic protocol, by its id.
    Classic(StrBytes, classic::Timer),
    /// Something of a group of KIP-848, by its id. If there is no such group any more, nothing is done.
    Consumer(StrBytes, consumer::Timer),
    /// The search for offsets that have expired (KIP-211).
    OffsetExpiry,
}

/// What is due, and when. Each timer is there at most once.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    by_time: BTreeMap<(Time, u64), Timer>,
    by_timer: BTreeMap<Timer, (Time, u64)>,
    scheduled: u64,
}

impl Timers {
    /// Sets a timer, instead of one for the same that is set already. Those for one instant go off in the order in which
    /// they were set.
    pub(super) fn schedule(&mut self, timer: Timer, at: Time) {
        self.scheduled += 1;
        let slot = (at, self.scheduled);
        self.by_time.insert(slot, timer.clone());
        if let Some(before) = self.by_timer.insert(timer, slot) {
            self.by_time.remove(&before);
        }
    }

    pub(super) fn cancel(&mut self, timer: &Timer) {
        if let Some(slot) = self.by_timer.remove(timer) {
            self.by_time.remove(&slot);
        }
    }

    /// Whether a timer is set.
    pub(super) fn is_set(&self, timer: &Timer) -> bool {
        self.by_timer.contains_key(timer)
    }

    /// Cancels every timer of a KIP-848 group.
    pub(super) fn cancel_consumer(&mut self, group: &StrBytes) {
        let first = Timer::Consumer(group.clone(), consumer::Timer::first());
        while let Some((timer, _)) = self.by_timer.range(&first..).next() {
            match timer {
                Timer::Consumer(id, _) if id == group => {
                    let timer = timer.clone();
                    self.cancel(&timer);
                }
                _ => break,
            }
        }
    }

    /// Cancels every timer of a classic group.
    pub(super) fn cancel_classic(&mut self, group: &StrBytes) {
        let first = Timer::Classic(group.clone(), classic::Timer::FIRST);
        while let Some((timer, _)) = self.by_timer.range(&first..).next() {
            match timer {
                Timer::Classic(id, _) if id == group => {
                    let timer = timer.clone();
                    self.cancel(&timer);
                }
                _ => break,
            }
        }
    }

    /// The next instant at which something is due.
    pub(super) fn next(&self) -> Option<Time> {
        self.by_time.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes out the first that is due.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<Timer> {
        let first = self.by_time.first_entry().filter(|first| first.key().0 <= now)?;
        let timer = first.remove();
        self.by_timer.remove(&timer);
        Some(timer)
    }
}
