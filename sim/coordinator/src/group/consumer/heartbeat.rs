//! ConsumerGroupHeartbeat: how members join, tell what they hold, are told what is theirs, and leave.

use trial_wire::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use trial_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use trial_wire::{ErrorCode, StrBytes};

use super::ConsumerGroup;
use super::assignor::Partitions;
use super::change::{Change, Sender};
use super::member::{
    JOIN_EPOCH, LEAVE_EPOCH, LEAVE_STATIC_EPOCH, MemberAssignment, MemberMetadata, MemberState, by_topic,
    each_of,
};
use super::reconcile::{Target, reconcile};
use super::regex::{InvalidRegex, Resolving};
use crate::Record;
use crate::group::GroupConfig;
use crate::group::classic::Caller;
use crate::group::context::{Context, Then};
use crate::group::record::text::STRING_LENGTH_MAX;

/// From this version on the member makes its id itself (KIP-1082).
const CLIENT_MAKES_MEMBER_ID: i16 = 1;

/// A heartbeat and who sent it.
pub(in crate::group) struct Heartbeat<'a> {
    /// Who sent it.
    pub(in crate::group) caller: Caller<'a>,
    /// The request.
    pub(in crate::group) body: ConsumerGroupHeartbeatRequest,
    /// To be appended before whatever the heartbeat appends (the tombstone of the classic group that this one takes the place
    /// of, and what the members of that have); to be left out if the heartbeat is refused.
    pub(in crate::group) before: Vec<Record>,
}

/// Why a heartbeat is refused.
struct Refusal {
    error: ErrorCode,
    message: String,
}

fn refused<T>(error: ErrorCode, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { error, message: message.into() })
}

/// What a member's word leads to.
pub(super) struct Advance {
    pub(super) records: Vec<Record>,
    /// What the member has now.
    pub(super) assignment: MemberAssignment,
    /// Whether the group's topics were found to be what the log says.
    pub(super) topics_confirmed: bool,
}

/// What a heartbeat leads to.
struct Decision {
    records: Vec<Record>,
    response: ConsumerGroupHeartbeatResponse,
    /// Whether the group's topics were found to be what the log says.
    topics_confirmed: bool,
}

/// ConsumerGroupHeartbeat. `group` is `None` if there is no such group, or an empty one of the classic protocol. Whether
/// anything was appended.
pub(in crate::group) fn heartbeat(
    group: Option<&mut ConsumerGroup>,
    ctx: &mut Context<'_, '_>,
    request: Heartbeat<'_>,
) -> bool {
    let call = request.caller.call;
    match decide(group, ctx, &request) {
        Ok(Decision { records, response, .. }) if records.is_empty() => {
            ctx.out.respond_once_committed(call, response);
            false
        }
        Ok(Decision { records, response, .. }) => {
            let mut all = request.before;
            all.extend(records);
            ctx.out.append(all, Then::Respond { call, body: response.into() });
            true
        }
        Err(Refusal { error, message }) => {
            let response = ConsumerGroupHeartbeatResponse::default()
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_string(message)));
            ctx.out.respond(call, response);
            false
        }
    }
}

fn decide(
    group: Option<&mut ConsumerGroup>,
    ctx: &mut Context<'_, '_>,
    request: &Heartbeat<'_>,
) -> Result<Decision, Refusal> {
    let body = &request.body;
    validate(body, request.caller.version, ctx.config)?;
    match group {
        Some(group) if body.member_epoch < JOIN_EPOCH => group.leave(ctx, body),
        Some(group) => {
            let decision = group.heartbeat(ctx, request)?;
            group.topics_outdated &= !decision.topics_confirmed;
            Ok(decision)
        }
        None if body.member_epoch == JOIN_EPOCH => {
            ConsumerGroup::new(body.group_id.0.clone()).heartbeat(ctx, request)
        }
        None => refused(ErrorCode::GroupIdNotFound, format!("Group {} not found.", body.group_id.as_str())),
    }
}

