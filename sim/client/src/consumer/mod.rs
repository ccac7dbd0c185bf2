//! Kafka's consumer: positions, long polls, what to do when leaders change, and consumer groups.

mod config;
mod fetch;
mod group;
mod offsets;
mod partition;
mod records;
mod session;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trial_node::{ConnId, Endpoint, Input, Io, LeaderEpoch, NodeId, Now, Offset, OpenError, Time};
use trial_wire::{ErrorCode, RecordRef, ResponseKind, StrBytes, TopicName};

use crate::network::{Completion, Metadata, NetworkClient, TopicSlot};

use group::{Group, Question};
use offsets::Asked;
use partition::{Assigned, FetchState};
use records::Fetched;
use session::FetchSession;

pub use config::{ConsumerConfig, ResetPolicy};
pub use group::{Assignor, CommitId, GroupConfig, GroupMetadata, GroupProtocol};
pub use partition::Position;

/// A consumer: its partitions are assigned by hand ([`Consumer::assign`]) or by its group ([`Consumer::subscribe`]).
///
/// How to drive it: give it the inputs of its connections with [`Consumer::handle`], or [`Consumer::wake`] when
/// [`Consumer::poll_timeout`] has come; take the records with [`Consumer::take`] until it hands out none, and what else
/// happened from [`Consumer::events`]; then [`Consumer::poll`], which asks for more. Partitions go by their index in the
/// order in which they were first assigned; a partition that is taken away and given back has the same index.
///
/// [`Consumer::take`] is what `KafkaConsumer.poll` is to a Java application: with it the application says that it has
/// processed what it got before, and that it is there. In a group, rebalances go on only within it, offsets are auto-committed
/// only by it, and who does not call it for `max.poll.interval.ms` leaves the group. Everything else (heartbeats, commits
/// under way, fetching) goes on without it, as Java's background thread does.
#[derive(Clone, Debug)]
pub struct Consumer {
    config: ConsumerConfig,
    network: NetworkClient<Context>,
    partitions: Vec<Assigned>,
    indexes: BTreeMap<(TopicSlot, i32), usize>,
    sessions: BTreeMap<NodeId, FetchSession>,
    /// Partitions whose part in their broker's session may have changed.
    dirty: BTreeSet<usize>,
    /// Partitions that must be reset or validated.
    to_ask: BTreeSet<usize>,
    /// Partitions whose back-off ends some time.
    backing_off: BTreeSet<(Time, usize)>,
    fetched: VecDeque<Fetched>,
    events: Vec<ConsumerEvent>,
    completions: Vec<Completion<Context>>,
    metadata_version: u64,
    wake_at: Option<Time>,
    group: Option<Box<Group>>,
    closed: bool,
}

/// What a request in flight is about.
#[derive(Clone, Debug)]
enum Context {
    Fetch,
    Ask(Vec<Asked>),
    Group(Question),
}

