//! Members of groups against a coordinator whose every answer the test decides.

mod classic;
mod commits;
mod reconcile;

use trial_node::{Input, Io, NodeId, Now, Offset, Span, Time, TopicPartition};
use trial_wire::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use trial_wire::messages::find_coordinator_response::Coordinator as Told;
use trial_wire::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use trial_wire::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use trial_wire::messages::{BrokerId, FetchResponse, FindCoordinatorResponse};
use trial_wire::{BatchBuilder, Compression, RequestKind};

use crate::consumer::ConsumerConfig;
use crate::testing::{Bench, Cluster, Machine, Waiting, all_at, properties, topic_name};

use super::*;

/// An application: it takes what there is whenever it is called, and gives up at once what it is asked for.
#[derive(Debug)]
struct App {
    consumer: Consumer,
    events: Vec<ConsumerEvent>,
    taken: Vec<(usize, i64)>,
    /// It does not call.
    busy: bool,
    /// It takes its time with what it is to give up.
    holds: bool,
}

impl App {
    fn report(&mut self, now: Now) {
        let events: Vec<ConsumerEvent> = self.consumer.events().collect();
        for event in events {
            if matches!(event, ConsumerEvent::Revoking { .. }) && !self.holds {
                self.consumer.revoked(now);
            }
            self.events.push(event);
        }
    }

    fn step(&mut self, now: Now, io: &mut Io<'_>) {
        self.report(now);
        if !self.busy {
            let taken = &mut self.taken;
            while self.consumer.take(now, &mut |index, record| taken.push((index, record.offset))) > 0 {}
        }
        self.report(now);
        self.consumer.poll(now, io);
        self.report(now);
    }
}

impl Machine for App {
    fn input(&mut self, now: Now, input: Input, io: &mut Io<'_>) {
        self.consumer.handle(now, input, io);
        self.step(now, io);
    }
    fn act(&mut self, now: Now, io: &mut Io<'_>) {
        self.consumer.wake(now, io);
        self.step(now, io);
    }
    fn timeout(&self) -> Option<Time> {
        self.consumer.poll_timeout()
    }
}

/// A member of the group "g" that is subscribed to the topic "orders" of four partitions, and asks for its coordinator.
fn bench(config: &[(&str, &str)]) -> Bench<App> {
    let cluster = Cluster::new(3, "orders", 4);
    let bootstrap = cluster.bootstrap();
    let all = [&[("group.id", "g"), ("auto.offset.reset", "earliest")], config].concat();
    let config = ConsumerConfig::from_properties(&properties(&all)).unwrap();
    let mut bench = Bench::new(cluster, |_, _| {
        let mut consumer = Consumer::new(config, StrBytes::from_static_str("c"), bootstrap).unwrap();
        consumer.subscribe(&[topic_name("orders")]);
        App { consumer, events: Vec::new(), taken: Vec::new(), busy: false, holds: false }
    });
    bench.settle();
    bench
}

fn assigned(epoch: i32, partitions: &[usize]) -> ConsumerEvent {
    ConsumerEvent::Assigned { epoch, partitions: partitions.to_vec() }
}

fn revoking(partitions: &[usize]) -> ConsumerEvent {
    ConsumerEvent::Revoking { partitions: partitions.to_vec() }
}

fn lost(partitions: &[usize]) -> ConsumerEvent {
    ConsumerEvent::Lost { partitions: partitions.to_vec() }
}

fn reset(index: usize, to: i64) -> ConsumerEvent {
    ConsumerEvent::PositionReset { index, from: Offset::UNKNOWN, to: Offset(to) }
}

fn tps(partitions: &[i32]) -> Vec<TopicPartition> {
    partitions.iter().map(|p| TopicPartition { topic: topic_name("orders"), partition: *p }).collect()
}

impl Bench<App> {
    fn events(&mut self) -> Vec<ConsumerEvent> {
        std::mem::take(&mut self.machine.events)
    }

    /// Does something with the application, and lets it act.
    fn app<R>(&mut self, act: impl FnOnce(&mut App, Now) -> R) -> R {
        let result = act(&mut self.machine, self.world.now);
        self.settle();
        self.run_for(Span::ZERO);
        result
    }

    /// Answers a request, and lets the application act.
    fn answer(&mut self, to: &Waiting, body: ResponseKind) {
        self.respond(to, body);
        self.run_for(Span::ZERO);
    }

    /// The oldest request of one kind that waits; others are left.
    fn next<T>(&mut self, is: impl Fn(&RequestKind) -> Option<T>) -> (Waiting, T) {
        for _ in 0..self.waiting() {
            let waiting = self.request();
            if let Some(body) = is(&waiting.request.body) {
                return (waiting, body);
            }
            self.world.put_back(waiting);
        }
        panic!("no such request waits; the application was told {:?}", self.machine.events);
    }

    /// How many requests of one kind wait.
    fn count<T>(&mut self, is: impl Fn(&RequestKind) -> Option<T>) -> usize {
        (0..self.waiting())
            .filter(|_| {
                let waiting = self.request();
                let counts = is(&waiting.request.body).is_some();
                self.world.put_back(waiting);
                counts
            })
            .count()
    }

