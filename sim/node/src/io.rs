//! What goes into a node and what comes out of it.

use std::fmt;

use trial_wire::{RequestKind, ResponseKind, StrBytes};

use crate::disk::Disk;
use crate::history::ClientEvent;
use crate::id::Endpoint;
use crate::rng::Rng;
use crate::time::{Now, Time};
use crate::trace::TraceEvent;

/// A Kafka node as a state machine without I/O.
pub trait Node: Clone {
    /// What the node must know before it reads its disk. A driver keeps a copy for each restart.
    type Config: Clone;

    /// Rebuilds the node from what its disk holds; first start and restart after a crash are one path.
    ///
    /// # Errors
    /// [`OpenError`] when the disk fails or holds what no crash can explain; the node does not start.
    fn open(config: Self::Config, io: &mut Io<'_>, now: Now) -> Result<Self, OpenError>;

    /// Takes one input and leaves effects in `io`. Returns promptly and never blocks.
    fn handle(&mut self, now: Now, input: Input, io: &mut Io<'_>);

    /// The next instant at which the node wants [`Input::Timeout`], if any. Cheap: drivers ask after every input. An
    /// instant in the past means "at once". A driver may deliver the time-out late, never early.
    fn poll_timeout(&self) -> Option<Time>;
}

/// One connection, as one of its two ends names it. Each end has a name of its own; a node never sees the other's. An id
/// is not used twice between two starts of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// A Kafka request with the parts of its header that matter.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Chosen by the client, echoed by the response.
    pub correlation_id: i32,
    /// The negotiated version of the API.
    pub api_version: i16,
    /// The client's self-chosen name.
    pub client_id: StrBytes,
    /// The message. Boxed: on its way it is moved a dozen times, which costs more than an allocation.
    pub body: Box<RequestKind>,
}

/// A Kafka response.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The request's.
    pub correlation_id: i32,
    /// The request's.
    pub api_version: i16,
    /// The message, boxed as a request's.
    pub body: Box<ResponseKind>,
}

/// What a connection carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// From the end that connected to the end that accepted.
    Request(Request),
    /// The other way.
    Response(Response),
}

/// What happens to a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The instant that [`Node::poll_timeout`] named has come.
    Timeout,
    /// A connection that this node asked for with [`Io::connect`] stands.
    Connected {
        /// The connection.
        conn: ConnId,
    },
    /// Another node connected to this one.
    Accepted {
        /// The new connection.
        conn: ConnId,
        /// The port of ours that it came in on.
        port: u16,
    },
    /// A connection is gone, or could not be made. Nothing more arrives on it; what was sent on it may or may not have
    /// arrived. Not delivered for a connection that the node closed itself.
    Closed {
        /// The connection.
        conn: ConnId,
        /// Why.
        reason: CloseReason,
    },
    /// A request arrived on a connection that this node accepted.
    Request {
        /// The connection.
        conn: ConnId,
        /// The request.
        request: Request,
    },
    /// A response arrived on a connection that this node opened.
    Response {
        /// The connection.
        conn: ConnId,
        /// The response.
        response: Response,
    },
    /// The operator wants something of the process, as with a Unix signal.
    Signal(Signal),
}

/// What an operator can ask of a running process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: stop in an orderly way (a broker does a controlled shutdown), then [`Effect::Halt`].
    Terminate,
    /// Give up quorum leadership if this node holds it (EndQuorumEpoch to the others), and go on as a follower.
    ResignQuorumLeadership,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Nobody listens at that host and port, or no such host.
    Refused,
    /// The other end closed it, in order.
    PeerClosed,
    /// The other end's process died, or its host does not know the connection (any more).
    Reset,
    /// The operating system gave up on an end that has been silent for too long.
    TimedOut,
}

/// Why a node stopped for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HaltReason {
    /// It was asked to.
    Shutdown,
    /// It met something that it must not go on after; says what.
    Fatal(String),
}

impl fmt::Display for HaltReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HaltReason::Shutdown => f.write_str("shut down"),
            HaltReason::Fatal(what) => write!(f, "fatal: {what}"),
        }
    }
}

/// What a node wants done, in the order in which it wants it.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Open a connection; [`Input::Connected`] or [`Input::Closed`] will tell.
    Connect {
        /// The name that the node will know it by.
        conn: ConnId,
        /// Where to.
        to: Endpoint,
    },
    /// Send a message. Messages on one connection arrive in the order in which they were sent, or not at all.
    Send {
        /// The connection.
        conn: ConnId,
        /// The message.
        message: Message,
    },
    /// Close a connection. What was sent before may still arrive.
    Close {
        /// The connection.
        conn: ConnId,
    },
    /// For the people who read the run: something worth knowing happened.
    Trace(TraceEvent),
    /// For the checkers: what a workload did and saw.
    History(ClientEvent),
    /// The node has stopped; call it no more.
    Halt(HaltReason),
}

/// A node cannot start.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum OpenError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] crate::disk::DiskError),
    /// A file holds what no crash can explain.
    #[error("{path}: {what}")]
    Corrupt {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// The configuration makes no sense.
    #[error("config {key}: {what}")]
    Config {
        /// The configuration's name, as Kafka names it.
        key: String,
        /// What is wrong with its value, and what would be right.
        what: String,
    },
}

/// A node's access to its surroundings during one call.
pub struct Io<'a> {
    /// The node's disk. Operations return at once; the driver charges their time to the node.
    pub disk: &'a mut dyn Disk,
    /// The node's own random stream.
    pub rng: &'a mut Rng,
    /// What the node wants done. Push to it directly or with the methods below.
    pub effects: &'a mut Vec<Effect>,
    /// The last connection id that was given out to this node; the driver owns it and also draws from it for accepted
    /// connections.
    pub last_conn: &'a mut u64,
}

impl Io<'_> {
    /// Asks for a connection and names it.
    pub fn connect(&mut self, to: Endpoint) -> ConnId {
        *self.last_conn += 1;
        let conn = ConnId(*self.last_conn);
        self.effects.push(Effect::Connect { conn, to });
        conn
    }

    /// Sends a request on a connection that this node opened.
    #[inline]
    pub fn request(&mut self, conn: ConnId, request: Request) {
        self.effects.push(Effect::Send { conn, message: Message::Request(request) });
    }

    /// Sends a response on a connection that this node accepted.
    #[inline]
    pub fn respond(&mut self, conn: ConnId, response: Response) {
        self.effects.push(Effect::Send { conn, message: Message::Response(response) });
    }

    /// Closes a connection.
    pub fn close(&mut self, conn: ConnId) {
        self.effects.push(Effect::Close { conn });
    }

    /// Tells the people who read the run.
    pub fn trace(&mut self, event: TraceEvent) {
        self.effects.push(Effect::Trace(event));
    }

    /// Tells the checkers.
    pub fn history(&mut self, event: ClientEvent) {
        self.effects.push(Effect::History(event));
    }

    /// Stops the node.
    pub fn halt(&mut self, reason: HaltReason) {
        self.effects.push(Effect::Halt(reason));
    }
}
