//! The variants of a scenario: the same cluster, load and faults with another protocol.

use std::fmt;

use serde::Deserialize;

use crate::model::Scenario;

/// In which variants a scenario can be run: every combination of what it lists; the first of each list is the default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variants {
    /// `group.protocol` of all consumers that subscribe, unless their own config says otherwise. Kafka's default, `classic`,
    /// if there is no list.
    #[serde(default)]
    pub group_protocol: Vec<GroupProtocol>,
    /// The level of the cluster's feature `transaction.version`, 1 or 2 (KIP-890). 2 if there is no list.
    #[serde(default)]
    pub transaction_version: Vec<i16>,
}

/// How members of a group agree on who reads what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupProtocol {
    /// Kafka's first: JoinGroup and SyncGroup, assigned by a member.
    Classic,
    /// KIP-848: ConsumerGroupHeartbeat, assigned by the broker.
    Consumer,
    /// The first of a workload's clients uses the classic protocol, the second KIP-848's, and so on: as in the middle of an
    /// upgrade, their group has both kinds of members, or is of either kind while the others are away.
    Mixed,
}

/// One variant. `None` where the scenario offers no choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Variant {
    /// `group.protocol`.
    pub group_protocol: Option<GroupProtocol>,
    /// `transaction.version`.
    pub transaction_version: Option<i16>,
}

/// A variant that a scenario does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("scenario {scenario} has no variant {key}={value}; {}", match .offered.as_slice() {
    [] => format!("it does not choose {key}: list the values under [variants] in its file"),
    offered => format!("its file offers {}", offered.join(", ")),
})]
pub struct NoSuchVariant {
    /// The scenario's name.
    pub scenario: String,
    /// What was to be chosen.
    pub key: &'static str,
    /// The value that was asked for.
    pub value: String,
    /// The values that there are.
    pub offered: Vec<String>,
}

impl GroupProtocol {
    /// All that there are.
    pub const ALL: [GroupProtocol; 3] =
        [GroupProtocol::Classic, GroupProtocol::Consumer, GroupProtocol::Mixed];

    /// As Kafka's `group.protocol` says it, or `mixed`.
    pub fn name(self) -> &'static str {
        match self {
            GroupProtocol::Classic => "classic",
            GroupProtocol::Consumer => "consumer",
            GroupProtocol::Mixed => "mixed",
        }
    }

    /// Kafka's `group.protocol` of a workload's client.
    pub(crate) fn of_client(self, client: u32) -> &'static str {
        match self {
            GroupProtocol::Mixed if client.is_multiple_of(2) => GroupProtocol::Classic.name(),
            GroupProtocol::Mixed => GroupProtocol::Consumer.name(),
            GroupProtocol::Classic | GroupProtocol::Consumer => self.name(),
        }
    }
}

impl fmt::Display for Variant {
    /// `group.protocol=consumer, transaction.version=1`; empty if there is no choice.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(protocol) = self.group_protocol {
            write!(f, "group.protocol={}", protocol.name())?;
        }
        if let Some(version) = self.transaction_version {
            let separator = if self.group_protocol.is_some() { ", " } else { "" };
            write!(f, "{separator}transaction.version={version}")?;
        }
        Ok(())
    }
}

impl Variants {
    /// Every combination, the default first.
    pub(crate) fn all(&self) -> Vec<Variant> {
        fn choices<T: Copy>(list: &[T]) -> Vec<Option<T>> {
            if list.is_empty() { vec![None] } else { list.iter().copied().map(Some).collect() }
        }
        let versions = choices(&self.transaction_version);
        choices(&self.group_protocol)
            .into_iter()
            .flat_map(|group_protocol| {
                versions
                    .iter()
                    .map(move |&transaction_version| Variant { group_protocol, transaction_version })
            })
            .collect()
    }
}

impl Scenario {
    /// Every variant that the scenario has, the default first; one if it offers no choice.
    pub fn all_variants(&self) -> Vec<Variant> {
        self.variants.all()
    }

    /// The variant that a run of it would be.
    pub fn variant(&self) -> Variant {
        self.variant
    }

    /// The same scenario in the variant with these values; the default's where `wanted` has none.
    ///
    /// # Errors
    /// [`NoSuchVariant`] if the scenario does not offer a value.
    pub fn choose(mut self, wanted: Variant) -> Result<Scenario, NoSuchVariant> {
        let no_such = |key, value: String, offered: Vec<String>| NoSuchVariant {
            scenario: self.name.clone(),
            key,
            value,
            offered,
        };
        if let Some(protocol) = wanted.group_protocol {
            let offered = &self.variants.group_protocol;
            if !offered.contains(&protocol) {
                let offered = offered.iter().map(|p| p.name().to_owned()).collect();
                return Err(no_such("group.protocol", protocol.name().to_owned(), offered));
            }
        }
        if let Some(version) = wanted.transaction_version {
            let offered = &self.variants.transaction_version;
            if !offered.contains(&version) {
                let offered = offered.iter().map(i16::to_string).collect();
                return Err(no_such("transaction.version", version.to_string(), offered));
            }
        }
        let default = self.variants.all()[0];
        self.variant = Variant {
            group_protocol: wanted.group_protocol.or(default.group_protocol),
            transaction_version: wanted.transaction_version.or(default.transaction_version),
        };
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_all_combinations() {
        let variants = Variants {
            group_protocol: vec![GroupProtocol::Classic, GroupProtocol::Consumer],
            transaction_version: vec![2, 1],
        };
        let names: Vec<String> = variants.all().iter().map(Variant::to_string).collect();
        assert_eq!(
            names,
            [
                "group.protocol=classic, transaction.version=2",
                "group.protocol=classic, transaction.version=1",
                "group.protocol=consumer, transaction.version=2",
                "group.protocol=consumer, transaction.version=1",
            ]
        );
        assert_eq!(Variants::default().all(), [Variant::default()]);
        assert_eq!(Variant::default().to_string(), "");
    }
}
