//! The active controller on this node: decides, appends, replays, and answers once what it decided is committed.

use std::collections::VecDeque;

use bytes::Bytes;
use trial_metadata::{ControllerConfig, ControllerResult, MetadataRecord, QuorumController};
use trial_node::{Io, LeaderEpoch, Now, Offset, Time, TraceEvent};
use trial_raft::{AppendError, Env, Raft};
use trial_wire::{ErrorCode, ResponseKind};

use crate::apis::{ControllerRequest, Surroundings};
use crate::metadata_log::MetadataLog;
use crate::mutations::Mutations;
use crate::quorum::env;
use crate::{Broker, Token};

/// An answer that waits for the commit of what it rests on.
#[derive(Clone, Debug)]
struct Deferred {
    /// The high watermark at which it may go.
    committed_at: Offset,
    token: Token,
    response: ResponseKind,
    /// What to say if leadership is lost first.
    refusal: ResponseKind,
}

/// The active controller and the answers that it owes.
#[derive(Clone, Debug)]
pub(crate) struct ActiveController {
    controller: QuorumController,
    epoch: LeaderEpoch,
    /// The offset that the next record will get.
    next_offset: Offset,
    deferred: VecDeque<Deferred>,
    mutations: Mutations,
}

impl ActiveController {
    /// The quorum epoch that it leads.
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// When it has something to do by itself; [`Time::MAX`] for never.
    pub fn deadline(&self) -> Time {
        self.controller.poll_timeout().unwrap_or(Time::MAX)
    }
}

impl Broker {
    /// Becomes the active controller if this node leads the quorum and has applied the log up to its own epoch's first
    /// record: then everything before that is committed and applied, and nothing else has been appended.
    pub(crate) fn maybe_activate(&mut self, now: Now, io: &mut Io<'_>) {
        let raft = &self.quorum.raft;
        let caught_up = |start: Offset| self.published.next_offset > start;
        if self.controller.is_some() || !raft.is_leader() || !raft.epoch_start_offset().is_some_and(caught_up)
        {
            return;
        }
        let config = ControllerConfig {
            node_id: self.config.node_id,
            cluster_id: self.config.cluster_id.clone(),
            static_config: self.static_config.clone(),
            features: self.features.clone(),
        };
        let epoch = raft.leader_and_epoch().1;
        let image = self.published.image.clone();
        let (controller, mut records) = QuorumController::activate(config, now.mono, image);
        // Only a new cluster has something to begin with.
        if !records.is_empty() {
            records.extend(self.bootstrap_security(io));
        }
        let next_offset = self.published.next_offset;
        self.controller = Some(ActiveController {
            controller,
            epoch,
            next_offset,
            deferred: VecDeque::new(),
            mutations: Mutations::new(&self.effective),
        });
        io.trace(TraceEvent::ControllerActivated { epoch });
        self.append_records(now, io, &records, true);
    }

    /// Leadership is lost: what was not committed is forgotten, and whoever waits for it is told to ask the next
    /// controller.
    pub(crate) fn drop_controller(&mut self, io: &mut Io<'_>) {
        let Some(active) = self.controller.take() else { return };
        for Deferred { token, refusal, .. } in active.deferred {
            self.connections.respond(io, token, refusal);
        }
    }

    /// Lets the active controller decide a request.
    pub(crate) fn decide<R: ControllerRequest>(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        token: Token,
        request: &R,
    ) {
        let refusal: ResponseKind = request.refuse(ErrorCode::NotController).into();
        let client = self.take_mutation_quota(token);
        let Some(active) = &mut self.controller else {
            return self.connections.respond(io, token, refusal);
        };
        let mut at = Surroundings {
            now,
            api_version: token.api_version,
            next_offset: active.next_offset,
            rng: &mut *io.rng,
        };
        let mut result = request.decide(&mut active.controller, &mut at);
        if client.is_some() {
            let quota = &mut active.mutations.quota(now, client, request.is_strict(token.api_version));
            request.limit(active.controller.image(), &mut result, quota);
        }
        if result.is_too_large() {
            let refusal = request.refuse(ErrorCode::PolicyViolation).into();
            return self.connections.respond(io, token, refusal);
        }
        let ControllerResult { records, is_atomic, response } = result;
        if !self.append_records(now, io, &records, is_atomic) {
            let refusal = match self.controller {
                None => refusal,
                Some(_) => request.refuse(ErrorCode::UnknownServerError).into(),
            };
            return self.connections.respond(io, token, refusal);
        }
        let active = self.controller.as_mut().expect("an append that succeeds keeps it");
        let response = response.into();
        active.deferred.push_back(Deferred { committed_at: active.next_offset, token, response, refusal });
        self.commit_decisions(io);
    }

    /// Lets the active controller do what is due.
    pub(crate) fn controller_timeout(&mut self, now: Now, io: &mut Io<'_>) {
        let Some(active) = &mut self.controller else { return };
        if active.deadline() <= now.mono {
            let ControllerResult { records, is_atomic, response: () } =
                active.controller.handle_timeout(now.mono);
            self.append_records(now, io, &records, is_atomic);
        }
    }

