//! The world itself: hosts, events, time.

use trial_node::{Node, Now, Signal, Time};
use trial_storage::disk::sim::SimDisk;

use crate::config::{HostSpec, LinkProfile, WorldConfig};
use crate::error::WorldError;
use crate::observer::Observer;
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
#[derive(Clone)]
pub struct World<N: Node> {
    hosts: Vec<(N, N::Config)>,
}

impl<N: Node> World<N> {
    /// An empty world at instant zero.
    pub fn new(config: WorldConfig) -> World<N> {
        unimplemented!("{config:?}")
    }
    /// Adds a machine with an empty disk, switched on, its node not started.
    ///
    /// # Panics
    /// When the name is taken.
    pub fn add_host(&mut self, spec: HostSpec<N::Config>) -> HostId {
        unimplemented!("{}", spec.name)
    }
    /// Says what the link from one host to another is like, in that direction.
    pub fn set_link(&mut self, from: HostId, to: HostId, profile: LinkProfile) {
        unimplemented!("{from:?} {to:?} {profile:?}")
    }
    /// Opens the host's node now. Nothing happens if it runs already.
    pub fn start(&mut self, host: HostId, observer: &mut impl Observer<N>) {
        unimplemented!("{host:?} {}", size_of_val(observer))
    }
    /// Opens the host's node at that instant, unless it runs by then.
    pub fn start_at(&mut self, host: HostId, at: Time) {
        unimplemented!("{host:?} {at:?}")
    }
    /// Sends the node a signal.
    pub fn signal(&mut self, host: HostId, signal: Signal, observer: &mut impl Observer<N>) {
        unimplemented!("{host:?} {signal:?} {}", size_of_val(observer))
    }
    /// Runs everything that happens up to and including `until`; it is then `until`.
    ///
    /// # Errors
    /// [`WorldError`]: a node has a bug.
    pub fn run_until(&mut self, until: Time, observer: &mut impl Observer<N>) -> Result<RunEnd, WorldError> {
        unimplemented!("{until} {}", size_of_val(observer))
    }
    /// The instant that the world is at.
    pub fn now(&self) -> Time {
        unimplemented!()
    }
    /// Both clocks of a host.
    pub fn clocks(&self, host: HostId) -> Now {
        unimplemented!("{host:?}")
    }
    /// How many hosts there are; their ids are all the numbers below.
    pub fn host_count(&self) -> usize {
        self.hosts.len()
    }
    /// The host of that name.
    pub fn find(&self, name: &str) -> Option<HostId> {
        unimplemented!("{name}")
    }
    /// A host's name.
    pub fn name(&self, host: HostId) -> &str {
        unimplemented!("{host:?}")
    }
    /// What a host is doing.
    pub fn state(&self, host: HostId) -> HostState {
        unimplemented!("{host:?}")
    }
    /// A host's node, running or paused.
    pub fn node(&self, host: HostId) -> Option<&N> {
        unimplemented!("{host:?}")
    }
    /// A host's node and disk, to read its log by the views' methods. Costs the node nothing.
    pub fn node_and_disk(&mut self, host: HostId) -> (Option<&N>, &mut SimDisk) {
        unimplemented!("{host:?}")
    }
    /// Replaces what the node is opened with at the next start.
    pub fn set_config(&mut self, host: HostId, config: N::Config) {
        self.hosts[host.0 as usize].1 = config;
    }
    /// What the run has cost so far.
    pub fn counters(&self) -> Counters {
        unimplemented!()
    }
    /// The trace hash now.
    pub fn hash(&self) -> u128 {
        unimplemented!()
    }
    /// The checkpoints so far.
    pub fn checkpoints(&self) -> &[Checkpoint] {
        unimplemented!()
    }
    /// Keeps a record of every event with a number from `first` to `last`, to name the first one that differs.
    pub fn record_events(&mut self, first: u64, last: u64) {
        unimplemented!("{first} {last}")
    }
    /// What was recorded.
    pub fn recorded(&self) -> &[EventRecord] {
        unimplemented!()
    }
}
