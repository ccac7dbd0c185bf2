//! The asynchronous part of a host: what its operating system does for the node's process.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use trial_node::{CloseReason, Endpoint};
use trial_wire::frame::{self, FRAME_MAX};

/// How many bytes of frames one end of a connection may have brought that its node has not taken. What is more stays in the
/// socket, and the sender is held back. A single larger frame still comes, alone.
const WINDOW: u32 = 1 << 20;
/// What is written at once, at most: a larger frame is cut.
const SEGMENT: usize = 16 << 10;
/// How much is read at once, at most.
const READ: usize = 64 << 10;
/// How long a listener waits after it could not accept.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The sockets of one host.
pub trait Stack: 'static {
    /// Takes connections on a port.
    type Listener: 'static;
    /// Both directions of a connection. Dropping it ends the connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;

    /// Listens on a port of this host.
    async fn listen(&self, port: u16) -> io::Result<Self::Listener>;
    /// Waits for somebody to connect.
    async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream>;
    /// Connects to a port of a host.
    async fn connect(&self, to: &Endpoint) -> io::Result<Self::Stream>;
}

/// One end of a connection. No two of a run have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SocketId(u64);

/// Gives out numbers of sockets.
#[derive(Clone, Debug, Default)]
pub struct SocketIds(Rc<Cell<u64>>);

impl SocketIds {
    pub(super) fn next(&self) -> SocketId {
        self.0.set(self.0.get() + 1);
        SocketId(self.0.get())
    }
}

/// The driver's hold on one end of a connection. Dropping it closes that end once everything is written.
#[derive(Debug)]
pub struct Socket {
    pub(super) id: SocketId,
    frames: UnboundedSender<Bytes>,
    window: Arc<Semaphore>,
}

/// The kernel's hold on the same.
#[derive(Debug)]
pub struct SocketEnd {
    id: SocketId,
    frames: UnboundedReceiver<Bytes>,
    window: Arc<Semaphore>,
}

impl Socket {
    pub(super) fn new(ids: &SocketIds) -> (Socket, SocketEnd) {
        let (id, window) = (ids.next(), Arc::new(Semaphore::new(WINDOW as usize)));
        let (frames, taken) = unbounded_channel();
        (Socket { id, frames, window: window.clone() }, SocketEnd { id, frames: taken, window })
    }

    /// Sends a frame. What is sent on a connection that is gone is lost.
    pub(super) fn send(&self, frame: Bytes) {
        drop(self.frames.send(frame));
    }

    /// The node has taken a frame of so many bytes.
    pub(super) fn taken(&self, bytes: usize) {
        self.window.add_permits(cost(bytes) as usize);
    }
}

/// How much of the window a frame takes.
fn cost(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX).clamp(1, WINDOW)
}

/// What the driver asks of a kernel.
#[derive(Debug)]
pub enum Call {
    /// The host's process, of this number, listens on a port.
    Listen { process: u32, port: u16 },
    /// It connects.
    Connect { socket: SocketEnd, to: Endpoint },
    /// It ends in an orderly way: what it has sent is still written.
    Exit,
    /// It dies: its sockets are gone.
    Kill,
}

/// What kernels tell the driver.
#[derive(Debug)]
pub enum Event {
    /// Somebody connected to a process.
    Accepted { host: u32, process: u32, port: u16, socket: Socket },
    /// A connection that was asked for stands.
    Connected { host: u32, socket: SocketId },
    /// A frame came, without its length.
    Frame { host: u32, socket: SocketId, frame: Bytes },
    /// A connection is gone, or could not be made.
    Closed { host: u32, socket: SocketId, reason: CloseReason },
    /// Something is wrong that no fault explains.
    Broken { host: u32, what: String },
}

/// The kernel of a host that is switched on.
pub struct Kernel<S> {
    pub(super) host: u32,
    pub(super) stack: S,
    pub(super) events: UnboundedSender<Event>,
    pub(super) ids: SocketIds,
}

/// What the tasks of one host share.
struct Running<S> {
    kernel: Kernel<S>,
    listening: RefCell<JoinSet<()>>,
    connected: RefCell<JoinSet<()>>,
}