    /// Lets what is behind a long poll come.
    fn end_long_polls(&mut self) {
        for _ in 0..self.waiting() {
            let waiting = self.request();
            match &*waiting.request.body {
                RequestKind::Fetch(_) => self.answer(&waiting, ResponseKind::Fetch(FetchResponse::default())),
                _ => self.world.put_back(waiting),
            }
        }
    }

    /// Broker `node` is the coordinator.
    fn tell_coordinator(&mut self, node: i32) {
        self.end_long_polls();
        let (request, asked) = self.next(|body| match body {
            RequestKind::FindCoordinator(asked) => Some(asked.clone()),
            _ => None,
        });
        assert_eq!((asked.key_type, asked.coordinator_keys[0].as_str()), (0, "g"));
        let told = Told::default()
            .with_key(asked.coordinator_keys[0].clone())
            .with_node_id(BrokerId(node))
            .with_host(StrBytes::from_string(format!("broker-{node}")))
            .with_port(9092);
        let body = FindCoordinatorResponse::default().with_coordinators(vec![told]);
        self.answer(&request, ResponseKind::FindCoordinator(body));
    }

    /// Tells the committed offsets of the partitions asked for; −1 is none.
    fn tell_committed(&mut self, offsets: &[i64]) -> Waiting {
        let (request, asked) = self.next(|body| match body {
            RequestKind::OffsetFetch(asked) => Some(asked.clone()),
            _ => None,
        });
        assert!(asked.require_stable);
        let group = &asked.groups[0];
        let topic = &group.topics.as_ref().unwrap()[0];
        assert_eq!(topic.partition_indexes.len(), offsets.len(), "{asked:?}");
        let partitions = topic.partition_indexes.iter().zip(offsets).map(|(partition, offset)| {
            OffsetFetchResponsePartitions::default()
                .with_partition_index(*partition)
                .with_committed_offset(*offset)
                .with_committed_leader_epoch(-1)
                .with_error_code(if *offset < -1 { ErrorCode::UnstableOffsetCommit.code() } else { 0 })
        });
        let topic = OffsetFetchResponseTopics::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect());
        let group = OffsetFetchResponseGroup::default()
            .with_group_id(group.group_id.clone())
            .with_topics(vec![topic]);
        let body = OffsetFetchResponse::default().with_groups(vec![group]);
        self.answer(&request, ResponseKind::OffsetFetch(body));
        request
    }

    fn commit(&mut self) -> (Waiting, trial_wire::messages::OffsetCommitRequest) {
        self.next(|body| match body {
            RequestKind::OffsetCommit(commit) => Some(commit.clone()),
            _ => None,
        })
    }

    /// Answers a commit, all its partitions alike.
    fn tell_commit(&mut self, to: &Waiting, error: i16) {
        let RequestKind::OffsetCommit(asked) = &*to.request.body else { panic!("{to:?}") };
        let topics = asked.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                OffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(error)
            });
            OffsetCommitResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        });
        let body = OffsetCommitResponse::default().with_topics(topics.collect());
        self.answer(to, ResponseKind::OffsetCommit(body));
    }

    /// Answers the oldest ListOffsets request.
    fn tell_offsets(&mut self, offset: i64) {
        let (request, asked) = self.next(|body| match body {
            RequestKind::ListOffsets(asked) => Some(asked.clone()),
            _ => None,
        });
        self.answer(&request, all_at(&asked, offset));
    }

    /// Answers the oldest Fetch request for a partition with `count` records.
    fn tell_records(&mut self, partition: i32, base: i64, count: i64) {
        let is = |body: &RequestKind| match body {
            RequestKind::Fetch(fetch) => {
                let mut partitions = fetch.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.any(|asked| asked.partition == partition).then_some(())
            }
            _ => None,
        };
        let (request, ()) = self.next(is);
        let mut builder = BatchBuilder::new(Compression::None);
        builder.base_offset(base).leader_epoch(0);
        (0..count).for_each(|n| builder.push(n, None, Some(b"value"), &[]));
        let data = PartitionData::default()
            .with_partition_index(partition)
            .with_high_watermark(base + count)
            .with_records(Some(builder.build().bytes().clone()));
        let topic = FetchableTopicResponse::default()
            .with_topic_id(self.world.cluster.topic_id())
            .with_partitions(vec![data]);
        let body = FetchResponse::default().with_responses(vec![topic]);
        self.answer(&request, ResponseKind::Fetch(body));
    }

    /// The partitions that are asked for in Fetch requests that wait, with their offsets.
    fn fetching(&mut self) -> Vec<(i32, i64)> {
        let mut all = Vec::new();
        for _ in 0..self.waiting() {
            let waiting = self.request();
            if let RequestKind::Fetch(fetch) = &*waiting.request.body {
                let partitions = fetch.topics.iter().flat_map(|topic| &topic.partitions);
                all.extend(partitions.map(|asked| (asked.partition, asked.fetch_offset)));
            }
            self.world.put_back(waiting);
        }
        all.sort_unstable();
        all
    }
}

/// What a commit asks for: generation, and each partition with its offset.
fn committed(commit: &trial_wire::messages::OffsetCommitRequest) -> (i32, Vec<(i32, i64)>) {
    let partitions = commit.topics.iter().flat_map(|topic| &topic.partitions);
    let offsets = partitions.map(|partition| (partition.partition_index, partition.committed_offset));
    (commit.generation_id_or_member_epoch, offsets.collect())
}
