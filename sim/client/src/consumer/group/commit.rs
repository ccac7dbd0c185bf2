//! Committing offsets, when the application says so and by itself (`enable.auto.commit`).

use std::collections::BTreeMap;

use trial_node::{Io, LeaderEpoch, Now, Offset, Span, Time};
use trial_wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use trial_wire::messages::{GroupId, OffsetCommitRequest, OffsetCommitResponse};
use trial_wire::{ApiKey, ErrorCode, RequestKind, TopicName};

use crate::consumer::partition::Position;
use crate::consumer::{Consumer, ConsumerEvent};
use crate::errors;

use super::{GroupProtocol, Joined, Membership, Question, Stint};

/// Names a commit of a consumer. Counted up from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub u64);

/// The commits that have not ended. They are sent one after the other: a retry never overtakes what is newer.
#[derive(Clone, Debug, Default)]
pub(super) struct Commits {
    pending: BTreeMap<CommitId, Commit>,
    next: u64,
    /// When offsets are committed automatically next.
    pub auto_at: Option<Time>,
}

#[derive(Clone, Debug)]
struct Commit {
    offsets: Vec<(Stint, Position)>,
    /// Errors that may pass are waited for.
    retry: bool,
    /// The offsets are those of an auto-commit.
    auto: bool,
    deadline: Time,
    retry_at: Time,
    failures: u32,
    in_flight: bool,
    /// An attempt has had no clear answer.
    doubtful: bool,
    /// The epoch that the owner has been told of.
    told: Option<i32>,
}

impl Commits {
    /// Whether none is under way.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether a commit is under way.
    pub fn is_pending(&self, id: CommitId) -> bool {
        self.pending.contains_key(&id)
    }

    /// When the oldest is to be sent again, and when it fails.
    pub fn deadlines(&self) -> [Option<Time>; 2] {
        match self.pending.first_key_value() {
            Some((_, Commit { in_flight: false, retry_at, deadline, .. })) => {
                [Some(*retry_at), Some(*deadline)]
            }
            _ => [None; 2],
        }
    }
}

impl Consumer {
    /// `commitSync`, except that it does not block: commits that these offsets are to be read next, and tries until
    /// `default.api.timeout.ms` have passed or there is an error that trying will not change.
    pub fn commit(&mut self, now: Now, offsets: &[(usize, Offset)]) -> CommitId {
        let offsets = self.positions_of(offsets);
        self.begin_commit(now, offsets, true, false, self.config.default_api_timeout)
    }

    /// `commitAsync`: as [`Consumer::commit`], but an attempt that fails is the last.
    pub fn commit_async(&mut self, now: Now, offsets: &[(usize, Offset)]) -> CommitId {
        let offsets = self.positions_of(offsets);
        self.begin_commit(now, offsets, false, false, self.config.default_api_timeout)
    }

    fn stint(&self, index: usize) -> Stint {
        Stint { index, number: self.partitions[index].stint }
    }

    fn positions_of(&self, offsets: &[(usize, Offset)]) -> Vec<(Stint, Position)> {
        let position = |(index, offset): &(usize, Offset)| {
            let known = self.partitions[*index].position.filter(|position| position.offset == *offset);
            let unknown = Position { offset: *offset, offset_epoch: LeaderEpoch::NONE };
            (self.stint(*index), known.unwrap_or(unknown))
        };
        offsets.iter().map(position).collect()
    }

    fn begin_commit(
        &mut self,
        now: Now,
        offsets: Vec<(Stint, Position)>,
        retry: bool,
        auto: bool,
        timeout: Span,
    ) -> CommitId {
        let commits = &mut self.group_mut().commits;
        let id = CommitId(commits.next);
        commits.next += 1;
        let commit = Commit {
            offsets,
            retry,
            auto,
            deadline: now.mono + timeout,
            retry_at: now.mono,
            failures: 0,
            in_flight: false,
            doubtful: false,
            told: None,
        };
        commits.pending.insert(id, commit);
        self.wake_at = Some(now.mono);
        id
    }

    /// What the application has been handed out of all partitions that it has.
    fn consumed(&self) -> Vec<(Stint, Position)> {
        let position = |index| Some((self.stint(index), self.partitions[index].position?));
        self.owned().filter_map(position).collect()
    }

