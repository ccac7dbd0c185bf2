//! Reading a scenario file, with errors that name the place and the fix.

use std::collections::BTreeMap;

use trial_checkers::PROPERTIES;
use trial_client::{Rate, WorkloadConfig};
use trial_faults::{FaultPlan, Target};
use trial_metadata::config::{BROKER_CONFIGS, ConfigDef, TOPIC_CONFIGS};
use trial_node::{Span, TopicPartition, TraceEvent};

use crate::model::{Scenario, Value, Which, Workload};
use crate::nearest::nearest;

/// A scenario file that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct ScenarioError {
    /// The file, as the user named it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// A complaint with the place: an offset into the text from where `needle` is looked for.
struct Complaint {
    from: usize,
    needle: String,
    what: String,
}

impl Scenario {
    /// Reads and checks a scenario file; `file` is its name, for errors.
    ///
    /// # Errors
    /// [`ScenarioError`] with the first thing that is wrong.
    pub fn from_toml(file: &str, text: &str) -> Result<Scenario, ScenarioError> {
        let at = |offset: usize, what: String| ScenarioError {
            file: file.to_owned(),
            line: 1 + text[..offset.min(text.len())].matches('\n').count(),
            what,
        };
        let scenario: Scenario =
            toml::from_str(text).map_err(|e| at(e.span().map_or(0, |s| s.start), explain(e.message())))?;
        scenario.check().map_err(|c| {
            let offset = text[c.from..].find(&c.needle).map_or(c.from, |found| c.from + found);
            at(offset, c.what)
        })?;
        Ok(scenario)
    }

    /// The faults as a plan.
    pub fn plan(&self) -> FaultPlan {
        FaultPlan { entries: self.faults.iter().map(|f| f.get_ref().clone()).collect() }
    }

    fn check(&self) -> Result<(), Complaint> {
        let complain = |from, needle: &str, what| Err(Complaint { from, needle: needle.to_owned(), what });
        if !is_name(&self.name) {
            let what = format!("name {:?}: use small letters, digits and dashes", self.name);
            return complain(0, "name", what);
        }
        if self.duration <= self.warmup {
            let what = format!("duration {} must be longer than warmup {}", self.duration, self.warmup);
            return complain(0, "duration", what);
        }
        if !(1..=99).contains(&self.cluster.nodes) {
            return complain(
                0,
                "nodes",
                format!("nodes = {}: a cluster has 1 to 99 nodes", self.cluster.nodes),
            );
        }
        for (key, value) in properties(&self.cluster.config) {
            let found = ConfigDef::find(BROKER_CONFIGS, &key).and_then(|def| def.validate(&value));
            if let Err(error) = found {
                return complain(0, &key, format!("cluster.config: {error}"));
            }
        }
        self.check_topics()?;
        self.check_workloads()?;
        self.check_faults()?;
        self.check_expect()
    }

    fn check_topics(&self) -> Result<(), Complaint> {
        let mut seen: Vec<&str> = Vec::new();
        for spanned in &self.topics {
            let topic = spanned.get_ref();
            let complain = |needle: &str, what| {
                Err(Complaint { from: spanned.span().start, needle: needle.to_owned(), what })
            };
            if seen.contains(&topic.name.as_str()) {
                return complain("name", format!("topic {:?} is there twice", topic.name));
            }
            seen.push(&topic.name);
            if !(1..=10_000).contains(&topic.partitions) {
                return complain("partitions", format!("partitions = {}: 1 to 10000", topic.partitions));
            }
            if !(1..=self.cluster.nodes).contains(&topic.replication_factor) {
                let what = format!(
                    "replication_factor = {}: 1 to the number of nodes, {}",
                    topic.replication_factor, self.cluster.nodes
                );
                return complain("replication_factor", what);
            }
            for (key, value) in properties(&topic.config) {
                let found = ConfigDef::find(TOPIC_CONFIGS, &key).and_then(|def| def.validate(&value));
                if let Err(error) = found {
                    return complain(&key, format!("topic {:?}: config: {error}", topic.name));
                }
            }
        }
        if self.topics.is_empty() {
            let what = "no [[topic]]: a scenario has at least one".to_owned();
            return Err(Complaint { from: 0, needle: String::new(), what });
        }
        Ok(())
    }

    fn check_workloads(&self) -> Result<(), Complaint> {
        for (index, spanned) in self.workloads.iter().enumerate() {
            let workload = spanned.get_ref();
            let complain = |needle: &str, what| {
                Err(Complaint { from: spanned.span().start, needle: needle.to_owned(), what })
            };
            if !(1..=10_000).contains(&workload.clients()) {
                return complain("clients", format!("clients = {}: 1 to 10000", workload.clients()));
            }
            if let Some(what) = self.unknown_topic(workload.topic()) {
                return complain("topic", what);
            }
            if let Workload::Produce { rate, value_bytes, keys, .. } = workload {
                if let Err(what) = parse_rate(rate) {
                    return complain("rate", what);
                }
                if !(1..=1_000_000).contains(value_bytes) {
                    return complain("value_bytes", format!("value_bytes = {value_bytes}: 1 to 1000000"));
                }
                if *keys == Some(0) {
                    return complain("keys", "keys = 0: leave keys out for records without a key".to_owned());
                }
            }
            for config in self.client_workloads(index) {
                if let Err(error) = config.check() {
                    let needle = match &error {
                        trial_node::OpenError::Config { key, .. } => key.clone(),
                        _ => String::new(),
                    };
                    return complain(&needle, error.to_string());
                }
            }
        }
        Ok(())
    }

