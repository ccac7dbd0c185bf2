//! What clients may ask: before a request is served, those parts of it are taken out that its client has no right to, and the
//! rest is served as if they had not been there; their refusals join the response when that goes out
//! ([`Amendment`]). Which operation on which resource each request needs, is as in Kafka (`KafkaApis`, `ControllerApis`).
//!
//! A request that goes on to the active controller is checked here, on the broker that it came to.

mod cluster;
mod groups;
mod topics;
mod transactions;

use trial_metadata::MetadataImage;
use trial_security::acl::AclOperation;
use trial_wire::{ErrorCode, RequestKind, ResponseKind};

use super::coordinated::Keyed;
use super::{add_partitions_to_txn, controller_request::ControllerRequest};
use crate::security::{Access, Amendment};
use crate::{Broker, Token};

/// What becomes of a request.
pub(super) enum Ruling {
    /// What is left of it is served.
    Serve,
    /// This is the answer.
    Refuse(Box<ResponseKind>),
    /// The connection is closed.
    Close,
}

/// A request at the gate.
struct Gate<'a> {
    access: &'a Access,
    image: &'a MetadataImage,
    version: i16,
    /// `auto.create.topics.enable`.
    may_create_topics: bool,
    amendment: &'a mut Amendment,
}

/// The answer if a request is refused as a whole.
type Refusal = Option<ResponseKind>;

/// Lets a request pass, in part or not at all. Costs one look at its kind where nobody is refused anything.
pub(super) fn check(broker: &mut Broker, token: Token, request: &mut RequestKind) -> Ruling {
    let access = broker.access(token.conn);
    let mut amendment = Amendment::default();
    (amendment.operations, amendment.cluster_operations) = wanted_operations(request);
    if let Some(access) = &access {
        let mut gate = Gate {
            access,
            image: &broker.published.image,
            version: token.api_version,
            may_create_topics: broker.effective.auto_create_topics_enable,
            amendment: &mut amendment,
        };
        match gate.rule(request) {
            Ruling::Serve => {}
            ruling => return ruling,
        }
    } else if !amendment.operations && !amendment.cluster_operations {
        return Ruling::Serve;
    }
    amendment.access = access;
    broker.connections.amend(token, amendment);
    Ruling::Serve
}

/// Whether a client wants to know what it may do with the things that it asks about, and with the cluster.
fn wanted_operations(request: &RequestKind) -> (bool, bool) {
    match request {
        RequestKind::Metadata(request) => {
            (request.include_topic_authorized_operations, request.include_cluster_authorized_operations)
        }
        RequestKind::DescribeCluster(request) => (false, request.include_cluster_authorized_operations),
        RequestKind::DescribeGroups(request) => (request.include_authorized_operations, false),
        RequestKind::ConsumerGroupDescribe(request) => (request.include_authorized_operations, false),
        RequestKind::DescribeTopicPartitions(_) => (true, false),
        _ => (false, false),
    }
}

