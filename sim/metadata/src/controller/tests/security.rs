//! ACLs and SCRAM credentials.

use bytes::Bytes;
use trial_security::acl::Acl;
use trial_security::{ScramCredential, ScramMechanism};
use trial_wire::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use trial_wire::messages::create_acls_request::AclCreation;
use trial_wire::messages::delete_acls_request::DeleteAclsFilter;
use trial_wire::messages::{AlterUserScramCredentialsRequest, CreateAclsRequest, DeleteAclsRequest};
use trial_wire::{ErrorCode, StrBytes};

use super::super::testing::TestCluster;
use super::code;
use crate::record::MetadataRecord;

const TOPIC: i8 = 2;
const CLUSTER: i8 = 4;
const LITERAL: i8 = 3;
const READ: i8 = 3;
const ALLOW: i8 = 3;
const ANY: i8 = 1;

fn creation(resource_type: i8, name: &'static str, principal: &'static str) -> AclCreation {
    AclCreation::default()
        .with_resource_type(resource_type)
        .with_resource_name(StrBytes::from_static_str(name))
        .with_resource_pattern_type(LITERAL)
        .with_principal(StrBytes::from_static_str(principal))
        .with_host(StrBytes::from_static_str("*"))
        .with_operation(READ)
        .with_permission_type(ALLOW)
}

/// The error of each.
fn create(cluster: &mut TestCluster, creations: Vec<AclCreation>) -> Vec<i16> {
    let request = CreateAclsRequest::default().with_creations(creations);
    let result = cluster.controller.create_acls(&request, &mut cluster.rng);
    let response = cluster.carry_out(result);
    response.results.iter().map(|result| result.error_code).collect()
}

/// How many ACLs each filter, for all of a principal, has deleted.
fn delete(cluster: &mut TestCluster, principals: &[Option<&'static str>]) -> Vec<usize> {
    let filters = principals.iter().map(|principal| {
        DeleteAclsFilter::default()
            .with_resource_type_filter(ANY)
            .with_resource_name_filter(None)
            .with_host_filter(None)
            .with_pattern_type_filter(ANY)
            .with_principal_filter(principal.map(StrBytes::from_static_str))
            .with_operation(ANY)
            .with_permission_type(ANY)
    });
    let request = DeleteAclsRequest::default().with_filters(filters.collect());
    let result = cluster.controller.delete_acls(&request);
    let response = cluster.carry_out(result);
    response.filter_results.iter().map(|result| result.matching_acls.len()).collect()
}

fn acls(cluster: &TestCluster) -> Vec<Acl> {
    cluster.image.acls().values().cloned().collect()
}

#[test]
fn acls_come_and_go_once() {
    let mut cluster = TestCluster::empty(&[]);
    let alice = || creation(TOPIC, "orders", "User:alice");
    assert_eq!(create(&mut cluster, vec![alice(), creation(TOPIC, "x", "User:bob"), alice()]), [0, 0, 0]);
    assert_eq!(acls(&cluster).len(), 2, "the same rule is there once");
    assert_eq!(create(&mut cluster, vec![alice()]), [0]);
    assert_eq!(cluster.last.0, []);
    assert_eq!(delete(&mut cluster, &[Some("User:alice"), None]), [1, 2]);
    assert_eq!(acls(&cluster), []);
}

#[test]
fn rules_that_make_no_sense_are_refused_by_themselves() {
    let mut cluster = TestCluster::empty(&[]);
    let wrong = [
        creation(ANY, "orders", "User:alice"),
        creation(TOPIC, "", "User:alice"),
        creation(TOPIC, "orders", "alice"),
        creation(CLUSTER, "orders", "User:alice"),
        creation(TOPIC, "orders", "User:alice").with_resource_pattern_type(2),
        creation(TOPIC, "orders", "User:alice").with_operation(ANY),
        creation(TOPIC, "orders", "User:alice").with_permission_type(ANY),
    ];
    let invalid = code(ErrorCode::InvalidRequest);
    for creation in wrong {
        let fine = self::creation(CLUSTER, "kafka-cluster", "User:alice");
        assert_eq!(create(&mut cluster, vec![creation, fine]), [invalid, 0]);
    }
    assert_eq!(acls(&cluster).len(), 1);
}

fn upsertion(user: &'static str, mechanism: i8, iterations: i32) -> ScramCredentialUpsertion {
    ScramCredentialUpsertion::default()
        .with_name(StrBytes::from_static_str(user))
        .with_mechanism(mechanism)
        .with_iterations(iterations)
        .with_salt(Bytes::from_static(b"salt"))
        .with_salted_password(Bytes::from_static(b"salted"))
}

fn deletion(user: &'static str, mechanism: i8) -> ScramCredentialDeletion {
    ScramCredentialDeletion::default().with_name(StrBytes::from_static_str(user)).with_mechanism(mechanism)
}

/// The error of each user.
fn alter(
    cluster: &mut TestCluster,
    deletions: Vec<ScramCredentialDeletion>,
    upsertions: Vec<ScramCredentialUpsertion>,
) -> Vec<(String, i16)> {
    let request =
        AlterUserScramCredentialsRequest::default().with_deletions(deletions).with_upsertions(upsertions);
    let result = cluster.controller.alter_user_scram_credentials(&request);
    let response = cluster.carry_out(result);
    response.results.iter().map(|result| (result.user.to_string(), result.error_code)).collect()
}

#[test]
fn credentials_are_kept_in_place_of_passwords() {
    let mut cluster = TestCluster::empty(&[]);
    assert_eq!(alter(&mut cluster, vec![], vec![upsertion("alice", 1, 4096)]), [("alice".to_owned(), 0)]);
    let salt = Bytes::from_static(b"salt");
    let credential = ScramCredential::of_salted(ScramMechanism::Sha256, b"salted", salt, 4096);
    let (name, mechanism) = (StrBytes::from_static_str("alice"), ScramMechanism::Sha256);
    let expected = MetadataRecord::UserScramCredential { name: name.clone(), mechanism, credential };
    assert_eq!(cluster.last.0, [expected]);
    assert_eq!(alter(&mut cluster, vec![deletion("alice", 1)], vec![]), [("alice".to_owned(), 0)]);
    assert_eq!(cluster.last.0, [MetadataRecord::RemoveUserScramCredential { name, mechanism }]);
    assert!(cluster.image.scram_credentials().is_empty());
}

#[test]
fn changes_that_make_no_sense_are_refused_user_by_user() {
    let mut cluster = TestCluster::empty(&[]);
    let deletions = vec![deletion("gone", 1), deletion("both", 9)];
    let upsertions = vec![
        upsertion("", 1, 4096),
        upsertion("both", 1, 4096),
        upsertion("few", 2, 4095),
        upsertion("many", 2, 16_385),
        upsertion("other", 3, 4096),
        upsertion("right", 2, 16_384),
        upsertion("twice", 1, 4096),
        upsertion("twice", 2, 4096),
    ];
    let unacceptable = code(ErrorCode::UnacceptableCredential);
    let expected = [
        ("", unacceptable),
        ("both", code(ErrorCode::UnsupportedSaslMechanism)),
        ("few", unacceptable),
        ("gone", code(ErrorCode::ResourceNotFound)),
        ("many", unacceptable),
        ("other", code(ErrorCode::UnsupportedSaslMechanism)),
        ("right", 0),
        ("twice", code(ErrorCode::DuplicateResource)),
    ];
    let expected = expected.map(|(user, error)| (user.to_owned(), error));
    assert_eq!(alter(&mut cluster, deletions, upsertions), expected);
    assert_eq!(cluster.last.0.len(), 1);
}
