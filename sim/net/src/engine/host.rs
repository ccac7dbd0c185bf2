//! A host as the driver has it: node, disk, clock, and what its connections are called.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;
use trial_node::{CloseReason, ConnId, Node, Rng, Signal, Time};
use trial_storage::SimDisk;
use trial_wire::ApiKey;
use trial_world::{HostSpec, HostState, WallClock, WorldConfig};

use super::kernel::{Call, Socket, SocketId};

/// What waits for a node.
#[derive(Debug)]
pub(super) enum Waiting {
    Accepted { process: u32, port: u16, socket: Socket },
    Connected { socket: SocketId },
    Frame { socket: SocketId, frame: Bytes },
    Closed { socket: SocketId, reason: CloseReason },
    Signal(Signal),
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct End {
    pub(super) socket: Socket,
    /// What this end has asked and waits for the answer to; answers come in the order of the questions. `None` if this end
    /// accepted.
    pub(super) asked: Option<VecDeque<Question>>,
}

/// A request that gets an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) correlation_id: i32,
    pub(super) api: ApiKey,
    pub(super) version: i16,
}

/// The connections of one process.
#[derive(Debug, Default)]
pub(super) struct Ends {
    ends: BTreeMap<ConnId, End>,
    names: BTreeMap<SocketId, ConnId>,
}

impl Ends {
    pub(super) fn insert(&mut self, conn: ConnId, end: End) {
        self.names.insert(end.socket.id, conn);
        self.ends.insert(conn, end);
    }

    /// The node's name of a socket, if it still has it.
    pub(super) fn name(&self, socket: SocketId) -> Option<ConnId> {
        self.names.get(&socket).copied()
    }

    pub(super) fn get_mut(&mut self, conn: ConnId) -> Option<&mut End> {
        self.ends.get_mut(&conn)
    }

    /// Closes one.
    pub(super) fn remove(&mut self, conn: ConnId) {
        if let Some(end) = self.ends.remove(&conn) {
            self.names.remove(&end.socket.id);
        }
    }

    /// Closes all.
    pub(super) fn clear(&mut self) {
        self.ends.clear();
        self.names.clear();
    }
}

/// What faults hold a host down by. Each counts, so that faults may overlap.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Holds {
    pub(super) down: u32,
    pub(super) off: u32,
    pub(super) paused: u32,
}

pub(super) struct Host<N: Node> {
    pub(super) name: String,
    pub(super) ports: Vec<u16>,
    pub(super) config: N::Config,
    pub(super) node: Option<N>,
    pub(super) state: HostState,
    pub(super) holds: Holds,
    /// A restart has asked the process to stop, and it has not yet.
    pub(super) terminating: bool,
    /// Start the node as soon as it has halted.
    pub(super) restarts: bool,
    /// How many processes there were.
    pub(super) process: u32,
    pub(super) clock: WallClock,
    pub(super) disk: SimDisk,
    /// When the operating system writes back what has been in the page cache for long.
    pub(super) write_back_at: Time,
    pub(super) kernel: UnboundedSender<Call>,
    pub(super) ends: Ends,
    pub(super) last_conn: u64,
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) node_rng: Rng,
    pub(super) disk_rng: Rng,
    /// Where faults of the disk strike.
    pub(super) fault_rng: Rng,
}

impl<N: Node> Host<N> {
    pub(super) fn new(
        config: &WorldConfig,
        spec: HostSpec<N::Config>,
        kernel: UnboundedSender<Call>,
    ) -> Host<N> {
        // The names of the streams are the world's: the same seed loads the cluster in the same way.
        let stream = |what: &str| Rng::named(config.seed, &format!("host/{}/{what}", spec.name));
        let (node_rng, disk_rng, fault_rng) = (stream("node"), stream("disk"), stream("disk/faults"));
        Host {
            name: spec.name,
            ports: spec.ports,
            config: spec.config,
            node: None,
            state: HostState::Down,
            holds: Holds::default(),
            terminating: false,
            restarts: false,
            process: 0,
            clock: WallClock::new(config.wall_start_ms),
            disk: SimDisk::new(),
            write_back_at: Time::ZERO,
            kernel,
            ends: Ends::default(),
            last_conn: 0,
            waiting: VecDeque::new(),
            node_rng,
            disk_rng,
            fault_rng,
        }
    }

    pub(super) fn has_process(&self) -> bool {
        matches!(self.state, HostState::Running | HostState::Paused)
    }

    /// Asks the kernel for something. One that is switched off does nothing.
    pub(super) fn call(&self, call: Call) {
        drop(self.kernel.send(call));
    }
}
