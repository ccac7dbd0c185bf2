//! Whether the workloads of a scenario fit each other and their cluster.

use std::collections::BTreeMap;

use trial_metadata::config::{BROKER_CONFIGS, ConfigDef};
use trial_node::Time;

use crate::check::parse_rate;
use crate::model::{Scenario, Semantics, Value, Workload};
use crate::variant::GroupProtocol;

/// The most records or transactions that one workload may have planned: more than any run could hold.
const MOST_PLANNED: u128 = 100_000_000;
/// `transaction.timeout.ms` of producers that are told nothing else.
const TRANSACTION_TIMEOUT_MS: u64 = 60_000;
/// `session.timeout.ms` of consumers that are told nothing else.
const SESSION_TIMEOUT_MS: u64 = 45_000;

/// What does not fit: where in the workload's text it is, if it is there at all, and what is wrong.
pub(crate) struct Misfit {
    pub(crate) needle: &'static str,
    pub(crate) what: String,
}

fn misfit(needle: &'static str, what: String) -> Option<Misfit> {
    Some(Misfit { needle, what })
}

/// Where a config is, if the workload gives it.
fn place(config: &BTreeMap<String, Value>, key: &'static str) -> &'static str {
    if config.contains_key(key) { key } else { "" }
}

fn number(config: &BTreeMap<String, Value>, key: &str) -> Option<u64> {
    config.get(key)?.text().parse().ok()
}

impl Workload {
    /// The group that its clients are members of.
    fn group(&self) -> Option<&str> {
        match self {
            Workload::Consume { group, .. } => group.as_deref(),
            Workload::Pipeline(pipeline) => Some(&pipeline.group),
            Workload::Produce { .. } | Workload::Bank(_) | Workload::Lists(_) => None,
        }
    }

    /// What its consumers that are members of a group are told.
    fn member_config(&self) -> Option<&BTreeMap<String, Value>> {
        match self {
            Workload::Consume { group: Some(_), config, .. } => Some(config),
            Workload::Pipeline(pipeline) => Some(&pipeline.consumer),
            _ => None,
        }
    }

    /// What its transactional producers are told, and what their ids begin with.
    fn transactional(&self) -> Option<(&BTreeMap<String, Value>, String)> {
        let (config, prefix) = match self {
            Workload::Pipeline(pipeline) if pipeline.semantics == Semantics::ExactlyOnce => {
                (&pipeline.producer, pipeline.group.as_str())
            }
            Workload::Bank(bank) => (&bank.config, "bank"),
            Workload::Lists(lists) => (&lists.producer, "lists"),
            Workload::Pipeline(_) | Workload::Produce { .. } | Workload::Consume { .. } => return None,
        };
        Some((config, config.get("transactional.id").map_or(prefix.to_owned(), Value::text)))
    }

    fn transactional_ids(&self) -> impl Iterator<Item = String> {
        let prefix = self.transactional().map(|(_, prefix)| prefix);
        prefix
            .into_iter()
            .flat_map(|prefix| (0..self.clients()).map(move |client| format!("{prefix}-{client}")))
    }
}

impl Scenario {
    /// The groups that there are.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &str> {
        self.workloads.iter().filter_map(|workload| workload.get_ref().group())
    }

    /// The transactional ids that there are.
    pub(crate) fn transactional_ids(&self) -> impl Iterator<Item = String> {
        self.workloads.iter().flat_map(|workload| workload.get_ref().transactional_ids())
    }

    /// What is wrong with a workload beside those before it, or in this cluster.
    pub(crate) fn misfit(&self, index: usize) -> Option<Misfit> {
        let workload = self.workloads[index].get_ref();
        let before = || self.workloads[..index].iter().map(|workload| workload.get_ref());
        self.too_much(workload)
            .or_else(|| self.wrong_topics(workload, before()))
            .or_else(|| same_names(workload, before()))
            .or_else(|| self.beyond_limits(workload))
    }

    /// How far simulated time will go at least.
    pub fn planned_end(&self) -> Time {
        (Time::ZERO + self.duration).max(self.plan().last_heal())
    }

    /// How many records and transactions the workloads with a rate will begin.
    pub fn planned_load(&self) -> u128 {
        let planned = self.workloads.iter().filter_map(|workload| self.planned(workload.get_ref()));
        planned.map(|(planned, _)| planned).sum()
    }

    /// How many records or transactions a workload will begin, and the rate that it says.
    fn planned<'a>(&self, workload: &'a Workload) -> Option<(u128, &'a str)> {
        let text = match workload {
            Workload::Produce { rate, .. } => rate,
            Workload::Bank(bank) => &bank.rate,
            Workload::Lists(lists) => &lists.rate,
            Workload::Consume { .. } | Workload::Pipeline(_) => return None,
        };
        let rate = parse_rate(text).ok()?;
        let load = u128::from((self.duration - self.warmup).0);
        Some((load * u128::from(rate.records) / u128::from(rate.per.0), text))
    }

    fn too_much(&self, workload: &Workload) -> Option<Misfit> {
        let (planned, text) = self.planned(workload)?;
        (planned > MOST_PLANNED).then(|| Misfit {
            needle: "rate",
            what: format!("rate {text:?}: that makes {planned}, and a run has at most {MOST_PLANNED}"),
        })
    }

    fn wrong_topics<'a>(
        &self,
        workload: &Workload,
        mut before: impl Iterator<Item = &'a Workload>,
    ) -> Option<Misfit> {
        match workload {
            Workload::Pipeline(pipeline) if pipeline.from == pipeline.to => misfit(
                "to =",
                format!("a pipeline from {0} to {0} would read what it writes, for ever", pipeline.from),
            ),
            Workload::Pipeline(pipeline) => {
                let same = |other: &Workload| match other {
                    Workload::Pipeline(other) => (&other.from, &other.to) == (&pipeline.from, &pipeline.to),
                    _ => false,
                };
                let what = format!(
                    "two pipelines from {} to {}: nobody could tell what each has written",
                    pipeline.from, pipeline.to
                );
                before.any(same).then_some(Misfit { needle: "to =", what })
            }
            Workload::Bank(bank) => {
                let topic = self.topics.iter().map(|t| t.get_ref()).find(|t| t.name == bank.topic)?;
                let what = format!("{}: a transfer is between two partitions, and it has one", topic.name);
                (topic.partitions < 2).then_some(Misfit { needle: "topic", what })
            }
            Workload::Produce { .. } | Workload::Consume { .. } | Workload::Lists(_) => None,
        }
    }

    fn beyond_limits(&self, workload: &Workload) -> Option<Misfit> {
        if let Some((config, _)) = workload.transactional() {
            const TIMEOUT: &str = "transaction.timeout.ms";
            let (asked, most) = (
                number(config, TIMEOUT).unwrap_or(TRANSACTION_TIMEOUT_MS),
                self.limit("transaction.max.timeout.ms"),
            );
            if asked > most {
                let what = format!(
                    "config {TIMEOUT}: {asked} is above the brokers' transaction.max.timeout.ms, {most}"
                );
                return misfit(place(config, TIMEOUT), what);
            }
        }
        let config = workload.member_config().filter(|config| self.may_be_classic(config))?;
        const TIMEOUT: &str = "session.timeout.ms";
        let asked = number(config, TIMEOUT).unwrap_or(SESSION_TIMEOUT_MS);
        let (least, most) =
            (self.limit("group.min.session.timeout.ms"), self.limit("group.max.session.timeout.ms"));
        if (least..=most).contains(&asked) {
            return None;
        }
        let what = format!(
            "config {TIMEOUT}: {asked} is not within the brokers' group.min.session.timeout.ms and \
             group.max.session.timeout.ms, {least} to {most}"
        );
        misfit(place(config, TIMEOUT), what)
    }

    /// Whether members that are told this use the classic protocol in this variant.
    fn may_be_classic(&self, config: &BTreeMap<String, Value>) -> bool {
        let chosen = config.get("group.protocol").map(Value::text);
        let of_variant = self.variant.group_protocol != Some(GroupProtocol::Consumer);
        chosen.map_or(of_variant, |name| name == GroupProtocol::Classic.name())
    }

    /// The effective value of a broker's config.
    fn limit(&self, key: &str) -> u64 {
        let default = ConfigDef::find(BROKER_CONFIGS, key).ok().and_then(|def| def.default.parse().ok());
        number(&self.cluster.config, key).or(default).expect("it is a number with a default")
    }
}

/// Names that must be a workload's own.
fn same_names<'a>(workload: &Workload, before: impl Iterator<Item = &'a Workload> + Clone) -> Option<Misfit> {
    let is_pipeline = |workload: &Workload| matches!(workload, Workload::Pipeline(_));
    if let Some(group) = workload.group() {
        let shared =
            |other: &Workload| other.group() == Some(group) && (is_pipeline(workload) || is_pipeline(other));
        if before.clone().any(shared) {
            return misfit(
                "group",
                format!("group {group:?}: a pipeline shares its group with no other workload"),
            );
        }
    }
    let ids: Vec<String> = workload.transactional_ids().collect();
    let other = before.flat_map(Workload::transactional_ids).find(|id| ids.contains(id))?;
    let place = workload.transactional().map_or("", |(config, _)| place(config, "transactional.id"));
    misfit(
        place,
        format!(
            "transactional.id {other:?} is another workload's, too: they would fence each other; give one a config of its own"
        ),
    )
}
