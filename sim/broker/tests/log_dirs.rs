//! Brokers with several log directories (KIP-112, KIP-858).

mod harness;

use harness::Cluster;
use trial_broker::BROKER_PORT;
use trial_node::{HaltReason, Rng, Span};
use trial_storage::disk::fault::{DiskFault, DiskPart, FailingOps};
use trial_wire::messages::create_topics_request::CreatableTopic;
use trial_wire::messages::metadata_request::MetadataRequestTopic;
use trial_wire::messages::metadata_response::MetadataResponsePartition;
use trial_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use trial_wire::messages::{CreateTopicsRequest, DescribeLogDirsRequest, MetadataRequest, ProduceRequest};
use trial_wire::{BatchBuilder, Compression, ErrorCode, ResponseKind, StrBytes, TopicName, Uuid};

const ERROR: DiskFault = DiskFault::Error(FailingOps::ALL);

fn name() -> TopicName {
    TopicName(StrBytes::from_static_str("orders"))
}

/// Three brokers with the directories /a and /b, and four partitions on all of them.
fn cluster() -> Cluster {
    let mut cluster = Cluster::running(3, &[("log.dirs", "/a,/b"), ("min.insync.replicas", "2")]);
    let topic = CreatableTopic::default().with_name(name()).with_num_partitions(4).with_replication_factor(3);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
    let ResponseKind::CreateTopics(response) = cluster.ask(0, BROKER_PORT, request) else { panic!() };
    assert_eq!(response.topics[0].error_code, 0);
    cluster.run(Span::from_secs(2));
    cluster
}

/// The partitions in each log directory of a broker, by the directory's path; an error's code for one that has failed.
fn directories(cluster: &mut Cluster, broker: usize) -> Vec<(String, Result<Vec<i32>, i16>)> {
    let request = DescribeLogDirsRequest::default().with_topics(None);
    let ResponseKind::DescribeLogDirs(response) = cluster.ask(broker, BROKER_PORT, request) else { panic!() };
    let results = response.results.iter().map(|result| {
        let partitions = result.topics.iter().flat_map(|topic| &topic.partitions);
        let found = match result.error_code {
            0 => Ok(partitions.map(|partition| partition.partition_index).collect()),
            code => Err(code),
        };
        (result.log_dir.to_string(), found)
    });
    results.collect()
}

fn metadata(cluster: &mut Cluster, to: usize) -> (Uuid, Vec<MetadataResponsePartition>) {
    let topic = MetadataRequestTopic::default().with_name(Some(name()));
    let request = MetadataRequest::default().with_topics(Some(vec![topic]));
    let ResponseKind::Metadata(response) = cluster.ask(to, BROKER_PORT, request) else { panic!() };
    let topic = &response.topics[0];
    (topic.topic_id, topic.partitions.clone())
}

/// Has a record appended to each partition, by whoever leads it; says with which error codes.
fn produce(cluster: &mut Cluster, asked: usize) -> Vec<i16> {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(1_700_000_000_000, None, Some(b"value"), &[]);
    let records = batch.build().bytes().clone();
    let (id, partitions) = metadata(cluster, asked);
    let codes = partitions.iter().map(|partition| {
        let data = PartitionProduceData::default()
            .with_index(partition.partition_index)
            .with_records(Some(records.clone()));
        let topic = TopicProduceData::default().with_topic_id(id).with_partition_data(vec![data]);
        let request =
            ProduceRequest::default().with_acks(1).with_timeout_ms(10_000).with_topic_data(vec![topic]);
        let leader = usize::try_from(partition.leader_id.0).unwrap();
        let ResponseKind::Produce(response) = cluster.ask(leader, BROKER_PORT, request) else { panic!() };
        response.responses[0].partition_responses[0].error_code
    });
    codes.collect()
}

#[test]
fn a_directory_that_fails_loses_what_is_there_until_it_is_back_after_a_restart() {
    let mut cluster = cluster();
    let at_first = directories(&mut cluster, 0);
    let paths: Vec<&str> = at_first.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/a", "/b"]);
    let [Ok(in_a), Ok(in_b)] = [&at_first[0].1, &at_first[1].1] else { panic!("{at_first:?}") };
    assert_eq!((in_a.len(), in_b.len()), (2, 2), "two in each");

    let b = DiskPart::LogDir("b".to_owned());
    cluster.disk(0).inject(&b, &ERROR, &mut Rng::named(1, "fault"));
    produce(&mut cluster, 1);
    cluster.run(Span::from_secs(1));
    let failed = ErrorCode::KafkaStorageError.code();
    let now = directories(&mut cluster, 0);
    assert_eq!(now, [("/a".to_owned(), Ok(in_a.clone())), ("/b".to_owned(), Err(failed))]);
    for partition in metadata(&mut cluster, 1).1 {
        let is_in_b = in_b.contains(&partition.partition_index);
        let has = |nodes: &[trial_wire::messages::BrokerId]| nodes.iter().any(|node| node.0 == 0);
        assert_eq!(has(&partition.isr_nodes), !is_in_b, "{partition:?}");
        assert_eq!(has(&partition.offline_replicas), is_in_b, "{partition:?}");
        assert!(!is_in_b || partition.leader_id.0 != 0, "{partition:?}");
    }
    assert_eq!(produce(&mut cluster, 1), [0; 4], "the others lead");

    // A directory that works again is not used before the process has looked at all of it.
    cluster.disk(0).heal(&b, &ERROR);
    cluster.run(Span::from_secs(10));
    assert_eq!(directories(&mut cluster, 0)[1].1, Err(failed));
    cluster.kill(0);
    cluster.start(0);
    cluster.run(Span::from_secs(20));
    assert_eq!(directories(&mut cluster, 0), at_first);
    let all_in_sync = |partition: &MetadataResponsePartition| partition.isr_nodes.len() == 3;
    assert!(metadata(&mut cluster, 1).1.iter().all(all_in_sync));
}

#[test]
fn the_failure_of_the_metadata_logs_directory_ends_the_process() {
    let mut cluster = cluster();
    let a = DiskPart::LogDir("a".to_owned());
    cluster.disk(0).inject(&a, &ERROR, &mut Rng::named(1, "fault"));
    cluster.run(Span::from_secs(20));
    let why = cluster.halted(0).expect("it has stopped");
    assert!(matches!(why, HaltReason::Fatal(what) if what.contains("EIO")), "{why}");
    assert_eq!(produce(&mut cluster, 1), [0; 4], "the others go on");
}
