//! The APIs: one file each, and the list in [`serve`]. Which versions are spoken on which listener says
//! [`trial_wire::api::APIS`].

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod allocate_producer_ids;
mod alter_client_quotas;
mod alter_configs;
mod alter_partition;
mod alter_partition_reassignments;
mod alter_user_scram_credentials;
mod api_versions;
mod assign_replicas_to_dirs;
mod broker_heartbeat;
mod broker_registration;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod controller_request;
mod coordinated;
mod create_acls;
mod create_partitions;
mod create_topics;
mod delete_acls;
mod delete_groups;
mod delete_topics;
mod describe_acls;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_quorum;
mod describe_topic_partitions;
mod describe_transactions;
mod describe_user_scram_credentials;
mod elect_leaders;
mod end_txn;
mod find_coordinator;
mod gate;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod known_partitions;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_partition_reassignments;
mod list_transactions;
mod metadata;
mod not_controller;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod sasl;
mod sync_group;
mod txn_offset_commit;
mod unregister_broker;
mod update_features;
mod write_txn_markers;

use trial_node::{Io, Now};
use trial_wire::api::{Listener, lookup};
use trial_wire::message::request_api;
use trial_wire::{ApiKey, RequestKind};

use crate::connections::{CONTROLLER_PORT, Call};
use crate::security::trusts;
use crate::{Broker, Token};

pub(crate) use controller_request::{ControllerRequest, Surroundings};
pub(crate) use not_controller::says_not_controller;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    /// Names the request.
    pub token: Token,
    /// The port that it came in on.
    pub port: u16,
}

impl Caller {
    fn listener(&self) -> Listener {
        if self.port == CONTROLLER_PORT { Listener::Controller } else { Listener::Broker }
    }
}

