//! The world itself: hosts, events, time.

use trial_node::{Effect, Node, Now, Time};
use trial_storage::disk::sim::SimDisk;

use crate::config::{HostSpec, LinkProfile, WorldConfig};
use crate::error::WorldError;
use crate::machine::Machine;
use crate::net::Link;
use crate::observer::Observer;
use crate::outside::Arrival;
use crate::queue::Event;
use crate::sim::Sim;
use crate::trace::{Checkpoint, EventRecord};

/// A host, numbered from 0 in the order in which hosts were added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub u32);

/// What a host is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostState {
    /// Its node runs.
    Running,
    /// Its node's process is stopped (SIGSTOP); its kernel works.
    Paused,
    /// No process; the kernel refuses connections.
    Down,
    /// No power: silent.
    Off,
}

/// What a run has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Inputs and effects that went into the trace hash.
    pub events: u64,
    /// Calls of nodes.
    pub steps: u64,
    /// Messages that were delivered: requests and responses.
    pub messages: u64,
    /// Responses that were delivered.
    pub rpcs: u64,
    /// Bytes of all messages that were sent, their headers included.
    pub bytes: u64,
}

/// Why [`World::run_until`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// The instant has come.
    Reached,
    /// The observer broke off.
    Stopped,
}

/// Hosts, what is under way between them, and the time.
///
/// A clone is a snapshot: both go on from here, the same way if the same is done to both.
#[derive(Clone)]
pub struct World<N: Node> {
    pub(crate) config: WorldConfig,
    pub(crate) sim: Sim,
    pub(crate) nodes: Vec<Option<N>>,
    /// `None` for a host whose node is outside.
    pub(crate) configs: Vec<Option<N::Config>>,
    /// The effects of the step that is being taken, and the sizes of their messages. Empty between two steps.
    pub(crate) effects: Vec<Effect>,
    pub(crate) sizes: Vec<u32>,
    /// What has arrived at outside hosts and was not taken out yet.
    pub(crate) arrived: Vec<Arrival>,
    /// A node's bug, until somebody is told.
    pub(crate) failed: Option<WorldError>,
    /// The observer broke off; this host may have more to do at this instant.
    pub(crate) stopped_at: Option<u32>,
    /// When the last step was, and how many there were at that instant.
    pub(crate) last_step: (Time, u64),
}

impl<N: Node> World<N> {
    /// An empty world at instant zero.
    pub fn new(config: WorldConfig) -> World<N> {
        World {
            sim: Sim::new(&config),
            config,
            nodes: Vec::new(),
            configs: Vec::new(),
            effects: Vec::new(),
            sizes: Vec::new(),
            arrived: Vec::new(),
            failed: None,
            stopped_at: None,
            last_step: (Time::ZERO, 0),
        }
    }

    /// Adds a machine with an empty disk, switched on, its node not started.
    ///
    /// # Panics
    /// When the name is taken.
    pub fn add_host(&mut self, spec: HostSpec<N::Config>) -> HostId {
        let HostSpec { name, ports, profile, config } = spec;
        let machine = Machine::new(self.config.seed, name, ports, profile, self.config.wall_start_ms);
        self.add_machine(machine, Some(config))
    }

    pub(crate) fn add_machine(&mut self, machine: Machine, config: Option<N::Config>) -> HostId {
        let id = self.nodes.len() as u32;
        let taken = self.sim.names.insert(machine.name.clone(), id);
        assert!(taken.is_none(), "two hosts called {}", machine.name);
        let link = || Link::new(self.config.link);
        for row in &mut self.sim.net.links {
            row.push(link());
        }
        self.sim.net.links.push((0..=id).map(|_| link()).collect());
        self.sim.machines.push(machine);
        self.nodes.push(None);
        self.configs.push(config);
        HostId(id)
    }

    /// Says what the link from one host to another is like, in that direction.
    pub fn set_link(&mut self, from: HostId, to: HostId, profile: LinkProfile) {
        self.sim.net.links[from.0 as usize][to.0 as usize].set_profile(profile);
    }

    /// Opens the host's node at that instant, unless it runs by then.
    pub fn start_at(&mut self, host: HostId, at: Time) {
        self.sim.queue.schedule(at.max(self.sim.now), Event::Start { host: host.0 });
    }

