//! Members of a KIP-848 group that use the classic protocol: JoinGroup, SyncGroup and Heartbeat.
//!
//! To such a member the group is one that is led by somebody else. Its generation is its member epoch. JoinGroup is its heartbeat
//! that says what it is subscribed to and what it holds: it takes the next step towards its target; SyncGroup tells what it has
//! then. When there is another step to take, Heartbeat says that a rebalance is in progress.

use trial_wire::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use trial_wire::{ErrorCode, StrBytes, TopicName};

use super::ConsumerGroup;
use super::change::Sender;
use super::heartbeat::Advance;
use super::member::{ClassicMember, Member, MemberMetadata, MemberState, each_of};
use super::regex::Resolving;
use super::timeout::Timer;
use crate::ClusterMetadata;
use crate::group::classic::{CONSUMER_PROTOCOL, Caller, Joining, MEMBER_ID_REQUIRED};
use crate::group::context::{Context, Then, owned};
use crate::group::embedded::{self, Subscription};
use crate::group::{classic, timers};

use super::assignor::Partitions;

impl ConsumerGroup {
    /// JoinGroup, with a group that is not empty. If it fails, with which error, and which member id the answer says.
    pub(in crate::group) fn join(
        &mut self,
        ctx: &mut Context<'_, '_>,
        caller: Caller<'_>,
        body: JoinGroupRequest,
    ) -> Result<(), (StrBytes, ErrorCode)> {
        let is_full = self.members.len() >= ctx.config.consumer_max_size;
        if is_full && !self.members.contains_key(&body.member_id) {
            return Err((StrBytes::new(), ErrorCode::GroupMaxSizeReached));
        }
        let Some(said) = self.read_subscription(&body) else {
            return Err((body.member_id, ErrorCode::InconsistentGroupProtocol));
        };
        let is_unknown = body.member_id.is_empty();
        let id = if is_unknown {
            StrBytes::from_string(ctx.random_uuid().to_string())
        } else {
            body.member_id.clone()
        };
        if is_unknown && body.group_instance_id.is_none() && caller.version >= MEMBER_ID_REQUIRED {
            return Err((id, ErrorCode::MemberIdRequired));
        }
        let sender = self
            .joining(&id, body.group_instance_id.as_ref(), is_unknown, &said)
            .map_err(|error| (body.member_id.clone(), error))?;
        if let Some(old) = sender.predecessor
            && self.downgrades_without(ctx.config, std::slice::from_ref(old))
        {
            // The last of its kind comes back as a classic member: it joins what is a classic group then.
            let records = self.downgrade(ctx, std::slice::from_ref(old));
            let joining = Box::new(Joining::new(caller, body));
            ctx.out.append(records, Then::Classic(self.group_id.clone(), classic::Then::Join(joining)));
            return Ok(());
        }

        let metadata = joined_metadata(&sender.metadata, caller, &body, &said);
        let holds = by_id(&said.owned, ctx.env.metadata);
        // It may be carried out after an append, without the caller's rights; and as in Kafka, members that have an expression
        // see to it themselves.
        let advance = self.advance(ctx, &id, (&sender, &metadata), Some(&holds), Resolving::Nothing);
        let Advance { records, assignment, topics_confirmed } =
            advance.expect("a classic member brings no regular expression");
        let protocol = metadata.classic.as_ref().and_then(ClassicMember::preferred);
        let response = JoinGroupResponse::default()
            .with_member_id(id.clone())
            .with_generation_id(assignment.epoch)
            .with_protocol_type(Some(StrBytes::from_static_str(CONSUMER_PROTOCOL)))
            .with_protocol_name(protocol.map(|(name, _)| name.clone()));
        self.topics_outdated &= !topics_confirmed;
        self.cancel(ctx, Timer::Join(id.clone()));
        self.expect(ctx, Timer::Sync(id.clone()), metadata.rebalance_timeout_ms);
        self.expect_heartbeat(ctx, &id, &metadata);
        if records.is_empty() {
            ctx.out.respond_once_committed(caller.call, response);
        } else {
            ctx.out.append(records, Then::Respond { call: caller.call, body: response.into() });
        }
        Ok(())
    }

