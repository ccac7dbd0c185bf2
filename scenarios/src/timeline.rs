//! Lane by lane, what each host did.

use trial_node::view::BrokerView;
use trial_node::{NodeId, Time, TraceEvent};
use trial_reports::{FaultSpan, HostState, Lane, StateSpan, Timeline, TimelineEvent};
use trial_world::{HostId, Lifecycle};

/// How many trace events a record keeps; what comes after is counted only.
const EVENTS_MAX: usize = 20_000;

/// Collects a run's timeline as it goes on.
pub(crate) struct TimelineBuilder {
    lanes: Vec<LaneBuilder>,
    events: Vec<TimelineEvent>,
    dropped: u64,
}

struct LaneBuilder {
    lane: Lane,
    since: Time,
    state: HostState,
    controller_since: Option<Time>,
    led: u32,
}

impl TimelineBuilder {
    /// Lanes for these hosts; the first `brokers` of them are brokers.
    pub(crate) fn new(hosts: &[String], brokers: usize) -> TimelineBuilder {
        let lane = |(index, host): (usize, &String)| LaneBuilder {
            lane: Lane { host: host.clone(), broker: index < brokers, ..Lane::default() },
            since: Time::ZERO,
            state: HostState::Down,
            controller_since: None,
            led: 0,
        };
        TimelineBuilder {
            lanes: hosts.iter().enumerate().map(lane).collect(),
            events: Vec::new(),
            dropped: 0,
        }
    }

    pub(crate) fn lifecycle(&mut self, at: Time, host: HostId, event: &Lifecycle) {
        let state = match event {
            Lifecycle::Started | Lifecycle::Resumed => HostState::Up,
            Lifecycle::Paused => HostState::Paused,
            Lifecycle::Killed | Lifecycle::PoweredOff | Lifecycle::Halted(_) | Lifecycle::OpenFailed(_) => {
                HostState::Down
            }
        };
        let Some(lane) = self.lanes.get_mut(host.0 as usize) else { return };
        lane.enter(at, state);
        if state == HostState::Down {
            lane.leads(at, 0);
            lane.controls(at, false);
        }
    }

    /// Takes a trace event.
    pub(crate) fn trace(&mut self, at: Time, host: HostId, name: &str, event: &TraceEvent) {
        if self.events.len() < EVENTS_MAX {
            self.events.push(TimelineEvent {
                at_ns: at.0,
                host: name.to_owned(),
                kind: event.kind().to_owned(),
                what: event.to_string(),
            });
        } else {
            self.dropped += 1;
        }
        let Some(lane) = self.lanes.get_mut(host.0 as usize) else { return };
        match event {
            TraceEvent::ControllerActivated { .. } => lane.controls(at, true),
            TraceEvent::QuorumLeaderResigned { .. } | TraceEvent::QuorumLeaderFollowed { .. } => {
                lane.controls(at, false)
            }
            _ => {}
        }
    }

    /// Looks at a broker's roles, after a step in which one of its replicas changed role.
    pub(crate) fn roles(&mut self, at: Time, host: HostId, broker: &dyn BrokerView) {
        let (mut leads, mut in_isr) = (0, 0);
        let id: NodeId = broker.node_id();
        broker.partitions(&mut |p| {
            leads += u32::from(p.leader == id);
            in_isr += u32::from(p.isr.contains(&id));
        });
        let Some(lane) = self.lanes.get_mut(host.0 as usize) else { return };
        lane.leads(at, leads);
        if lane.lane.in_isr.last().is_none_or(|(_, last)| *last != in_isr) {
            lane.lane.in_isr.push((at.0, in_isr));
        }
    }

    pub(crate) fn finish(mut self, at: Time, faults: Vec<FaultSpan>) -> Timeline {
        for lane in &mut self.lanes {
            lane.enter(at, HostState::Down);
            lane.controls(at, false);
        }
        if self.dropped > 0 {
            self.events.push(TimelineEvent {
                at_ns: at.0,
                host: String::new(),
                kind: "left-out".to_owned(),
                what: format!("{} more events are not listed", self.dropped),
            });
        }
        let lanes = self.lanes.into_iter().map(|l| l.lane).collect();
        Timeline { lanes, faults, events: self.events }
    }
}

impl LaneBuilder {
    fn enter(&mut self, at: Time, state: HostState) {
        if at > self.since {
            self.lane.states.push(StateSpan { from_ns: self.since.0, to_ns: at.0, state: self.state });
        }
        (self.since, self.state) = (at, state);
    }

    fn leads(&mut self, at: Time, count: u32) {
        if self.led != count || self.lane.leads.is_empty() {
            self.led = count;
            self.lane.leads.push((at.0, count));
        }
    }

    fn controls(&mut self, at: Time, active: bool) {
        match (self.controller_since, active) {
            (None, true) => self.controller_since = Some(at),
            (Some(since), false) => {
                self.lane.controller.push((since.0, at.0));
                self.controller_since = None;
            }
            _ => {}
        }
    }
}
