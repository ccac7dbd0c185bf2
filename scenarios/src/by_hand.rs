//! What an operator sees of a run while it goes on, and does to it: faults that no plan has.

use serde_json::{Map, Value, json};
use trial_faults::{Fault, FaultEntry, FaultPlan, Leadership, What};
use trial_node::{Span, Time};
use trial_world::{HostId, HostState};

use crate::check::{NO_SLOW_DISK, Names, log_dirs, too_often};
use crate::outside::OUTSIDE;
use crate::plan;
use crate::roles::Cast;
use crate::run::Run;
use crate::text::{culprit, explain, of_key};

/// So many of the latest violations are shown with their evidence.
const VIOLATIONS_SHOWN: usize = 20;

impl Run {
    /// Injects a fault now: `text` is a scenario's `[[fault]]` in JSON, without `at`. With `every` and `times` it is
    /// injected again, as in a scenario. Returns what was injected, in JSON.
    ///
    /// # Errors
    /// What is wrong with it, as for a scenario's file; nothing has happened then.
    pub fn inject_by_hand(&mut self, text: &str) -> Result<Value, String> {
        let mut entry = fault(text)?;
        if let Some(what) = entry.repeats.and_then(too_often) {
            return Err(format!("fault: {what}"));
        }
        entry.at = Span(self.now().0);
        self.check_by_hand(&entry.fault)?;
        let id = self.plan.entries.len();
        self.plan.entries.push(entry.clone());
        let schedule = FaultPlan { entries: vec![entry] }.schedule();
        let mut schedule = schedule.into_iter().map(|moment| trial_faults::Moment { entry: id, ..moment });
        let first = schedule.next().expect("a fault is injected at least once");
        for moment in schedule {
            // Behind what is due at the same instant, as in the order of a plan.
            let place = self.moments.partition_point(|other| other.at <= moment.at);
            self.moments.insert(place, moment);
        }
        self.inject(first).map_err(|error| error.to_string())?;
        let span = self.spans.last().expect("every injection has a span");
        let heals = (span.to_ns != Time::MAX.0).then_some(span.to_ns);
        Ok(
            json!({ "id": id, "what": span.what, "hosts": span.hosts, "since_ns": span.from_ns, "heals_ns": heals }),
        )
    }

    /// Heals a fault that is in force, now, and injects it no more. Returns what was healed, in JSON.
    ///
    /// # Errors
    /// There is none of that id.
    pub fn heal_by_hand(&mut self, id: u64) -> Result<Value, String> {
        let entry = usize::try_from(id).ok();
        let Some(index) = self.active.iter().position(|active| Some(active.moment.entry) == entry) else {
            let known: Vec<String> = self.active.iter().map(|a| a.moment.entry.to_string()).collect();
            return Err(match known.as_slice() {
                [] => format!("there is no fault {id}: none is in force"),
                _ => format!("there is no fault {id}; in force: {}", known.join(", ")),
            });
        };
        self.moments.retain(|moment| Some(moment.entry) != entry);
        // Nor does the end of the run wait for what does not come any more.
        let of_entry = self.active.iter().filter(|active| Some(active.moment.entry) == entry);
        let injected = of_entry.map(|active| active.moment.repetition + 1).max();
        let repeats = &mut self.plan.entries[self.active[index].moment.entry].repeats;
        if let (Some(repeats), Some(injected)) = (repeats, injected) {
            repeats.times = injected;
        }
        let healed = self.heal_entry(index)?;
        Ok(json!({ "healed": [healed] }))
    }

    /// Heals every fault that is in force, now; what the plan has for later still comes. Returns what was healed, in JSON.
    ///
    /// # Errors
    /// The world cannot; only a bug of ours makes it so.
    pub fn heal_all_by_hand(&mut self) -> Result<Value, String> {
        let mut healed = Vec::new();
        while let Some(active) = self.active.first() {
            let (entry, repetition) = (active.moment.entry, active.moment.repetition);
            self.moments.retain(|m| (m.entry, m.repetition, m.what) != (entry, repetition, What::Heal));
            healed.push(self.heal_entry(0)?);
        }
        Ok(json!({ "healed": healed }))
    }

