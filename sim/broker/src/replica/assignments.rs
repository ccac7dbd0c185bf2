//! Tells the controller in which directories replicas are, where the metadata says something else (KIP-858): one request at a
//! time.
//!
//! A new replica of a broker with several directories is assigned to none until its broker has chosen one; and so that of a
//! broker whose directory was replaced by an empty one.

use std::collections::BTreeMap;

use trial_node::{Span, TopicIdPartition};
use trial_wire::messages::assign_replicas_to_dirs_request::{DirectoryData, PartitionData, TopicData};
use trial_wire::messages::{ApiKey, AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, BrokerId};
use trial_wire::{RequestKind, ResponseKind, Uuid, api};

use super::metadata::PartitionState;
use super::timers::Timer;
use super::{Context, Output, ReplicaManager, RequestFailure, Sent};

/// How many replicas one request assigns at most (`MAX_ASSIGNMENTS_PER_REQUEST` in Kafka's source).
const MAX_ASSIGNMENTS: usize = 2_250;
/// The wait after a failure is twice this for the first, doubled for each more in a row up to [`MAX_BACKOFF`], plus or minus a
/// fiftieth by chance (`STANDARD_BACKOFF` in Kafka's source).
const FIRST_BACKOFF: Span = Span::from_millis(100);
const MAX_BACKOFF: Span = Span::from_secs(10);

/// What the controller has to be told.
#[derive(Clone, Debug, Default)]
pub(super) struct Assignments {
    /// Where replicas are, unless the metadata says so by now.
    waiting: BTreeMap<TopicIdPartition, Uuid>,
    /// What the request that is under way contains.
    in_flight: BTreeMap<TopicIdPartition, Uuid>,
    /// What the controller has refused: it is asked for again after the wait, for which others do not wait.
    refused: BTreeMap<TopicIdPartition, Uuid>,
    /// Whether the whole of the last request has failed: then everything waits.
    failed: bool,
    /// Whether a wait is on.
    backing_off: bool,
    /// How many waits there were since anything was assigned.
    failures: u32,
}

impl Assignments {
    /// The wait after a failure is over.
    pub fn backed_off(&mut self) {
        self.backing_off = false;
        self.failed = false;
        for (tp, id) in std::mem::take(&mut self.refused) {
            self.waiting.entry(tp).or_insert(id);
        }
    }
}

impl ReplicaManager {
    /// A replica is in the directory with this id, or was when it failed; the metadata says `state`.
    pub(super) fn note_directory(&mut self, tp: TopicIdPartition, state: &PartitionState<'_>, id: Uuid) {
        self.assignments.refused.remove(&tp);
        if self.assigned_directory(state) != id {
            self.assignments.waiting.insert(tp, id);
        }
    }

    /// Sends what waits, unless it need not be said any more.
    pub(super) fn send_assignments(&mut self, ctx: &Context<'_>) {
        let queue = &self.assignments;
        if queue.waiting.is_empty() || !queue.in_flight.is_empty() || queue.failed {
            return;
        }
        let mut directories: BTreeMap<Uuid, Vec<TopicData>> = BTreeMap::new();
        while let Some((tp, id)) = self.assignments.waiting.pop_first() {
            let state = ctx.metadata.partition(tp);
            let news = |state: PartitionState<'_>| {
                self.is_replica(state.replicas) && self.assigned_directory(&state) != id
            };
            if !state.is_some_and(news) {
                continue;
            }
            self.assignments.in_flight.insert(tp, id);
            let partition = PartitionData::default().with_partition_index(tp.partition);
            let topics = directories.entry(id).or_default();
            match topics.last_mut().filter(|topic| topic.topic_id == tp.topic_id) {
                Some(topic) => topic.partitions.push(partition),
                None => topics
                    .push(TopicData::default().with_topic_id(tp.topic_id).with_partitions(vec![partition])),
            }
            if self.assignments.in_flight.len() == MAX_ASSIGNMENTS {
                break;
            }
        }
        if self.assignments.in_flight.is_empty() {
            return;
        }
        let directories = directories
            .into_iter()
            .map(|(id, topics)| DirectoryData::default().with_id(id).with_topics(topics));
        let request = AssignReplicasToDirsRequest::default()
            .with_broker_id(BrokerId(self.config.node_id.0))
            .with_broker_epoch(self.broker_epoch)
            .with_directories(directories.collect());
        let id = self.send(Sent::AssignReplicasToDirs);
        self.after.outputs.push_back(Output::ToController {
            id,
            version: api::latest(ApiKey::AssignReplicasToDirs),
            body: Box::new(RequestKind::AssignReplicasToDirs(request)),
        });
    }

    /// What was not assigned is asked for again, for as long as it is true.
    pub(super) fn handle_assignments_response(
        &mut self,
        ctx: &mut Context<'_>,
        result: Result<ResponseKind, RequestFailure>,
    ) {
        let queue = &mut self.assignments;
        let mut left = std::mem::take(&mut queue.in_flight);
        match result {
            Ok(ResponseKind::AssignReplicasToDirs(response)) if response.error_code == 0 => {
                for tp in assigned(&response) {
                    if left.remove(&tp).is_some() {
                        queue.failures = 0;
                    }
                }
                queue.refused.extend(&left);
            }
            _ => {
                queue.failed = true;
                for (tp, id) in &left {
                    queue.waiting.entry(*tp).or_insert(*id);
                }
            }
        }
        if left.is_empty() || std::mem::replace(&mut queue.backing_off, true) {
            return;
        }
        queue.failures += 1;
        let wait = FIRST_BACKOFF.times(1 << queue.failures.min(20)).0.min(MAX_BACKOFF.0);
        let wait = ctx.rng.between(wait - wait / 50, wait + wait / 50).min(MAX_BACKOFF.0);
        self.timers.set(ctx.now.mono + Span(wait), Timer::AssignReplicasToDirs);
    }
}

/// The replicas that the controller has taken note of.
fn assigned(response: &AssignReplicasToDirsResponse) -> impl Iterator<Item = TopicIdPartition> {
    let topics = response.directories.iter().flat_map(|directory| &directory.topics);
    topics.flat_map(|topic| {
        let done = topic.partitions.iter().filter(|partition| partition.error_code == 0);
        done.map(|partition| TopicIdPartition {
            topic_id: topic.topic_id,
            partition: partition.partition_index,
        })
    })
}
