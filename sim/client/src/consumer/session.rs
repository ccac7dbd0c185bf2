//! The client's end of fetch sessions (KIP-227): a broker remembers what is fetched, and each request tells changes only.

use std::collections::{BTreeMap, BTreeSet};

use trial_node::{LeaderEpoch, Offset, TopicIdPartition};
use trial_wire::TopicName;
use trial_wire::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};

/// A request with this epoch begins a session, and ends the one whose id it carries.
const INITIAL_EPOCH: i32 = 0;

/// What is asked of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The partition and its topic's name, for versions that know no ids.
    pub tp: TopicIdPartition,
    pub topic: TopicName,
    pub fetch_offset: Offset,
    pub leader_epoch: LeaderEpoch,
    pub max_bytes: i32,
}

/// What is fetched from one broker. Partitions go by their index in the consumer's assignment.
#[derive(Clone, Debug, Default)]
pub(super) struct FetchSession {
    id: i32,
    epoch: i32,
    wanted: BTreeMap<usize, Wanted>,
    /// What the broker was told last.
    told: BTreeMap<usize, Wanted>,
    /// Where the two may differ.
    changed: BTreeSet<usize>,
    /// A request is in flight.
    pub in_flight: bool,
}

/// The parts of a Fetch request that depend on the session.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SessionRequest {
    pub session_id: i32,
    pub session_epoch: i32,
    pub topics: Vec<FetchTopic>,
    pub forgotten: Vec<ForgottenTopic>,
}

impl FetchSession {
    /// Whether there is anything to fetch from the broker.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// What the last request asked of a partition, by naming it or by leaving it as the broker remembers it.
    pub fn asked(&self, index: usize) -> Option<&Wanted> {
        self.told.get(&index)
    }

    /// Fetches a partition from now on, or otherwise than before, or no more.
    pub fn update(&mut self, index: usize, wanted: Option<Wanted>) {
        self.changed.insert(index);
        match wanted {
            Some(wanted) => self.wanted.insert(index, wanted),
            None => self.wanted.remove(&index),
        };
    }

    /// The next request's parts, for a version with topic ids (13 and up) or without.
    pub fn request(&mut self, topic_ids: bool) -> SessionRequest {
        self.in_flight = true;
        let mut topics = Vec::new();
        let mut forgotten = Vec::new();
        let changed = std::mem::take(&mut self.changed);
        if self.epoch == INITIAL_EPOCH {
            self.wanted.values().for_each(|wanted| name(&mut topics, wanted, topic_ids));
            self.told = self.wanted.clone();
        } else {
            for index in changed {
                let wanted = self.wanted.get(&index);
                let told = match wanted {
                    Some(wanted) => self.told.insert(index, wanted.clone()),
                    None => self.told.remove(&index),
                };
                if told.as_ref() == wanted {
                    continue;
                }
                if let Some(told) = told.filter(|told| wanted.is_none_or(|wanted| wanted.tp != told.tp)) {
                    let topic = ForgottenTopic::default().with_partitions(vec![told.tp.partition]);
                    forgotten.push(if topic_ids {
                        topic.with_topic_id(told.tp.topic_id)
                    } else {
                        topic.with_topic(told.topic)
                    });
                }
                if let Some(wanted) = wanted {
                    name(&mut topics, wanted, topic_ids);
                }
            }
        }
        SessionRequest { session_id: self.id, session_epoch: self.epoch, topics, forgotten }
    }

    /// A request succeeded; the broker names the session, or 0 if it keeps none.
    pub fn succeeded(&mut self, session_id: i32) {
        self.in_flight = false;
        self.id = session_id;
        self.epoch = match (session_id, self.epoch) {
            (0, _) => INITIAL_EPOCH,
            (_, i32::MAX) => 1,
            (_, epoch) => epoch + 1,
        };
    }

    /// A request failed: the next one names everything, and replaces the session unless the broker does not know it.
    pub fn failed(&mut self, known_to_broker: bool) {
        self.in_flight = false;
        self.epoch = INITIAL_EPOCH;
        if !known_to_broker {
            self.id = 0;
        }
    }
}

