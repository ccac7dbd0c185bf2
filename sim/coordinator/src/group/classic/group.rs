//! The state of a classic group, and what may be asked of it.

use std::collections::{BTreeMap, BTreeSet};

use trial_node::Span;
use trial_node::view::CoordinatorEntry;
use trial_wire::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use trial_wire::primitive::Reader;
use trial_wire::{ErrorCode, StrBytes};

use super::member::{Member, Terms, span_ms};
use crate::Record;
use crate::group::context::{Context, owned};
use crate::group::record::{GroupMetadata, GroupRecord, MemberMetadata, text};
use crate::group::timers;

/// The protocol type of consumers; others (Connect's workers) assign other things than partitions.
pub(in crate::group) const CONSUMER_PROTOCOL: &str = "consumer";

/// A group of the classic protocol.
#[derive(Clone, Debug)]
pub(in crate::group) struct ClassicGroup {
    pub(super) id: StrBytes,
    /// What the log knows.
    pub(super) logged: Option<Logged>,
    pub(super) state: State,
    /// Since when it is in that state, ms since the epoch.
    pub(super) state_since_ms: Option<i64>,
    pub(super) generation: i32,
    /// What the members assign. None has been there yet if it is not known: then the group has offsets only.
    pub(super) protocol_type: Option<StrBytes>,
    /// The assignor that was elected.
    pub(super) protocol: Option<StrBytes>,
    pub(super) leader: Option<StrBytes>,
    pub(super) members: BTreeMap<StrBytes, Member>,
    /// The member id of each static member, by its instance id.
    pub(super) static_members: BTreeMap<StrBytes, StrBytes>,
    /// Members that were given an id with which they have yet to join (KIP-394).
    pub(super) pending_join: BTreeSet<StrBytes>,
    /// Members that have not asked for their assignment in this generation.
    pub(super) pending_sync: BTreeSet<StrBytes>,
    /// The topics that the members subscribe to, as far as it can tell.
    pub(super) subscribed_topics: Option<BTreeSet<StrBytes>>,
}

/// The last generation in the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Logged {
    pub(super) generation: i32,
    pub(super) members: usize,
}

/// Where a group is in its rebalance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No members.
    Empty,
    /// Members join.
    PreparingRebalance {
        /// Set if the group was empty before.
        initial: Option<InitialDelay>,
    },
    /// All have joined; the leader assigns.
    CompletingRebalance,
    /// The members have their assignments.
    Stable,
}

/// How a group's first rebalance waits: for as long as others keep joining, up to the rebalance time-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InitialDelay {
    pub(super) delay: Span,
    pub(super) remaining: Span,
    pub(super) new_member_added: bool,
}

impl State {
    pub(super) fn is_preparing(&self) -> bool {
        matches!(self, State::PreparingRebalance { .. })
    }
}

impl ClassicGroup {
    /// A group without members.
    pub(in crate::group) fn new(id: StrBytes) -> ClassicGroup {
        ClassicGroup {
            id,
            logged: None,
            state: State::Empty,
            state_since_ms: None,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_join: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            subscribed_topics: None,
        }
    }

    /// Whether it has no members; nor are any joining, but for those that were only given an id.
    pub(in crate::group) fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    /// The state's name as Kafka shows it.
    pub(in crate::group) fn state_name(&self) -> &'static str {
        match self.state {
            State::Empty => "Empty",
            State::PreparingRebalance { .. } => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }

    /// The protocol type; empty if it never had members.
    pub(in crate::group) fn protocol_type(&self) -> StrBytes {
        self.protocol_type.clone().unwrap_or_default()
    }

