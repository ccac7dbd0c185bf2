//! The driver: owns the nodes, gives them what kernels have brought and their time-outs, and carries out what they want.

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use trial_faults::{Fault, ResolvedFault};
use trial_node::{Effect, Node, Now, Span, Time};
use trial_storage::SimDisk;
use trial_world::{
    Checkpoint, Counters, Engine, EventRecord, FaultError, HostId, HostSpec, Observer, RunEnd, TraceHash,
    WorldConfig, WorldError,
};

use super::fabric::{Fabric, ToDriver};
use super::host::{Host, Waiting};
use super::kernel::{Event, SocketIds};
use super::links::Links;

/// How often the operating system writes back what was in the page cache at the time before (Linux,
/// `dirty_expire_centisecs`).
const WRITE_BACK_EVERY: Span = Span::from_secs(30);

/// Nodes on a [`Fabric`]'s sockets.
pub struct Driver<N: Node, F> {
    pub(super) config: WorldConfig,
    pub(super) fabric: F,
    pub(super) to_driver: ToDriver,
    events: UnboundedReceiver<Event>,
    pub(super) now: Time,
    pub(super) hosts: Vec<Host<N>>,
    names: BTreeMap<String, u32>,
    pub(super) links: Links,
    pub(super) trace: TraceHash,
    pub(super) counters: Counters,
    /// The effects of the step that is being taken, and the frames of its messages. Empty between two steps.
    pub(super) effects: Vec<Effect>,
    pub(super) frames: Vec<Bytes>,
    /// What ends the run, until somebody is told.
    pub(super) failed: Option<WorldError>,
    /// The observer broke off.
    pub(super) stopped: bool,
    /// How many steps there were at this instant.
    pub(super) steps_now: u64,
}

impl<N: Node, F: Fabric> Driver<N, F> {
    /// No hosts, at the instant that `fabric` is at. Of `config`, the seed, the wall clock's start and the checkpoints count
    /// here.
    pub fn new(config: &WorldConfig, fabric: F) -> Driver<N, F> {
        let (sender, events) = unbounded_channel();
        Driver {
            now: fabric.now(),
            trace: TraceHash::new(config.seed, config.checkpoint_every),
            config: config.clone(),
            fabric,
            to_driver: ToDriver { events: sender, ids: SocketIds::default() },
            events,
            hosts: Vec::new(),
            names: BTreeMap::new(),
            links: Links::default(),
            counters: Counters::default(),
            effects: Vec::new(),
            frames: Vec::new(),
            failed: None,
            stopped: false,
            steps_now: 0,
        }
    }

    /// Sorts what kernels have told, to whom it concerns.
    fn take_in(&mut self, event: Event) {
        let (host, waiting) = match event {
            Event::Accepted { host, process, port, socket } => {
                (host, Waiting::Accepted { process, port, socket })
            }
            Event::Connected { host, socket } => (host, Waiting::Connected { socket }),
            Event::Frame { host, socket, frame } => (host, Waiting::Frame { socket, frame }),
            Event::Closed { host, socket, reason } => (host, Waiting::Closed { socket, reason }),
            Event::Broken { host, what } => return self.fail(host, what),
        };
        let h = &mut self.hosts[host as usize];
        // What was meant for a process that is gone goes with it, and who has connected to it is told.
        if h.has_process() {
            h.waiting.push_back(waiting);
        }
    }

    /// The sockets have done what they must not do.
    pub(super) fn fail(&mut self, host: u32, what: String) {
        let host = self.hosts[host as usize].name.clone();
        self.failed.get_or_insert(WorldError::Sockets { at: self.now, host, what });
    }

    /// Lets all nodes take what there is for them now.
    fn step_all(&mut self, observer: &mut impl Observer<N>) {
        for host in 0..self.hosts.len() as u32 {
            let h = &self.hosts[host as usize];
            if h.restarts && !h.has_process() {
                self.start_host(host, observer);
            }
            let h = &mut self.hosts[host as usize];
            if h.write_back_at <= self.now {
                h.disk.write_back();
                h.write_back_at = self.now + WRITE_BACK_EVERY;
            }
            self.wake(host, observer);
        }
    }