    /// Heals what was injected by hand, now, and injects it no more; what the scenario has planned goes on. Returns what was healed,
    /// in JSON.
    ///
    /// # Errors
    /// The world cannot; only a bug of ours makes it so.
    pub fn call_off_by_hand(&mut self) -> Result<Value, String> {
        let mut healed = Vec::new();
        while let Some(index) = self.active.iter().position(|active| active.moment.entry >= self.planned) {
            healed.push(self.heal_entry(index)?);
        }
        // Nor does the end of the run wait for what does not come any more.
        let now = self.now();
        for (id, entry) in self.plan.entries.iter_mut().enumerate().skip(self.planned) {
            let mut last = Time::ZERO + entry.at;
            if let Some(repeats) = &mut entry.repeats {
                let next = self.moments.iter().find(|m| (m.entry, m.what) == (id, What::Inject));
                repeats.times = next.map_or(repeats.times, |next| next.repetition);
                last += repeats.every.times(u64::from(repeats.times - 1));
            }
            entry.lasts = entry.lasts.map(|lasts| lasts.min(now.since(last)));
        }
        self.moments.retain(|moment| moment.entry < self.planned);
        Ok(json!({ "healed": healed }))
    }

    /// Heals what is in force at this place. The plan then says how long it really lasted.
    fn heal_entry(&mut self, index: usize) -> Result<Value, String> {
        let active = &self.active[index];
        let (id, what, since) = (active.moment.entry, active.fault.to_string(), active.moment.at);
        let lasted = self.now().since(since);
        self.heal_active(index).map_err(|error| error.to_string())?;
        let entry = &mut self.plan.entries[id];
        if entry.repeats.is_none() {
            entry.lasts = Some(lasted);
        }
        Ok(json!({ "id": id, "what": what, "lasted_ns": lasted.0 }))
    }

    /// What is wrong with a fault that is to strike now.
    fn check_by_hand(&self, fault: &Fault) -> Result<(), String> {
        let names = self.names();
        if let Some((_, what)) = names.misnomer(fault).or_else(|| names.without_disk(fault)) {
            return Err(format!("fault: {what}"));
        }
        if matches!(fault, Fault::SlowDisk { .. }) && !self.scenario.machine.has_disk() {
            return Err(format!("fault: {NO_SLOW_DISK}"));
        }
        if matches!(fault, Fault::TransferLeadership(Leadership::Partition(_))) {
            let what = "an admin client has to ask for it, as `kafka-leader-election.sh` does";
            return Err(format!("fault: {fault}: {what}"));
        }
        let cast = Cast { world: &self.world, brokers: self.scenario.cluster.nodes };
        fault.resolve(&cast).map(drop).map_err(|error| format!("fault: {error}"))
    }

    /// Who and what a fault can name now.
    fn names(&self) -> Names {
        let mut hosts = plan::host_names(&self.scenario);
        hosts.push(OUTSIDE.to_owned());
        let mut names = Names {
            hosts,
            brokers: self.scenario.cluster.nodes,
            topics: Default::default(),
            groups: None,
            transactional_ids: None,
            log_dirs: log_dirs(&self.scenario.cluster.config),
        };
        if let Some(broker) = self.newest() {
            broker.partitions(&mut |p| {
                let count = names.topics.entry(p.topic.as_str().to_owned()).or_insert(0);
                *count = (*count).max(p.id.partition as u32 + 1);
            });
        }
        names
    }

    /// The run as it is now: hosts, controller, partitions, faults in force and to come, violations so far, what clients from
    /// outside have done.
    pub fn state(&self) -> Value {
        let hosts: Vec<Value> =
            (0..self.world.host_count() as u32).map(HostId).map(|h| self.host(h)).collect();
        let leaders = self.brokers().filter(|(_, broker)| broker.quorum().is_leader);
        let controller = leaders
            .max_by_key(|(_, broker)| broker.quorum().epoch)
            .map(|(host, broker)| json!({ "host": self.world.name(host), "epoch": broker.quorum().epoch.0 }));
        let faults: Vec<Value> = self
            .active
            .iter()
            .map(|active| {
                let of_fault = |m: &&trial_faults::Moment| {
                    (m.entry, m.repetition, m.what)
                        == (active.moment.entry, active.moment.repetition, What::Heal)
                };
                json!({
                    "id": active.moment.entry,
                    "what": active.fault.to_string(),
                    "hosts": active.fault.hosts().names(),
                    "since_ns": active.moment.at.0,
                    "heals_ns": self.moments.iter().find(of_fault).map(|m| m.at.0),
                })
            })
            .collect();
        let planned: Vec<Value> = self
            .moments
            .iter()
            .filter(|moment| moment.what == What::Inject)
            .map(|moment| {
                let what = self.plan.entries[moment.entry].fault.to_string();
                json!({ "id": moment.entry, "what": what, "at_ns": moment.at.0 })
            })
            .collect();
        let counters = self.world.counters();
        json!({
            "scenario": self.scenario.name,
            "variant": self.scenario.variant().to_string(),
            "seed": self.seed,
            "time_ns": self.now().0,
            "trace": { "events": counters.events, "hash": format!("{:032x}", self.world.hash()) },
            "hosts": hosts,
            "controller": controller,
            "partitions": self.partitions(),
            "faults": faults,
            "planned": planned,
            "violations": self.violations_so_far(),
            "outside": self.traffic.record(),
        })
    }

