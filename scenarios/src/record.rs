//! Writing a finished run down.

use trial_faults::FaultPlan;
use trial_node::view::BrokerView;
use trial_node::{DiskError, NodeId, Offset, Time, TopicIdPartition};
use trial_reports::{
    Compression, Expectation, FaultSpan, PipelineRecord, RunRecord, SCHEMA, Unavailability, Verdict,
    ViolationRecord,
};
use trial_world::{Engine, HostId};

use crate::member::Member;
use crate::metrics::Metrics;
use crate::model::{ExpectedPipeline, Which, Workload};
use crate::run::{Run, RunError};

impl<E: Engine<Member>> Run<E> {
    pub(crate) fn record(mut self) -> Result<RunRecord, RunError> {
        let now = self.world.now();
        let batch_bytes = self.batch_bytes().map_err(|error| RunError::Disk { seed: self.seed, error })?;
        let load_end = Time::ZERO + self.scenario.duration;
        let expected = &self.scenario.expect.violations;
        let violations: Vec<ViolationRecord> = self
            .watch
            .violations()
            .map(|(violation, trace)| ViolationRecord {
                property: violation.property.to_owned(),
                at_ns: violation.at.0,
                evidence: violation.evidence.clone(),
                trace: trace.clone(),
                expected: expected.iter().any(|e| e == violation.property),
            })
            .collect();
        let expectations = self.expectations(&violations);
        let held = violations.iter().all(|v| v.expected) && expectations.iter().all(|e| e.met);
        for span in &mut self.spans {
            span.to_ns = span.to_ns.min(now.0);
        }
        let plan: FaultPlan = self.injected.clone().into();
        let checkers = match &self.scenario.expect.checkers {
            Which::All => trial_checkers::PROPERTIES.iter().map(|p| p.name.to_owned()).collect(),
            Which::Named(names) => names.clone(),
        };
        let counters = self.world.counters();
        let checkpoints = self.world.checkpoints().iter();
        Ok(RunRecord {
            schema: SCHEMA.to_owned(),
            engine: E::NAME.to_owned(),
            profile: if self.scenario.machine.is_free() { "zero-cost" } else { "scenario" }.to_owned(),
            seed: self.seed,
            variant: self.scenario.variant.to_string(),
            commit: "unknown".to_owned(),
            verdict: if held { Verdict::Pass } else { Verdict::Fail },
            trace_hash: format!("{:032x}", self.world.hash()),
            simulated_ns: now.0,
            wall_ns: 0,
            events: counters.events,
            rpcs: counters.rpcs,
            sent_records: self.watch.metrics.sent,
            acked_records: self.watch.metrics.acked,
            failed_records: self.watch.metrics.failed.values().sum(),
            failures: self.watch.metrics.failed.iter().map(|(error, n)| ((*error).to_owned(), *n)).collect(),
            scheduled_records: crate::plan::scheduled_records(&self.scenario),
            lost_records: self.watch.checkers.lost_records(),
            transactions: self.watch.metrics.transactions,
            pipelines: self.pipelines(),
            outside: self.outside.map(|_| self.traffic.record()),
            read_records: self.watch.metrics.read,
            violations,
            expectations,
            checkers,
            latency_ns: self.watch.metrics.latencies(),
            compression: Compression { record_bytes: self.watch.metrics.acked_bytes, batch_bytes },
            unavailability: unavailability(&self.watch.metrics, &self.spans, load_end),
            series: self.watch.metrics.series(now),
            checkpoints: checkpoints.map(|c| (c.event, c.at.0, format!("{:032x}", c.hash))).collect(),
            timeline: self.watch.timeline.finish(now, self.spans),
            fault_plan: plan.to_toml(),
            scenario: self.scenario.name,
            about: self.scenario.about,
        })
    }

