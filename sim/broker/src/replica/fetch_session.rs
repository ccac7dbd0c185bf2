//! Incremental fetch sessions (KIP-227), and fetches without one, which are sessions for one request.
//!
//! A session remembers what its client wants to read and what it was last told. Its partitions do not wait to be looked at
//! by each fetch: a queue holds those that may have something to tell, and everything that happens to a partition puts it
//! there. So a fetch costs by what has changed, not by how many partitions the session has.

use std::collections::{BTreeMap, VecDeque};

use trial_node::{NodeId, Offset, Rng, Span, Time, TopicIdPartition};
use trial_wire::messages::fetch_request::FetchPartition;
use trial_wire::messages::{FetchRequest, FetchResponse};
use trial_wire::{ErrorCode, StrBytes, Uuid};

use super::metadata::ClusterMetadata;
use crate::Token;
use crate::security::Access;

/// The epoch of a request that wants a new session.
const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that wants no session.
const FINAL_EPOCH: i32 = -1;
/// A session may be evicted after it was not used for this long (Kafka's `min.incremental.fetch.session.eviction.ms`).
const EVICTION_AGE: Span = Span::from_secs(120);

/// Names a fetch session inside the broker: positive, the id that its client knows; negative, for one request only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FetchKey(i64);

/// One partition of a session.
#[derive(Clone, Debug)]
pub(super) struct FetchedPartition {
    pub fetch_offset: Offset,
    pub max_bytes: i32,
    pub current_leader_epoch: i32,
    pub last_fetched_epoch: i32,
    /// The follower's log start; −1 from consumers.
    pub log_start_offset: Offset,
    /// What the client was last told; [`Offset::UNKNOWN`] before, and after an error.
    pub sent_high_watermark: Offset,
    pub sent_log_start_offset: Offset,
    /// Whether the partition is in the queue.
    pub queued: bool,
    /// Whether the replica knows that this session watches it.
    pub watching: bool,
}

/// What a fetch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub token: Token,
    pub version: i16,
    pub deadline: Time,
}

/// What one request asks, beside its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FetchParams {
    pub replica: Option<NodeId>,
    pub broker_epoch: i64,
    pub read_committed: bool,
    pub leader_only: bool,
    pub by_name: bool,
    pub min_bytes: i64,
    pub max_bytes: usize,
    /// Whether the answer must name every partition.
    pub full: bool,
}

/// A session.
#[derive(Clone, Debug)]
pub(super) struct FetchSession {
    pub key: FetchKey,
    /// What the next request has to say.
    pub next_epoch: i32,
    pub params: FetchParams,
    pub partitions: BTreeMap<TopicIdPartition, FetchedPartition>,
    pub queue: VecDeque<TopicIdPartition>,
    pub waiting: Option<Waiting>,
    /// `client.rack` of a consumer that may be sent to another replica (KIP-392); else empty.
    pub rack: StrBytes,
    /// What the client may read, as of its last fetch; `None` if that is everything.
    pub access: Option<Box<Access>>,
    /// The topics of the request that nobody knows by name; answered once.
    pub unknown: Vec<(trial_wire::TopicName, i32)>,
    pub last_used: Time,
}

impl FetchSession {
    /// The id that the client is told; 0 without a session.
    pub fn id(&self) -> i32 {
        i32::try_from(self.key.0.max(0)).expect("keys of sessions are made from i32")
    }

    /// The client may do this, from now on. If that may be something else than before, each partition is looked at again.
    pub fn set_access(&mut self, access: Access) {
        if !self.access.as_deref().is_some_and(|before| before.is_same(&access)) {
            let partitions: Vec<_> = self.partitions.keys().copied().collect();
            partitions.into_iter().for_each(|tp| self.enqueue(tp));
        }
        self.access = Some(Box::new(access));
    }

    /// Puts a partition into the queue, if the session has it and it is not there.
    pub fn enqueue(&mut self, tp: TopicIdPartition) {
        if let Some(partition) = self.partitions.get_mut(&tp)
            && !partition.queued
        {
            partition.queued = true;
            self.queue.push_back(tp);
        }
    }