    /// When a node wants its next time-out, if any does.
    fn next_timeout(&self) -> Option<Time> {
        let running = self.hosts.iter().filter(|host| host.is_ready());
        running.filter_map(|host| host.node.as_ref()?.poll_timeout()).min()
    }
}

impl<N: Node, F: Fabric> Engine<N> for Driver<N, F> {
    const NAME: &'static str = F::NAME;
    const MODELS_COSTS: bool = false;

    fn refuses<T>(&self, fault: &Fault<T>) -> Option<&'static str> {
        match fault {
            Fault::SlowDisk { .. } | Fault::FsyncStall(_) => Some("its disks take no time"),
            Fault::LinkBandwidth { .. } => Some("it does not model bandwidth"),
            _ => F::refuses(fault),
        }
    }

    fn add_host(&mut self, spec: HostSpec<N::Config>) -> HostId {
        let id = self.hosts.len() as u32;
        let taken = self.names.insert(spec.name.clone(), id);
        assert!(taken.is_none(), "two hosts called {}", spec.name);
        let kernel = self.fabric.add_host(&spec.name, self.to_driver.clone());
        self.links.add_host();
        self.hosts.push(Host::new(&self.config, spec, kernel));
        HostId(id)
    }

    fn start(&mut self, host: HostId, observer: &mut impl Observer<N>) {
        self.start_host(host.0, observer);
    }

    fn run_until(&mut self, until: Time, observer: &mut impl Observer<N>) -> Result<RunEnd, WorldError> {
        self.stopped = false;
        loop {
            self.steps_now = 0;
            self.step_all(observer);
            if let Some(error) = &self.failed {
                return Err(error.clone());
            }
            if self.stopped {
                return Ok(RunEnd::Stopped);
            }
            if self.now >= until {
                return Ok(RunEnd::Reached);
            }
            let next = self.next_timeout().map_or(until, |at| at.min(until));
            match self.fabric.pass(next, &mut self.events) {
                Ok(first) => first.into_iter().for_each(|event| self.take_in(event)),
                Err(what) => {
                    self.failed = Some(WorldError::Sockets { at: self.now, host: F::NAME.to_owned(), what });
                }
            }
            self.now = self.fabric.now();
            while let Ok(event) = self.events.try_recv() {
                self.take_in(event);
            }
        }
    }

    fn apply(&mut self, fault: &ResolvedFault, observer: &mut impl Observer<N>) -> Result<(), FaultError> {
        self.apply_fault(fault, observer)
    }

    fn heal(&mut self, fault: &ResolvedFault, observer: &mut impl Observer<N>) -> Result<(), FaultError> {
        self.heal_fault(fault, observer)
    }

    fn now(&self) -> Time {
        self.now
    }

    fn clocks(&self, host: HostId) -> Now {
        self.hosts[host.0 as usize].clock.now(self.now)
    }

    fn host_count(&self) -> usize {
        self.hosts.len()
    }

    fn find(&self, name: &str) -> Option<HostId> {
        self.names.get(name).copied().map(HostId)
    }

    fn name(&self, host: HostId) -> &str {
        &self.hosts[host.0 as usize].name
    }

    fn node(&self, host: HostId) -> Option<&N> {
        self.hosts[host.0 as usize].node.as_ref()
    }

    fn node_and_disk(&mut self, host: HostId) -> (Option<&N>, &mut SimDisk) {
        let host = &mut self.hosts[host.0 as usize];
        (host.node.as_ref(), &mut host.disk)
    }

    fn counters(&self) -> Counters {
        Counters { events: self.trace.events(), ..self.counters }
    }

    fn hash(&self) -> u128 {
        self.trace.hash()
    }

    fn checkpoints(&self) -> &[Checkpoint] {
        self.trace.checkpoints()
    }

    fn record_events(&mut self, first: u64, last: u64) {
        self.trace.record_events(first, last);
    }

    fn recorded(&self) -> &[EventRecord] {
        self.trace.recorded()
    }
}