    fn host(&self, host: HostId) -> Value {
        let state = match self.world.state(host) {
            HostState::Running => "running",
            HostState::Paused => "paused",
            HostState::Down => "down",
            HostState::Off => "off",
        };
        let mut about = Map::from_iter([
            ("name".to_owned(), json!(self.world.name(host))),
            ("state".to_owned(), json!(state)),
        ]);
        if host.0 < self.scenario.cluster.nodes {
            about.insert("broker_id".to_owned(), json!(host.0 + 1));
        }
        if let Some((at, why)) = self.watch.halted.get(&host) {
            about.insert("why".to_owned(), json!(why));
            about.insert("since_ns".to_owned(), json!(at.0));
        }
        Value::Object(about)
    }

    /// Every partition but those of the internal topics, as the newest metadata and its leader's log have it.
    fn partitions(&self) -> Vec<Value> {
        let ends = self.ends();
        let mut partitions = Vec::new();
        if let Some(broker) = self.newest() {
            broker.partitions(&mut |p| {
                if trial_coordinator::is_internal(p.topic.as_str()) {
                    return;
                }
                let tp = trial_node::TopicPartition { topic: p.topic.clone(), partition: p.id.partition };
                let ids = |nodes: &[trial_node::NodeId]| nodes.iter().map(|n| n.0).collect::<Vec<_>>();
                let end = ends.get(&tp);
                partitions.push(json!({
                    "topic": p.topic.as_str(),
                    "partition": p.id.partition,
                    "leader": (p.leader != trial_node::NodeId::NONE).then_some(p.leader.0),
                    "leader_epoch": p.leader_epoch.0,
                    "replicas": ids(p.replicas),
                    "isr": ids(p.isr),
                    "high_watermark": end.map(|(high_watermark, _)| high_watermark.0),
                    "log_end_offset": end.map(|(_, log_end_offset)| log_end_offset.0),
                }));
            });
        }
        partitions
    }

    fn violations_so_far(&self) -> Value {
        let violations = self.watch.checkers.violations();
        let latest = violations.iter().rev().take(VIOLATIONS_SHOWN).map(|violation| {
            json!({ "property": violation.property, "at_ns": violation.at.0, "evidence": violation.evidence })
        });
        json!({ "counts": self.watch.checkers.counts(), "latest": latest.collect::<Vec<_>>() })
    }
}