/// Something happened that the application should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumerEvent {
    /// A position jumped: to the committed offset of a partition that is newly assigned, by the reset policy, or because the log
    /// was truncated (KIP-320).
    PositionReset {
        /// The partition's index.
        index: usize,
        /// The position before; [`Offset::UNKNOWN`] if there was none.
        from: Offset,
        /// The position now.
        to: Offset,
    },
    /// A partition cannot be read on: no position and no reset policy, or a truncation without reset policy.
    NoPosition {
        /// The partition's index.
        index: usize,
    },
    /// A fetched batch is damaged. It will be fetched again.
    Damaged {
        /// The partition's index.
        index: usize,
        /// Where it was fetched.
        offset: Offset,
    },
    /// A broker refused in a way that asking again will not change.
    Refused {
        /// The partition's index.
        index: usize,
        /// How.
        error: ErrorCode,
    },
    /// `onPartitionsAssigned`: the consumer is a member of its group, and these partitions are its own from now on, in addition
    /// to those that it has. They have no position yet: [`ConsumerEvent::PositionReset`] tells of it.
    Assigned {
        /// The generation (classic protocol) or member epoch (KIP-848).
        epoch: i32,
        /// The partitions' indexes, ascending. Maybe none.
        partitions: Vec<usize>,
    },
    /// `onPartitionsRevoked` is called: the owner finishes what it does with these partitions (commits, ends a transaction) and
    /// says so with [`Consumer::revoked`]. Until then nothing is handed out, of no partition; the consumer still is a member,
    /// and commits are possible. To wait longer than `max.poll.interval.ms` costs the membership: commits fail then, others
    /// may have the partitions already, and what else the consumer has comes as [`ConsumerEvent::Lost`] afterwards.
    Revoking {
        /// The partitions' indexes, ascending. Not empty.
        partitions: Vec<usize>,
    },
    /// `onPartitionsLost`: the consumer has learned that it is no member any more. These partitions are no longer its own, and
    /// others may have them already.
    Lost {
        /// The partitions' indexes, ascending. Not empty.
        partitions: Vec<usize>,
    },
    /// A commit is sent for the first time, or again with another epoch.
    Committing {
        /// Which.
        commit: CommitId,
        /// The generation or member epoch that it carries; −1 if there is none, then it fails.
        epoch: i32,
        /// Each partition's index with the offset that is to be read next.
        offsets: Vec<(usize, Offset)>,
    },
    /// The coordinator has accepted a commit.
    Committed {
        /// Which.
        commit: CommitId,
    },
    /// A commit has failed.
    CommitFailed {
        /// Which.
        commit: CommitId,
        /// Kafka's name of the error.
        error: &'static str,
        /// Whether it may have taken effect all the same.
        ambiguous: bool,
    },
    /// The group has refused the consumer for good (a static member was fenced, for instance). It reads nothing more.
    GroupFailed {
        /// Why.
        error: ErrorCode,
    },
}

impl Consumer {
    /// A consumer without connections and partitions.
    ///
    /// # Errors
    /// [`OpenError::Config`] for an empty bootstrap list.
    pub fn new(
        config: ConsumerConfig,
        client_id: StrBytes,
        bootstrap: Vec<Endpoint>,
    ) -> Result<Consumer, OpenError> {
        if bootstrap.is_empty() {
            return Err(crate::properties::invalid("bootstrap.servers", "must name a broker".to_owned()));
        }
        Ok(Consumer {
            network: NetworkClient::new(config.network.clone(), client_id, bootstrap),
            group: config.group.clone().map(|group| Box::new(Group::new(group))),
            closed: false,
            config,
            partitions: Vec::new(),
            indexes: BTreeMap::new(),
            sessions: BTreeMap::new(),
            dirty: BTreeSet::new(),
            to_ask: BTreeSet::new(),
            backing_off: BTreeSet::new(),
            fetched: VecDeque::new(),
            events: Vec::new(),
            completions: Vec::new(),
            metadata_version: 0,
            wake_at: Some(Time::ZERO),
        })
    }

    /// Whether a connection is this consumer's.
    pub fn owns(&self, conn: ConnId) -> bool {
        self.network.owns(conn)
    }

    /// What the consumer knows of the cluster.
    pub fn metadata(&self) -> &Metadata {
        self.network.metadata()
    }

    /// Makes a topic known, to be assigned partitions of.
    pub fn topic(&mut self, name: &TopicName) -> TopicSlot {
        self.network.metadata_mut().add_topic(name)
    }

    /// Reads a partition from now on, from where the reset policy says. Returns its index; nothing changes if it is
    /// assigned already.
    pub fn assign(&mut self, topic: TopicSlot, partition: i32) -> usize {
        let next = self.partitions.len();
        let index = *self.indexes.entry((topic, partition)).or_insert(next);
        if index == next {
            let mut assigned = Assigned::new(topic, partition, self.config.reset_policy);
            let metadata = self.network.metadata();
            assigned.topic_id = metadata.topic(topic).id;
            assigned.leader = metadata.leader(topic, partition);
            self.partitions.push(assigned);
            self.to_ask.insert(index);
        }
        index
    }

    /// How many partitions have an index. In a group, not all of them are the consumer's at present; see
    /// [`Consumer::is_owned`].
    pub fn assigned(&self) -> usize {
        self.partitions.len()
    }