    /// Sends the answers that rest on committed records only.
    pub(crate) fn commit_decisions(&mut self, io: &mut Io<'_>) {
        let Some(active) = &mut self.controller else { return };
        let committed = self.quorum.raft.high_watermark().unwrap_or(Offset::ZERO);
        while active.deferred.front().is_some_and(|first| first.committed_at <= committed) {
            let Deferred { token, response, .. } = active.deferred.pop_front().expect("there is a first");
            self.connections.respond(io, token, response);
        }
    }

    /// Appends a decision's records and applies them to the controller. False if they were not appended: then either the
    /// controller is gone because leadership is lost, or the decision is atomic and too large.
    fn append_records(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        records: &[MetadataRecord],
        is_atomic: bool,
    ) -> bool {
        let Some(active) = &mut self.controller else { return false };
        if records.is_empty() {
            return true;
        }
        let values = encode(records);
        let raft = &mut self.quorum.raft;
        let appended = match is_atomic {
            true => raft.append(&mut env(now, io), active.epoch, &values),
            false => append_in_parts(raft, &mut env(now, io), active.epoch, &values),
        };
        match appended {
            Ok(last) => {
                let base = last + (1 - records.len() as i64);
                assert_eq!(base, active.next_offset, "nobody else appends while this node leads");
                active.next_offset = last + 1;
                for event in active.controller.replay(now.mono, base, records) {
                    io.trace(event);
                }
                true
            }
            Err(AppendError::NotLeader { .. }) => {
                self.drop_controller(io);
                false
            }
            Err(AppendError::TooLarge { .. }) => false,
            Err(AppendError::Fatal(error)) => {
                self.fail(&error);
                false
            }
        }
    }
}

/// Appends in as many batches as it takes. Gives the offset of the last record.
fn append_in_parts(
    raft: &mut Raft<MetadataLog>,
    env: &mut Env<'_>,
    epoch: LeaderEpoch,
    values: &[Bytes],
) -> Result<Offset, AppendError> {
    match raft.append(env, epoch, values) {
        Err(AppendError::TooLarge { .. }) if values.len() > 1 => {
            let (first, rest) = values.split_at(values.len() / 2);
            append_in_parts(raft, env, epoch, first)?;
            append_in_parts(raft, env, epoch, rest)
        }
        appended => appended,
    }
}

/// The records' encodings.
fn encode(records: &[MetadataRecord]) -> Vec<Bytes> {
    let encoded = records.iter().map(|record| {
        let mut out = Vec::new();
        record.encode(&mut out);
        Bytes::from(out)
    });
    encoded.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use trial_metadata::ConfigResource;
    use trial_node::view::BrokerView;
    use trial_node::{Input, Node, NodeId};
    use trial_wire::StrBytes;

    use super::*;
    use crate::BrokerConfig;
    use crate::testing::{Surroundings, at};

    /// The only node of its cluster, with an active controller.
    fn only_node(around: &mut Surroundings) -> Broker {
        let config = BrokerConfig {
            node_id: NodeId(0),
            cluster_id: StrBytes::from_static_str("trial"),
            voters: BTreeMap::from([(NodeId(0), StrBytes::from_static_str("broker-0"))]),
            rack: None,
            properties: BTreeMap::new(),
            users: BTreeMap::new(),
            acls: Vec::new(),
            features: BTreeMap::new(),
        };
        let (broker, _) = around.call(|io| {
            let mut broker = Broker::open(config, io, at(0)).expect("the broker starts");
            broker.handle(at(100), Input::Timeout, io);
            broker
        });
        assert!(broker.controller.is_some());
        broker
    }

    #[test]
    fn a_decision_that_does_not_fit_a_batch_is_split_unless_it_is_atomic() {
        let mut around = Surroundings::new();
        let mut broker = only_node(&mut around);
        let value = StrBytes::from("x".repeat(1 << 20));
        let record = |i: i32| MetadataRecord::Config {
            resource: ConfigResource::Broker(NodeId(i)),
            name: StrBytes::from_static_str("num.partitions"),
            value: Some(value.clone()),
        };
        let records: Vec<_> = (0..20).map(record).collect();
        let next = |broker: &Broker| broker.controller.as_ref().expect("it is active").next_offset;
        let before = next(&broker);
        let append = |broker: &mut Broker, around: &mut Surroundings, is_atomic| {
            around.call(|io| broker.append_records(at(200), io, &records, is_atomic)).0
        };
        assert!(!append(&mut broker, &mut around, true));
        assert_eq!(next(&broker), before, "all or nothing");
        assert!(append(&mut broker, &mut around, false));
        assert_eq!(next(&broker), before + 20);
        let (_, _) = around.call(|io| broker.handle(at(300), Input::Timeout, io));
        assert_eq!(broker.quorum().log_end_offset, before + 20, "they are in the log");
        assert_eq!(
            broker.published.image.config(&ConfigResource::Broker(NodeId(19))).map(|c| c.len()),
            Some(1)
        );
    }
}