/// Reads a fault that is to happen now.
fn fault(text: &str) -> Result<FaultEntry, String> {
    let table: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        format!("fault: {error}; write it as in {{\"kill\": \"broker-1\", \"for\": \"10s\"}}")
    })?;
    if table.contains_key("at") {
        return Err("fault: at: it happens now; leave it out".to_owned());
    }
    let read = |mut table: Map<String, Value>| {
        table.insert("at".to_owned(), json!("0s"));
        // An unknown field is told which there are; of these it must leave out `at`.
        serde_json::from_value::<FaultEntry>(Value::Object(table))
            .map_err(|e| e.to_string().replace("`at`, ", ""))
    };
    read(table.clone()).map_err(|error| {
        let key = culprit(table.keys(), &error, |key| {
            let mut rest = table.clone();
            rest.remove(key);
            read(rest).err()
        });
        let key = key.filter(|_| !error.starts_with("unknown field"));
        format!("fault: {}", of_key(key, explain(&error)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BARE, RunOptions, Scenario};

    fn served() -> Run {
        let scenario = Scenario::to_serve("serve.toml", BARE).expect("it is good");
        let options = RunOptions { outside: Some(0), ..RunOptions::default() };
        let mut run = Run::new(scenario, options).expect("there is no corpus to fail");
        run.run_until(run.warm()).expect("the cluster forms");
        run
    }

    #[test]
    fn the_end_does_not_wait_for_repetitions_that_were_called_off() {
        let mut run = served();
        let fault = r#"{"pause": "broker-1", "for": "1s", "every": "1h", "times": 1000}"#;
        let id = run.inject_by_hand(fault).expect("it can")["id"].as_u64().expect("it has one");
        assert!(run.planned() > Time::ZERO + Span::from_secs(999 * 3600));
        let other = run.heal_by_hand(99).expect_err("there is none");
        assert_eq!(other, format!("there is no fault 99; in force: {id}"));
        run.heal_by_hand(id).expect("it is in force");
        assert!(run.planned() < Time::ZERO + Span::from_secs(3600));
    }

    #[test]
    fn nothing_by_hand_outlasts_its_session() {
        let mut run = served();
        let planned = run.planned();
        let ids = [
            r#"{"pause": "broker-1", "for": "24h"}"#,
            r#"{"kill": "broker-2"}"#,
            r#"{"pause": "broker-3", "for": "1s", "every": "10s", "times": 1000}"#,
        ]
        .map(|fault| run.inject_by_hand(fault).expect("it can")["id"].clone());
        run.run_until(run.now() + Span::from_secs(15)).expect("it goes on");
        let healed = run.call_off_by_hand().expect("it can");
        let lasted = Span::from_secs(15).0;
        assert_eq!(
            healed["healed"]
                .as_array()
                .expect("it is a list")
                .iter()
                .map(|h| (&h["id"], &h["lasted_ns"]))
                .collect::<Vec<_>>(),
            [(&ids[0], &json!(lasted)), (&ids[1], &json!(lasted))]
        );
        assert_eq!((run.moments.len(), run.planned()), (0, planned.max(run.now())));
        assert_eq!(run.call_off_by_hand(), Ok(json!({ "healed": [] })));
        let finished = run.finish(&mut |_| ()).expect("it comes to its end");
        assert_eq!(finished.record.violations, []);
    }

    #[test]
    fn a_broker_that_its_disk_has_stopped_says_why_and_is_started_by_hand() {
        for start in [r#"{"restart": "broker-1"}"#, r#"{"kill": "broker-1", "for": "1s"}"#] {
            let mut run = served();
            let fault = run.inject_by_hand(r#"{"disk_error": {"on": "broker-1"}}"#).expect("it can");
            run.run_until(run.now() + Span::from_secs(15)).expect("it goes on");
            // It cannot start yet.
            run.inject_by_hand(start).expect("it can");
            run.run_until(run.now() + Span::from_secs(5)).expect("it goes on");
            let down = &run.state()["hosts"][0];
            assert_eq!(down["state"], "down");
            let why = down["why"].as_str().expect("it says why");
            assert!(why.starts_with("cannot start: ") && why.contains("EIO"), "{why}");
            run.heal_by_hand(fault["id"].as_u64().expect("it has one")).expect("it is in force");
            run.run_until(run.now() + Span::from_secs(5)).expect("it goes on");
            assert_eq!(run.state()["hosts"][0]["state"], "down", "nobody has started it");
            run.inject_by_hand(start).expect("it can");
            run.run_until(run.now() + Span::from_secs(5)).expect("it goes on");
            let running = json!({ "name": "broker-1", "state": "running", "broker_id": 1 });
            assert_eq!(run.state()["hosts"][0], running);
        }
    }

    #[test]
    fn mistakes_by_hand_are_named() {
        let refused = |text| served().inject_by_hand(text).expect_err("it is wrong");
        assert_eq!(
            refused(r#"{"pause": "broker-1", "for": 10}"#),
            "fault: for: expected a length of time, such as \"250ms\", \"1.5s\" or \"2m\" (units: ns, us, ms, s, m, h); found 10"
        );
        let unknown = refused(r#"{"pauze": "broker-1"}"#);
        assert!(unknown.starts_with("fault: unknown field `pauze`, expected one of `kill`"), "{unknown}");
        assert!(unknown.ends_with("; did you mean \"pause\"?"), "{unknown}");
        assert_eq!(refused(r#"{"fsync_stall": "outside"}"#), "fault: \"outside\": only brokers have disks");
    }

    #[test]
    fn a_fault_that_comes_too_often_is_refused() {
        let fault = r#"{"pause": "broker-1", "for": "1s", "every": "1s", "times": 4000000000}"#;
        let refused = served().inject_by_hand(fault).expect_err("no schedule holds it");
        assert_eq!(refused, "fault: times = 4000000000: 1 to 1000000");
    }
}