    /// Commits everything before partitions are given up, if that is asked for and the group would listen.
    pub(super) fn auto_commit(&mut self, now: Now) -> Option<CommitId> {
        let group = self.group_mut();
        if !group.config.auto_commit || group.joined().is_none() {
            return None;
        }
        let timeout = group.config.max_poll_interval;
        let consumed = self.consumed();
        (!consumed.is_empty()).then(|| self.begin_commit(now, consumed, true, true, timeout))
    }

    /// The time until the next auto-commit begins.
    pub(super) fn begin_auto_commit(&mut self, now: Now) {
        let group = self.group_mut();
        if group.config.auto_commit {
            group.commits.auto_at = Some(now.mono + group.config.auto_commit_interval);
        }
    }

    pub(super) fn auto_commit_if_due(&mut self, now: Now) {
        let group = self.group_mut();
        if group.commits.auto_at.is_none_or(|at| at > now.mono) {
            return;
        }
        let under_way = group.commits.pending.values().any(|commit| commit.auto);
        self.begin_auto_commit(now);
        let consumed = self.consumed();
        if !under_way && !consumed.is_empty() && self.group_mut().joined().is_some() {
            self.begin_commit(now, consumed, false, true, self.config.default_api_timeout);
        }
    }

    /// Sends the oldest commit, unless it is under way.
    pub(super) fn send_commit(&mut self, now: Now, io: &mut Io<'_>) {
        while let Some((id, commit)) = self.group_mut().commits.pending.first_key_value() {
            let id = *id;
            if commit.in_flight {
                return;
            }
            if commit.deadline <= now.mono {
                self.end_commit(id, Err(ErrorCode::RequestTimedOut));
                continue;
            }
            if commit.retry_at > now.mono {
                return;
            }
            if commit.offsets.is_empty() {
                self.end_commit(id, Ok(()));
                continue;
            }
            let offsets = commit.offsets.clone();
            let joined = match self.may_commit(&offsets) {
                Ok(joined) => joined,
                Err(error) => {
                    self.end_commit(id, Err(error));
                    continue;
                }
            };
            let Some(coordinator) = self.coordinator(now, io, ApiKey::OffsetCommit) else { return };
            self.tell_commit(id, joined.epoch);
            let body = self.commit_request(&joined, &offsets);
            let commit = self.group_mut().commits.pending.get_mut(&id).expect("it was just looked at");
            commit.in_flight = true;
            let message = (ApiKey::OffsetCommit, RequestKind::OffsetCommit(body));
            self.ask_coordinator(now, io, coordinator, message, Question::Commit(id, joined));
        }
    }

