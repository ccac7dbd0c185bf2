//! What a group coordinator is configured with.

use trial_node::Span;

/// The configuration of group coordinators, named and preset as in Kafka 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`: the least that a classic member may ask for.
    pub min_session_timeout: Span,
    /// `group.max.session.timeout.ms`: the most that a classic member may ask for.
    pub max_session_timeout: Span,
    /// `group.initial.rebalance.delay.ms`: how long an empty classic group waits for more members after each that joins.
    pub initial_rebalance_delay: Span,
    /// `group.max.size`: members of a classic group.
    pub max_size: usize,
    /// `offset.metadata.max.bytes`: the most that a commit may say beside an offset.
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`: how long offsets are kept once their group has no members (KIP-211).
    pub offsets_retention: Span,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval: Span,
    /// `group.consumer.session.timeout.ms` (KIP-848).
    pub consumer_session_timeout: Span,
    /// `group.consumer.heartbeat.interval.ms` (KIP-848).
    pub consumer_heartbeat_interval: Span,
    /// `group.consumer.max.size` (KIP-848).
    pub consumer_max_size: usize,
    /// `group.consumer.assignors` (KIP-848): the server-side assignors by name; the first is the default.
    pub consumer_assignors: Vec<ServerAssignor>,
    /// `group.consumer.migration.policy` (KIP-848).
    pub consumer_migration_policy: MigrationPolicy,
}

/// Which groups pass from one protocol to the other while they have members; without members all do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationPolicy {
    /// None.
    Disabled,
    /// From the classic protocol to KIP-848's.
    Upgrade,
    /// Back.
    Downgrade,
    /// Both.
    Bidirectional,
}

impl MigrationPolicy {
    /// Whether classic groups with members become groups of KIP-848.
    pub(super) fn upgrades(self) -> bool {
        matches!(self, MigrationPolicy::Upgrade | MigrationPolicy::Bidirectional)
    }

    /// Whether groups of KIP-848 with members become classic ones.
    pub(super) fn downgrades(self) -> bool {
        matches!(self, MigrationPolicy::Downgrade | MigrationPolicy::Bidirectional)
    }
}

/// The server-side assignors (KIP-848).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerAssignor {
    /// As even and as sticky as can be.
    Uniform,
    /// Each topic's partitions in ranges, the topics alike.
    Range,
}

impl ServerAssignor {
    /// The name by which members ask for it.
    pub fn name(self) -> &'static str {
        match self {
            ServerAssignor::Uniform => "uniform",
            ServerAssignor::Range => "range",
        }
    }
}

impl Default for GroupConfig {
    fn default() -> Self {
        GroupConfig {
            min_session_timeout: Span::from_secs(6),
            max_session_timeout: Span::from_secs(1_800),
            initial_rebalance_delay: Span::from_secs(3),
            max_size: i32::MAX as usize,
            offset_metadata_max_bytes: 4_096,
            offsets_retention: Span::from_secs(10_080 * 60),
            offsets_retention_check_interval: Span::from_secs(600),
            consumer_session_timeout: Span::from_secs(45),
            consumer_heartbeat_interval: Span::from_secs(5),
            consumer_max_size: i32::MAX as usize,
            consumer_assignors: vec![ServerAssignor::Uniform, ServerAssignor::Range],
            consumer_migration_policy: MigrationPolicy::Bidirectional,
        }
    }
}