    /// Nothing of an answer gets to the client: what it was to hear, it has to hear from a later one.
    pub fn untell(&mut self, metadata: &dyn ClusterMetadata, answer: &FetchResponse) {
        for topic in &answer.responses {
            let id = if self.params.by_name { metadata.topic_id(&topic.topic) } else { Some(topic.topic_id) };
            for told in &topic.partitions {
                let tp = id.map(|topic_id| TopicIdPartition { topic_id, partition: told.partition_index });
                match tp {
                    Some(tp) => {
                        if let Some(partition) = self.partitions.get_mut(&tp) {
                            partition.sent_high_watermark = Offset::UNKNOWN;
                            partition.sent_log_start_offset = Offset::UNKNOWN;
                        }
                        self.enqueue(tp);
                    }
                    // Of a topic that is gone; such errors are told again anyhow.
                    None if topic.topic.is_empty() => {}
                    None => self.unknown.push((topic.topic.clone(), told.partition_index)),
                }
            }
        }
    }

    fn update(&mut self, tp: TopicIdPartition, wanted: &FetchPartition) {
        let partition = self.partitions.entry(tp).or_insert_with(|| FetchedPartition {
            fetch_offset: Offset::UNKNOWN,
            max_bytes: 0,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
            log_start_offset: Offset::UNKNOWN,
            sent_high_watermark: Offset::UNKNOWN,
            sent_log_start_offset: Offset::UNKNOWN,
            queued: false,
            watching: false,
        });
        partition.fetch_offset = Offset(wanted.fetch_offset);
        partition.max_bytes = wanted.partition_max_bytes;
        partition.current_leader_epoch = wanted.current_leader_epoch;
        partition.last_fetched_epoch = wanted.last_fetched_epoch;
        partition.log_start_offset = Offset(wanted.log_start_offset);
        if !partition.queued {
            partition.queued = true;
            self.queue.push_back(tp);
        }
    }

    fn take_over(&mut self, metadata: &dyn ClusterMetadata, request: &FetchRequest) {
        for topic in &request.topics {
            let id = if self.params.by_name { metadata.topic_id(&topic.topic) } else { Some(topic.topic_id) };
            for wanted in &topic.partitions {
                match id {
                    Some(topic_id) => {
                        self.update(TopicIdPartition { topic_id, partition: wanted.partition }, wanted);
                    }
                    None => self.unknown.push((topic.topic.clone(), wanted.partition)),
                }
            }
        }
    }
}

/// What a Fetch request's session part led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Began {
    /// The session to answer for.
    pub key: FetchKey,
    /// Partitions that the session no longer has.
    pub forgotten: Vec<TopicIdPartition>,
    /// Sessions that are gone, with all that they were.
    pub ended: Vec<Ended>,
}

/// A session that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub key: FetchKey,
    pub replica: Option<NodeId>,
    /// Whoever still waits for an answer.
    pub waiting: Option<Waiting>,
    /// The partitions that it watched.
    pub watched: Vec<TopicIdPartition>,
}

/// The sessions of a broker.
#[derive(Clone, Debug)]
pub(super) struct FetchSessions {
    sessions: BTreeMap<FetchKey, FetchSession>,
    slots: usize,
    /// How many sessions are lasting ones.
    lasting: usize,
    last_passing: i64,
}

impl FetchSessions {
    /// The session that its client knows by this id; 0 is none's.
    pub fn of_id(&mut self, id: i32) -> Option<&mut FetchSession> {
        self.sessions.get_mut(&FetchKey(i64::from(id)))
    }

    /// At most `slots` lasting sessions.
    pub fn new(slots: usize) -> FetchSessions {
        FetchSessions { sessions: BTreeMap::new(), slots, lasting: 0, last_passing: 0 }
    }

    pub fn get_mut(&mut self, key: FetchKey) -> Option<&mut FetchSession> {
        self.sessions.get_mut(&key)
    }

    /// The instant of a session's last request.
    pub fn last_used(&self, key: FetchKey) -> Option<Time> {
        self.sessions.get(&key).map(|session| session.last_used)
    }

    /// Takes a session away.
    pub fn end(&mut self, key: FetchKey) -> Option<Ended> {
        let session = self.sessions.remove(&key)?;
        self.lasting -= usize::from(key.0 > 0);
        Some(Ended {
            key,
            replica: session.params.replica,
            waiting: session.waiting,
            watched: session.partitions.iter().filter(|(_, p)| p.watching).map(|(tp, _)| *tp).collect(),
        })
    }

