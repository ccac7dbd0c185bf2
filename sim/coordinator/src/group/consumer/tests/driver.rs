//! A coordinator with a log of its own that is committed at once, and clocks that are set by hand.

use std::collections::{BTreeMap, BTreeSet};

use trial_node::view::CoordinatorEntry;
use trial_node::{LeaderEpoch, NodeId, Now, Offset, Rng, Span, Time, TopicPartition};
use trial_wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use trial_wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes, TopicName, Uuid};

use crate::group::record::{ConsumerGroupRecord, GroupRecord};
use crate::group::{GroupConfig, GroupCoordinator};
use crate::{CallId, ClusterMetadata, Coordinator, Env, LogRecord, Output, Record, Request};

pub(super) const GROUP: &str = "billing";

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Topics with their partition counts, and how often they have changed; a topic's id is made of its name.
#[derive(Clone, Debug, Default)]
pub(super) struct Topics(BTreeMap<TopicName, (Uuid, i32)>, i64);

pub(super) fn topic_id(name: &str) -> Uuid {
    Uuid::from_u128(name.bytes().fold(1, |id, byte| id << 8 | u128::from(byte)))
}

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
        Offset(self.1)
    }

    fn leader(&self, _: &TopicPartition) -> Option<(NodeId, LeaderEpoch)> {
        None
    }

    fn feature_level(&self, _: &str) -> i16 {
        1
    }
}

#[derive(Clone, Debug)]
pub(super) struct Driver {
    pub(super) coordinator: GroupCoordinator,
    config: GroupConfig,
    topics: Topics,
    rng: Rng,
    now: Time,
    calls: u64,
    log: Vec<Record>,
    /// Whether too few replicas are in sync for an append.
    pub(super) refuses_appends: bool,
    /// A topic that who sends requests may not describe.
    pub(super) hidden: Option<&'static str>,
    members: BTreeSet<String>,
    answers: BTreeMap<CallId, ResponseKind>,
}

impl Driver {
    pub(super) fn new(config: GroupConfig, topics: &[(&str, i32)]) -> Driver {
        let mut driver = Driver {
            coordinator: GroupCoordinator::new(config.clone()),
            config,
            topics: Topics::default(),
            rng: Rng::named(1, "coordinator"),
            now: Time(0),
            calls: 0,
            log: Vec::new(),
            refuses_appends: false,
            hidden: None,
            members: BTreeSet::new(),
            answers: BTreeMap::new(),
        };
        for (name, partitions) in topics {
            driver.set_topic(name, Some(*partitions));
        }
        driver.with_env(|coordinator, env| coordinator.activate(env, LeaderEpoch(0)));
        driver
    }