    /// What became of the records that each pipeline read.
    fn pipelines(&self) -> Vec<PipelineRecord> {
        let pipelines = self.scenario.workloads.iter().filter_map(|workload| match workload.get_ref() {
            Workload::Pipeline(pipeline) => Some(pipeline),
            _ => None,
        });
        pipelines
            .zip(self.watch.checkers.pipelines())
            .map(|(pipeline, counts)| PipelineRecord {
                group: pipeline.group.clone(),
                semantics: pipeline.semantics.name().to_owned(),
                from: pipeline.from.clone(),
                to: pipeline.to.clone(),
                inputs: counts.inputs,
                committed: counts.committed,
                outputs: counts.outputs,
                lost: counts.lost,
                duplicated: counts.duplicated,
                early: counts.early,
            })
            .collect()
    }

    fn expectations(&self, violations: &[ViolationRecord]) -> Vec<Expectation> {
        let expect = &self.scenario.expect;
        let mut list = Vec::new();
        for property in &expect.violations {
            let count = self.watch.checkers.counts().get(property.as_str()).copied().unwrap_or(0);
            let met = violations.iter().any(|v| &v.property == property);
            list.push(Expectation {
                what: format!("{property} is violated"),
                met,
                found: format!("{count} times"),
            });
        }
        for kind in &expect.reached {
            let met = self.watch.reached.contains(kind.as_str());
            let found = if met { "reached" } else { "never happened after load began" };
            list.push(Expectation { what: format!("reaches {kind}"), met, found: found.to_owned() });
        }
        for found in &self.pipelines() {
            let expected = expect.pipelines.iter().find(|expected| expected.group == found.group);
            let min = |field: fn(&ExpectedPipeline) -> Option<u64>| expected.and_then(field);
            let group = &found.group;
            for (min, what, count) in [
                // A pipeline that wrote nothing has kept every promise.
                (min(|p| p.outputs_min).or(Some(1)), "writes at least", found.outputs),
                (min(|p| p.lost_min), "loses at least", found.lost),
                (min(|p| p.duplicated_min), "duplicates at least", found.duplicated),
            ] {
                let Some(min) = min else { continue };
                list.push(Expectation {
                    what: format!("{group} {what} {min}"),
                    met: count >= min,
                    found: format!("{count} records"),
                });
            }
        }
        let transacts = |workload: &Workload| matches!(workload, Workload::Bank(_) | Workload::Lists(_));
        if self.scenario.workloads.iter().any(|workload| transacts(workload.get_ref())) {
            let committed = self.watch.metrics.transactions.committed;
            list.push(Expectation {
                what: "commits at least 1 transaction".to_owned(),
                met: committed > 0,
                found: format!("{committed} transactions"),
            });
        }
        // A run in which nothing was acknowledged proves nothing.
        let acked = self.watch.metrics.acked;
        let produces = self.scenario.workloads.iter().any(|w| w.get_ref().produces());
        let acked_min = expect.acked_min.unwrap_or(u64::from(produces));
        if acked_min > 0 {
            list.push(Expectation {
                what: format!(
                    "acknowledges at least {acked_min} {}",
                    if acked_min == 1 { "record" } else { "records" }
                ),
                met: acked >= acked_min,
                found: format!("{acked} records"),
            });
        }
        for (error, min) in &expect.failed_min {
            let failed = self.watch.metrics.failed.get(error.as_str()).copied().unwrap_or(0);
            list.push(Expectation {
                what: format!("at least {min} records fail with {error}"),
                met: failed >= *min,
                found: format!("{failed} records"),
            });
        }
        // Where a message takes as long as the engine's tick, or the machine's other work, lets it, no scenario is to blame.
        if let Some(limit) = expect.p99_ms_max.filter(|_| E::MODELS_COSTS) {
            let p99 = self.watch.metrics.latencies().produce.p99;
            list.push(Expectation {
                what: format!("produce p99 is at most {limit} ms"),
                met: p99 <= limit.saturating_mul(1_000_000),
                found: format!("{}.{:03} ms", p99 / 1_000_000, p99 / 1_000 % 1_000),
            });
        }
        list
    }