fn validate(body: &ConsumerGroupHeartbeatRequest, version: i16, config: &GroupConfig) -> Result<(), Refusal> {
    let invalid = |message: &str| refused(ErrorCode::InvalidRequest, message);
    let is_empty = |text: &Option<StrBytes>| text.as_ref().is_some_and(|text| text.is_empty());
    if body.group_id.is_empty() {
        return invalid("GroupId can't be empty.");
    }
    if body.group_id.len() > STRING_LENGTH_MAX || body.member_id.len() > STRING_LENGTH_MAX {
        return invalid("GroupId and MemberId must fit into a record.");
    }
    if is_empty(&body.instance_id) {
        return invalid("InstanceId can't be empty.");
    }
    if is_empty(&body.rack_id) {
        return invalid("RackId can't be empty.");
    }
    if body.member_id.is_empty() && (version >= CLIENT_MAKES_MEMBER_ID || body.member_epoch != JOIN_EPOCH) {
        return invalid("MemberId can't be empty.");
    }
    match body.member_epoch {
        JOIN_EPOCH => {
            if body.rebalance_timeout_ms == -1 {
                return invalid("RebalanceTimeoutMs must be provided in first request.");
            }
            if body.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) {
                return invalid("TopicPartitions must be empty when (re-)joining.");
            }
            if body.subscribed_topic_names.is_none() && body.subscribed_topic_regex.is_none() {
                return invalid("SubscribedTopicNames or SubscribedTopicRegex must be set in first request.");
            }
        }
        LEAVE_STATIC_EPOCH if body.instance_id.is_none() => return invalid("InstanceId can't be null."),
        epoch if epoch < LEAVE_STATIC_EPOCH => return invalid("MemberEpoch is invalid."),
        _ => {}
    }
    if body.subscribed_topic_regex.as_ref().is_some_and(|regex| regex.len() > STRING_LENGTH_MAX) {
        return refused(ErrorCode::InvalidRegularExpression, "SubscribedTopicRegex must fit into a record.");
    }
    let supports = |name: &StrBytes| config.consumer_assignors.iter().any(|a| a.name() == name.as_str());
    if let Some(name) = body.server_assignor.as_ref().filter(|name| !supports(name)) {
        let message = format!("ServerAssignor {} is not supported.", name.as_str());
        return refused(ErrorCode::UnsupportedAssignor, message);
    }
    Ok(())
}

impl ConsumerGroup {
    fn heartbeat(&self, ctx: &mut Context<'_, '_>, request: &Heartbeat<'_>) -> Result<Decision, Refusal> {
        let body = &request.body;
        if self.members.len() >= ctx.config.consumer_max_size && !self.members.contains_key(&body.member_id) {
            return refused(
                ErrorCode::GroupMaxSizeReached,
                "The consumer group has reached its maximum size.",
            );
        }
        let id = if body.member_id.is_empty() {
            StrBytes::from_string(ctx.random_uuid().to_string())
        } else {
            body.member_id.clone()
        };
        let owned: Option<Partitions> = body.topic_partitions.as_ref().map(|topics| {
            topics.iter().flat_map(|topic| each_of(topic.topic_id, &topic.partitions)).collect()
        });
        let sender = self.sender(&id, body, owned.as_ref())?;
        let Caller { client_id, client_host, describes, .. } = request.caller;
        let metadata = sender.metadata.update(body, client_id, client_host);
        let Advance { records, assignment: now, topics_confirmed } =
            self.advance(ctx, &id, (&sender, &metadata), owned.as_ref(), Resolving::For(describes)).map_err(
                |InvalidRegex(message)| Refusal { error: ErrorCode::InvalidRegularExpression, message },
            )?;
        if now.state == MemberState::UnrevokedPartitions && now != sender.assignment {
            self.expect_revocation(ctx, &id, metadata.rebalance_timeout_ms);
        }
        self.expect_heartbeat(ctx, &id, &metadata);

        let is_full = body.member_epoch == JOIN_EPOCH
            || (body.rebalance_timeout_ms != -1
                && (body.subscribed_topic_names.is_some() || body.subscribed_topic_regex.is_some())
                && owned.is_some());
        let tells = is_full || now.assigned != sender.assignment.assigned;
        let interval = ctx.env.metadata.group_config(&self.group_id, "consumer.heartbeat.interval.ms");
        let interval_ms = interval.unwrap_or(ctx.config.consumer_heartbeat_interval).as_millis();
        let response = ConsumerGroupHeartbeatResponse::default()
            .with_member_id(Some(id.clone()))
            .with_member_epoch(now.epoch)
            .with_heartbeat_interval_ms(i32::try_from(interval_ms).unwrap_or(i32::MAX))
            .with_assignment(tells.then(|| assignment(&now.assigned)));
        Ok(Decision { records, response, topics_confirmed })
    }