    /// Whether its members are consumers.
    pub(in crate::group) fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL)
    }

    /// Whether a member subscribes to the topic; true if it is not known what consumers subscribe to.
    pub(in crate::group) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic.as_bytes()),
            None => self.uses_consumer_protocol(),
        }
    }

    /// From when on the retention of its offsets counts (KIP-211).
    pub(in crate::group) fn offsets_expire(&self) -> Expiry {
        match (&self.protocol_type, &self.state) {
            (None, _) => Expiry::FromCommit,
            (Some(_), State::Empty) => self.state_since_ms.map_or(Expiry::FromCommit, Expiry::From),
            (Some(_), State::Stable) if self.uses_consumer_protocol() && self.subscribed_topics.is_some() => {
                Expiry::FromCommit
            }
            _ => Expiry::Never,
        }
    }

    /// The group for DescribeGroups.
    pub(in crate::group) fn describe(&self) -> DescribedGroup {
        let protocol = self.protocol.as_ref().filter(|_| self.state == State::Stable);
        let members = self.members.iter().map(|(id, member)| {
            DescribedGroupMember::default()
                .with_member_id(id.clone())
                .with_group_instance_id(member.instance_id.clone())
                .with_client_id(member.client_id.clone())
                .with_client_host(member.client_host.clone())
                .with_member_metadata(protocol.map(|name| member.metadata(name)).unwrap_or_default())
                .with_member_assignment(member.assignment.clone())
        });
        DescribedGroup::default()
            .with_group_id(self.id.clone().into())
            .with_group_state(StrBytes::from_static_str(self.state_name()))
            .with_protocol_type(self.protocol_type())
            .with_protocol_data(protocol.cloned().unwrap_or_default())
            .with_members(members.collect())
    }

    /// Appends the tombstone of the group to `records`.
    pub(in crate::group) fn tombstones(&self, records: &mut Vec<Record>) {
        records.push(GroupRecord::Group { group: &self.id, value: None }.encode());
    }

    /// The group as the log knows it, if it does; whether it rebalances, as it is now.
    pub(in crate::group) fn entries(&self, each: &mut dyn FnMut(CoordinatorEntry<'_>)) {
        let Some(Logged { generation, members }) = self.logged else { return };
        let rebalancing = !matches!(self.state, State::Empty | State::Stable);
        each(CoordinatorEntry::Group {
            group: &self.id,
            classic: true,
            epoch: generation,
            members,
            rebalancing,
        });
    }

    /// Whether a commit of this member in this generation counts.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION, REBALANCE_IN_PROGRESS.
    pub(in crate::group) fn validate_offset_commit(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        transactional: bool,
    ) -> Result<(), ErrorCode> {
        if generation < 0 && self.is_empty() {
            return Ok(());
        }
        if generation >= 0 || !member_id.is_empty() || instance_id.is_some() {
            self.validate_member(member_id, instance_id)?;
            if generation != self.generation {
                return Err(ErrorCode::IllegalGeneration);
            }
        } else if !transactional && !self.is_empty() {
            // Someone from outside commits while there are members. Producers before KIP-447 may: they do not tell.
            return Err(ErrorCode::UnknownMemberId);
        }
        if !transactional && self.state == State::CompletingRebalance {
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    /// A commit shows that a member is there.
    pub(in crate::group) fn member_committed(&mut self, ctx: &mut Context<'_, '_>, member_id: &StrBytes) {
        if self.state == State::Stable || self.state.is_preparing() {
            self.expect_heartbeat(ctx, member_id);
        }
    }

    /// # Errors
    /// UNKNOWN_MEMBER_ID; FENCED_INSTANCE_ID if another process has taken the static member's place.
    pub(super) fn validate_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id.as_bytes()) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(existing) if existing.as_str() != member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id.as_bytes()) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// Whether a member with these terms could join without leaving the group without a common assignor.
    pub(super) fn supports(&self, protocol_type: &str, terms: &Terms) -> bool {
        if self.is_empty() {
            return !protocol_type.is_empty() && !terms.protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && terms
                .protocols
                .iter()
                .any(|(name, _)| self.members.values().all(|member| member.terms.supports(name)))
    }

    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    pub(super) fn awaiting_join(&self) -> usize {
        self.members.values().filter(|member| member.join.is_some()).count()
    }

    pub(super) fn all_joined(&self) -> bool {
        self.pending_join.is_empty() && self.members.values().all(|member| member.join.is_some())
    }

    /// How long a rebalance waits: for the most patient member.
    pub(super) fn rebalance_timeout(&self) -> Span {
        let longest = self.members.values().map(|member| member.terms.rebalance_timeout_ms).max();
        span_ms(longest.unwrap_or(0))
    }

    /// The assignor that most members prefer among those that all support.
    pub(super) fn select_protocol(&self) -> Option<StrBytes> {
        let is_candidate = |name: &str| self.members.values().all(|member| member.terms.supports(name));
        let mut votes: BTreeMap<&StrBytes, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.terms.protocols.iter().find(|(name, _)| is_candidate(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.clone())
    }

    pub(super) fn enter(&mut self, ctx: &Context<'_, '_>, state: State) {
        self.state = state;
        self.state_since_ms = Some(ctx.env.now.wall_ms);
    }

    pub(super) fn timer(&self, timer: super::Timer) -> timers::Timer {
        timers::Timer::Classic(self.id.clone(), timer)
    }

    /// Gives a member its session time-out anew.
    pub(super) fn expect_heartbeat(&self, ctx: &mut Context<'_, '_>, member_id: &StrBytes) {
        if let Some(member) = self.members.get(member_id) {
            ctx.schedule(self.timer(super::Timer::Heartbeat(member_id.clone())), member.session_timeout());
        }
    }

    /// The group as it is now, with these assignments, for the log.
    pub(super) fn record(&self, assignment: impl Fn(&StrBytes, &Member) -> bytes::Bytes) -> Record {
        let protocol = self.protocol.as_deref();
        let said: Vec<_> = self
            .members
            .iter()
            .map(|(id, member)| {
                (protocol.map(|name| member.metadata(name)).unwrap_or_default(), assignment(id, member))
            })
            .collect();
        let members =
            self.members.iter().zip(&said).map(|((id, member), (subscription, assignment))| MemberMetadata {
                member_id: id,
                group_instance_id: member.instance_id.as_deref(),
                client_id: &member.client_id,
                client_host: &member.client_host,
                rebalance_timeout_ms: member.terms.rebalance_timeout_ms,
                session_timeout_ms: member.terms.session_timeout_ms,
                subscription,
                assignment,
            });
        let value = GroupMetadata {
            protocol_type: self.protocol_type.as_deref().unwrap_or_default(),
            generation: self.generation,
            protocol,
            leader: self.leader.as_deref(),
            current_state_timestamp_ms: self.state_since_ms.unwrap_or(-1),
            members: members.collect(),
        };
        GroupRecord::Group { group: &self.id, value: Some(value) }.encode()
    }

    /// What consumers say to their assignor begins with the topics that they subscribe to, whatever the version.
    pub(super) fn compute_subscribed_topics(&self) -> Option<BTreeSet<StrBytes>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            let metadata = member.metadata(self.protocol.as_deref()?);
            let mut reader = Reader::new(&metadata);
            reader.i16().ok()?;
            for _ in 0..text::array_len(&mut reader).ok()? {
                topics.insert(owned(text::string(&mut reader).ok()?));
            }
        }
        Some(topics)
    }
}

/// From when on the retention of a group's offsets counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::group) enum Expiry {
    /// They are in use.
    Never,
    /// From each commit.
    FromCommit,
    /// From this time on, ms since the epoch.
    From(i64),
}