    /// Finds or makes the session of a request and takes over what the request says of it.
    ///
    /// # Errors
    /// FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH or FETCH_SESSION_TOPIC_ID_ERROR, with nothing changed.
    pub fn begin(
        &mut self,
        metadata: &dyn ClusterMetadata,
        rng: &mut Rng,
        now: Time,
        params: FetchParams,
        request: &FetchRequest,
    ) -> Result<Began, ErrorCode> {
        match request.session_epoch {
            FINAL_EPOCH | INITIAL_EPOCH => {
                let mut ended = Vec::new();
                if request.session_id > 0 {
                    ended.extend(self.end(FetchKey(i64::from(request.session_id))));
                }
                let mut lasts = request.session_epoch == INITIAL_EPOCH && !request.topics.is_empty();
                if lasts {
                    lasts = self.make_room(params.replica, partition_count(request), now, &mut ended);
                }
                let key = if lasts { self.new_id(rng) } else { self.passing() };
                let mut session = FetchSession {
                    key,
                    next_epoch: 1,
                    params: FetchParams { full: true, ..params },
                    partitions: BTreeMap::new(),
                    queue: VecDeque::new(),
                    waiting: None,
                    rack: StrBytes::new(),
                    access: None,
                    unknown: Vec::new(),
                    last_used: now,
                };
                session.take_over(metadata, request);
                self.lasting += usize::from(lasts);
                self.sessions.insert(key, session);
                Ok(Began { key, forgotten: Vec::new(), ended })
            }
            epoch => {
                let key = FetchKey(i64::from(request.session_id));
                let session = self
                    .sessions
                    .get_mut(&key)
                    .filter(|session| session.key.0 > 0)
                    .ok_or(ErrorCode::FetchSessionIdNotFound)?;
                if session.next_epoch != epoch {
                    return Err(ErrorCode::InvalidFetchSessionEpoch);
                }
                if session.params.by_name != params.by_name {
                    return Err(ErrorCode::FetchSessionTopicIdError);
                }
                session.next_epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
                session.params = params;
                session.last_used = now;
                session.take_over(metadata, request);
                let mut forgotten = Vec::new();
                for topic in &request.forgotten_topics_data {
                    let id =
                        if params.by_name { metadata.topic_id(&topic.topic) } else { Some(topic.topic_id) };
                    let Some(topic_id) = id else { continue };
                    for partition in &topic.partitions {
                        let tp = TopicIdPartition { topic_id, partition: *partition };
                        if let Some(gone) = session.partitions.remove(&tp)
                            && gone.watching
                        {
                            forgotten.push(tp);
                        }
                    }
                }
                if !request.forgotten_topics_data.is_empty() {
                    let partitions = &session.partitions;
                    session.queue.retain(|tp| partitions.contains_key(tp));
                }
                Ok(Began { key, forgotten, ended: Vec::new() })
            }
        }
    }

    fn passing(&mut self) -> FetchKey {
        self.last_passing -= 1;
        FetchKey(self.last_passing)
    }

    fn new_id(&mut self, rng: &mut Rng) -> FetchKey {
        loop {
            // Drawn, not counted: after a restart an old client's id must not be another's by chance.
            let id = FetchKey(i64::try_from(rng.between(1, i32::MAX as u64)).expect("at most i32::MAX"));
            if !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }

    /// Makes sure that there is a slot, by ending another session if need be: one that was not used for long, or, for
    /// a follower or a larger session, the smallest of a consumer. Whether there is a slot.
    fn make_room(&mut self, replica: Option<NodeId>, size: usize, now: Time, ended: &mut Vec<Ended>) -> bool {
        if replica.is_some() {
            // A broker has one fetcher per leader: its older sessions are dead, and would only be kept up to date.
            let dead: Vec<FetchKey> =
                self.lasting().filter(|session| session.params.replica == replica).map(|s| s.key).collect();
            for key in dead {
                ended.extend(self.end(key));
            }
        }
        if self.lasting < self.slots {
            return true;
        }
        let stale = self
            .lasting()
            .filter(|session| now.since(session.last_used) > EVICTION_AGE)
            .min_by_key(|session| (session.last_used, session.key));
        let victim = stale.or_else(|| {
            self.lasting()
                .filter(|session| session.params.replica.is_none())
                .min_by_key(|session| (session.partitions.len(), session.key))
                .filter(|session| replica.is_some() || session.partitions.len() < size)
        });
        match victim.map(|session| session.key) {
            Some(key) => {
                ended.extend(self.end(key));
                true
            }
            None => false,
        }
    }

    fn lasting(&self) -> impl Iterator<Item = &FetchSession> {
        self.sessions.range(FetchKey(1)..).map(|(_, session)| session)
    }
}

impl FetchSession {
    /// Whether the session ends with its first answer.
    pub fn is_passing(&self) -> bool {
        self.key.0 < 0
    }
}

fn partition_count(request: &FetchRequest) -> usize {
    request.topics.iter().map(|topic| topic.partitions.len()).sum()
}

/// A topic's id as requests that name topics have it.
pub(super) const NO_TOPIC_ID: Uuid = Uuid::nil();

#[cfg(test)]
mod tests {
    use trial_node::LeaderEpoch;
    use trial_wire::TopicName;
    use trial_wire::messages::fetch_request::FetchTopic;