    /// An assigned partition's topic and number.
    pub fn partition(&self, index: usize) -> (TopicSlot, i32) {
        (self.partitions[index].topic, self.partitions[index].partition)
    }

    /// The offset of the record that the application gets next; `None` while it is not known.
    pub fn position(&self, index: usize) -> Option<Offset> {
        self.partitions[index].position.map(|position| position.offset)
    }

    /// The end of a partition (high watermark, or last stable offset) as its leader last told.
    pub fn end_offset(&self, index: usize) -> Option<Offset> {
        self.partitions[index].end_offset
    }

    /// Reads a partition from `offset` on. Changes nothing if the partition is not the consumer's.
    pub fn seek(&mut self, index: usize, offset: Offset) {
        let assigned = &mut self.partitions[index];
        if !assigned.owned {
            return;
        }
        assigned.position = Some(Position { offset, offset_epoch: LeaderEpoch::NONE });
        assigned.read_replica = None;
        assigned.state = FetchState::Fetching;
        self.fetched.retain(|fetched| fetched.index != index);
        self.to_ask.remove(&index);
        self.dirty.insert(index);
    }

    /// Fetches a partition no more, until [`Consumer::resume`].
    pub fn pause(&mut self, index: usize) {
        self.partitions[index].paused = true;
        self.fetched.retain(|fetched| fetched.index != index);
        self.dirty.insert(index);
    }

    /// Fetches a partition again.
    pub fn resume(&mut self, index: usize) {
        self.partitions[index].paused = false;
        self.dirty.insert(index);
    }