    /// A member, be it new or known, says something of itself, and takes the next step that it can.
    ///
    /// # Errors
    /// What is wrong with the member's regular expression.
    pub(super) fn advance(
        &self,
        ctx: &Context<'_, '_>,
        id: &StrBytes,
        (sender, metadata): (&Sender<'_>, &MemberMetadata),
        owned: Option<&Partitions>,
        resolving: Resolving<'_>,
    ) -> Result<Advance, InvalidRegex> {
        let mut change = Change { group: self, id, sender, metadata, records: Vec::new() };
        change.member();
        let renewal = change.epoch(ctx, resolving)?;
        let (target_epoch, target) = change.target(ctx, &renewal);
        let target = Target { epoch: target_epoch, partitions: &target };
        let step = reconcile(&sender.assignment, &target, owned, |partition| self.is_held(partition));
        let mut records = change.records;
        if let Some(step) = &step {
            records.push(self.assignment_record(id, step));
        }
        let assignment = step.unwrap_or_else(|| sender.assignment.clone());
        Ok(Advance { records, assignment, topics_confirmed: renewal.topics_confirmed })
    }

    fn sender(
        &self,
        id: &StrBytes,
        body: &ConsumerGroupHeartbeatRequest,
        owned: Option<&Partitions>,
    ) -> Result<Sender<'_>, Refusal> {
        let joins = body.member_epoch == JOIN_EPOCH;
        let unknown = |what: String| refused(ErrorCode::UnknownMemberId, what);
        let Some(instance_id) = &body.instance_id else {
            return match self.members.get(id) {
                Some(member) => {
                    validate_epoch(&member.assignment, body.member_epoch, owned)?;
                    Ok(Sender::known(member))
                }
                None if joins => Ok(Sender::new()),
                None => unknown(format!("Member {} is not a member of the group.", id.as_str())),
            };
        };
        match self.static_member(instance_id) {
            None if joins => Ok(self.members.get(id).map_or_else(Sender::new, Sender::known)),
            None => unknown(format!("Instance id {} is unknown.", instance_id.as_str())),
            Some((old, member)) if joins => {
                // A classic one that has started again has not said that it would.
                if member.assignment.epoch == LEAVE_STATIC_EPOCH || member.metadata.classic.is_some() {
                    return Ok(Sender::successor(old, member));
                }
                // The same process, whose first answer was lost: the member that owns the instance id is itself.
                if old == id && validate_epoch(&member.assignment, JOIN_EPOCH, owned).is_ok() {
                    return Ok(Sender::known(member));
                }
                let message =
                    format!("Instance id {} is owned by member {}.", instance_id.as_str(), old.as_str());
                refused(ErrorCode::UnreleasedInstanceId, message)
            }
            Some((old, member)) => {
                validate_instance(old, id)?;
                validate_epoch(&member.assignment, body.member_epoch, owned)?;
                Ok(Sender::known(member))
            }
        }
    }

    fn leave(
        &self,
        ctx: &mut Context<'_, '_>,
        body: &ConsumerGroupHeartbeatRequest,
    ) -> Result<Decision, Refusal> {
        let found = match &body.instance_id {
            None => self.members.get_key_value(&body.member_id),
            Some(instance_id) => self.static_member(instance_id),
        };
        let Some((id, member)) = found else {
            return refused(ErrorCode::UnknownMemberId, "The member is not a member of the group.");
        };
        validate_instance(id, &body.member_id)?;
        let records = if body.member_epoch == LEAVE_EPOCH {
            self.removal(ctx, std::slice::from_ref(id))
        } else {
            // What it was to give up is free now; the rest is kept for its successor, until its session ends.
            let away = MemberAssignment {
                epoch: LEAVE_STATIC_EPOCH,
                pending_revocation: Partitions::new(),
                ..member.assignment.clone()
            };
            vec![self.assignment_record(id, &away)]
        };
        let response = ConsumerGroupHeartbeatResponse::default()
            .with_member_id(Some(id.clone()))
            .with_member_epoch(body.member_epoch);
        Ok(Decision { records, response, topics_confirmed: false })
    }
}

/// A member must be in the epoch that it is known to be in. It may be in the one before, if the answer that told of the new one
/// was lost; then it may not hold more than it has now, or it would go on reading what is another's.
fn validate_epoch(known: &MemberAssignment, epoch: i32, owned: Option<&Partitions>) -> Result<(), Refusal> {
    let is_behind =
        epoch == known.previous_epoch && owned.is_some_and(|owned| owned.is_subset(&known.assigned));
    if epoch == known.epoch || (epoch < known.epoch && is_behind) {
        return Ok(());
    }
    let message =
        format!("The member is known to be in epoch {}, not in {epoch}; it must rejoin.", known.epoch);
    refused(ErrorCode::FencedMemberEpoch, message)
}

/// An instance id belongs to one member.
fn validate_instance(owner: &StrBytes, member: &StrBytes) -> Result<(), Refusal> {
    if owner == member {
        return Ok(());
    }
    refused(ErrorCode::FencedInstanceId, format!("The instance id belongs to member {}.", owner.as_str()))
}

fn assignment(partitions: &Partitions) -> Assignment {
    let topics = by_topic(partitions).into_iter().map(|topic| {
        TopicPartitions::default().with_topic_id(topic.topic_id).with_partitions(topic.partitions)
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
