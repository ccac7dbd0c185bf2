//! A coordinator with a log whose commits are held back, failed and repeated at will.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use trial_node::view::CoordinatorEntry;
use trial_node::{
    LeaderEpoch, NodeId, Now, Offset, ProducerEpoch, ProducerId, Rng, Span, Time, TopicPartition,
};
use trial_wire::message::encode_response;
use trial_wire::messages::heartbeat_request::HeartbeatRequest;
use trial_wire::messages::join_group_request::JoinGroupRequestProtocol;
use trial_wire::messages::sync_group_request::SyncGroupRequestAssignment;
use trial_wire::messages::{
    HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes, TopicName, Uuid};

use crate::group::record::GroupRecord;
use crate::group::{GroupConfig, GroupCoordinator};
use crate::{CallId, ClusterMetadata, Coordinator, Env, LogRecord, Marker, Output, Record, Request, Ticket};

pub(super) const GROUP: &str = "billing";

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Topics with their ids and partition counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Topics(pub(super) BTreeMap<TopicName, (Uuid, i32)>);

impl ClusterMetadata for Topics {
    fn topic_id(&self, name: &TopicName) -> Option<Uuid> {
        self.0.get(name).map(|topic| topic.0)
    }

    fn topic_name(&self, id: Uuid) -> Option<&TopicName> {
        self.0.iter().find(|(_, topic)| topic.0 == id).map(|(name, _)| name)
    }

    fn partition_count(&self, name: &TopicName) -> Option<i32> {
        self.0.get(name).map(|topic| topic.1)
    }

    fn topic_names(&self, each: &mut dyn FnMut(&TopicName)) {
        self.0.keys().for_each(each);
    }

    fn version(&self) -> Offset {
        Offset(0)
    }

    fn leader(&self, _: &TopicPartition) -> Option<(NodeId, LeaderEpoch)> {
        None
    }

    fn feature_level(&self, _: &str) -> i16 {
        1
    }
}

#[derive(Clone, Debug)]
enum Entry {
    Record(Option<(ProducerId, ProducerEpoch)>, Record),
    Marker(Marker),
}

#[derive(Clone, Debug)]
pub(super) struct Driver {
    pub(super) coordinator: GroupCoordinator,
    pub(super) topics: Topics,
    pub(super) now: Time,
    config: GroupConfig,
    pub(super) rng: Rng,
    calls: u64,
    log: Vec<Entry>,
    /// Appends are replayed, and committed only by [`Driver::commit`].
    pub(super) hold: bool,
    /// Appends fail at once.
    pub(super) fail: Option<ErrorCode>,
    held: Vec<Ticket>,
    versions: BTreeMap<CallId, i16>,
    answers: BTreeMap<CallId, ResponseKind>,
}

impl Driver {
    pub(super) fn new() -> Driver {
        Driver::with_config(GroupConfig::default())
    }

    pub(super) fn with_config(config: GroupConfig) -> Driver {
        let mut driver = Driver {
            coordinator: GroupCoordinator::new(config.clone()),
            topics: Topics::default(),
            now: Time(0),
            config,
            rng: Rng::named(1, "coordinator"),
            calls: 0,
            log: Vec::new(),
            hold: false,
            fail: None,
            held: Vec::new(),
            versions: BTreeMap::new(),
            answers: BTreeMap::new(),
        };
        driver.topics.0.insert(TopicName(text("orders")), (Uuid::from_u128(7), 4));
        driver.with_env(|coordinator, env| coordinator.activate(env, LeaderEpoch(0)));
        driver
    }