    /// The workload as one client process would be told it, for its own checks.
    fn client_workloads(&self, index: usize) -> Vec<WorkloadConfig> {
        let corpus = trial_client::Corpus::new(vec![bytes::Bytes::from_static(b"x")]);
        crate::plan::client_workload(self, index, 0, 0, &corpus).into_iter().collect()
    }

    fn check_faults(&self) -> Result<(), Complaint> {
        let hosts = crate::plan::host_names(self);
        for spanned in &self.faults {
            let entry = spanned.get_ref();
            let mut wrong = None;
            let mut target = |target: &Target| {
                let found = match target {
                    Target::Host(name) if !hosts.contains(name) => {
                        let near = nearest(name, hosts.iter().map(String::as_str));
                        Some((name.clone(), format!("there is no host {name:?}{}", meant(near))))
                    }
                    Target::Broker(broker) if *broker >= self.cluster.nodes => Some((
                        broker.to_string(),
                        format!(
                            "there is no broker {broker}: the cluster has {}, counted from 0",
                            self.cluster.nodes
                        ),
                    )),
                    Target::LeaderOf(tp) | Target::FollowersOf(tp) => self.unknown_partition(tp),
                    _ => None,
                };
                if wrong.is_none() {
                    wrong = found;
                }
            };
            entry.fault.for_each_target(&mut target);
            if let trial_faults::Fault::TransferLeadership(trial_faults::Leadership::Partition(tp)) =
                &entry.fault
            {
                wrong = wrong.or_else(|| self.unknown_partition(tp));
            }
            if let Some((needle, what)) = wrong {
                return Err(Complaint { from: spanned.span().start, needle, what: format!("fault: {what}") });
            }
        }
        Ok(())
    }

    fn unknown_topic(&self, name: &str) -> Option<String> {
        let names = || self.topics.iter().map(|t| t.get_ref().name.as_str());
        (!names().any(|n| n == name))
            .then(|| format!("there is no topic {name:?}{}", meant(nearest(name, names()))))
    }

    fn unknown_partition(&self, tp: &TopicPartition) -> Option<(String, String)> {
        let needle = tp.to_string();
        if let Some(what) = self.unknown_topic(tp.topic.as_str()) {
            return Some((needle, what));
        }
        let topic = self.topics.iter().map(|t| t.get_ref()).find(|t| t.name == tp.topic.as_str())?;
        let count = topic.partitions;
        (tp.partition as u32 >= count).then(|| {
            (needle, format!("there is no partition {tp}: {} has {count}, counted from 0", topic.name))
        })
    }

    fn check_expect(&self) -> Result<(), Complaint> {
        let expect = &self.expect;
        let properties = || PROPERTIES.iter().map(|p| p.name);
        let named = match &expect.checkers {
            Which::All => &[][..],
            Which::Named(names) => names,
        };
        for name in named.iter().chain(&expect.violations) {
            if !properties().any(|p| p == name) {
                let what = format!("there is no checker {name:?}{}", meant(nearest(name, properties())));
                return Err(Complaint { from: 0, needle: format!("\"{name}\""), what });
            }
        }
        for kind in &expect.reached {
            if !TraceEvent::KINDS.contains(&kind.as_str()) {
                let what = format!("there is no event {kind:?}{}", meant(nearest(kind, TraceEvent::KINDS)));
                return Err(Complaint { from: 0, needle: format!("\"{kind}\""), what });
            }
        }
        Ok(())
    }
}

/// Kafka configs as text.
pub(crate) fn properties(config: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
    config.iter().map(|(key, value)| (key.clone(), value.text())).collect()
}

/// Reads `1000/s`, `5/ms`, `2/10s`.
pub(crate) fn parse_rate(text: &str) -> Result<Rate, String> {
    let wrong = || format!("rate {text:?}: write records per time, as in \"1000/s\" or \"3/10ms\"");
    let (records, per) = text.split_once('/').ok_or_else(wrong)?;
    let records: u64 = records.trim().parse().map_err(|_| wrong())?;
    let per = per.trim();
    let per = if per.starts_with(|c: char| c.is_ascii_digit()) { per.to_owned() } else { format!("1{per}") };
    let per = trial_faults::quantity::parse_span(&per).map_err(|_| wrong())?;
    if records == 0 || per == Span::ZERO {
        return Err(wrong());
    }
    Ok(Rate { records, per })
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map_or(String::new(), |name| format!("; did you mean {name:?}?"))
}

/// serde lists what it expects after an unknown field; the nearest of them is what was probably meant.
fn explain(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.split_first() {
        Some((unknown, valid)) if message.starts_with("unknown ") => {
            format!("{message}{}", meant(nearest(unknown, valid.iter().copied())))
        }
        _ => message.to_owned(),
    }
}
