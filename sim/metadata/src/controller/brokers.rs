//! Brokers come and go (`ClusterControlManager` and parts of `ReplicationControlManager` in Kafka's source).

use trial_node::{NodeId, Offset, Time};
use trial_wire::messages::broker_registration_request::Feature;
use trial_wire::messages::{
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationRequest, BrokerRegistrationResponse,
    UnregisterBrokerRequest, UnregisterBrokerResponse,
};
use trial_wire::{ErrorCode, StrBytes, Uuid};

use super::leaders::BrokerChange;
use super::{ControllerResult, QuorumController};
use crate::record::{
    BrokerEndpoint, BrokerFeature, BrokerRegistration, BrokerRegistrationChange, MetadataRecord,
    PartitionRegistration, RESERVED_DIRECTORIES,
};

/// What a broker is to the controller, and what a heartbeat may make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BrokerState {
    Fenced,
    Unfenced,
    ControlledShutdown,
    /// Fenced, and told to end its process.
    ShutdownNow,
}

impl QuorumController {
    /// BrokerRegistration. `next_offset` is the offset that the first record will get: it becomes the broker's epoch.
    ///
    /// As in Kafka a request must list the broker's log directories, and `metadata.version` among its features with a
    /// range that has [`METADATA_VERSION`](crate::feature::METADATA_VERSION).
    pub fn register_broker(
        &self,
        now: Time,
        request: &BrokerRegistrationRequest,
        next_offset: Offset,
    ) -> ControllerResult<BrokerRegistrationResponse> {
        match self.try_register(now, request, next_offset) {
            Ok((records, broker_epoch)) => {
                let response = BrokerRegistrationResponse::default().with_broker_epoch(broker_epoch);
                ControllerResult::atomic(records, response)
            }
            Err(error) => ControllerResult::answer(
                BrokerRegistrationResponse::default().with_error_code(error.code()).with_broker_epoch(-1),
            ),
        }
    }

    fn try_register(
        &self,
        now: Time,
        request: &BrokerRegistrationRequest,
        next_offset: Offset,
    ) -> Result<(Vec<MetadataRecord>, i64), ErrorCode> {
        if request.cluster_id != self.config.cluster_id {
            return Err(ErrorCode::InconsistentClusterId);
        }
        let broker_id = NodeId(*request.broker_id);
        if broker_id.0 < 0 || request.is_migrating_zk_broker {
            return Err(ErrorCode::InvalidRequest);
        }
        let existing = self.image.broker(broker_id);
        let same = existing.filter(|broker| broker.incarnation_id == request.incarnation_id);
        let has_session = existing.is_some_and(|broker| !broker.fenced) && now < self.sessions.end(broker_id);
        if has_session && same.is_none() {
            return Err(ErrorCode::DuplicateBrokerRegistration);
        }
        self.check_log_dirs(broker_id, &request.log_dirs)?;
        self.check_features(&request.features)?;

        let mut log_dirs = request.log_dirs.clone();
        log_dirs.sort_unstable();
        let registration = BrokerRegistration {
            broker_id,
            broker_epoch: same.map_or(next_offset.0, |broker| broker.broker_epoch),
            incarnation_id: request.incarnation_id,
            end_points: request
                .listeners
                .iter()
                .map(|listener| BrokerEndpoint {
                    name: listener.name.clone(),
                    host: listener.host.clone(),
                    port: listener.port,
                    security_protocol: listener.security_protocol,
                })
                .collect(),
            features: request
                .features
                .iter()
                .map(|feature| BrokerFeature {
                    name: feature.name.clone(),
                    min_supported_version: feature.min_supported_version,
                    max_supported_version: feature.max_supported_version,
                })
                .collect(),
            rack: request.rack.clone(),
            fenced: same.is_none_or(|broker| broker.fenced),
            in_controlled_shutdown: same.is_some_and(|broker| broker.in_controlled_shutdown),
            log_dirs,
        };
        let broker_epoch = registration.broker_epoch;
        // First, so that its offset is the epoch.
        let mut records = vec![MetadataRecord::RegisterBroker(registration)];
        if same.is_none() {
            // The old process may have lost what it had not flushed, unless it says that it was shut down in order. Where it
            // is the ISR's last member it stays, as nobody else can vouch for the partition, unless there is a list of
            // those who can.
            let clean = existing.is_some_and(|broker| broker.broker_epoch == request.previous_broker_epoch);
            let gone = BrokerChange { unclean_shutdown: !clean, ..BrokerChange::removed(broker_id) };
            self.update_leaders_and_isrs(gone, in_isr_or_eligible(broker_id), &mut records);
        }
        Ok((records, broker_epoch))
    }