    /// As whom the consumer may commit.
    fn may_commit(&mut self, offsets: &[(Stint, Position)]) -> Result<Joined, ErrorCode> {
        let group = self.group_mut();
        let Some(joined) = group.joined() else { return Err(ErrorCode::UnknownMemberId) };
        let rebalancing = matches!(&group.membership, Membership::Classic(classic) if !classic.is_stable());
        if rebalancing || !offsets.iter().all(|(stint, _)| self.is_current(*stint)) {
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(joined)
    }

    fn commit_request(&mut self, joined: &Joined, offsets: &[(Stint, Position)]) -> OffsetCommitRequest {
        let mut topics: BTreeMap<TopicName, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for (stint, position) in offsets {
            let partition = OffsetCommitRequestPartition::default()
                .with_partition_index(self.partitions[stint.index].partition)
                .with_committed_offset(position.offset.0)
                .with_committed_leader_epoch(position.offset_epoch.0)
                .with_committed_metadata(Some(Default::default()));
            topics.entry(self.topic_name(stint.index)).or_default().push(partition);
        }
        let topics = topics.into_iter().map(|(name, partitions)| {
            OffsetCommitRequestTopic::default().with_name(name).with_partitions(partitions)
        });
        let config = &self.group_mut().config;
        OffsetCommitRequest::default()
            .with_group_id(GroupId(config.group_id.clone()))
            .with_generation_id_or_member_epoch(joined.epoch)
            .with_member_id(joined.member_id.clone())
            .with_group_instance_id(config.instance_id.clone())
            .with_topics(topics.collect())
    }

    /// Tells the owner of a commit, before anything becomes of it.
    fn tell_commit(&mut self, id: CommitId, epoch: i32) {
        let commit = self.group_mut().commits.pending.get_mut(&id).expect("only asked of pending ones");
        if commit.told != Some(epoch) {
            commit.told = Some(epoch);
            let offsets =
                commit.offsets.iter().map(|(stint, position)| (stint.index, position.offset)).collect();
            self.events.push(ConsumerEvent::Committing { commit: id, epoch, offsets });
        }
    }

    fn end_commit(&mut self, id: CommitId, result: Result<(), ErrorCode>) {
        if self.group_mut().commits.pending[&id].told.is_none() {
            let epoch = self.group_mut().joined().map_or(-1, |joined| joined.epoch);
            self.tell_commit(id, epoch);
        }
        let group = self.group_mut();
        let commit = group.commits.pending.remove(&id).expect("it was just looked at");
        // Partitions may be waiting to be given up.
        group.nudge = true;
        match result {
            Ok(()) => {
                for (stint, position) in &commit.offsets {
                    if self.is_current(*stint) {
                        self.partitions[stint.index].committed = Some(position.offset);
                    }
                }
                self.events.push(ConsumerEvent::Committed { commit: id });
            }
            Err(error) => self.events.push(ConsumerEvent::CommitFailed {
                commit: id,
                error: errors::name(error),
                ambiguous: commit.doubtful,
            }),
        }
    }

    /// All commits fail, for the consumer is no member any more and never will be.
    pub(super) fn fail_commits(&mut self, error: ErrorCode) {
        let ids: Vec<CommitId> = self.group_mut().commits.pending.keys().copied().collect();
        for id in ids {
            let commit = self.group_mut().commits.pending.get_mut(&id).expect("it was just looked at");
            commit.doubtful |= commit.in_flight;
            self.end_commit(id, Err(error));
        }
    }

    pub(super) fn commit_answered(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        id: CommitId,
        joined: Joined,
        response: OffsetCommitResponse,
    ) {
        let codes = || response.topics.iter().flat_map(|topic| &topic.partitions).map(|p| p.error_code);
        let Some(error) = codes().find_map(ErrorCode::try_from_code) else {
            if self.group_mut().commits.is_pending(id) {
                self.end_commit(id, Ok(()));
            }
            return;
        };
        let partly = codes().any(|code| code == 0);
        // The coordinator says these also when its append has begun but not ended in time.
        let unclear = matches!(
            error,
            ErrorCode::NotCoordinator
                | ErrorCode::CoordinatorNotAvailable
                | ErrorCode::RequestTimedOut
                | ErrorCode::UnknownServerError
        );
        if unclear && error != ErrorCode::UnknownServerError {
            self.group_mut().coordinator.forget();
        }
        let unchanged = self.group_mut().joined().as_ref() == Some(&joined);
        let stale = error == ErrorCode::StaleMemberEpoch && self.group_mut().joined().is_some();
        let group = self.group_mut();
        if let Membership::Classic(classic) = &mut group.membership {
            match error {
                ErrorCode::RebalanceInProgress => classic.request_rejoin(),
                ErrorCode::UnknownMemberId if unchanged => classic.reset(true),
                ErrorCode::IllegalGeneration if unchanged => classic.reset(false),
                ErrorCode::FencedInstanceId if unchanged => {
                    self.commit_refused(now, io, id, error, partly, false);
                    return self.fail_group(error);
                }
                _ => {}
            }
        }
        let passes = matches!(
            error,
            ErrorCode::CoordinatorLoadInProgress
                | ErrorCode::UnknownTopicOrPartition
                | ErrorCode::NotCoordinator
                | ErrorCode::CoordinatorNotAvailable
                | ErrorCode::RequestTimedOut
        ) || (stale && self.group_mut().config.protocol == GroupProtocol::Consumer);
        self.commit_refused(now, io, id, error, unclear || partly, passes);
    }

    /// An attempt to commit has failed, maybe with some effect; `passes` if it makes sense to try again.
    pub(super) fn commit_refused(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        id: CommitId,
        error: ErrorCode,
        unclear: bool,
        passes: bool,
    ) {
        let retry = self.config.network.retry;
        let Some(commit) = self.group_mut().commits.pending.get_mut(&id) else { return };
        commit.in_flight = false;
        commit.doubtful |= unclear;
        if passes && commit.retry {
            commit.retry_at = now.mono + retry.wait(commit.failures, io.rng);
            commit.failures += 1;
        } else {
            self.end_commit(id, Err(error));
        }
    }
}
