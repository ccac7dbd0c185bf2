//! Who watches: checkers, timelines, metrics.

use std::fmt;
use std::ops::ControlFlow;

use trial_node::{CloseReason, ConnId, Effect, HaltReason, Node, OpenError, Signal, Time};
use trial_storage::disk::sim::SimDisk;
use trial_wire::ApiKey;

use crate::world::HostId;

/// Sees every step of every node, and every host's fate. Cannot change the run, except to end it.
pub trait Observer<N: Node> {
    /// A node took an input. Breaking ends [`crate::World::run_until`] after this step.
    fn step(&mut self, step: Step<'_, N>) -> ControlFlow<()>;

    /// Something happened to a host. A start that succeeded is also a step, with [`StepInput::Open`], just
    /// before; a node that halts in that step is only said to have halted.
    fn lifecycle(&mut self, at: Time, host: HostId, event: &Lifecycle);
}

/// One call of a node.
pub struct Step<'a, N> {
    /// The instant of the call.
    pub at: Time,
    /// When its effects leave the machine: `at` unless the machine's disk or processor costs time. If the machine dies
    /// before, they never leave it. While an fsync is stalled it is not known: [`Time::MAX`].
    pub done: Time,
    /// Where.
    pub host: HostId,
    /// What the node took.
    pub input: StepInput,
    /// What it wants done.
    pub effects: &'a [Effect],
    /// The node after the call.
    pub node: &'a N,
    /// Its disk, for the views' methods; reading it costs the node nothing. Not to be written.
    pub disk: &'a mut SimDisk,
}

/// What a node took: [`trial_node::Input`] without the messages' bodies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StepInput {
    /// It was opened.
    Open,
    /// Its time-out.
    Timeout,
    /// A connection that it asked for stands.
    Connected(ConnId),
    /// Somebody connected.
    Accepted(ConnId, u16),
    /// A connection is gone.
    Closed(ConnId, CloseReason),
    /// A request came.
    Request(ConnId, ApiKey),
    /// A response came.
    Response(ConnId, ApiKey),
    /// The operator's wish.
    Signal(Signal),
}

/// What happened to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// Its node was opened and runs.
    Started,
    /// Its node could not be opened: the host stays down.
    OpenFailed(OpenError),
    /// Its process was killed.
    Killed,
    /// It lost power.
    PoweredOff,
    /// Its process was paused.
    Paused,
    /// Its process goes on.
    Resumed,
    /// Its node stopped by itself.
    Halted(HaltReason),
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lifecycle::Started => f.write_str("started"),
            Lifecycle::OpenFailed(error) => write!(f, "could not start: {error}"),
            Lifecycle::Killed => f.write_str("killed"),
            Lifecycle::PoweredOff => f.write_str("lost power"),
            Lifecycle::Paused => f.write_str("paused"),
            Lifecycle::Resumed => f.write_str("resumed"),
            Lifecycle::Halted(reason) => write!(f, "halted: {reason}"),
        }
    }
}

/// An observer that does not look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ignore;

impl<N: Node> Observer<N> for Ignore {
    fn step(&mut self, _step: Step<'_, N>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn lifecycle(&mut self, _at: Time, _host: HostId, _event: &Lifecycle) {}
}
