//! Reading a scenario file, with errors that name the place and the fix.

use std::collections::BTreeMap;

use trial_checkers::PROPERTIES;
use trial_client::{Rate, WorkloadConfig, errors};
use trial_faults::{DiskPart, Fault, FaultPlan, Leadership, Repeats, Target};
use trial_metadata::BootstrapFeatures;
use trial_metadata::config::{BROKER_CONFIGS, ConfigDef, ConfigError, StaticConfig, TOPIC_CONFIGS};
use trial_node::{Span, TopicPartition, TraceEvent, nearest};

use crate::consistency::Misfit;
use crate::model::{Scenario, Value, Which, Workload};
use crate::text::{self, meant};

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

/// A complaint with the place: an offset into the text from where `needle` is looked for ([`text::place`]).
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
        let scenario = Scenario::to_serve(file, text)?;
        if scenario.topics.is_empty() {
            let what = "no [[topic]]: a scenario has at least one, and load for it; only `trial serve` takes one without";
            let emptied = text.lines().position(|line| {
                line.strip_prefix("topic").is_some_and(|rest| rest.trim_start().starts_with('='))
            });
            let line = 1 + emptied.unwrap_or(0);
            return Err(ScenarioError { file: file.to_owned(), line, what: what.to_owned() });
        }
        Ok(scenario)
    }

    /// Reads and checks a scenario file that is to be served: it need not have topics, as clients make their own.
    ///
    /// # Errors
    /// [`ScenarioError`] with the first thing that is wrong.
    pub fn to_serve(file: &str, text: &str) -> Result<Scenario, ScenarioError> {
        let at = |offset: usize, what: String| ScenarioError {
            file: file.to_owned(),
            line: 1 + text[..offset.min(text.len())].matches('\n').count(),
            what,
        };
        let mut scenario = text::parse(text).map_err(|(offset, what)| at(offset, what))?;
        let variants = scenario.variants.all();
        // The default comes last, and stays.
        for variant in variants.into_iter().rev() {
            scenario.variant = variant;
            scenario.check().map_err(|c| at(text::place(text, c.from, &c.needle), c.what))?;
        }
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
            let shown = |span: Span| if span == Span::ZERO { "0s".to_owned() } else { span.to_string() };
            let (duration, warmup) = (shown(self.duration), shown(self.warmup));
            let what = format!("duration {duration} must be longer than warmup {warmup}");
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
            if let Some(what) = wrong_config(BROKER_CONFIGS, &key, &value) {
                return complain(0, &key, format!("cluster.config: {what}"));
            }
        }
        let config = properties(&self.cluster.config);
        let together = StaticConfig::parse(config.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        if let Err(error) = together {
            return complain(0, "[cluster]", format!("cluster.config: {error}"));
        }
        let nodes = self.cluster.nodes as usize;
        if !self.cluster.racks.is_empty() && self.cluster.racks.len() != nodes {
            let what = format!("racks: {} for {nodes} nodes: name one for each", self.cluster.racks.len());
            return complain(0, "racks", what);
        }
        let features = self.cluster.features.iter().map(|(name, level)| (name.as_str(), *level));
        if let Err(error) = BootstrapFeatures::new(features) {
            return complain(0, "features", format!("cluster.features: {error}"));
        }
        if self.cluster.features.contains_key("transaction.version")
            && !self.variants.transaction_version.is_empty()
        {
            let what =
                "cluster.features: [variants] chooses transaction.version; leave it out here, or there";
            return complain(0, "features", what.to_owned());
        }
        if let Some(version) = self.variants.transaction_version.iter().find(|v| !(1..=2).contains(*v)) {
            let what = format!("transaction_version: there is no version {version}, only 1 and 2");
            return complain(0, "transaction_version", what);
        }
        if !self.cluster.users.is_empty() && !self.has_sasl() {
            let what = "cluster.users: nobody logs in unless the config \"sasl.enabled.mechanisms\" says how, as in \"PLAIN\"";
            return complain(0, "users", what.to_owned());
        }
        self.check_topics()?;
        if let Some((index, needle, what)) = self.wrong_acl() {
            return complain(self.acls[index].span().start, needle, what);
        }
        self.check_workloads()?;
        self.check_faults()?;
        self.check_admin()?;
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
            if !is_topic_name(&topic.name) {
                let what = "letters, digits, dots, dashes and underscores, 249 at most, not beginning with two underscores";
                return complain("name", format!("topic {:?}: a name has {what}", topic.name));
            }
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
            let (rows, places) = (topic.partitions as usize, topic.replication_factor as usize);
            let assigned = &topic.assignments;
            if !assigned.is_empty()
                && (assigned.len() != rows || assigned.iter().any(|replicas| replicas.len() != places))
            {
                let what = format!("assignments must name {places} brokers for each of {rows} partitions");
                return complain("assignments", format!("topic {:?}: {what}", topic.name));
            }
            let brokers = crate::plan::broker_names(self);
            let wrong =
                assigned.iter().find_map(|replicas| crate::operate::wrong_replicas(&brokers, replicas));
            if let Some((needle, what)) = wrong {
                return complain(&needle, format!("topic {:?}: {what}", topic.name));
            }
            for (key, value) in properties(&topic.config) {
                if let Some(what) = wrong_config(TOPIC_CONFIGS, &key, &value) {
                    return complain(&key, format!("topic {:?}: config: {what}", topic.name));
                }
            }
        }
        Ok(())
    }

    fn check_workloads(&self) -> Result<(), Complaint> {
        for (index, spanned) in self.workloads.iter().enumerate() {
            let workload = spanned.get_ref();
            let complain = |needle: &str, what| {
                Err(Complaint { from: spanned.span().start, needle: needle.to_owned(), what })
            };
            if !(1..=1_000).contains(&workload.clients()) {
                return complain("clients", format!("clients = {}: 1 to 1000", workload.clients()));
            }
            for topic in workload.topics() {
                if let Some(what) = self.unknown_topic(topic) {
                    return complain(&format!("\"{topic}\""), what);
                }
            }
            let rate = match workload {
                Workload::Produce { rate, .. } => Some(rate),
                Workload::Bank(bank) => Some(&bank.rate),
                Workload::Lists(lists) => Some(&lists.rate),
                Workload::Consume { .. } | Workload::Pipeline(_) => None,
            };
            if let Some(Err(what)) = rate.map(|rate| parse_rate(rate)) {
                return complain("rate", what);
            }
            if let Workload::Produce { value_bytes, keys, .. } = workload {
                if !(1..=1_000_000).contains(value_bytes) {
                    return complain("value_bytes", format!("value_bytes = {value_bytes}: 1 to 1000000"));
                }
                if *keys == Some(0) {
                    return complain("keys", "keys = 0: leave keys out for records without a key".to_owned());
                }
            }
            if let Some((key, what)) = self.chosen_elsewhere(workload) {
                return complain(key, what);
            }
            if let Some((needle, what)) = self.wrong_user(workload) {
                return complain(needle, what);
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
            if let Some(Misfit { needle, what }) = self.misfit(index) {
                return complain(needle, what);
            }
        }
        Ok(())
    }

    /// A config of a workload that something else in the file decides, with what that is.
    fn chosen_elsewhere(&self, workload: &Workload) -> Option<(&'static str, String)> {
        let (config, pipeline) = match workload {
            Workload::Consume { group: Some(_), config, .. } => (config, false),
            Workload::Pipeline(pipeline) => (&pipeline.consumer, true),
            _ => return None,
        };
        let has = |key: &str| config.contains_key(key);
        if has("group.id") {
            return Some((
                "group.id",
                "group.id: the group is what the workload's field `group` says".to_owned(),
            ));
        }
        if has("group.protocol") && !self.variants.group_protocol.is_empty() {
            let what = "group.protocol: [variants] chooses it; leave it out here, or there".to_owned();
            return Some(("group.protocol", what));
        }
        let committed =
            ["enable.auto.commit", "auto.commit.interval.ms"].into_iter().find(|key| pipeline && has(key));
        if let Some(key) = committed {
            return Some((key, format!("{key}: a pipeline commits by itself, every `commit_interval`")));
        }
        let reset = config.get("auto.offset.reset").map(Value::text).filter(|reset| reset != "earliest");
        reset.filter(|_| pipeline).map(|reset| {
            let what = "a pipeline reads its topic from the beginning, and is judged by all of it";
            ("auto.offset.reset", format!("auto.offset.reset = {reset:?}: {what}"))
        })
    }

    /// The workload as one client process would be told it, for its own checks.
    fn client_workloads(&self, index: usize) -> Vec<WorkloadConfig> {
        let corpus = trial_client::Corpus::new(vec![bytes::Bytes::from_static(b"x")]);
        crate::plan::client_workload(self, index, 0, crate::plan::Numbers::default(), &corpus)
            .into_iter()
            .collect()
    }

    fn check_faults(&self) -> Result<(), Complaint> {
        let names = self.names();
        for spanned in &self.faults {
            let entry = spanned.get_ref();
            if let Some(what) = entry.repeats.and_then(too_often) {
                let what = format!("fault: {what}");
                return Err(Complaint { from: spanned.span().start, needle: "times".to_owned(), what });
            }
            let complain = |needle: &str, what: String| {
                Err(Complaint {
                    from: spanned.span().start,
                    needle: needle.to_owned(),
                    what: format!("fault: {what}"),
                })
            };
            if entry.at >= self.duration {
                return complain(
                    "at",
                    format!("it comes at {}, when load is over (duration {})", entry.at, self.duration),
                );
            }
            if matches!(entry.fault, Fault::SlowDisk { .. }) && !self.machine.has_disk() {
                return complain("slow_disk", NO_SLOW_DISK.to_owned());
            }
            let wrong = names.misnomer(&entry.fault).or_else(|| names.without_disk(&entry.fault));
            if let Some((needle, what)) = wrong {
                return Err(Complaint { from: spanned.span().start, needle, what: format!("fault: {what}") });
            }
        }
        Ok(())
    }

    fn check_admin(&self) -> Result<(), Complaint> {
        for spanned in &self.admin {
            if let Some((needle, what)) = spanned.get_ref().misfit(self) {
                return Err(Complaint { from: spanned.span().start, needle, what: format!("admin: {what}") });
            }
        }
        Ok(())
    }

    /// Who and what its faults can name.
    pub(crate) fn names(&self) -> Names {
        let mut hosts = crate::plan::host_names(self);
        hosts.push(crate::outside::OUTSIDE.to_owned());
        Names {
            hosts,
            brokers: self.cluster.nodes,
            topics: self.topics.iter().map(|t| (t.get_ref().name.clone(), t.get_ref().partitions)).collect(),
            groups: Some(self.groups().map(str::to_owned).collect()),
            transactional_ids: Some(self.transactional_ids().collect()),
            log_dirs: log_dirs(&self.cluster.config),
        }
    }

    fn unknown_topic(&self, name: &str) -> Option<String> {
        unknown_topic(name, || self.topics.iter().map(|t| t.get_ref().name.as_str()))
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
        for pipeline in &expect.pipelines {
            let groups = || {
                self.workloads.iter().filter_map(|workload| match workload.get_ref() {
                    Workload::Pipeline(pipeline) => Some(pipeline.group.as_str()),
                    _ => None,
                })
            };
            let group = &pipeline.group;
            if !groups().any(|g| g == group) {
                let what =
                    format!("there is no pipeline of group {group:?}{}", meant(nearest(group, groups())));
                return Err(Complaint { from: 0, needle: "pipelines".to_owned(), what });
            }
        }
        for error in expect.failed_min.keys() {
            if !errors::names().any(|name| name == error) {
                let what =
                    format!("no client says the error {error:?}{}", meant(nearest(error, errors::names())));
                return Err(Complaint { from: 0, needle: error.clone(), what });
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

/// Why no disk of a scenario can be slow.
pub(crate) const NO_SLOW_DISK: &str = "the disks cost no time, so none can be slow: give [machine] an fsync, disk or \
                                       page_cache, as in fsync = \"1ms\"";

/// Who and what a fault can name.
pub(crate) struct Names {
    pub(crate) hosts: Vec<String>,
    pub(crate) brokers: u32,
    /// Topics, and how many partitions each has.
    pub(crate) topics: BTreeMap<String, u32>,
    /// `None` where a group may have any name.
    pub(crate) groups: Option<Vec<String>>,
    /// `None` where any is possible.
    pub(crate) transactional_ids: Option<Vec<String>>,
    /// The folders of a broker's disk that are log directories; none if all of the disk is one.
    pub(crate) log_dirs: Vec<String>,
}

impl Names {
    /// The first thing that a fault names and that is not there: its name, and what to say.
    pub(crate) fn misnomer(&self, fault: &Fault) -> Option<(String, String)> {
        let mut wrong = None;
        fault.for_each_target(&mut |target| {
            if wrong.is_none() {
                wrong = self.unknown(target);
            }
        });
        match fault {
            Fault::TransferLeadership(Leadership::Partition(tp)) => {
                wrong.or_else(|| self.unknown_partition(tp))
            }
            // Brokers have partitions of internal topics, too.
            Fault::Disk { part: DiskPart::Partition(tp), .. } if !tp.topic.starts_with("__") => {
                wrong.or_else(|| self.unknown_partition(tp))
            }
            Fault::Disk { part: DiskPart::LogDir(dir), .. } => wrong.or_else(|| self.unknown_log_dir(dir)),
            _ => wrong,
        }
    }

    /// The first host of a disk's fault that has none: its name, and what to say.
    pub(crate) fn without_disk(&self, fault: &Fault) -> Option<(String, String)> {
        if !matches!(fault, Fault::SlowDisk { .. } | Fault::FsyncStall(_) | Fault::Disk { .. }) {
            return None;
        }
        let brokers = &self.hosts[..self.brokers as usize];
        let mut wrong = None;
        fault.for_each_target(&mut |target| {
            let name = match target {
                Target::Host(name) if !brokers.contains(name) => name,
                Target::AllClients => "all_clients",
                _ => return,
            };
            let what = format!("{name:?}: only brokers have disks");
            wrong.get_or_insert_with(|| (name.to_owned(), what));
        });
        wrong
    }

    fn unknown(&self, target: &Target) -> Option<(String, String)> {
        let absent = |name: &str, what: &str, known: &[String]| {
            let near = nearest(name, known.iter().map(String::as_str));
            let absent = !known.iter().any(|known| known == name);
            absent.then(|| (name.to_owned(), format!("there is no {what} {name:?}{}", meant(near))))
        };
        match target {
            Target::Host(name) => absent(name, "host", &self.hosts),
            Target::Broker(broker) if *broker >= self.brokers => {
                let what =
                    format!("there is no broker {broker}: the cluster has {}, counted from 0", self.brokers);
                Some(("broker".to_owned(), what))
            }
            Target::LeaderOf(tp) | Target::FollowersOf(tp) => self.unknown_partition(tp),
            Target::GroupCoordinatorOf(group) => absent(group, "group", self.groups.as_deref()?),
            Target::TransactionCoordinatorOf(id) => {
                absent(id, "transactional.id", self.transactional_ids.as_deref()?)
            }
            _ => None,
        }
    }

    pub(crate) fn unknown_partition(&self, tp: &TopicPartition) -> Option<(String, String)> {
        let (needle, name) = (tp.to_string(), tp.topic.as_str());
        if let Some(what) = unknown_topic(name, || self.topics.keys().map(String::as_str)) {
            return Some((needle, what));
        }
        let count = *self.topics.get(name)?;
        (tp.partition as u32 >= count)
            .then(|| (needle, format!("there is no partition {tp}: {name} has {count}, counted from 0")))
    }

    fn unknown_log_dir(&self, dir: &str) -> Option<(String, String)> {
        let near = nearest(dir, self.log_dirs.iter().map(String::as_str));
        let what = match self.log_dirs.is_empty() {
            true => {
                format!("there is no log directory {dir:?}: the config log.dirs names none, as in \"/{dir}\"")
            }
            false if near.is_some() => format!("there is no log directory {dir:?}{}", meant(near)),
            false => {
                let names = self.log_dirs.join(", ");
                format!("there is no log directory {dir:?}: the config log.dirs names {names}")
            }
        };
        (!self.log_dirs.iter().any(|known| known == dir)).then(|| (format!("\"{dir}\""), what))
    }
}

/// The folders that the config `log.dirs` names.
pub(crate) fn log_dirs(config: &BTreeMap<String, Value>) -> Vec<String> {
    let text = config.get("log.dirs").map(Value::text).unwrap_or_default();
    let folders = text.split(',').filter_map(|dir| dir.trim().strip_prefix('/'));
    folders.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// What is wrong with a fault that comes more often than a schedule can hold: every repetition is an entry of it.
pub(crate) fn too_often(repeats: Repeats) -> Option<String> {
    let Repeats { times, .. } = repeats;
    (times > 1_000_000).then(|| format!("times = {times}: 1 to 1000000"))
}

pub(crate) fn unknown_topic<'a, I: Iterator<Item = &'a str>>(
    name: &str,
    names: impl Fn() -> I,
) -> Option<String> {
    (!names().any(|n| n == name))
        .then(|| format!("there is no topic {name:?}{}", meant(nearest(name, names()))))
}

/// What is wrong with a config of brokers or topics, if anything is. One that nothing obeys is refused, though Kafka may have it.
pub(crate) fn wrong_config(table: &'static [ConfigDef], name: &str, value: &str) -> Option<String> {
    let error = ConfigDef::find(table, name).and_then(|def| def.validate(value)).err()?;
    let ConfigError::Unknown { nearest, .. } = error else { return Some(error.to_string()) };
    let near = nearest.map_or(String::new(), |near| format!("; did you mean {near}?"));
    Some(format!("{name} is no config that trial obeys: `trial list --configs` shows those{near}"))
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

/// Kafka's rule, and none of the names that belong to the cluster itself.
fn is_topic_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    (1..=249).contains(&name.len())
        && name.bytes().all(legal)
        && name != "."
        && name != ".."
        && !name.starts_with("__")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    const GOOD: &str = r#"
name = "good"
about = "A scenario that is as it should be."
duration = "20s"
[cluster]
nodes = 3
config = { "min.insync.replicas" = 2 }
[[topic]]
name = "orders"
partitions = 6
replication_factor = 3
[[workload]]
kind = "produce"
topic = "orders"
rate = "1000/s"
config = { acks = "all" }
[[fault]]
at = "10s"
kill = { leader_of = "orders-0" }
for = "2s"
[expect]
checkers = ["lost-write"]
reached = ["leader-elected"]
"#;

    /// The error when `from` is replaced by `to` in a good scenario.
    fn refused(from: &str, to: &str, expected: Expect) {
        assert!(GOOD.contains(from), "{from}");
        let error = Scenario::from_toml("s.toml", &GOOD.replace(from, to)).expect_err("it is wrong");
        expected.assert_eq(&error.to_string());
    }

    #[test]
    fn a_good_scenario_is_taken() {
        let scenario = Scenario::from_toml("s.toml", GOOD).expect("it is good");
        assert_eq!((scenario.warmup, scenario.settle), (Span::from_secs(5), Span::from_secs(180)));
        assert_eq!(scenario.plan().entries.len(), 1);
    }

    #[test]
    fn what_is_wrong_within_a_fault_is_found_in_that_fault() {
        let kill = "kill = { leader_of = \"orders-0\" }";
        let earlier = "[[fault]]\nat = \"9s\"\npause = \"broker-1\"\nfor = \"1s\"\n[[fault]]";
        let wrong = |fault: &str, expected: Expect| {
            let text = GOOD.replace("[[fault]]", earlier).replace(kill, fault);
            expected.assert_eq(&Scenario::from_toml("s.toml", &text).expect_err("it is wrong").to_string());
        };
        wrong(
            "partition = { between = [\"broker-1\"] }",
            expect![[
                r#"s.toml:23: partition: between needs at least two groups, as in between = ["broker-1", "broker-2"]"#
            ]],
        );
        wrong(
            "partition = { around = \"broker-1\", into = \"broker-2\" }",
            expect!["s.toml:23: partition: give exactly one of between, around, out_of and into"],
        );
        wrong(
            "link_delay = { on = { around = \"broker-1\", into = \"broker-2\" }, add = \"1s\" }",
            expect!["s.toml:23: on: give exactly one of between, around, out_of and into"],
        );
        wrong(
            "bit_rot = { on = \"broker-1\", bits = 0 }",
            expect!["s.toml:23: bit_rot: bits must be at least 1"],
        );
        wrong(
            "kill = \"broker-1\"\nevery = \"1s\"\ntimes = 2",
            expect!["s.toml:24: every: must not be shorter than for"],
        );
    }

    #[test]
    fn only_a_cluster_to_serve_has_no_topics() {
        let topic = GOOD.find("[[topic]]").expect("it has one");
        let bare = GOOD[..topic].replace("duration", "topic = []\nduration");
        assert!(Scenario::to_serve("s.toml", &bare).is_ok());
        let error = Scenario::from_toml("s.toml", &bare).expect_err("there is nothing to run");
        expect!["s.toml:4: no [[topic]]: a scenario has at least one, and load for it; only `trial serve` takes one without"]
            .assert_eq(&error.to_string());
    }

    #[test]
    fn a_disk_fault_is_about_a_log_directory_that_there_is() {
        let text = GOOD.replace(
            r#"kill = { leader_of = "orders-0" }"#,
            r#"disk_error = { on = "broker-1", dir = "data" }"#,
        );
        let refused = |text: &str| Scenario::from_toml("s.toml", text).expect_err("it is wrong").to_string();
        expect![[
            r#"s.toml:19: fault: there is no log directory "data": the config log.dirs names none, as in "/data""#
        ]]
        .assert_eq(&refused(&text));
        let text = text.replace(r#""min.insync.replicas" = 2"#, r#""log.dirs" = "/meta, /data""#);
        assert!(Scenario::from_toml("s.toml", &text).is_ok());
        expect![[r#"s.toml:19: fault: there is no log directory "dta"; did you mean "data"?"#]]
            .assert_eq(&refused(&text.replace(r#"dir = "data""#, r#"dir = "dta""#)));
        expect![[
            r#"s.toml:19: fault: there is no log directory "d9": the config log.dirs names meta, data"#
        ]]
        .assert_eq(&refused(&text.replace(r#"dir = "data""#, r#"dir = "d9""#)));
        expect![[r#"s.toml:19: disk_error: dir = "/data": write it without the slash, "data""#]]
            .assert_eq(&refused(&text.replace(r#"dir = "data""#, r#"dir = "/data""#)));
    }

    #[test]
    fn users_and_acls_fit_the_cluster() {
        let sasl = r#"config = { "sasl.enabled.mechanisms" = "PLAIN" }
users = { alice = "secret" }"#;
        let config = r#"config = { "min.insync.replicas" = 2 }"#;
        let rate = r#"rate = "1000/s""#;
        refused(
            config,
            sasl,
            expect![
                "s.toml:14: the cluster has sasl.enabled.mechanisms: say by user as whom these clients log in"
            ],
        );
        refused(
            rate,
            "rate = \"1000/s\"\nuser = \"alice\"",
            expect![[
                r#"s.toml:16: user = "alice": to log in, the cluster needs the config sasl.enabled.mechanisms"#
            ]],
        );
        let with_users = GOOD.replace(config, sasl);
        let error =
            Scenario::from_toml("s.toml", &with_users.replace(rate, "rate = \"1/s\"\nuser = \"alic\""));
        expect![[r#"s.toml:17: user = "alic" is not in [cluster.users]; did you mean "alice"?"#]]
            .assert_eq(&error.expect_err("there is no such user").to_string());
        let alice = with_users.replace(rate, "rate = \"1/s\"\nuser = \"alice\"");
        assert!(Scenario::from_toml("s.toml", &alice).is_ok());
        let acl = |text: &str| {
            let authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
            let config = format!(r#""authorizer.class.name" = "{authorizer}", "sasl.enabled"#);
            let text = alice.replace("\"sasl.enabled", &config) + "[[acl]]\n" + text;
            Scenario::from_toml("s.toml", &text).err().map(|error| error.what)
        };
        let whole = "allow = \"alice\"\noperations = [\"Read\"]\ntopic = \"orders\"";
        assert_eq!(acl(whole), None);
        let wrong = |from: &str, to: &str, expected: Expect| {
            expected.assert_eq(&acl(&whole.replace(from, to)).expect("it is wrong"));
        };
        wrong("allow", "deny = \"bob\"\nallow", expect!["give either allow or deny, a user each"]);
        wrong(
            "topic =",
            "cluster = true\ntopic =",
            expect!["give one of topic, group, transactional_id, cluster = true"],
        );
        wrong(
            "alice",
            "User:alice",
            expect![[r#"allow = "User:alice": write the user's name alone, "alice""#]],
        );
        wrong(
            "Read",
            "Reed",
            expect![[
                r#"operation "Reed": here there are Read, Write, Create, Describe, Delete, Alter, DescribeConfigs, AlterConfigs, All; did you mean "Read"?"#
            ]],
        );
    }

    #[test]
    fn errors_name_the_line_and_the_fix() {
        refused(
            "for = \"2s\"",
            "for = \"2s\"\nevery = \"3s\"\ntimes = 4000000000",
            expect!["s.toml:22: fault: times = 4000000000: 1 to 1000000"],
        );
        refused(
            "duration",
            "durration",
            expect![[
                r#"s.toml:4: unknown field `durration`, expected one of `name`, `about`, `duration`, `warmup`, `settle`, `cluster`, `machine`, `network`, `topic`, `acl`, `workload`, `fault`, `admin`, `variants`, `expect`; did you mean "duration"?"#
            ]],
        );
        refused(
            r#""20s""#,
            r#""5s""#,
            expect![["s.toml:4: duration 5.000s must be longer than warmup 5.000s"]],
        );
        refused(r#""20s""#, r#""0s""#, expect![["s.toml:4: duration 0s must be longer than warmup 5.000s"]]);
        refused("nodes = 3", "nodes = 0", expect![["s.toml:6: nodes = 0: a cluster has 1 to 99 nodes"]]);
        refused(
            "min.insync",
            "min.insink",
            expect![[
                "s.toml:7: cluster.config: min.insink.replicas is no config that trial obeys: `trial list --configs` shows those; did you mean min.insync.replicas?"
            ]],
        );
        refused(
            "\"min.insync.replicas\" = 2",
            "\"num.io.threads\" = 16",
            expect![[
                "s.toml:7: cluster.config: num.io.threads is no config that trial obeys: `trial list --configs` shows those"
            ]],
        );
        refused("partitions = 6", "partitions = 0", expect![["s.toml:10: partitions = 0: 1 to 10000"]]);
        refused(
            "replication_factor = 3",
            "replication_factor = 4",
            expect![["s.toml:11: replication_factor = 4: 1 to the number of nodes, 3"]],
        );
        refused(
            r#"topic = "orders""#,
            r#"topic = "oders""#,
            expect![[r#"s.toml:14: there is no topic "oders"; did you mean "orders"?"#]],
        );
        refused(
            "1000/s",
            "1000",
            expect![[r#"s.toml:15: rate "1000": write records per time, as in "1000/s" or "3/10ms""#]],
        );
        refused(
            r#"acks = "all""#,
            r#"ackz = "all""#,
            expect![["s.toml:16: config ackz: no such client config; did you mean acks?"]],
        );
        refused(
            "orders-0",
            "orders-6",
            expect![["s.toml:19: fault: there is no partition orders-6: orders has 6, counted from 0"]],
        );
        refused(
            r#"{ leader_of = "orders-0" }"#,
            r#""broker-9""#,
            expect![[r#"s.toml:19: fault: there is no host "broker-9"; did you mean "broker-1"?"#]],
        );
        refused(
            "lost-write",
            "lost-rite",
            expect![[r#"s.toml:22: there is no checker "lost-rite"; did you mean "lost-write"?"#]],
        );
        refused(
            "leader-elected",
            "leader-electd",
            expect![[r#"s.toml:23: there is no event "leader-electd"; did you mean "leader-elected"?"#]],
        );
        let failures = |error: &str| format!("reached = []\nfailed_min = {{ {error} = 1 }}");
        refused(
            r#"reached = ["leader-elected"]"#,
            &failures("TOPIC_AUTHORISATION_FAILED"),
            expect![[
                r#"s.toml:24: no client says the error "TOPIC_AUTHORISATION_FAILED"; did you mean "TOPIC_AUTHORIZATION_FAILED"?"#
            ]],
        );
        for error in ["NETWORK_EXCEPTION", "TRANSACTION_ABORTABLE", "UNKNOWN_SERVER_ERROR"] {
            let good = GOOD.replace(r#"reached = ["leader-elected"]"#, &failures(error));
            assert!(Scenario::from_toml("s.toml", &good).is_ok(), "{error}");
        }
    }

    #[test]
    fn workloads_fit_each_other_and_the_cluster() {
        let with = |workload: &str| format!("[[workload]]\n{workload}\n[[fault]]");
        let bank = "kind = \"bank\"\ntopic = \"orders\"\nrate = \"5/s\"\n";
        refused(
            "1000/s",
            "9999999999/s",
            expect![[
                r#"s.toml:15: rate "9999999999/s": that makes 149999999985, and a run has at most 100000000"#
            ]],
        );
        refused(
            "[[fault]]",
            &with("kind = \"pipeline\"\nfrom = \"orders\"\nto = \"orders\"\ngroup = \"g\""),
            expect!["s.toml:20: a pipeline from orders to orders would read what it writes, for ever"],
        );
        refused(
            "[[fault]]",
            &with(&format!("{bank}[[workload]]\n{bank}")),
            expect![[
                r#"s.toml:21: transactional.id "bank-0" is another workload's, too: they would fence each other; give one a config of its own"#
            ]],
        );
        refused(
            "[[fault]]",
            &with(&format!("{bank}config = {{ \"transaction.timeout.ms\" = 900001 }}")),
            expect![
                "s.toml:21: config transaction.timeout.ms: 900001 is above the brokers' transaction.max.timeout.ms, 900000"
            ],
        );
        refused(
            "[[fault]]",
            &with(
                "kind = \"consume\"\ntopic = \"orders\"\ngroup = \"g\"\nconfig = { \"session.timeout.ms\" = 5000 }",
            ),
            expect![
                "s.toml:21: config session.timeout.ms: 5000 is not within the brokers' group.min.session.timeout.ms and group.max.session.timeout.ms, 6000 to 1800000"
            ],
        );
        refused(
            "[[fault]]",
            &with(&format!(
                "{bank}[[fault]]\nat = \"6s\"\nkill = {{ transaction_coordinator_of = \"bank-1\" }}\n"
            )),
            expect![[r#"s.toml:23: fault: there is no transactional.id "bank-1"; did you mean "bank-0"?"#]],
        );
        refused(
            "orders-0\" }",
            "orders-0\" }\nfor = \"1s\"\n[[fault]]\nat = \"6s\"\nkill = { group_coordinator_of = \"g\" }",
            expect![[r#"s.toml:23: fault: there is no group "g""#]],
        );
        refused(
            "partitions = 6\nreplication_factor = 3",
            &format!("partitions = 1\nreplication_factor = 3\n[[workload]]\n{bank}"),
            expect!["s.toml:14: orders: a transfer is between two partitions, and it has one"],
        );
        refused(
            "\"min.insync.replicas\" = 2",
            "\"group.consumer.session.timeout.ms\" = 3000",
            expect![
                "s.toml:5: cluster.config: config group.consumer.min.session.timeout.ms: 45000 must not be above group.consumer.session.timeout.ms, which is 3000: change one of them"
            ],
        );
    }

    #[test]
    fn a_mistake_in_a_workload_is_found_in_that_workload() {
        let second = "checkers = [\"lost-write\"]\n[[workload]]\nkind = \"consume\"\ntopic = \"orders\"\ngrup = \"billing\"";
        refused(
            "checkers = [\"lost-write\"]",
            second,
            expect![[
                r#"s.toml:26: unknown field `grup`, expected one of `topic`, `group`, `clients`, `user`, `config`; did you mean "group"?"#
            ]],
        );
    }

    #[test]
    fn values_of_the_wrong_type_are_named_with_what_they_should_be() {
        refused(
            "partitions = 6",
            "partitions = \"six\"",
            expect![[r#"s.toml:10: partitions: expected a whole number from 0 to 4294967295; found "six""#]],
        );
        refused(
            "at = \"10s\"",
            "at = 10",
            expect![[
                r#"s.toml:18: at: expected a length of time, such as "250ms", "1.5s" or "2m" (units: ns, us, ms, s, m, h); found 10"#
            ]],
        );
        refused(
            "rate = \"1000/s\"",
            "rate = \"1000/s\"\nclients = \"2\"",
            expect![[r#"s.toml:16: clients: expected a whole number from 0 to 4294967295; found "2""#]],
        );
        refused(
            "rate = \"1000/s\"",
            "rate = 1000",
            expect![[
                r#"s.toml:15: rate: expected records per time in quotes, as in "1000/s" or "3/10ms"; found 1000"#
            ]],
        );
        refused(
            "[[workload]]",
            "[[topic]]\nname = \"more\"\n[topic]",
            expect![[
                r#"s.toml:14: there is one already; each of several is written in double brackets, as in [[topic]]"#
            ]],
        );
        refused(
            "[[workload]]",
            "[workload]",
            expect![[
                r#"s.toml:12: expected a list, as in ["one"], or of tables, as in [[topic]]; found a table"#
            ]],
        );
        refused(
            "config = { \"min.insync.replicas\" = 2 }",
            "config = { min.insync.replicas = 2 }",
            expect![[
                r#"s.toml:7: the value of a config is text in quotes, a whole number, true or false; and a name with dots is in quotes, too, as in "linger.ms" = 5"#
            ]],
        );
    }

    #[test]
    fn what_would_silently_have_no_effect_is_refused() {
        refused(
            "nodes = 3",
            "nodes = 3\nusers = { alice = \"secret\" }",
            expect![[
                r#"s.toml:7: cluster.users: nobody logs in unless the config "sasl.enabled.mechanisms" says how, as in "PLAIN""#
            ]],
        );
        refused(
            "\"min.insync.replicas\" = 2",
            "\"super.users\" = \"admin\"",
            expect![[
                r#"s.toml:7: cluster.config: config super.users: invalid value "admin": must be users, separated by semicolons, as in User:alice;User:CN=bob,O=example, or nothing"#
            ]],
        );
        refused(
            "kill = { leader_of = \"orders-0\" }",
            "fsync_stall = [\"broker-1\", \"produce-0\"]",
            expect![[r#"s.toml:19: fault: "produce-0": only brokers have disks"#]],
        );
    }

    #[test]
    fn rates_are_exact_fractions() {
        assert_eq!(parse_rate("1000/s"), Ok(Rate::per_second(1000)));
        assert_eq!(parse_rate("3/10ms"), Ok(Rate { records: 3, per: Span::from_millis(10) }));
        for wrong in ["", "5", "0/s", "1/0s", "x/s", "5/parsec"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
    }
}