    fn with_env(&mut self, run: impl FnOnce(&mut GroupCoordinator, &mut Env<'_>)) {
        let wall_ms = (self.now.0 / 1_000_000).cast_signed();
        let now = Now { mono: self.now, wall_ms };
        run(&mut self.coordinator, &mut Env { now, rng: &mut self.rng, metadata: &self.topics });
        while let Some(output) = self.coordinator.poll_output() {
            match output {
                Output::Append { ticket, records, transaction } => self.append(ticket, records, transaction),
                Output::Respond { call, body } => self.take_answer(call, body),
                Output::RespondOnceCommitted { call, body, instead } => {
                    self.encode(call, &instead);
                    self.take_answer(call, body);
                }
                Output::Trace(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn take_answer(&mut self, call: CallId, body: ResponseKind) {
        self.encode(call, &body);
        assert!(self.answers.insert(call, body).is_none(), "{call:?} is answered twice");
    }

    /// Every answer can be said in the version that was asked in.
    fn encode(&self, call: CallId, body: &ResponseKind) {
        let encoded = encode_response(body, self.versions[&call], &mut BytesMut::new());
        assert_eq!(encoded, Ok(()), "{body:?}");
    }

    fn append(
        &mut self,
        ticket: Ticket,
        records: Vec<Record>,
        transaction: Option<(ProducerId, ProducerEpoch)>,
    ) {
        if let Some(error) = self.fail {
            return self.with_env(|coordinator, env| coordinator.completed(env, ticket, Err(error)));
        }
        for record in records {
            self.log.push(Entry::Record(transaction, record));
            replay(&mut self.coordinator, self.log.len() - 1, &self.log[self.log.len() - 1]);
        }
        if self.hold {
            self.held.push(ticket);
        } else {
            self.complete(ticket, None);
        }
    }

    fn complete(&mut self, ticket: Ticket, error: Option<ErrorCode>) {
        let result = error.map_or(Ok(Offset(self.log.len() as i64)), Err);
        self.with_env(|coordinator, env| coordinator.completed(env, ticket, result));
    }

    /// What was held back is committed, or not in time.
    pub(super) fn commit(&mut self, error: Option<ErrorCode>) {
        self.hold = false;
        for ticket in std::mem::take(&mut self.held) {
            self.complete(ticket, error);
        }
    }

    pub(super) fn end_transaction(&mut self, producer_id: i64, commit: bool) {
        let marker =
            Marker { producer_id: ProducerId(producer_id), producer_epoch: ProducerEpoch(0), commit };
        self.log.push(Entry::Marker(marker));
        self.coordinator.replay_marker(marker);
    }

    pub(super) fn metadata_changed(&mut self) {
        self.with_env(|coordinator, env| coordinator.metadata_changed(env));
    }

    /// Lets time pass, and the coordinator do what is due.
    pub(super) fn pass(&mut self, span: Span) {
        let end = self.now + span;
        while let Some(due) = self.coordinator.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.with_env(|coordinator, env| coordinator.handle_timeout(env));
        }
        self.now = end;
    }

    /// Sends a request.
    pub(super) fn send(&mut self, version: i16, body: impl Into<RequestKind>) -> CallId {
        self.calls += 1;
        let call = CallId(self.calls);
        let body = body.into();
        self.versions.insert(call, version);
        self.with_env(|coordinator, env| {
            let (client_id, client_host) = ("client", "/10.0.0.1");
            coordinator.handle(env, Request { call, version, client_id, client_host, describes: None, body });
        });
        call
    }

    /// The answer to a request, if there is one by now.
    pub(super) fn answer(&mut self, call: CallId) -> Option<ResponseKind> {
        self.answers.remove(&call)
    }

    pub(super) fn ask(&mut self, version: i16, body: impl Into<RequestKind>) -> ResponseKind {
        let call = self.send(version, body);
        self.answer(call).expect("it is answered at once")
    }

    pub(super) fn resign(&mut self) {
        self.coordinator.resign();
        self.with_env(|_, _| {});
    }

    /// The records after the first `from`.
    pub(super) fn written(&self, from: usize) -> Vec<GroupRecord<'_>> {
        let records = self.log[from..].iter().filter_map(|entry| match entry {
            Entry::Record(_, record) => Some(record),
            Entry::Marker(_) => None,
        });
        records
            .map(|record| match GroupRecord::decode(&record.key, record.value.as_deref()) {
                Ok(Some(record)) => record,
                _ => panic!("{record:?}"),
            })
            .collect()
    }

    pub(super) fn log_end(&self) -> usize {
        self.log.len()
    }

    /// A coordinator that is loaded from the log takes over. The log may have been compacted, too.
    pub(super) fn fail_over(&mut self) {
        let loaded = self.load(|_, _| true);
        let key = |entry: &Entry| match entry {
            Entry::Record(None, record) => Some(record.key.clone()),
            Entry::Record(Some(_), _) | Entry::Marker(_) => None,
        };
        let last: BTreeMap<_, _> =
            self.log.iter().enumerate().filter_map(|(offset, entry)| Some((key(entry)?, offset))).collect();
        let is_last = |offset, entry: &Entry| key(entry).is_none_or(|key| last[&key] == offset);
        let tombstone = |entry: &Entry| matches!(entry, Entry::Record(_, Record { value: None, .. }));
        let tail = self.load(is_last);
        let clean = self.load(|offset, entry| is_last(offset, entry) && !tombstone(entry));
        for loaded in [&loaded, &tail, &clean] {
            assert_eq!(entries(loaded), entries(&self.coordinator));
        }
        self.resign();
        self.held.clear();
        self.coordinator = loaded;
        self.with_env(|coordinator, env| coordinator.activate(env, LeaderEpoch(1)));
    }

    /// A coordinator that knows those entries of the log that `keeps` names.
    fn load(&self, keeps: impl Fn(usize, &Entry) -> bool) -> GroupCoordinator {
        let mut loaded = GroupCoordinator::new(self.config.clone());
        for (offset, entry) in self.log.iter().enumerate().filter(|(offset, entry)| keeps(*offset, entry)) {
            replay(&mut loaded, offset, entry);
        }
        loaded
    }

    pub(super) fn entries(&self) -> Vec<String> {
        entries(&self.coordinator)
    }

    pub(super) fn join(&mut self, version: i16, request: JoinGroupRequest) -> CallId {
        self.send(version, request)
    }

    pub(super) fn joined(&mut self, call: CallId) -> Option<JoinGroupResponse> {
        self.answer(call).map(|response| match response {
            ResponseKind::JoinGroup(response) => response,
            other => panic!("{other:?}"),
        })
    }

    pub(super) fn synced(&mut self, call: CallId) -> Option<SyncGroupResponse> {
        self.answer(call).map(|response| match response {
            ResponseKind::SyncGroup(response) => response,
            other => panic!("{other:?}"),
        })
    }

    /// A heartbeat's error code.
    pub(super) fn beat(&mut self, generation: i32, member: &StrBytes, instance: Option<&str>) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(text(GROUP).into())
            .with_generation_id(generation)
            .with_member_id(member.clone())
            .with_group_instance_id(instance.map(text));
        match self.ask(4, request) {
            ResponseKind::Heartbeat(HeartbeatResponse { error_code, .. }) => error_code,
            other => panic!("{other:?}"),
        }
    }

    /// A new dynamic member's id; it has not joined with it yet.
    pub(super) fn new_member_id(&mut self) -> StrBytes {
        let call = self.join(9, join("", None));
        let response = self.joined(call).expect("the id is told at once");
        assert_eq!(response.error_code, ErrorCode::MemberIdRequired.code());
        response.member_id
    }

    /// A group of `n` members in generation 1 with an assignment each (the last byte of its id); the first leads.
    pub(super) fn stable_group(&mut self, n: usize) -> Vec<StrBytes> {
        let members: Vec<_> = (0..n).map(|_| self.new_member_id()).collect();
        let calls: Vec<_> = members.iter().map(|id| self.join(9, join(id, None))).collect();
        self.pass(Span::from_secs(9));
        let answers: Vec<_> = calls.into_iter().map(|call| self.joined(call).expect("time is up")).collect();
        assert!(answers.iter().all(|answer| answer.error_code == 0 && answer.generation_id == 1));
        assert_eq!(answers[0].members.len(), n);
        let calls: Vec<_> = members.iter().map(|id| self.send(5, sync(1, id, &members))).collect();
        for (id, call) in members.iter().zip(calls) {
            assert_eq!(self.synced(call).expect("the leader has assigned").assignment, part(id));
            assert_eq!(self.beat(1, id, None), 0);
        }
        members
    }
}

fn replay(coordinator: &mut GroupCoordinator, offset: usize, entry: &Entry) {
    match entry {
        Entry::Record(transaction, record) => {
            let record = LogRecord {
                offset: Offset(offset as i64),
                transaction: *transaction,
                key: &record.key,
                value: record.value.as_deref(),
            };
            coordinator.replay(record).expect("a coordinator wrote it");
        }
        Entry::Marker(marker) => coordinator.replay_marker(*marker),
    }
}

/// All that must be in the log: whether a classic group rebalances is not.
fn entries(coordinator: &GroupCoordinator) -> Vec<String> {
    let mut entries = Vec::new();
    coordinator.entries(&mut |entry| {
        entries.push(match entry {
            CoordinatorEntry::Group { group, classic, epoch, members, .. } => {
                format!("group {group} classic {classic} epoch {epoch} members {members}")
            }
            CoordinatorEntry::Offset { group, topic, partition, offset, .. } => {
                format!("{group} {topic}-{partition} at {offset}")
            }
            CoordinatorEntry::PendingOffset { group, producer_id, topic, partition, offset } => {
                format!("{group} {topic}-{partition} at {offset} if {producer_id} commits")
            }
            other => format!("{other:?}"),
        });
    });
    entries
}

/// What [`Driver::stable_group`] assigns to a member.
pub(super) fn part(member: &StrBytes) -> Bytes {
    Bytes::copy_from_slice(&member.as_bytes()[member.len() - 1..])
}

/// A consumer's subscription to `orders`, in version 0 of the consumer protocol.
pub(super) fn subscription() -> Bytes {
    Bytes::from_static(b"\0\0\0\0\0\x01\0\x06orders\xff\xff\xff\xff")
}

pub(super) fn join(member: &str, instance: Option<&str>) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(subscription());
    JoinGroupRequest::default()
        .with_group_id(text(GROUP).into())
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(60_000)
        .with_member_id(text(member))
        .with_group_instance_id(instance.map(text))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

/// A SyncGroup that gives every one of `members` its part.
pub(super) fn sync(generation: i32, member: &StrBytes, members: &[StrBytes]) -> SyncGroupRequest {
    let assignments = members
        .iter()
        .map(|id| SyncGroupRequestAssignment::default().with_member_id(id.clone()).with_assignment(part(id)));
    SyncGroupRequest::default()
        .with_group_id(text(GROUP).into())
        .with_generation_id(generation)
        .with_member_id(member.clone())
        .with_protocol_type(Some(text("consumer")))
        .with_protocol_name(Some(text("range")))
        .with_assignments(assignments.collect())
}