    /// What happened since this was last asked.
    pub fn events(&mut self) -> std::vec::Drain<'_, ConsumerEvent> {
        self.events.drain(..)
    }

    /// Hands out fetched records, at most `max.poll.records`: calls `each` with the partition's index and the record.
    /// Returns how many it were.
    pub fn take(&mut self, now: Now, each: &mut dyn FnMut(usize, &RecordRef<'_>)) -> usize {
        if !self.group_polled(now) {
            return 0;
        }
        let mut left = self.config.max_poll_records;
        while left > 0
            && let Some(fetched) = self.fetched.front_mut()
        {
            let index = fetched.index;
            let assigned = &mut self.partitions[index];
            let current = assigned.state == FetchState::Fetching && assigned.position == Some(fetched.next);
            if !current || assigned.revoking {
                self.fetched.pop_front();
                continue;
            }
            let outcome = fetched.take(left, each);
            assigned.position = Some(fetched.next);
            self.dirty.insert(index);
            match outcome {
                Ok(taken) => {
                    left -= taken;
                    if left > 0 {
                        self.fetched.pop_front();
                    }
                }
                Err(_) => {
                    let offset = fetched.next.offset;
                    self.fetched.pop_front();
                    self.events.push(ConsumerEvent::Damaged { index, offset });
                    self.back_off(now, index);
                }
            }
        }
        self.config.max_poll_records - left
    }

    /// Takes in what happened to one of the consumer's connections.
    pub fn handle(&mut self, now: Now, input: Input, io: &mut Io<'_>) {
        self.network.handle(now, input, io, &mut self.completions);
        self.wake(now, io);
    }

    /// Ends what has waited too long, and takes in what came.
    pub fn wake(&mut self, now: Now, io: &mut Io<'_>) {
        if self.closed {
            return;
        }
        self.network.poll(now, io, &mut self.completions);
        let mut completions = std::mem::take(&mut self.completions);
        for Completion { node, context, outcome, api_version } in completions.drain(..) {
            match (context, outcome) {
                (Context::Fetch, Ok(ResponseKind::Fetch(response))) => {
                    self.fetch_answered(now, node, api_version, response);
                }
                (Context::Ask(asked), Ok(ResponseKind::ListOffsets(response))) => {
                    self.offsets_told(now, asked, response);
                }
                (Context::Ask(asked), Ok(ResponseKind::OffsetForLeaderEpoch(response))) => {
                    self.epochs_told(now, asked, response);
                }
                (Context::Group(question), outcome) => self.group_answered(now, io, question, outcome),
                (_, Ok(_)) => unreachable!("the network client compares the APIs"),
                (Context::Fetch, Err(_)) => {
                    self.session(node).failed(true);
                    self.leave_read_replica(node);
                }
                (Context::Ask(asked), Err(_)) => self.ask_again(now, asked),
            }
        }
        self.completions = completions;
    }

    /// Asks for all that is missing: positions, validations, records.
    pub fn poll(&mut self, now: Now, io: &mut Io<'_>) {
        self.drive_group(now, io);
        if self.closed {
            self.network.close(io);
            self.wake_at = None;
            return;
        }
        self.follow_leaders();
        while let Some((at, index)) = self.backing_off.first().copied()
            && at <= now.mono
        {
            self.backing_off.pop_first();
            self.dirty.insert(index);
        }
        if !self.is_closing() {
            self.ask_for_offsets(now, io);
            self.send_fetches(now, io);
        }
        let back_off = self.backing_off.first().map(|(at, _)| *at);
        let group = self.group_deadline(now);
        self.wake_at = self.network.deadline().into_iter().chain(back_off).chain(group).min();
    }

    /// The next instant at which the consumer wants [`Consumer::wake`] and [`Consumer::poll`].
    pub fn poll_timeout(&self) -> Option<Time> {
        self.wake_at
    }

    /// Leaves a partition alone for `retry.backoff.ms`.
    fn back_off(&mut self, now: Now, index: usize) {
        let at = now.mono + self.config.network.retry.initial;
        self.partitions[index].retry_at = at;
        self.backing_off.insert((at, index));
        self.dirty.insert(index);
    }

    fn session(&mut self, node: NodeId) -> &mut FetchSession {
        self.sessions.entry(node).or_default()
    }

    /// Takes over the leaders that metadata tells of.
    fn follow_leaders(&mut self) {
        let metadata = self.network.metadata();
        if metadata.version() == self.metadata_version {
            return;
        }
        self.metadata_version = metadata.version();
        for (index, assigned) in self.partitions.iter_mut().enumerate() {
            // A topic that was deleted and created again has another id, perhaps with the same leader and epoch.
            let topic_id = metadata.topic(assigned.topic).id;
            if std::mem::take(&mut assigned.awaits_metadata) || assigned.topic_id != topic_id {
                assigned.topic_id = topic_id;
                self.dirty.insert(index);
            }
            let gone = |(node, _): &mut (NodeId, Time)| !metadata.nodes().contains_key(node);
            if assigned.read_replica.take_if(gone).is_some() {
                self.dirty.insert(index);
            }
            let Some((leader, epoch)) = metadata.leader(assigned.topic, assigned.partition) else { continue };
            if !assigned.lead_by(leader, epoch) {
                continue;
            }
            if let Some(old) = assigned.source.take_if(|source| *source != leader) {
                self.sessions.entry(old).or_default().update(index, None);
            }
            self.dirty.insert(index);
            if assigned.must_ask() {
                self.to_ask.insert(index);
            }
        }
    }

    /// Where the log that a position was read from has gone: finds another position, or gives up.
    fn reset(&mut self, index: usize) {
        let assigned = &mut self.partitions[index];
        if self.config.reset_policy == ResetPolicy::None {
            assigned.state = FetchState::Failed;
            self.events.push(ConsumerEvent::NoPosition { index });
        } else {
            assigned.state = FetchState::AwaitReset(self.config.reset_policy);
            self.to_ask.insert(index);
        }
        self.dirty.insert(index);
    }

    /// Moves a position other than by reading.
    fn jump(&mut self, index: usize, to: Position) {
        let assigned = &mut self.partitions[index];
        let from = assigned.position.map_or(Offset::UNKNOWN, |position| position.offset);
        assigned.position = Some(to);
        assigned.read_replica = None;
        assigned.state = FetchState::Fetching;
        self.dirty.insert(index);
        self.events.push(ConsumerEvent::PositionReset { index, from, to: to.offset });
    }
}

#[cfg(test)]
mod tests;
