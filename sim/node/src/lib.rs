//! The boundary between a Kafka node and whatever drives it.
//!
//! A broker, a controller, a producer or a consumer is plain data that implements [`Node`]. It never does I/O,
//! never reads a clock and never draws ambient randomness: a driver calls [`Node::handle`] with an [`Input`], the
//! current [`Now`] and an [`Io`], and carries out the [`Effect`]s that the node left there. The same node therefore
//! runs in virtual time, on a simulated network or on real sockets.
//!
//! How to drive a node:
//! 1. `Node::open` rebuilds it from its disk (first start and restart are one path);
//! 2. carry out the effects in `Io::effects`, in order;
//! 3. wait for the next input or for `Node::poll_timeout`, whichever is first; call `Node::handle`; go to 2.

pub mod disk;
pub mod history;
pub mod id;
pub mod io;
mod nearest;
pub mod rng;
pub mod time;
pub mod trace;
pub mod view;

pub use disk::{Disk, DiskError, FileId};
pub use history::{
    ClientEvent, Content, GroupEvent, PolledRecord, RecordId, TransactionEvent, TransactionId,
    TransactionOutcome,
};
pub use id::{
    Endpoint, LeaderEpoch, NodeId, Offset, ProducerEpoch, ProducerId, TopicIdPartition, TopicPartition,
};
pub use io::{
    CloseReason, ConnId, Effect, HaltReason, Input, Io, Message, Node, OpenError, Request, Response, Signal,
};
pub use nearest::nearest;
pub use rng::Rng;
pub use time::{Now, Span, Time};
pub use trace::TraceEvent;