impl Gate<'_> {
    /// The list of all requests that clients may send. One that is not in it needs a line here before it is served.
    fn rule(&mut self, request: &mut RequestKind) -> Ruling {
        use AclOperation::{Alter, AlterConfigs, Describe};
        use RequestKind as Kind;
        let refusal = match request {
            Kind::ApiVersions(_) | Kind::SaslHandshake(_) | Kind::SaslAuthenticate(_) => None,
            // Only who asks is told anything of it.
            Kind::DescribeCluster(_) => None,

            Kind::Produce(request) => self.produce(request),
            Kind::Fetch(request) => self.fetch(request),
            Kind::ListOffsets(request) => self.list_offsets(request),
            Kind::OffsetForLeaderEpoch(request) => self.offset_for_leader_epoch(request),
            Kind::DescribeProducers(request) => self.describe_producers(request),
            Kind::DeleteRecords(request) => self.delete_records(request),
            Kind::Metadata(request) => self.metadata(request),
            Kind::DescribeTopicPartitions(request) => self.describe_topic_partitions(request),
            Kind::CreateTopics(request) => self.create_topics(request),
            Kind::DeleteTopics(request) => self.delete_topics(request),
            Kind::CreatePartitions(request) => self.create_partitions(request),

            Kind::FindCoordinator(request) => self.find_coordinator(request),
            Kind::JoinGroup(request) => self.keyed_group(request),
            Kind::SyncGroup(request) => self.keyed_group(request),
            Kind::Heartbeat(request) => self.keyed_group(request),
            Kind::LeaveGroup(request) => self.keyed_group(request),
            Kind::ConsumerGroupHeartbeat(request) => self.consumer_group_heartbeat(request),
            Kind::OffsetCommit(request) => self.offset_commit(request),
            Kind::OffsetFetch(request) => self.offset_fetch(request),
            Kind::OffsetDelete(request) => self.offset_delete(request),
            Kind::DescribeGroups(request) => self.describe_groups(request),
            Kind::ConsumerGroupDescribe(request) => self.consumer_group_describe(request),
            Kind::ListGroups(_) => self.list_groups(),
            Kind::DeleteGroups(request) => self.delete_groups(request),

            Kind::InitProducerId(request) => self.init_producer_id(request),
            Kind::AddPartitionsToTxn(request) => self.add_partitions_to_txn(request),
            Kind::AddOffsetsToTxn(request) => self.add_offsets_to_txn(request),
            Kind::TxnOffsetCommit(request) => self.txn_offset_commit(request),
            Kind::EndTxn(request) => self.keyed_transaction(request),
            Kind::WriteTxnMarkers(request) => self.write_txn_markers(request),
            Kind::DescribeTransactions(request) => self.describe_transactions(request),
            Kind::ListTransactions(_) => self.list_transactions(),

            Kind::DescribeConfigs(request) => self.describe_configs(request),
            Kind::AlterConfigs(request) => self.alter_configs(request),
            Kind::IncrementalAlterConfigs(request) => self.incremental_alter_configs(request),
            Kind::ListConfigResources(_) => self.list_config_resources(),
            Kind::DescribeLogDirs(_) => self.describe_log_dirs(),
            Kind::DescribeClientQuotas(_) => self.describe_client_quotas(),
            Kind::AlterClientQuotas(request) => self.controlled(AlterConfigs, request),
            Kind::DescribeAcls(_) => self.describe_acls(),
            Kind::CreateAcls(request) => self.controlled(Alter, request),
            Kind::DeleteAcls(request) => self.controlled(Alter, request),
            Kind::DescribeUserScramCredentials(_) => self.describe_user_scram_credentials(),
            Kind::AlterUserScramCredentials(request) => self.controlled(Alter, request),
            Kind::DescribeQuorum(_) => self.describe_quorum(),
            Kind::ElectLeaders(request) => self.controlled(Alter, request),
            Kind::AlterPartitionReassignments(request) => self.controlled(Alter, request),
            Kind::ListPartitionReassignments(request) => self.controlled(Describe, request),
            Kind::UpdateFeatures(request) => self.controlled(Alter, request),
            Kind::UnregisterBroker(request) => self.controlled(Alter, request),
            _ => return Ruling::Close,
        };
        refusal.map_or(Ruling::Serve, |refusal| Ruling::Refuse(Box::new(refusal)))
    }

    /// A request of which the whole cluster is the resource.
    fn controlled<R: ControllerRequest>(&self, operation: AclOperation, request: &R) -> Refusal {
        let allowed = self.access.cluster(operation);
        (!allowed).then(|| request.refuse(ErrorCode::ClusterAuthorizationFailed).into())
    }

    /// A request that a member of a group sends.
    fn keyed_group<R: Keyed>(&self, request: &R) -> Refusal {
        let allowed = self.access.group(AclOperation::Read, request.key());
        (!allowed).then(|| request.refuse(self.version, ErrorCode::GroupAuthorizationFailed).into())
    }

    /// A request that somebody with a transactional id sends.
    fn keyed_transaction<R: Keyed>(&self, request: &R) -> Refusal {
        let allowed = self.access.transactional_id(AclOperation::Write, request.key());
        (!allowed).then(|| request.refuse(self.version, ErrorCode::TransactionalIdAuthorizationFailed).into())
    }

    /// Some parts of a request are refused: this is all if nothing is left of it, else it joins the answer to the rest.
    fn partly(&mut self, refused: Refusal, nothing_left: bool) -> Refusal {
        if nothing_left && refused.is_some() {
            return refused;
        }
        self.amendment.refused = refused;
        None
    }
}

/// Takes out what is not allowed; `None` if that is nothing.
fn take<T>(items: &mut Vec<T>, mut allowed: impl FnMut(&T) -> bool) -> Option<Vec<T>> {
    let taken: Vec<T> = items.extract_if(.., |item| !allowed(item)).collect();
    (!taken.is_empty()).then_some(taken)
}

#[cfg(test)]
mod tests;