/// Adds a partition to those that a request names.
fn name(topics: &mut Vec<FetchTopic>, wanted: &Wanted, topic_ids: bool) {
    let partition = FetchPartition::default()
        .with_partition(wanted.tp.partition)
        .with_current_leader_epoch(wanted.leader_epoch.0)
        .with_fetch_offset(wanted.fetch_offset.0)
        .with_partition_max_bytes(wanted.max_bytes);
    let same = |topic: &&mut FetchTopic| {
        if topic_ids { topic.topic_id == wanted.tp.topic_id } else { topic.topic == wanted.topic }
    };
    if let Some(topic) = topics.last_mut().filter(same) {
        topic.partitions.push(partition);
        return;
    }
    let topic = FetchTopic::default().with_partitions(vec![partition]);
    topics.push(if topic_ids {
        topic.with_topic_id(wanted.tp.topic_id)
    } else {
        topic.with_topic(wanted.topic.clone())
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use trial_wire::{StrBytes, Uuid};

    fn wanted(partition: i32, offset: i64) -> Option<Wanted> {
        Some(Wanted {
            tp: TopicIdPartition { topic_id: Uuid::from_u128(7), partition },
            topic: TopicName(StrBytes::from_static_str("orders")),
            fetch_offset: Offset(offset),
            leader_epoch: LeaderEpoch(3),
            max_bytes: 100,
        })
    }

    fn named(request: &SessionRequest) -> Vec<(i32, i64)> {
        let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.map(|p| (p.partition, p.fetch_offset)).collect()
    }

    fn forgotten(request: &SessionRequest) -> Vec<i32> {
        request.forgotten.iter().flat_map(|topic| topic.partitions.clone()).collect()
    }

    #[test]
    fn only_changes_are_told_to_a_session() {
        let mut session = FetchSession::default();
        session.update(0, wanted(0, 10));
        session.update(1, wanted(1, 20));
        let first = session.request(true);
        assert_eq!((first.session_id, first.session_epoch), (0, 0));
        assert_eq!(named(&first), [(0, 10), (1, 20)]);
        session.succeeded(99);

        let second = session.request(true);
        assert_eq!((second.session_id, second.session_epoch), (99, 1));
        assert_eq!(named(&second), []);
        session.succeeded(99);

        session.update(1, wanted(1, 25));
        session.update(0, None);
        session.update(2, wanted(2, 0));
        let third = session.request(true);
        assert_eq!((third.session_id, third.session_epoch), (99, 2));
        assert_eq!(named(&third), [(1, 25), (2, 0)]);
        assert_eq!(forgotten(&third), [0]);
    }

    #[test]
    fn what_comes_and_goes_between_two_requests_is_not_told() {
        let mut session = FetchSession::default();
        session.update(0, wanted(0, 10));
        session.request(true);
        session.succeeded(5);
        session.update(1, wanted(1, 0));
        session.update(1, None);
        let request = session.request(true);
        assert_eq!((named(&request), forgotten(&request)), (vec![], vec![]));
        session.succeeded(5);
        session.update(0, None);
        session.update(0, wanted(0, 10));
        assert_eq!(named(&session.request(true)), []);
        session.succeeded(5);
        session.update(0, wanted(0, 11));
        session.update(0, None);
        let request = session.request(true);
        assert_eq!((named(&request), forgotten(&request)), (vec![], vec![0]));
    }

    #[test]
    fn failure_begins_a_new_session_with_everything() {
        let mut session = FetchSession::default();
        session.update(0, wanted(0, 10));
        session.request(true);
        session.succeeded(5);
        session.request(true);
        session.failed(true);
        let again = session.request(true);
        assert_eq!((again.session_id, again.session_epoch), (5, 0));
        assert_eq!(named(&again), [(0, 10)]);
        session.failed(false);
        assert_eq!(session.request(true).session_id, 0);
    }
}