    fn with_env<T>(&mut self, run: impl FnOnce(&mut GroupCoordinator, &mut Env<'_>) -> T) -> T {
        let now = Now { mono: self.now, wall_ms: 0 };
        let mut env = Env { now, rng: &mut self.rng, metadata: &self.topics };
        let result = run(&mut self.coordinator, &mut env);
        self.drain();
        result
    }

    fn drain(&mut self) {
        while let Some(output) = self.coordinator.poll_output() {
            match output {
                Output::Append { ticket, records, transaction } => {
                    assert_eq!(transaction, None);
                    let result = self.append(records);
                    let now = Now { mono: self.now, wall_ms: 0 };
                    let mut env = Env { now, rng: &mut self.rng, metadata: &self.topics };
                    self.coordinator.completed(&mut env, ticket, result);
                }
                Output::Respond { call, body } | Output::RespondOnceCommitted { call, body, .. } => {
                    assert!(self.answers.insert(call, body).is_none(), "{call:?} is answered twice");
                }
                Output::Trace(_) => {}
                other @ (Output::Send { .. } | Output::ProducerId { .. }) => panic!("{other:?}"),
            }
        }
    }

    fn append(&mut self, records: Vec<Record>) -> Result<Offset, ErrorCode> {
        if self.refuses_appends {
            return Err(ErrorCode::NotEnoughReplicas);
        }
        for record in records {
            replay(&mut self.coordinator, self.log.len(), &record);
            self.note_member(&record);
            self.log.push(record);
        }
        Ok(Offset(self.log.len() as i64))
    }

    fn note_member(&mut self, record: &Record) {
        let decoded = GroupRecord::decode(&record.key, record.value.as_deref());
        if let Ok(Some(GroupRecord::Consumer(ConsumerGroupRecord::MemberMetadata {
            member, value, ..
        }))) = decoded
        {
            match value {
                Some(_) => self.members.insert(member.to_owned()),
                None => self.members.remove(member),
            };
        }
    }

    /// The members by what the log says.
    pub(super) fn members(&self) -> &BTreeSet<String> {
        &self.members
    }

    /// Creates, enlarges or deletes a topic.
    pub(super) fn set_topic(&mut self, name: &str, partitions: Option<i32>) {
        let key = TopicName(text(name));
        match partitions {
            Some(partitions) => self.topics.0.insert(key, (topic_id(name), partitions)),
            None => self.topics.0.remove(&key),
        };
        self.touch_topics();
    }

    /// Has the coordinator look at the topics again.
    pub(super) fn touch_topics(&mut self) {
        self.topics.1 += 1;
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

    pub(super) fn ask(&mut self, version: i16, body: impl Into<RequestKind>) -> ResponseKind {
        self.calls += 1;
        let call = CallId(self.calls);
        let body = body.into();
        let hidden = self.hidden;
        let describes = move |name: &TopicName| hidden != Some(name.as_str());
        self.with_env(|coordinator, env| {
            let (client_id, client_host) = ("client", "/10.0.0.1");
            let describes: Option<&dyn Fn(&TopicName) -> bool> = Some(&describes);
            coordinator.handle(env, Request { call, version, client_id, client_host, describes, body });
        });
        self.answers.remove(&call).expect("a committed log leaves no request waiting")
    }

    pub(super) fn beat(&mut self, request: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
        match self.ask(1, request) {
            ResponseKind::ConsumerGroupHeartbeat(response) => response,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn describe(&mut self) -> ConsumerGroupDescribeResponse {
        let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![text(GROUP).into()]);
        match self.ask(1, request) {
            ResponseKind::ConsumerGroupDescribe(response) => response,
            other => panic!("{other:?}"),
        }
    }

    /// What the records after the first `from` are about, with the number that tells them apart.
    pub(super) fn written(&self, from: usize) -> Vec<String> {
        self.log[from..].iter().map(show).collect()
    }

    pub(super) fn log_end(&self) -> usize {
        self.log.len()
    }

    /// Goes on with a coordinator that is loaded from the log. The log may have been compacted, too.
    pub(super) fn fail_over(&mut self) {
        let all = self.log.iter().collect::<Vec<_>>();
        let last: BTreeMap<_, _> =
            all.iter().enumerate().map(|(offset, record)| (&record.key, offset)).collect();
        let compacted = |offset: &usize| last[&all[*offset].key] == *offset;
        let whole = load(&self.config, (0..all.len()).map(|offset| all[offset]));
        let tail = load(&self.config, (0..all.len()).filter(compacted).map(|offset| all[offset]));
        let clean = (0..all.len())
            .filter(compacted)
            .map(|offset| all[offset])
            .filter(|record| record.value.is_some());
        let clean = load(&self.config, clean);
        for loaded in [&whole, &tail, &clean] {
            assert_eq!(entries(loaded), entries(&self.coordinator));
        }
        self.coordinator = whole;
        self.with_env(|coordinator, env| coordinator.activate(env, LeaderEpoch(1)));
    }

    /// Who holds what, in which epoch.
    pub(super) fn owners(&self) -> Vec<(String, i32, i32)> {
        let mut owners = Vec::new();
        self.coordinator.entries(&mut |entry| {
            if let CoordinatorEntry::Owned { member, member_epoch, partition, .. } = entry {
                owners.push((member.to_owned(), member_epoch, partition));
            }
        });
        owners
    }

    /// The group's epoch and whether it is on its way.
    pub(super) fn group(&self) -> Option<(i32, bool)> {
        let mut found = None;
        self.coordinator.entries(&mut |entry| {
            if let CoordinatorEntry::Group { epoch, rebalancing, .. } = entry {
                found = Some((epoch, rebalancing));
            }
        });
        found
    }
}

fn replay(coordinator: &mut GroupCoordinator, offset: usize, record: &Record) {
    let record = LogRecord {
        offset: Offset(offset as i64),
        transaction: None,
        key: &record.key,
        value: record.value.as_deref(),
    };
    coordinator.replay(record).expect("it was written by a coordinator");
}

fn load<'a>(config: &GroupConfig, log: impl Iterator<Item = &'a Record>) -> GroupCoordinator {
    let mut loaded = GroupCoordinator::new(config.clone());
    for (offset, record) in log.enumerate() {
        replay(&mut loaded, offset, record);
    }
    loaded
}

fn entries(coordinator: &GroupCoordinator) -> Vec<String> {
    let mut entries = Vec::new();
    coordinator.entries(&mut |entry| entries.push(format!("{entry:?}")));
    entries
}

fn show(record: &Record) -> String {
    let decoded = GroupRecord::decode(&record.key, record.value.as_deref()).expect("it is well-formed");
    let Some(GroupRecord::Consumer(part)) = decoded else { return format!("{decoded:?}") };
    match part {
        ConsumerGroupRecord::Metadata { epoch, .. } => format!("group epoch {epoch:?}"),
        ConsumerGroupRecord::PartitionMetadata { topics, .. } => {
            let topics = topics.unwrap_or_default();
            format!("topics {:?}", topics.iter().map(|t| (t.name, t.partitions)).collect::<Vec<_>>())
        }
        ConsumerGroupRecord::MemberMetadata { member, value, .. } => {
            format!("{member} {}", if value.is_some() { "said" } else { "is gone" })
        }
        ConsumerGroupRecord::TargetAssignmentMetadata { epoch, .. } => format!("target epoch {epoch:?}"),
        ConsumerGroupRecord::TargetAssignmentMember { member, partitions, .. } => {
            let partitions =
                partitions.map(|topics| topics.into_iter().flat_map(|t| t.partitions).collect::<Vec<_>>());
            format!("{member} shall have {partitions:?}")
        }
        ConsumerGroupRecord::CurrentMemberAssignment { member, value: None, .. } => {
            format!("{member} has nothing")
        }
        ConsumerGroupRecord::CurrentMemberAssignment { member, value: Some(value), .. } => {
            let flat = |topics: Vec<crate::group::record::TopicPartitions>| {
                topics.into_iter().flat_map(|topic| topic.partitions).collect::<Vec<_>>()
            };
            format!(
                "{member} in {} after {} state {} has {:?} gives up {:?}",
                value.member_epoch,
                value.previous_member_epoch,
                value.state,
                flat(value.assigned),
                flat(value.pending_revocation)
            )
        }
        ConsumerGroupRecord::RegularExpression { regex, value: Some(value), .. } => {
            format!("{regex} is {:?} as of {}, {}", value.topics, value.version, value.timestamp_ms)
        }
        ConsumerGroupRecord::RegularExpression { regex, value: None, .. } => format!("{regex} is gone"),
    }
}

/// A first heartbeat, subscribed to `orders`.
pub(super) fn join(member: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(text(GROUP).into())
        .with_member_id(text(member))
        .with_member_epoch(0)
        .with_rebalance_timeout_ms(60_000)
        .with_subscribed_topic_names(Some(vec![TopicName(text("orders"))]))
        .with_topic_partitions(Some(Vec::new()))
}

/// A later heartbeat that says no more than that the member is there.
pub(super) fn alive(member: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(text(GROUP).into())
        .with_member_id(text(member))
        .with_member_epoch(epoch)
        .with_rebalance_timeout_ms(-1)
        .with_subscribed_topic_names(None)
        .with_topic_partitions(None)
}

/// A later heartbeat that says what the member holds of `orders`.
pub(super) fn owning(member: &str, epoch: i32, partitions: &[i32]) -> ConsumerGroupHeartbeatRequest {
    let topic =
        TopicPartitions::default().with_topic_id(topic_id("orders")).with_partitions(partitions.to_vec());
    let topics = if partitions.is_empty() { Vec::new() } else { vec![topic] };
    alive(member, epoch).with_topic_partitions(Some(topics))
}

/// The epoch that an answer tells, and the partitions if it tells any.
pub(super) fn told(response: &ConsumerGroupHeartbeatResponse) -> (i32, Option<Vec<i32>>) {
    assert_eq!(response.error_code, 0, "{:?}", response.error_message);
    let assignment = response.assignment.as_ref();
    let partitions =
        assignment.map(|a| a.topic_partitions.iter().flat_map(|topic| topic.partitions.clone()).collect());
    (response.member_epoch, partitions)
}