    fn check_log_dirs(&self, broker_id: NodeId, log_dirs: &[Uuid]) -> Result<(), ErrorCode> {
        let taken = |dir: &Uuid| {
            self.image
                .brokers()
                .values()
                .any(|broker| broker.broker_id != broker_id && broker.log_dirs.contains(dir))
        };
        let bad = |(i, dir): (usize, &Uuid)| {
            dir.as_u128() < RESERVED_DIRECTORIES || log_dirs[..i].contains(dir) || taken(dir)
        };
        if log_dirs.is_empty() || log_dirs.iter().enumerate().any(bad) {
            return Err(ErrorCode::InvalidRegistration);
        }
        Ok(())
    }

    /// A broker must support every finalized feature at its level.
    fn check_features(&self, supported: &[Feature]) -> Result<(), ErrorCode> {
        for (name, level) in self.image.features() {
            let range = supported.iter().find(|feature| feature.name == *name);
            let fits = |feature: &Feature| {
                (feature.min_supported_version..=feature.max_supported_version).contains(level)
            };
            if !range.is_some_and(fits) {
                return Err(ErrorCode::UnsupportedVersion);
            }
        }
        Ok(())
    }

    /// BrokerHeartbeat. `current_metadata_offset` is the offset of the last record that the broker has applied: it is
    /// unfenced once that has reached its own registration.
    pub fn broker_heartbeat(
        &mut self,
        now: Time,
        request: &BrokerHeartbeatRequest,
    ) -> ControllerResult<BrokerHeartbeatResponse> {
        let broker_id = NodeId(*request.broker_id);
        let registration = match self.check_broker_epoch(broker_id, request.broker_epoch) {
            Ok(registration) => registration,
            Err(error) => {
                return ControllerResult::answer(
                    BrokerHeartbeatResponse::default().with_error_code(error.code()),
                );
            }
        };
        let caught_up = request.current_metadata_offset >= registration.broker_epoch;
        let (state, mut next) = self.next_state(registration, request, caught_up);
        let mut records = Vec::new();
        if self.take_directories_offline(registration, &request.offline_log_dirs, &mut records) {
            // Whatever else it asks for must be decided with that applied: it asks again.
            next = state;
        }
        if state != next {
            match next {
                BrokerState::Fenced | BrokerState::ShutdownNow if state != BrokerState::Fenced => {
                    self.fence(broker_id, &mut records);
                }
                BrokerState::Fenced | BrokerState::ShutdownNow => {}
                BrokerState::Unfenced => self.unfence(broker_id, &mut records),
                BrokerState::ControlledShutdown => self.begin_controlled_shutdown(broker_id, &mut records),
            }
        }
        let session = self.sessions.get_mut(broker_id);
        session.last_contact = now;
        session.metadata_offset = Offset(request.current_metadata_offset);
        self.sessions.refresh(&self.image);
        if state != next && next == BrokerState::ControlledShutdown {
            self.entering_shutdown = Some(broker_id);
        }
        let fenced = matches!(next, BrokerState::Fenced | BrokerState::ShutdownNow);
        let response = BrokerHeartbeatResponse::default()
            .with_is_caught_up(caught_up)
            .with_is_fenced(fenced)
            .with_should_shut_down(next == BrokerState::ShutdownNow);
        ControllerResult::separable(records, response)
    }

    fn next_state(
        &self,
        registration: &BrokerRegistration,
        request: &BrokerHeartbeatRequest,
        caught_up: bool,
    ) -> (BrokerState, BrokerState) {
        let broker_id = registration.broker_id;
        if registration.fenced {
            let next = if request.want_shut_down {
                BrokerState::ShutdownNow
            } else if !request.want_fence && caught_up {
                BrokerState::Unfenced
            } else {
                BrokerState::Fenced
            };
            return (BrokerState::Fenced, next);
        }
        let Some(shutdown_offset) = self.sessions.get(broker_id).controlled_shutdown_offset else {
            let next = match (request.want_fence, request.want_shut_down) {
                (true, true) => BrokerState::ShutdownNow,
                (true, false) => BrokerState::Fenced,
                (false, true) if self.leads_any(broker_id) => BrokerState::ControlledShutdown,
                (false, true) => BrokerState::ShutdownNow,
                (false, false) => BrokerState::Unfenced,
            };
            return (BrokerState::Unfenced, next);
        };
        // It has led nothing since its shutdown began. The others must know who leads now, so that clients find it there.
        let known =
            self.sessions.lowest_active_offset(&self.image).is_none_or(|lowest| shutdown_offset <= lowest);
        let next = if known { BrokerState::ShutdownNow } else { BrokerState::ControlledShutdown };
        (BrokerState::ControlledShutdown, next)
    }

