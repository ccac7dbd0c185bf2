//! The configs of a member of a consumer group.

use trial_node::{OpenError, Span};
use trial_wire::StrBytes;

use crate::properties::{Properties, invalid};

use super::assignor::Assignor;

/// `group.protocol`: who decides which member reads what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupProtocol {
    /// One of the members, the group's leader, while all of them wait (JoinGroup, SyncGroup).
    Classic,
    /// The coordinator (KIP-848).
    Consumer,
}

/// What a member of a consumer group can be told, with the defaults of Kafka 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.id`. Not empty.
    pub group_id: StrBytes,
    /// `group.instance.id`: the member is static (KIP-345).
    pub instance_id: Option<StrBytes>,
    /// `group.protocol`.
    pub protocol: GroupProtocol,
    /// `group.remote.assignor`, for [`GroupProtocol::Consumer`]: the coordinator chooses if there is none.
    pub remote_assignor: Option<StrBytes>,
    /// `partition.assignment.strategy`, for [`GroupProtocol::Classic`]: the ones that the member can live with, best first. Not
    /// empty.
    pub assignors: Vec<Assignor>,
    /// `session.timeout.ms`, for [`GroupProtocol::Classic`].
    pub session_timeout: Span,
    /// `heartbeat.interval.ms`, for [`GroupProtocol::Classic`]; less than the session timeout.
    pub heartbeat_interval: Span,
    /// `max.poll.interval.ms`: an application that does not call [`crate::consumer::Consumer::take`] for so long leaves the
    /// group. It is the rebalance timeout, too.
    pub max_poll_interval: Span,
    /// `enable.auto.commit`.
    pub auto_commit: bool,
    /// `auto.commit.interval.ms`.
    pub auto_commit_interval: Span,
}

impl GroupConfig {
    /// The defaults for a group.
    pub fn new(group_id: StrBytes) -> GroupConfig {
        GroupConfig {
            group_id,
            instance_id: None,
            protocol: GroupProtocol::Classic,
            remote_assignor: None,
            assignors: vec![Assignor::Range, Assignor::CooperativeSticky],
            session_timeout: Span::from_secs(45),
            heartbeat_interval: Span::from_secs(3),
            max_poll_interval: Span::from_secs(300),
            auto_commit: true,
            auto_commit_interval: Span::from_secs(5),
        }
    }

    /// Takes the configs of groups out of `properties`; `None` without `group.id`.
    ///
    /// # Errors
    /// [`OpenError::Config`] for values that are not allowed. Without a group, no config of groups is known.
    pub(in crate::consumer) fn read(
        properties: &mut Properties<'_>,
    ) -> Result<Option<GroupConfig>, OpenError> {
        let Some(group_id) = properties.text("group.id") else { return Ok(None) };
        let mut config = GroupConfig::new(not_empty("group.id", group_id)?);
        if let Some(id) = properties.text("group.instance.id") {
            config.instance_id = Some(not_empty("group.instance.id", id)?);
        }
        let protocols = [("classic", GroupProtocol::Classic), ("consumer", GroupProtocol::Consumer)];
        properties.choice("group.protocol", &protocols, &mut config.protocol)?;
        // Those of the other protocol are taken and not used, where Java's consumer refuses them: so a scenario can try both.
        config.read_classic(properties)?;
        if let Some(name) = properties.text("group.remote.assignor") {
            config.remote_assignor = Some(not_empty("group.remote.assignor", name)?);
        }
        let mut max_poll_interval = config.max_poll_interval.as_millis();
        properties.number("max.poll.interval.ms", 1, i32::MAX as u64, &mut max_poll_interval)?;
        config.max_poll_interval = Span::from_millis(max_poll_interval);
        properties.flag("enable.auto.commit", &mut config.auto_commit)?;
        properties.millis("auto.commit.interval.ms", &mut config.auto_commit_interval)?;
        Ok(Some(config))
    }

    fn read_classic(&mut self, properties: &mut Properties<'_>) -> Result<(), OpenError> {
        const STRATEGY: &str = "partition.assignment.strategy";
        if let Some(names) = properties.text(STRATEGY) {
            let assignors = names.split(',').map(|name| {
                Assignor::by_name(name.trim())
                    .ok_or_else(|| invalid(STRATEGY, format!("{name:?} is none of {}", Assignor::NAMES)))
            });
            self.assignors = assignors.collect::<Result<_, _>>()?;
        }
        properties.millis("session.timeout.ms", &mut self.session_timeout)?;
        properties.millis("heartbeat.interval.ms", &mut self.heartbeat_interval)?;
        if self.heartbeat_interval >= self.session_timeout {
            let what = "must be less than session.timeout.ms".to_owned();
            return Err(invalid("heartbeat.interval.ms", what));
        }
        Ok(())
    }
}

fn not_empty(key: &str, value: &str) -> Result<StrBytes, OpenError> {
    if value.is_empty() {
        return Err(invalid(key, "must not be empty".to_owned()));
    }
    Ok(StrBytes::from_string(value.to_owned()))
}
