//! What watches a run: checkers, metrics, timeline.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;

use trial_checkers::{Checkers, Violation};
use trial_node::view::BrokerView;
use trial_node::{ClientEvent, DiskError, Effect, Message, NodeId, Time, TraceEvent};
use trial_world::{HostId, Lifecycle, Observer, Step};

use crate::member::Member;
use crate::metrics::Metrics;
use crate::timeline::TimelineBuilder;

/// How many trace lines go with a violation.
const TRACE_LINES: usize = 12;

/// Watches a run.
pub(crate) struct Watch {
    pub(crate) checkers: Checkers,
    pub(crate) metrics: Metrics,
    pub(crate) timeline: TimelineBuilder,
    /// The names of all hosts, by host id.
    pub(crate) hosts: Vec<String>,
    pub(crate) brokers: u32,
    /// How many hosts belong to the load; those after them (the audit) do not count in metrics.
    loaded: u32,
    /// The kinds of trace event that happened since load began.
    pub(crate) reached: BTreeSet<&'static str>,
    pub(crate) load_begins: Time,
    /// What the first violations were preceded by.
    pub(crate) traces: Vec<Vec<String>>,
    /// Since when and why each host does not run that has stopped by itself, or did not start.
    pub(crate) halted: BTreeMap<HostId, (Time, String)>,
    /// A log could not be read.
    pub(crate) disk_error: Option<DiskError>,
    /// What clients did and saw, if somebody wants it.
    pub(crate) history: Option<Vec<(Time, ClientEvent)>>,
    recent: VecDeque<(Time, HostId, TraceEvent)>,
}

impl Watch {
    pub(crate) fn new(checkers: Checkers, hosts: Vec<String>, brokers: u32, load_begins: Time) -> Watch {
        Watch {
            checkers,
            metrics: Metrics::new(),
            timeline: TimelineBuilder::new(&hosts, brokers as usize),
            loaded: hosts.len() as u32,
            hosts,
            brokers,
            reached: BTreeSet::new(),
            load_begins,
            traces: Vec::new(),
            halted: BTreeMap::new(),
            disk_error: None,
            history: None,
            recent: VecDeque::with_capacity(TRACE_LINES),
        }
    }

    /// A host that joins while the run goes on.
    pub(crate) fn add_host(&mut self, name: String) {
        self.hosts.push(name);
    }

    /// The last trace lines.
    pub(crate) fn recent(&self) -> Vec<String> {
        let line = |(at, host, event): &(Time, HostId, TraceEvent)| {
            format!("{at} {} {event}", self.hosts[host.0 as usize])
        };
        self.recent.iter().map(line).collect()
    }

    /// Keeps the trace lines of violations that are new.
    pub(crate) fn keep_traces(&mut self) {
        while self.traces.len() < self.checkers.violations().len() {
            self.traces.push(self.recent());
        }
    }

    /// The violations with their traces.
    pub(crate) fn violations(&self) -> impl Iterator<Item = (&Violation, &Vec<String>)> {
        self.checkers.violations().iter().zip(&self.traces)
    }

    fn trace(&mut self, at: Time, host: HostId, event: &TraceEvent) {
        if at >= self.load_begins {
            self.reached.insert(event.kind());
        }
        // The two internal topics have fifty partitions each, and nobody reads a hundred lines for one crash; which coordinators
        // moved is told by the coordinators.
        if event.of_partition().is_some_and(|tp| trial_coordinator::is_internal(tp.topic.as_str())) {
            return;
        }
        self.timeline.trace(at, host, &self.hosts[host.0 as usize], event);
        if self.recent.len() == TRACE_LINES {
            self.recent.pop_front();
        }
        self.recent.push_back((at, host, event.clone()));
    }
}

impl Observer<Member> for Watch {
    fn step(&mut self, step: Step<'_, Member>) -> ControlFlow<()> {
        let mut roles_changed = false;
        for effect in step.effects {
            match effect {
                Effect::History(event) => {
                    self.checkers.client_event(step.at, event);
                    if step.host.0 < self.loaded {
                        self.metrics.event(step.at, event);
                    }
                    if let Some(history) = &mut self.history {
                        history.push((step.at, event.clone()));
                    }
                }
                Effect::Trace(event) => {
                    roles_changed |= matches!(
                        event,
                        TraceEvent::PartitionLeader { .. }
                            | TraceEvent::PartitionFollower { .. }
                            | TraceEvent::IsrShrunk { .. }
                            | TraceEvent::IsrExpanded { .. }
                            | TraceEvent::BrokerUnfenced
                    );
                    self.trace(step.at, step.host, event);
                }
                Effect::Send { message: Message::Response(response), .. } => {
                    let node = NodeId(step.host.0 as i32 + 1);
                    self.checkers.responded(step.at, node, &response.body);
                }
                Effect::Connect { .. } | Effect::Send { .. } | Effect::Close { .. } | Effect::Halt(_) => {}
            }
        }
        if let Member::Broker(broker) = step.node {
            let broker: &dyn BrokerView = &**broker;
            if let Err(error) = self.checkers.broker_stepped(step.at, broker, step.disk) {
                self.disk_error.get_or_insert(error);
                return ControlFlow::Break(());
            }
            if roles_changed {
                self.timeline.roles(step.at, broker);
            }
        }
        if self.traces.len() < self.checkers.violations().len() {
            self.keep_traces();
        }
        ControlFlow::Continue(())
    }

    fn lifecycle(&mut self, at: Time, host: HostId, event: &Lifecycle) {
        self.timeline.lifecycle(at, host, event);
        match event {
            Lifecycle::Killed | Lifecycle::Halted(_) | Lifecycle::PoweredOff => {
                if host.0 < self.brokers {
                    let lost_power = matches!(event, Lifecycle::PoweredOff);
                    self.checkers.broker_down(NodeId(host.0 as i32 + 1), lost_power);
                }
            }
            Lifecycle::Started | Lifecycle::OpenFailed(_) | Lifecycle::Paused | Lifecycle::Resumed => {}
        }
        let why = match event {
            Lifecycle::Halted(reason) => reason.to_string(),
            Lifecycle::OpenFailed(error) => format!("cannot start: {error}"),
            Lifecycle::Started => return drop(self.halted.remove(&host)),
            _ => return,
        };
        self.halted.insert(host, (at, why));
    }
}