    use super::*;
    use crate::replica::metadata::{BrokerState, PartitionState};

    struct Nothing;

    impl ClusterMetadata for Nothing {
        fn topic_id(&self, _: &TopicName) -> Option<Uuid> {
            None
        }
        fn topic_name(&self, _: Uuid) -> Option<&TopicName> {
            None
        }
        fn partition(&self, _: TopicIdPartition) -> Option<PartitionState<'_>> {
            None
        }
        fn broker(&self, _: NodeId) -> Option<BrokerState<'_>> {
            None
        }
        fn topic_config(&self, _: Uuid, _: &str) -> Option<&str> {
            None
        }
    }

    fn params(replica: Option<NodeId>) -> FetchParams {
        FetchParams {
            replica,
            broker_epoch: i64::from(LeaderEpoch::NONE.0),
            read_committed: false,
            leader_only: false,
            by_name: false,
            min_bytes: 1,
            max_bytes: 1,
            full: false,
        }
    }

    /// Asks for a session of `size` partitions; whether one was made, and how many others that cost.
    fn begin(
        sessions: &mut FetchSessions,
        replica: Option<NodeId>,
        size: i32,
        at: u64,
    ) -> (Option<FetchKey>, Vec<FetchKey>) {
        let partitions = (0..size).map(|index| FetchPartition::default().with_partition(index)).collect();
        let topic = FetchTopic::default().with_partitions(partitions);
        let request = FetchRequest::default().with_session_epoch(0).with_topics(vec![topic]);
        let mut rng = Rng::named(at, "sessions");
        let now = Time::ZERO + Span::from_secs(at);
        let began = sessions.begin(&Nothing, &mut rng, now, params(replica), &request).unwrap();
        let lasts = began.key.0 > 0;
        let ended = began.ended.iter().map(|ended| ended.key).collect();
        if !lasts {
            sessions.end(began.key);
        }
        (lasts.then_some(began.key), ended)
    }

    #[test]
    fn a_full_cache_gives_way_to_followers_to_larger_sessions_and_to_time() {
        let mut sessions = FetchSessions::new(2);
        let (small, _) = begin(&mut sessions, None, 2, 1);
        let (large, _) = begin(&mut sessions, None, 5, 2);
        assert_eq!(begin(&mut sessions, None, 2, 3), (None, vec![]), "not larger than the smallest");
        let (larger, ended) = begin(&mut sessions, None, 3, 4);
        assert_eq!((larger.is_some(), ended), (true, vec![small.unwrap()]));
        let (follower, ended) = begin(&mut sessions, Some(NodeId(1)), 1, 5);
        assert_eq!((follower.is_some(), ended), (true, vec![larger.unwrap()]));
        let (stale, ended) = begin(&mut sessions, None, 1, 123);
        assert_eq!((stale.is_some(), ended), (true, vec![large.unwrap()]), "unused for over two minutes");
        assert_eq!(sessions.lasting, 2);
    }

    #[test]
    fn a_followers_new_session_ends_its_old_one() {
        let mut sessions = FetchSessions::new(10);
        let (first, _) = begin(&mut sessions, Some(NodeId(1)), 1, 1);
        let (other, _) = begin(&mut sessions, Some(NodeId(2)), 1, 2);
        let (_, ended) = begin(&mut sessions, Some(NodeId(1)), 1, 3);
        assert_eq!(ended, [first.unwrap()]);
        assert!(sessions.get_mut(other.unwrap()).is_some());
    }

    #[test]
    fn the_epoch_wraps_to_one() {
        let mut sessions = FetchSessions::new(10);
        let key = begin(&mut sessions, None, 1, 1).0.unwrap();
        sessions.get_mut(key).unwrap().next_epoch = i32::MAX;
        let id = sessions.get_mut(key).unwrap().id();
        let request = FetchRequest::default().with_session_id(id).with_session_epoch(i32::MAX);
        let mut rng = Rng::named(1, "wrap");
        sessions.begin(&Nothing, &mut rng, Time::ZERO, params(None), &request).unwrap();
        assert_eq!(sessions.get_mut(key).unwrap().next_epoch, 1);
    }
}
