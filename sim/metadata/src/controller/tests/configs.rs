//! IncrementalAlterConfigs.

use trial_node::NodeId;
use trial_wire::ErrorCode;
use trial_wire::messages::IncrementalAlterConfigsRequest;
use trial_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};

use super::super::testing::{TestCluster, topic_name};
use super::code;
use crate::record::{ConfigResource, MetadataRecord};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn orders() -> ConfigResource {
    ConfigResource::Topic(topic_name("orders"))
}

fn config(resource: ConfigResource, name: &'static str, value: Option<&'static str>) -> MetadataRecord {
    MetadataRecord::Config { resource, name: name.into(), value: value.map(Into::into) }
}

#[test]
fn overrides_are_set_deleted_appended_and_subtracted() {
    let mut cluster = TestCluster::of(1, &[]);
    cluster.create_assigned("orders", &[&[0]], &[]);
    let mut records = |operation, name, value| {
        let response = cluster.alter_config(&orders(), operation, name, value);
        assert_eq!(response.responses[0].error_code, 0, "{:?}", response.responses[0].error_message);
        cluster.last.0.clone()
    };
    assert_eq!(
        records(SET, "min.insync.replicas", Some("2")),
        [config(orders(), "min.insync.replicas", Some("2"))]
    );
    assert_eq!(records(SET, "min.insync.replicas", Some("2")), []);
    assert_eq!(records(DELETE, "min.insync.replicas", None), [config(orders(), "min.insync.replicas", None)]);
    assert_eq!(records(DELETE, "min.insync.replicas", None), []);
    assert_eq!(
        records(APPEND, "cleanup.policy", Some("delete")),
        [config(orders(), "cleanup.policy", Some("delete"))]
    );
    assert_eq!(records(SUBTRACT, "cleanup.policy", Some("compact")), []);
}

#[test]
fn bad_changes_are_refused_with_a_reason() {
    let mut cluster = TestCluster::of(1, &[]);
    cluster.create_assigned("orders", &[&[0]], &[]);
    let mut refused = |resource: &ConfigResource, operation, name, value| {
        let response = cluster.alter_config(resource, operation, name, value);
        assert_eq!(cluster.last.0, []);
        let response = &response.responses[0];
        (response.error_code, response.error_message.as_ref().map_or("", |what| what.as_str()).to_owned())
    };
    let (error, what) = refused(&orders(), SET, "min.insync.replicas", Some("0"));
    assert_eq!(error, code(ErrorCode::InvalidConfig));
    assert_eq!(
        what,
        "config min.insync.replicas: invalid value \"0\": must be a 32-bit number of at least 1"
    );
    let (error, what) = refused(&orders(), SET, "min.insync.replica", Some("1"));
    assert_eq!(error, code(ErrorCode::InvalidConfig));
    assert_eq!(what, "unknown config min.insync.replica; did you mean min.insync.replicas?");
    assert_eq!(refused(&orders(), SET, "min.insync.replicas", None).0, code(ErrorCode::InvalidConfig));
    assert_eq!(refused(&orders(), APPEND, "segment.bytes", Some("1")).0, code(ErrorCode::InvalidConfig));
    assert_eq!(
        refused(&orders(), SUBTRACT, "cleanup.policy", Some("delete")).0,
        code(ErrorCode::InvalidConfig)
    );
    let (error, what) = refused(&orders(), APPEND, "cleanup.policy", Some("shred"));
    assert_eq!(error, code(ErrorCode::InvalidConfig));
    assert_eq!(
        what,
        "config cleanup.policy: invalid value \"delete,shred\": must be a list of compact, delete"
    );
    assert_eq!(refused(&orders(), 9, "cleanup.policy", Some("delete")).0, code(ErrorCode::InvalidRequest));
    let nosuch = ConfigResource::Topic(topic_name("nosuch"));
    assert_eq!(
        refused(&nosuch, SET, "min.insync.replicas", Some("1")).0,
        code(ErrorCode::UnknownTopicOrPartition)
    );
    let absent = ConfigResource::Broker(NodeId(5));
    assert_eq!(
        refused(&absent, SET, "min.insync.replicas", Some("1")).0,
        code(ErrorCode::BrokerIdNotRegistered)
    );
    let (error, what) = refused(&ConfigResource::BrokerDefault, SET, "num.partitions", Some("3"));
    assert_eq!(error, code(ErrorCode::InvalidRequest));
    assert!(what.contains("num.partitions cannot be changed while the broker runs"), "{what}");
}

#[test]
fn a_resource_changes_wholly_or_not_at_all() {
    let mut cluster = TestCluster::of(1, &[]);
    cluster.create_assigned("orders", &[&[0]], &[]);
    let set = |name: &'static str, value: &'static str| {
        AlterableConfig::default().with_name(name.into()).with_value(Some(value.into()))
    };
    let (resource_type, resource_name) = orders().to_wire();
    let resource =
        AlterConfigsResource::default().with_resource_type(resource_type).with_resource_name(resource_name);
    let alter = |cluster: &mut TestCluster, resources, validate_only| {
        let request = IncrementalAlterConfigsRequest::default()
            .with_resources(resources)
            .with_validate_only(validate_only);
        let result = cluster.controller.incremental_alter_configs(&request);
        let response = cluster.carry_out(result);
        response.responses.iter().map(|response| response.error_code).collect::<Vec<_>>()
    };
    let half = resource.clone().with_configs(vec![set("segment.ms", "1000"), set("segment.bytes", "x")]);
    assert_eq!(alter(&mut cluster, vec![half], false), [code(ErrorCode::InvalidConfig)]);
    assert_eq!(cluster.last.0, []);
    let good = resource.clone().with_configs(vec![set("segment.ms", "1000"), set("segment.bytes", "100")]);
    assert_eq!(alter(&mut cluster, vec![good.clone()], true), [0]);
    assert_eq!(cluster.last.0, []);
    assert_eq!(alter(&mut cluster, vec![good.clone(), good], false), [0, code(ErrorCode::InvalidRequest)]);
    assert_eq!(
        cluster.last.0,
        [config(orders(), "segment.ms", Some("1000")), config(orders(), "segment.bytes", Some("100"))]
    );
    let twice = resource.with_configs(vec![set("segment.ms", "1"), set("segment.ms", "2")]);
    assert_eq!(alter(&mut cluster, vec![twice], false), [code(ErrorCode::InvalidRequest)]);
}

#[test]
fn brokers_are_told_of_values_that_stay() {
    let mut cluster = TestCluster::of(1, &[]);
    let resource = ConfigResource::Broker(NodeId(0));
    for _ in 0..2 {
        cluster.alter_config(&resource, SET, "log.segment.bytes", Some("1000"));
        assert_eq!(cluster.last.0, [config(resource.clone(), "log.segment.bytes", Some("1000"))]);
    }
}