    /// The size of the committed batches of the workloads' topics, one replica of each.
    fn batch_bytes(&mut self) -> Result<u64, DiskError> {
        let mut partitions: Vec<(TopicIdPartition, NodeId)> = Vec::new();
        let brokers = (0..self.scenario.cluster.nodes).map(HostId);
        let newest = brokers
            .filter_map(|host| match self.world.node(host) {
                Some(Member::Broker(broker)) => Some(broker),
                _ => None,
            })
            .max_by_key(|b| b.metadata().offset);
        if let Some(broker) = newest {
            // The internal topics hold no records of the load.
            broker.partitions(&mut |p| {
                if !trial_coordinator::is_internal(p.topic.as_str()) {
                    partitions.push((p.id, p.leader));
                }
            });
        }
        let mut total = 0;
        for (tp, leader) in partitions {
            let Some(index) = u32::try_from(leader.0).ok().and_then(|id| id.checked_sub(1)) else { continue };
            let (Some(Member::Broker(broker)), disk) = self.world.node_and_disk(HostId(index)) else {
                continue;
            };
            let Some(replica) = broker.replica(tp) else { continue };
            let end = replica.high_watermark;
            broker.batches(disk, tp, Offset::ZERO, &mut |batch| {
                if batch.base_offset < end && !batch.control {
                    total += u64::from(batch.size);
                }
            })?;
        }
        Ok(total)
    }
}

/// The longest gap of each partition around each fault.
fn unavailability(metrics: &Metrics, faults: &[FaultSpan], load_end: Time) -> Vec<Unavailability> {
    let mut list = Vec::new();
    for fault in faults {
        for (tp, acks) in metrics.acks() {
            // Without a record that was given up, a silent end only means that there was nothing to send.
            let open =
                acks.open_gap(load_end).filter(|_| !metrics.failed.is_empty()).map(|from| (from, None));
            let gaps = acks.gaps.iter().map(|(from, to)| (*from, Some(*to))).chain(open);
            let around =
                gaps.filter(|(from, to)| from.0 <= fault.to_ns && to.is_none_or(|to| to.0 >= fault.from_ns));
            let longest = around.max_by_key(|(from, to)| to.unwrap_or(load_end).since(*from));
            if let Some((from, to)) = longest {
                list.push(Unavailability {
                    partition: tp.to_string(),
                    fault: fault.what.clone(),
                    from_ns: from.0,
                    to_ns: to.map(|to| to.0),
                });
            }
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use trial_reports::{RunRecord, Verdict};

    use crate::{Run, RunOptions, Scenario};

    const CLUSTER: &str = r#"
name = "idle"
about = "Nothing comes of it."
duration = "7s"
[cluster]
nodes = 1
config = { "offsets.topic.replication.factor" = 1, "transaction.state.log.replication.factor" = 1, "transaction.state.log.min.isr" = 1 }
[[topic]]
name = "orders"
partitions = 2
replication_factor = 1
[[topic]]
name = "invoices"
partitions = 2
replication_factor = 1
"#;

    fn run(workload: &str) -> RunRecord {
        let scenario = Scenario::from_toml("idle.toml", &format!("{CLUSTER}{workload}")).expect("it is good");
        let run = Run::new(scenario, RunOptions::default()).expect("there is no corpus to fail");
        run.finish(&mut |_| {}).expect("the run comes to its end").record
    }

    #[test]
    fn a_run_that_proves_nothing_fails() {
        let unmet = |record: &RunRecord| {
            assert_eq!((&record.verdict, &record.violations[..]), (&Verdict::Fail, &[][..]));
            let unmet = record.expectations.iter().filter(|e| !e.met);
            unmet.map(|e| format!("{}: {}", e.what, e.found)).collect::<Vec<_>>()
        };
        let pipeline =
            "[[workload]]\nkind = \"pipeline\"\nfrom = \"orders\"\nto = \"invoices\"\ngroup = \"g\"";
        let wrote_nothing = ["g writes at least 1: 0 records", "acknowledges at least 1 record: 0 records"];
        assert_eq!(unmet(&run(pipeline)), wrote_nothing);
        let bank = "[[workload]]\nkind = \"bank\"\ntopic = \"orders\"\nrate = \"20/s\"\nabort_percent = 100";
        assert_eq!(unmet(&run(bank)), ["commits at least 1 transaction: 0 transactions"]);
    }
}