    /// What a member is subscribed to; `None` if it is no consumer, says it in a way that nobody understands, or has no assignor
    /// in common with the other classic members, who must be able to go on without this coordinator's.
    fn read_subscription<'a>(&self, body: &'a JoinGroupRequest) -> Option<Subscription<'a>> {
        let all_support = |name: &str| {
            let mut classic = self.members.values().filter_map(|member| member.metadata.classic.as_ref());
            classic.all(|member| member.supports(name))
        };
        let is_supported = body.protocol_type.as_str() == CONSUMER_PROTOCOL
            && body.protocols.iter().any(|protocol| all_support(&protocol.name));
        let first = body.protocols.first().filter(|_| is_supported)?;
        Subscription::decode(&first.metadata).ok()
    }

    /// Whom a JoinGroup is from.
    fn joining(
        &self,
        id: &StrBytes,
        instance_id: Option<&StrBytes>,
        is_unknown: bool,
        said: &Subscription<'_>,
    ) -> Result<Sender<'_>, ErrorCode> {
        let Some(instance_id) = instance_id else {
            return match self.members.get(id) {
                Some(member) => Ok(Sender::known(member)),
                // Whoever was told this id by a coordinator that has forgotten it is new; but new members hold nothing. This one
                // was thrown out, and has to drop what may be another's before it comes back.
                None if said.owned.iter().any(|topic| !topic.partitions.is_empty()) => {
                    Err(ErrorCode::UnknownMemberId)
                }
                None => Ok(Sender::new()),
            };
        };
        match self.static_member(instance_id) {
            None if is_unknown => Ok(Sender::new()),
            None => Err(ErrorCode::UnknownMemberId),
            Some((old, member)) if is_unknown => Ok(Sender::successor(old, member)),
            Some((old, _)) if old != id => Err(ErrorCode::FencedInstanceId),
            Some((_, member)) => Ok(Sender::known(member)),
        }
    }

    /// SyncGroup.
    pub(in crate::group) fn sync(
        &self,
        ctx: &mut Context<'_, '_>,
        caller: Caller<'_>,
        body: SyncGroupRequest,
    ) -> Result<(), ErrorCode> {
        let member = self.classic_member(&body.member_id, body.group_instance_id.as_ref())?;
        let Member { metadata, assignment } = member;
        if body.generation_id != assignment.epoch {
            return Err(ErrorCode::IllegalGeneration);
        }
        let protocol = metadata.classic.as_ref().and_then(ClassicMember::preferred);
        let differs = |said: &Option<StrBytes>, ours: &str| said.as_deref().is_some_and(|said| said != ours);
        let name = protocol.map_or("", |(name, _)| name.as_str());
        if differs(&body.protocol_type, CONSUMER_PROTOCOL) || differs(&body.protocol_name, name) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        // A member that has partitions to give up has to know it first.
        if self.epoch > assignment.epoch && assignment.state != MemberState::UnrevokedPartitions {
            self.expect_join(ctx, &body.member_id, metadata);
            return Err(ErrorCode::RebalanceInProgress);
        }
        self.cancel(ctx, Timer::Sync(body.member_id.clone()));
        self.expect_heartbeat(ctx, &body.member_id, metadata);
        let said = protocol.map_or(&[][..], |(_, said)| said);
        let response = SyncGroupResponse::default()
            .with_protocol_type(body.protocol_type)
            .with_protocol_name(body.protocol_name)
            .with_assignment(as_assignment(&assignment.assigned, said, ctx.env.metadata));
        ctx.out.respond_once_committed(caller.call, response);
        Ok(())
    }

    /// Heartbeat.
    ///
    /// # Errors
    /// REBALANCE_IN_PROGRESS if it shall join again; UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION.
    pub(in crate::group) fn classic_heartbeat(
        &self,
        ctx: &mut Context<'_, '_>,
        body: &HeartbeatRequest,
    ) -> Result<(), ErrorCode> {
        let member = self.classic_member(&body.member_id, body.group_instance_id.as_ref())?;
        let Member { metadata, assignment } = member;
        if body.generation_id != assignment.epoch {
            return Err(ErrorCode::IllegalGeneration);
        }
        self.expect_heartbeat(ctx, &body.member_id, metadata);
        let shall_join = self.epoch > assignment.epoch
            || match assignment.state {
                MemberState::Stable => false,
                MemberState::UnrevokedPartitions => true,
                MemberState::UnreleasedPartitions => !self.waits_for_others(&body.member_id, member),
            };
        if shall_join {
            self.expect_join(ctx, &body.member_id, metadata);
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether others still hold something that a member is to get.
    fn waits_for_others(&self, id: &StrBytes, member: &Member) -> bool {
        let missing = self.targets.get(id).into_iter().flatten();
        missing
            .filter(|partition| !member.assignment.assigned.contains(partition))
            .any(|partition| self.is_held(partition))
    }

    fn classic_member(
        &self,
        member_id: &StrBytes,
        instance_id: Option<&StrBytes>,
    ) -> Result<&Member, ErrorCode> {
        let member = match instance_id {
            None => self.members.get(member_id).ok_or(ErrorCode::UnknownMemberId)?,
            Some(instance_id) => match self.static_member(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some((id, _)) if id != member_id => return Err(ErrorCode::FencedInstanceId),
                Some((_, member)) => member,
            },
        };
        if member.metadata.classic.is_some() { Ok(member) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// A classic member is told to join again; it was perhaps told so before.
    fn expect_join(&self, ctx: &mut Context<'_, '_>, id: &StrBytes, metadata: &MemberMetadata) {
        let timer = Timer::Join(id.clone());
        if !ctx.out.timers.is_set(&timers::Timer::Consumer(self.group_id.clone(), timer.clone())) {
            self.expect(ctx, timer, metadata.rebalance_timeout_ms);
        }
    }
}

/// What is known of a member after a JoinGroup.
fn joined_metadata(
    before: &MemberMetadata,
    caller: Caller<'_>,
    body: &JoinGroupRequest,
    said: &Subscription<'_>,
) -> MemberMetadata {
    let mut metadata = before.clone();
    metadata.see(caller.client_id, caller.client_host);
    if body.group_instance_id.is_some() {
        metadata.instance_id.clone_from(&body.group_instance_id);
    }
    if let Some(rack_id) = said.rack_id {
        metadata.rack_id = Some(owned(rack_id));
    }
    // Before version 1 there was no rebalance time-out: the session time-out was both.
    metadata.rebalance_timeout_ms =
        if body.rebalance_timeout_ms < 0 { body.session_timeout_ms } else { body.rebalance_timeout_ms };
    metadata.subscribed_topic_names = said.topics.iter().map(|name| TopicName(owned(name))).collect();
    metadata.subscribed_topic_regex = None;
    let protocols = body.protocols.iter().map(|said| (said.name.clone(), said.metadata.clone())).collect();
    metadata.classic = Some(ClassicMember { session_timeout_ms: body.session_timeout_ms, protocols });
    metadata
}

/// Partitions by the ids of their topics, if these exist.
pub(super) fn by_id(said: &[embedded::TopicPartitions<'_>], metadata: &dyn ClusterMetadata) -> Partitions {
    let known = said.iter().filter_map(|topic| {
        Some(each_of(metadata.topic_id(&TopicName(owned(topic.topic)))?, &topic.partitions))
    });
    known.flatten().collect()
}

/// Partitions as a classic member is told them; topics that are gone have no name to tell.
pub(super) fn as_assignment(
    partitions: &Partitions,
    said: &[u8],
    metadata: &dyn ClusterMetadata,
) -> bytes::Bytes {
    let topics = super::member::by_topic(partitions);
    let named = topics.iter().filter_map(|topic| {
        let name = metadata.topic_name(topic.topic_id)?;
        Some(embedded::TopicPartitions { topic: name, partitions: topic.partitions.clone() })
    });
    embedded::encode_assignment(&named.collect::<Vec<_>>(), said)
}