    /// Runs everything that happens up to and including `until`; it is then `until`. If the observer broke off it is the
    /// instant of the step that it saw last, and the next call goes on from there.
    ///
    /// # Errors
    /// [`WorldError`]: a node has a bug. The world cannot go on.
    pub fn run_until(&mut self, until: Time, observer: &mut impl Observer<N>) -> Result<RunEnd, WorldError> {
        if let Some(host) = self.stopped_at.take() {
            self.wake(host, observer);
        }
        loop {
            if let Some(error) = &self.failed {
                return Err(error.clone());
            }
            if self.stopped_at.is_some() {
                return Ok(RunEnd::Stopped);
            }
            let Some((at, event)) = self.sim.queue.pop_until(until) else {
                self.sim.now = self.sim.now.max(until);
                return Ok(RunEnd::Reached);
            };
            self.sim.now = at;
            if let Some(host) = self.happen(event, observer) {
                self.wake(host, observer);
            }
        }
    }

    /// Lets an event happen; returns the host that may have an input to take now.
    fn happen(&mut self, event: Event, observer: &mut impl Observer<N>) -> Option<u32> {
        let sim = &mut self.sim;
        match event {
            Event::Arrive { pipe, epoch } => sim.on_arrive(pipe, epoch),
            Event::Timer { host, epoch } => sim.machines[host as usize].on_timer(epoch).then_some(host),
            Event::StepDone { host, epoch } => self.on_step_done(host, epoch, observer),
            Event::Received { pipe, epoch } => sim.on_received(pipe, epoch),
            Event::Retransmit { pipe, epoch } => sim.on_retransmit(pipe, epoch),
            Event::Syn { conn, epoch } => {
                sim.on_syn(conn, epoch);
                None
            }
            Event::SynTimeout { conn, epoch } => sim.on_syn_timeout(conn, epoch),
            Event::SynAck { conn, epoch } => sim.on_syn_ack(conn, epoch),
            Event::Refused { conn, epoch } => sim.on_refused(conn, epoch),
            Event::Reset { conn, end, epoch } => sim.on_reset(conn, usize::from(end), epoch),
            Event::WindowOpen { pipe, epoch } => {
                sim.on_window_open(pipe, epoch);
                None
            }
            Event::NicDone { host, epoch } => {
                sim.nic_done(host, epoch);
                None
            }
            Event::WriteBack { host, epoch } => {
                sim.on_write_back(host, epoch);
                None
            }
            Event::Start { host } => {
                self.start(HostId(host), observer);
                None
            }
        }
    }

    /// The instant that the world is at.
    pub fn now(&self) -> Time {
        self.sim.now
    }

    /// Both clocks of a host.
    pub fn clocks(&self, host: HostId) -> Now {
        self.machine(host).clock.now(self.sim.now)
    }

    /// How many hosts there are; their ids are all the numbers below.
    pub fn host_count(&self) -> usize {
        self.nodes.len()
    }

    /// The host of that name.
    pub fn find(&self, name: &str) -> Option<HostId> {
        self.sim.find(name).map(HostId)
    }

    /// A host's name.
    pub fn name(&self, host: HostId) -> &str {
        &self.machine(host).name
    }

    /// What a host is doing.
    pub fn state(&self, host: HostId) -> HostState {
        self.machine(host).state
    }

    /// A host's node, running or paused.
    pub fn node(&self, host: HostId) -> Option<&N> {
        self.nodes[host.0 as usize].as_ref()
    }

    /// A host's node and disk, to read its log by the views' methods. Costs the node nothing.
    pub fn node_and_disk(&mut self, host: HostId) -> (Option<&N>, &mut SimDisk) {
        let host = host.0 as usize;
        (self.nodes[host].as_ref(), &mut self.sim.machines[host].disk)
    }

    /// Replaces a machine's disk, before its node is started for the first time.
    pub fn set_disk(&mut self, host: HostId, disk: SimDisk) {
        self.sim.machines[host.0 as usize].disk = disk;
    }

    /// Replaces what the node is opened with at the next start.
    pub fn set_config(&mut self, host: HostId, config: N::Config) {
        self.configs[host.0 as usize] = Some(config);
    }

    /// What the run has cost so far.
    pub fn counters(&self) -> Counters {
        Counters { events: self.sim.trace.events(), ..self.sim.counters }
    }

    /// The trace hash now.
    pub fn hash(&self) -> u128 {
        self.sim.trace.hash()
    }

    /// The checkpoints so far.
    pub fn checkpoints(&self) -> &[Checkpoint] {
        self.sim.trace.checkpoints()
    }

    /// Keeps a record of every event with a number from `first` to `last`, to name the first one that differs.
    pub fn record_events(&mut self, first: u64, last: u64) {
        self.sim.trace.record_events(first, last);
    }

    /// What was recorded.
    pub fn recorded(&self) -> &[EventRecord] {
        self.sim.trace.recorded()
    }

    fn machine(&self, host: HostId) -> &Machine {
        &self.sim.machines[host.0 as usize]
    }
}
