//! Operations that wait for something to happen to what they watch, or for their deadline.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trial_node::Time;

/// Deadlines in order. Each key has at most one.
#[derive(Clone, Debug)]
pub struct Deadlines<K> {
    queue: BTreeSet<(Time, K)>,
}

impl<K: Ord + Copy> Deadlines<K> {
    /// No deadlines.
    pub fn new() -> Deadlines<K> {
        Deadlines { queue: BTreeSet::new() }
    }

    /// Adds a deadline.
    pub fn set(&mut self, at: Time, key: K) {
        self.queue.insert((at, key));
    }

    /// Takes a deadline back. `at` is what it was set to.
    pub fn clear(&mut self, at: Time, key: K) {
        self.queue.remove(&(at, key));
    }

    /// The first deadline.
    pub fn next(&self) -> Option<Time> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes the first deadline if it is not after `now`.
    pub fn pop(&mut self, now: Time) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop_first().map(|(_, key)| key)
    }
}

/// Names a delayed operation. Numbered in the order of arrival and never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct OperationId(u64);

/// What came of a look at a delayed operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on watching the key.
    Waits,
    /// The key is of no more interest to it, but others are.
    Unwatches,
    /// It is complete.
    Complete,
}

/// Delayed operations of one kind. An operation watches keys, and is looked at when something happens to one of them.
/// Nothing here costs anything while nothing happens.
#[derive(Clone, Debug)]
pub struct Purgatory<K, T> {
    operations: BTreeMap<OperationId, (Time, T)>,
    watchers: BTreeMap<K, VecDeque<OperationId>>,
    deadlines: Deadlines<OperationId>,
    last_id: u64,
}

impl<K: Ord + Copy, T> Purgatory<K, T> {
    /// Nothing waits.
    pub fn new() -> Purgatory<K, T> {
        Purgatory {
            operations: BTreeMap::new(),
            watchers: BTreeMap::new(),
            deadlines: Deadlines::new(),
            last_id: 0,
        }
    }

    /// Lets an operation wait until `deadline`.
    pub fn watch(&mut self, operation: T, keys: impl Iterator<Item = K>, deadline: Time) {
        self.last_id += 1;
        let id = OperationId(self.last_id);
        for key in keys {
            self.watchers.entry(key).or_default().push_back(id);
        }
        self.deadlines.set(deadline, id);
        self.operations.insert(id, (deadline, operation));
    }

    /// Something happened to `key`: lets `look` look at each operation that watches it, in the order of their arrival, and
    /// takes out those that are complete.
    pub fn check(&mut self, key: K, completed: &mut Vec<T>, mut look: impl FnMut(&mut T) -> Verdict) {
        let Some(watchers) = self.watchers.get_mut(&key) else { return };
        watchers.retain(|id| {
            let Some((deadline, operation)) = self.operations.get_mut(id) else { return false };
            match look(operation) {
                Verdict::Waits => true,
                Verdict::Unwatches => false,
                Verdict::Complete => {
                    self.deadlines.clear(*deadline, *id);
                    completed.extend(self.operations.remove(id).map(|(_, operation)| operation));
                    false
                }
            }
        });
        if watchers.is_empty() {
            self.watchers.remove(&key);
        }
    }

    /// The first deadline.
    pub fn next_deadline(&self) -> Option<Time> {
        self.deadlines.next()
    }

    /// Takes out an operation whose deadline has come.
    pub fn pop_expired(&mut self, now: Time) -> Option<T> {
        let id = self.deadlines.pop(now)?;
        self.operations.remove(&id).map(|(_, operation)| operation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(purgatory: &mut Purgatory<i32, char>, key: i32, verdict: impl Fn(char) -> Verdict) -> Vec<char> {
        let mut completed = Vec::new();
        purgatory.check(key, &mut completed, |operation| verdict(*operation));
        completed
    }

    #[test]
    fn watchers_of_a_key_complete_in_the_order_of_arrival() {
        let mut purgatory = Purgatory::new();
        for operation in ['a', 'b', 'c'] {
            purgatory.watch(operation, [1].into_iter(), Time(10));
        }
        let but_b = |operation| if operation == 'b' { Verdict::Waits } else { Verdict::Complete };
        assert_eq!(drain(&mut purgatory, 1, but_b), ['a', 'c']);
        assert_eq!(drain(&mut purgatory, 1, |_| Verdict::Complete), ['b']);
        assert_eq!(purgatory.next_deadline(), None);
        assert!(purgatory.watchers.is_empty() && purgatory.operations.is_empty());
    }

    #[test]
    fn an_operation_is_not_looked_at_for_a_key_that_it_unwatched_or_after_it_is_complete() {
        let mut purgatory = Purgatory::new();
        purgatory.watch('a', [1, 2].into_iter(), Time(10));
        assert_eq!(drain(&mut purgatory, 1, |_| Verdict::Unwatches), []);
        assert_eq!(drain(&mut purgatory, 1, |_| panic!("unwatched")), []);
        assert_eq!(drain(&mut purgatory, 2, |_| Verdict::Complete), ['a']);
        purgatory.watch('b', [1, 2].into_iter(), Time(10));
        assert_eq!(drain(&mut purgatory, 2, |_| Verdict::Complete), ['b']);
        assert_eq!(drain(&mut purgatory, 1, |_| panic!("complete")), []);
        assert!(purgatory.watchers.is_empty());
    }

    #[test]
    fn the_first_deadline_expires_first_and_only_once_it_has_come() {
        let mut purgatory = Purgatory::new();
        purgatory.watch('a', [1].into_iter(), Time(10));
        purgatory.watch('b', [2].into_iter(), Time(5));
        purgatory.watch('c', [1].into_iter(), Time(10));
        assert_eq!(purgatory.next_deadline(), Some(Time(5)));
        assert_eq!(purgatory.pop_expired(Time(4)), None);
        assert_eq!(drain(&mut purgatory, 2, |_| Verdict::Complete), ['b']);
        assert_eq!(purgatory.next_deadline(), Some(Time(10)));
        assert_eq!(purgatory.pop_expired(Time(10)), Some('a'));
        assert_eq!(purgatory.pop_expired(Time(10)), Some('c'));
        assert_eq!(purgatory.pop_expired(Time(10)), None);
        assert_eq!(purgatory.next_deadline(), None);
    }
}
