//! Lane by lane, what each host did.

use trial_node::view::BrokerView;
use trial_node::{NodeId, Offset, Time, TraceEvent};
use trial_reports::{FaultSpan, HostState, Lane, StateSpan, Timeline, TimelineEvent};
use trial_world::{HostId, Lifecycle};

/// How many trace events a record keeps; what comes after is counted only.
const EVENTS_MAX: usize = 20_000;

/// Collects a run's timeline as it goes on.
pub(crate) struct TimelineBuilder {
    lanes: Vec<LaneBuilder>,
    events: Vec<TimelineEvent>,
    dropped: u64,
    metadata_offset: Offset,
}

struct LaneBuilder {
    lane: Lane,
    since: Time,
    state: HostState,
    controller_since: Option<Time>,
}

impl TimelineBuilder {
    /// Lanes for these hosts; the first `brokers` of them are brokers.
    pub(crate) fn new(hosts: &[String], brokers: usize) -> TimelineBuilder {
        let lane = |(index, host): (usize, &String)| LaneBuilder {
            lane: Lane { host: host.clone(), broker: index < brokers, ..Lane::default() },
            since: Time::ZERO,
            state: HostState::Down,
            controller_since: None,
        };
        TimelineBuilder {
            lanes: hosts.iter().enumerate().map(lane).collect(),
            events: Vec::new(),
            dropped: 0,
            metadata_offset: Offset::ZERO,
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

    /// Looks at who leads and who is in sync, as a broker's metadata says, after a step in which a role changed somewhere. A
    /// broker whose metadata is older than what was seen before has nothing to say.
    pub(crate) fn roles(&mut self, at: Time, broker: &dyn BrokerView) {
        let offset = broker.metadata().offset;
        if offset < self.metadata_offset {
            return;
        }
        self.metadata_offset = offset;
        let brokers = self.lanes.iter().take_while(|l| l.lane.broker).count();
        let mut counts = vec![(0, 0); brokers];
        let index = |id: NodeId| usize::try_from(id.0 - 1).ok().filter(|i| *i < brokers);
        broker.partitions(&mut |p| {
            if let Some(i) = index(p.leader) {
                counts[i].0 += 1;
            }
            for i in p.isr.iter().copied().filter_map(index) {
                counts[i].1 += 1;
            }
        });
        for (lane, (leads, in_isr)) in self.lanes.iter_mut().zip(counts) {
            push_if_new(&mut lane.lane.leads, at, leads);
            push_if_new(&mut lane.lane.in_isr, at, in_isr);
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

fn push_if_new(list: &mut Vec<(u64, u32)>, at: Time, count: u32) {
    if list.last().is_none_or(|(_, last)| *last != count) {
        list.push((at.0, count));
    }
}
