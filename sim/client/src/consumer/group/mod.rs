//! A consumer as a member of a consumer group: where its partitions and positions come from, and how it commits.

mod assignor;
mod config;

use trial_node::{Now, Offset};
use trial_wire::{StrBytes, TopicName};

use super::Consumer;

pub use assignor::Assignor;
pub use config::{GroupConfig, GroupProtocol};

/// Names a commit of a consumer. Counted up from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub u64);

/// Who a consumer is in its group: what a transactional producer sends with the offsets of the records that it has read
/// (TxnOffsetCommit, KIP-447).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadata {
    /// `group.id`.
    pub group_id: StrBytes,
    /// The generation (classic protocol) or member epoch (KIP-848); −1 while it is no member.
    pub generation: i32,
    /// Empty while it is no member.
    pub member_id: StrBytes,
    /// `group.instance.id`.
    pub instance_id: Option<StrBytes>,
}

/// What the consumer is in its group, and what it is waiting for.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub config: GroupConfig,
    last_commit: u64,
}

impl Group {
    pub fn new(config: GroupConfig) -> Group {
        Group { config, last_commit: 0 }
    }
}

impl Consumer {
    /// Becomes a member of the group that the config names, to read these topics; instead of [`Consumer::assign`]. A second
    /// call replaces the topics.
    ///
    /// # Panics
    /// If the config names no group.
    pub fn subscribe(&mut self, topics: &[TopicName]) {
        assert!(self.group.is_some(), "only a consumer with a group.id subscribes");
        for topic in topics {
            self.topic(topic);
        }
    }

    /// The partitions that are the consumer's at present, in ascending order of their indexes.
    pub fn owned(&self) -> impl Iterator<Item = usize> + '_ {
        self.partitions.iter().enumerate().filter(|(_, assigned)| assigned.owned).map(|(index, _)| index)
    }

    /// Whether a partition is the consumer's at present. With [`Consumer::assign`], all are.
    pub fn is_owned(&self, index: usize) -> bool {
        self.partitions[index].owned
    }

    /// `onPartitionsRevoked` returns: the owner has done what [`ConsumerEvent::Revoking`](super::ConsumerEvent::Revoking) asked
    /// of it, and gives the partitions up. To be called once for each such event, at once or any time later; until then the
    /// consumer keeps them, and nothing is handed out.
    pub fn revoked(&mut self, _now: Now) {}

    /// `commitSync`, except that it does not block: commits that these offsets are to be read next, and tries until
    /// `default.api.timeout.ms` have passed or there is an error that trying will not change.
    pub fn commit(&mut self, _now: Now, _offsets: &[(usize, Offset)]) -> CommitId {
        self.next_commit()
    }

    /// `commitAsync`: as [`Consumer::commit`], but an attempt that fails is the last.
    pub fn commit_async(&mut self, _now: Now, _offsets: &[(usize, Offset)]) -> CommitId {
        self.next_commit()
    }

    fn next_commit(&mut self) -> CommitId {
        let group = self.group.as_mut().expect("only members of a group commit");
        group.last_commit += 1;
        CommitId(group.last_commit - 1)
    }

    /// The offset that was last committed for a partition of the consumer's, as far as it knows; `None` if none was.
    pub fn committed(&self, index: usize) -> Option<Offset> {
        self.partitions[index].committed
    }

    /// Who the consumer is in its group at present; `None` without a group.
    pub fn group_metadata(&self) -> Option<GroupMetadata> {
        let config = &self.group.as_ref()?.config;
        Some(GroupMetadata {
            group_id: config.group_id.clone(),
            generation: -1,
            member_id: StrBytes::default(),
            instance_id: config.instance_id.clone(),
        })
    }

    /// Begins to close: commits (with `enable.auto.commit`), has the owner give up what it has
    /// ([`ConsumerEvent::Revoking`](super::ConsumerEvent::Revoking)), leaves the group unless it is a static member, and closes
    /// its connections, all within 30 s. Nothing is handed out any more. [`Consumer::poll`] goes on with it.
    pub fn close(&mut self, _now: Now) {}

    /// Whether [`Consumer::close`] has come to its end. The consumer is of no use then.
    pub fn is_closed(&self) -> bool {
        false
    }
}