impl<S: Stack> Kernel<S> {
    /// Does what it is asked for until the host is switched off.
    pub(super) async fn run(self, mut calls: UnboundedReceiver<Call>) {
        let running =
            Rc::new(Running { kernel: self, listening: RefCell::default(), connected: RefCell::default() });
        while let Some(call) = calls.recv().await {
            match call {
                Call::Listen { process, port } => Running::listen(&running, process, port).await,
                Call::Connect { socket, to } => Running::spawn(&running, None, socket, Some(to)),
                Call::Exit => end(&running.listening).await,
                Call::Kill => {
                    end(&running.listening).await;
                    end(&running.connected).await;
                }
            }
        }
    }
}

/// Ends tasks; their sockets are closed then.
async fn end(tasks: &RefCell<JoinSet<()>>) {
    let mut tasks = tasks.take();
    tasks.shutdown().await;
}

impl<S: Stack> Running<S> {
    fn tell(&self, event: Event) {
        // If the driver has gone, nobody wants to know.
        drop(self.kernel.events.send(event));
    }

    async fn listen(running: &Rc<Self>, process: u32, port: u16) {
        let host = running.kernel.host;
        let listener = match running.kernel.stack.listen(port).await {
            Ok(listener) => listener,
            Err(error) => {
                return running
                    .tell(Event::Broken { host, what: format!("cannot listen on {port}: {error}") });
            }
        };
        let of_task = running.clone();
        running.listening.borrow_mut().spawn_local(async move {
            loop {
                match S::accept(&listener).await {
                    Ok(stream) => {
                        let (socket, end) = Socket::new(&of_task.kernel.ids);
                        of_task.tell(Event::Accepted { host, process, port, socket });
                        Running::spawn(&of_task, Some(stream), end, None);
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
                }
            }
        });
    }

    /// Takes care of one end of a connection until it is over; connects first if there is no stream yet.
    fn spawn(running: &Rc<Self>, stream: Option<S::Stream>, end: SocketEnd, to: Option<Endpoint>) {
        let of_task = running.clone();
        let mut tasks = running.connected.borrow_mut();
        while tasks.try_join_next().is_some() {}
        tasks.spawn_local(async move {
            let stream = match (stream, to) {
                (Some(stream), _) => stream,
                (None, Some(to)) => match of_task.connect(end.id, &to).await {
                    Some(stream) => stream,
                    None => return,
                },
                (None, None) => return,
            };
            Running::attend(&of_task, stream, end).await;
        });
    }

    async fn connect(&self, socket: SocketId, to: &Endpoint) -> Option<S::Stream> {
        let host = self.kernel.host;
        match self.kernel.stack.connect(to).await {
            Ok(stream) => {
                self.tell(Event::Connected { host, socket });
                Some(stream)
            }
            Err(error) => {
                let timed_out = error.kind() == ErrorKind::TimedOut;
                let reason = if timed_out { CloseReason::TimedOut } else { CloseReason::Refused };
                self.tell(Event::Closed { host, socket, reason });
                None
            }
        }
    }

    async fn attend(running: &Rc<Self>, stream: S::Stream, end: SocketEnd) {
        let SocketEnd { id, frames, window } = end;
        let (reading, writing) = split(stream);
        let of_task = running.clone();
        let reader = running.connected.borrow_mut().spawn_local(async move {
            let host = of_task.kernel.host;
            of_task.tell(match of_task.read(reading, id, &window).await {
                Ok(reason) => Event::Closed { host, socket: id, reason },
                Err(what) => Event::Broken { host, what },
            });
        });
        // Where nobody takes anything any more the reader comes to its end as well, and tells.
        if write(writing, frames).await.is_ok() {
            reader.abort();
        }
    }

    /// Reads frames until the connection ends; says why it did.
    async fn read(
        &self,
        mut stream: ReadHalf<S::Stream>,
        socket: SocketId,
        window: &Semaphore,
    ) -> Result<CloseReason, String> {
        let mut received = BytesMut::with_capacity(READ);
        loop {
            while let Some(frame) =
                frame::split(&mut received, FRAME_MAX).map_err(|error| error.to_string())?
            {
                let permits =
                    window.acquire_many(cost(frame.len())).await.map_err(|error| error.to_string())?;
                permits.forget();
                self.tell(Event::Frame { host: self.kernel.host, socket, frame });
            }
            // What was read is kept alive by the logs that it went into: a buffer is filled before the next one is taken.
            if received.capacity() - received.len() < READ / 8 {
                received.reserve(READ);
            }
            match stream.read_buf(&mut received).await {
                Ok(0) => return Ok(CloseReason::PeerClosed),
                Ok(_) => {}
                Err(_) => return Ok(CloseReason::Reset),
            }
        }
    }
}

/// Writes frames until there are no more, or nobody takes them.
async fn write<T: AsyncRead + AsyncWrite>(
    mut stream: WriteHalf<T>,
    mut frames: UnboundedReceiver<Bytes>,
) -> io::Result<()> {
    let mut gathered = BytesMut::with_capacity(SEGMENT);
    while let Some(frame) = frames.recv().await {
        gathered.extend_from_slice(&frame);
        while gathered.len() < SEGMENT
            && let Ok(frame) = frames.try_recv()
        {
            gathered.extend_from_slice(&frame);
        }
        for segment in gathered.chunks(SEGMENT) {
            stream.write_all(segment).await?;
        }
        gathered.clear();
    }
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::io::{DuplexStream, duplex};
    use tokio::task::{LocalSet, spawn_local, yield_now};

    use super::*;

    /// One end of a pipe that holds 1 KiB.
    struct Pipe(RefCell<Option<DuplexStream>>);

    impl Stack for Pipe {
        type Listener = ();
        type Stream = DuplexStream;

        async fn listen(&self, _port: u16) -> io::Result<()> {
            Ok(())
        }

        async fn accept(_listener: &()) -> io::Result<DuplexStream> {
            pending().await
        }

        async fn connect(&self, _to: &Endpoint) -> io::Result<DuplexStream> {
            self.0.borrow_mut().take().ok_or(ErrorKind::ConnectionRefused.into())
        }
    }

    /// Lets all tasks go on until none can.
    async fn idle() {
        for _ in 0..10_000 {
            yield_now().await;
        }
    }

    /// A kernel that connects to somebody: the other end, what the kernel tells, its socket, and what keeps it running.
    fn connected() -> (DuplexStream, UnboundedReceiver<Event>, Socket, UnboundedSender<Call>) {
        let (near, far) = duplex(1 << 10);
        let (events, told) = unbounded_channel();
        let (calls, taken) = unbounded_channel();
        let ids = SocketIds::default();
        let stack = Pipe(RefCell::new(Some(near)));
        spawn_local(Kernel { host: 0, stack, events, ids: ids.clone() }.run(taken));
        let (socket, end) = Socket::new(&ids);
        calls.send(Call::Connect { socket: end, to: Endpoint::new("far", 1) }).expect("the kernel runs");
        (far, told, socket, calls)
    }

    #[test]
    fn who_sends_more_than_the_node_takes_is_held_back() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it needs nothing");
        LocalSet::new().block_on(&runtime, async {
            let (mut far, mut told, socket, _calls) = connected();
            spawn_local(async move {
                for _ in 0..12 {
                    far.write_u32(256 << 10).await.expect("the other end is there");
                    far.write_all(&vec![0; 256 << 10]).await.expect("the other end is there");
                }
                pending::<()>().await;
            });
            idle().await;
            let mut frames = || {
                std::iter::from_fn(|| told.try_recv().ok())
                    .filter(|event| matches!(event, Event::Frame { .. }))
                    .count()
            };
            assert_eq!(frames(), 4, "the window holds four of them");
            socket.taken(256 << 10);
            idle().await;
            assert_eq!(frames(), 1);
        });
    }

    #[test]
    fn who_writes_as_the_other_end_goes_is_told() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it needs nothing");
        LocalSet::new().block_on(&runtime, async {
            let (far, mut told, socket, _calls) = connected();
            idle().await;
            // The writer has its turn first, and fails.
            socket.send(Bytes::from_static(b"too late"));
            drop(far);
            idle().await;
            let told: Vec<Event> = std::iter::from_fn(|| told.try_recv().ok()).collect();
            assert!(matches!(told[..], [Event::Connected { .. }, Event::Closed { .. }]), "{told:?}");
        });
    }
}