    /// UnregisterBroker.
    pub fn unregister_broker(
        &self,
        request: &UnregisterBrokerRequest,
    ) -> ControllerResult<UnregisterBrokerResponse> {
        let broker_id = NodeId(*request.broker_id);
        let Some(registration) = self.image.broker(broker_id) else {
            let message = format!("Broker ID {broker_id} is not currently registered");
            return ControllerResult::answer(
                UnregisterBrokerResponse::default()
                    .with_error_code(ErrorCode::BrokerIdNotRegistered.code())
                    .with_error_message(Some(StrBytes::from(message))),
            );
        };
        let mut records = Vec::new();
        // Should it ever come back, nobody will know what it has lost.
        let gone = BrokerChange { unclean_shutdown: true, ..BrokerChange::removed(broker_id) };
        self.update_leaders_and_isrs(gone, in_isr_or_eligible(broker_id), &mut records);
        records.push(MetadataRecord::UnregisterBroker { broker_id, broker_epoch: registration.broker_epoch });
        ControllerResult::separable(records, UnregisterBrokerResponse::default())
    }

    /// The registration of a broker that is who it says it is.
    pub(super) fn check_broker_epoch(
        &self,
        broker_id: NodeId,
        broker_epoch: i64,
    ) -> Result<&BrokerRegistration, ErrorCode> {
        self.image
            .broker(broker_id)
            .filter(|registration| registration.broker_epoch == broker_epoch)
            .ok_or(ErrorCode::StaleBrokerEpoch)
    }

    fn leads_any(&self, broker_id: NodeId) -> bool {
        let mut partitions = self.image.topics().values().flat_map(|topic| topic.partitions.values());
        partitions.any(|partition| partition.leader == broker_id)
    }

    /// Takes the broker out of the ISRs, moves its leaderships and fences it.
    pub(super) fn fence(&self, broker_id: NodeId, records: &mut Vec<MetadataRecord>) {
        self.update_leaders_and_isrs(BrokerChange::removed(broker_id), in_isr(broker_id), records);
        records.push(self.registration_change(broker_id, Some(true), false));
    }

    /// Unfences the broker and lets it lead where nobody does.
    fn unfence(&self, broker_id: NodeId, records: &mut Vec<MetadataRecord>) {
        records.push(self.registration_change(broker_id, Some(false), false));
        let leaderless = |partition: &PartitionRegistration| partition.leader == NodeId::NONE;
        self.update_leaders_and_isrs(BrokerChange::added(broker_id), leaderless, records);
    }

    fn begin_controlled_shutdown(&self, broker_id: NodeId, records: &mut Vec<MetadataRecord>) {
        if self.image.broker(broker_id).is_some_and(|broker| !broker.in_controlled_shutdown) {
            records.push(self.registration_change(broker_id, None, true));
        }
        self.update_leaders_and_isrs(BrokerChange::removed(broker_id), in_isr(broker_id), records);
    }

    fn registration_change(
        &self,
        broker_id: NodeId,
        fenced: Option<bool>,
        in_controlled_shutdown: bool,
    ) -> MetadataRecord {
        let broker_epoch = self.image.broker(broker_id).expect("only registered brokers change").broker_epoch;
        MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChange {
            broker_id,
            broker_epoch,
            fenced,
            in_controlled_shutdown,
            log_dirs: None,
        })
    }
}

fn in_isr_or_eligible(broker_id: NodeId) -> impl Fn(&PartitionRegistration) -> bool {
    move |partition| partition.isr.contains(&broker_id) || partition.elr.contains(&broker_id)
}

fn in_isr(broker_id: NodeId) -> impl Fn(&PartitionRegistration) -> bool {
    move |partition| partition.isr.contains(&broker_id)
}