/// Serves a request whose turn has come.
///
/// As Kafka's socket server, closes the connection on a request that this listener or this version of us does not
/// know; only ApiVersions gets an answer that says what is known (KIP-511).
pub(crate) fn serve(broker: &mut Broker, now: Now, io: &mut Io<'_>, call: Call) {
    let Call { token, port, client_id, mut body } = call;
    let caller = Caller { token, port };
    let from = (caller, &client_id);
    let key = request_api(&body);
    let known = lookup(key).is_some_and(|api| {
        api.served_on(caller.listener()) && (api.supports(token.api_version) || key == ApiKey::ApiVersions)
    });
    if !known {
        return broker.connections.close(io, token.conn);
    }
    if !trusts(port) && !broker.admits(now, io, token, &body) {
        return;
    }
    match gate::check(broker, token, &mut body) {
        gate::Ruling::Serve => {}
        gate::Ruling::Refuse(refusal) => return broker.connections.respond_boxed(io, token, refusal),
        gate::Ruling::Close => return broker.connections.close(io, token.conn),
    }
    broker.note_client(token, port, &client_id, &mut body);
    match *body {
        RequestKind::Produce(request) => {
            broker.replicate(now, io, |replicas, ctx| {
                replicas.handle_produce(ctx, token, token.api_version, request)
            });
        }
        RequestKind::Fetch(request) if port != CONTROLLER_PORT => {
            let access = broker.access(token.conn);
            broker.replicate(now, io, |replicas, ctx| {
                replicas.handle_fetch(ctx, token, token.api_version, request, access)
            });
        }
        RequestKind::ListOffsets(request) => {
            broker.replicate(now, io, |replicas, ctx| {
                replicas.handle_list_offsets(ctx, token, token.api_version, request)
            });
        }
        RequestKind::OffsetForLeaderEpoch(request) => {
            broker.replicate(now, io, |replicas, ctx| {
                replicas.handle_offset_for_leader_epoch(ctx, token, request)
            });
        }
        RequestKind::DescribeProducers(request) => {
            broker
                .replicate(now, io, |replicas, ctx| replicas.handle_describe_producers(ctx, token, request));
        }
        RequestKind::DeleteRecords(request) => {
            broker.replicate(now, io, |replicas, ctx| replicas.handle_delete_records(ctx, token, request));
        }
        RequestKind::FindCoordinator(request) => find_coordinator::serve(broker, now, io, caller, &request),
        RequestKind::JoinGroup(request) => coordinated::serve(broker, now, io, from, request),
        RequestKind::SyncGroup(request) => coordinated::serve(broker, now, io, from, request),
        RequestKind::Heartbeat(request) => coordinated::serve(broker, now, io, from, request),
        RequestKind::LeaveGroup(request) => coordinated::serve(broker, now, io, from, request),
        RequestKind::ConsumerGroupHeartbeat(request) => {
            consumer_group_heartbeat::serve(broker, now, io, from, request);
        }
        RequestKind::OffsetCommit(request) => offset_commit::serve(broker, now, io, from, request),
        RequestKind::OffsetFetch(request) => offset_fetch::serve(broker, now, io, from, request),
        RequestKind::OffsetDelete(request) => offset_delete::serve(broker, now, io, from, request),
        RequestKind::DescribeGroups(request) => describe_groups::serve(broker, now, io, from, request),
        RequestKind::ConsumerGroupDescribe(request) => {
            consumer_group_describe::serve(broker, now, io, from, request);
        }
        RequestKind::ListGroups(request) => list_groups::serve(broker, now, io, from, &request),
        RequestKind::DeleteGroups(request) => delete_groups::serve(broker, now, io, from, request),
        RequestKind::InitProducerId(request) => init_producer_id::serve(broker, now, io, from, request),
        RequestKind::AddPartitionsToTxn(request) => {
            add_partitions_to_txn::serve(broker, now, io, from, request);
        }
        RequestKind::AddOffsetsToTxn(request) => coordinated::serve(broker, now, io, from, request),
        RequestKind::TxnOffsetCommit(request) => txn_offset_commit::serve(broker, now, io, from, request),
        RequestKind::EndTxn(request) => coordinated::serve(broker, now, io, from, request),
        RequestKind::WriteTxnMarkers(request) => write_txn_markers::serve(broker, now, io, caller, &request),
        RequestKind::DescribeTransactions(request) => {
            describe_transactions::serve(broker, now, io, from, request);
        }
        RequestKind::ListTransactions(request) => list_transactions::serve(broker, now, io, from, &request),
        RequestKind::Fetch(_)
        | RequestKind::Vote(_)
        | RequestKind::BeginQuorumEpoch(_)
        | RequestKind::EndQuorumEpoch(_)
        | RequestKind::FetchSnapshot(_) => broker.raft_request(now, io, token, &body),
        RequestKind::SaslHandshake(_) => sasl::handshake(broker, io, caller),
        RequestKind::SaslAuthenticate(_) => sasl::authenticate(broker, io, caller),
        RequestKind::ApiVersions(request) => api_versions::serve(broker, io, caller, &request),
        RequestKind::Metadata(request) => metadata::serve(broker, now, io, caller, request),
        RequestKind::DescribeTopicPartitions(request) => {
            describe_topic_partitions::serve(broker, io, caller, &request);
        }
        RequestKind::DescribeLogDirs(request) => describe_log_dirs::serve(broker, io, caller, &request),
        RequestKind::DescribeClientQuotas(request) => {
            describe_client_quotas::serve(broker, io, caller, &request);
        }
        RequestKind::ListConfigResources(request) => {
            list_config_resources::serve(broker, io, caller, &request);
        }
        RequestKind::DescribeAcls(request) => describe_acls::serve(broker, io, caller, &request),
        RequestKind::CreateAcls(request) => controller_request::serve_acls(broker, now, io, caller, request),
        RequestKind::DeleteAcls(request) => controller_request::serve_acls(broker, now, io, caller, request),
        RequestKind::DescribeUserScramCredentials(request) => {
            describe_user_scram_credentials::serve(broker, io, caller, &request);
        }
        RequestKind::AlterUserScramCredentials(request) => {
            controller_request::serve(broker, now, io, caller, request);
        }
        RequestKind::DescribeCluster(request) => describe_cluster::serve(broker, io, caller, &request),
        RequestKind::DescribeConfigs(request) => describe_configs::serve(broker, io, caller, &request),
        RequestKind::DescribeQuorum(request) => describe_quorum::serve(broker, now, io, caller, request),
        RequestKind::CreateTopics(request) => controller_request::serve(broker, now, io, caller, request),
        RequestKind::DeleteTopics(request) => controller_request::serve(broker, now, io, caller, request),
        RequestKind::CreatePartitions(request) => controller_request::serve(broker, now, io, caller, request),
        RequestKind::AlterConfigs(request) => controller_request::serve(broker, now, io, caller, request),
        RequestKind::AlterClientQuotas(request) => {
            controller_request::serve(broker, now, io, caller, request);
        }
        RequestKind::UpdateFeatures(request) => controller_request::serve(broker, now, io, caller, request),
        RequestKind::IncrementalAlterConfigs(request) => {
            controller_request::serve(broker, now, io, caller, request);
        }
        RequestKind::ElectLeaders(request) => controller_request::serve(broker, now, io, caller, request),
        RequestKind::AlterPartitionReassignments(request) => {
            controller_request::serve(broker, now, io, caller, request);
        }
        RequestKind::ListPartitionReassignments(request) => {
            controller_request::serve(broker, now, io, caller, request);
        }
        RequestKind::UnregisterBroker(request) => controller_request::serve(broker, now, io, caller, request),
        RequestKind::AlterPartition(request) => controller_request::serve(broker, now, io, caller, request),
        RequestKind::BrokerRegistration(request) => {
            controller_request::serve(broker, now, io, caller, request);
        }
        RequestKind::BrokerHeartbeat(request) => controller_request::serve(broker, now, io, caller, request),
        RequestKind::AssignReplicasToDirs(request) => {
            controller_request::serve(broker, now, io, caller, request)
        }
        RequestKind::AllocateProducerIds(request) => {
            controller_request::serve(broker, now, io, caller, request);
        }
        _ => broker.connections.close(io, token.conn),
    }
}
