//! One socket: a task that reads requests off it, and one that writes responses to it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc as tasks, oneshot};
use tokio::time::timeout;
use trial_node::{Request, Response};
use trial_wire::frame::split;

use crate::advertised::Advertised;
use crate::edge::{self, Refused};
use crate::order::Order;
use crate::tls::Tls;

/// `socket.request.max.bytes`: the largest request, in bytes.
pub(crate) const REQUEST_MAX: usize = 100 << 20;
/// How many bytes of requests a connection may have in progress; what is more stays in the socket, and TCP holds the client
/// back. One request of the largest size fits.
const IN_PROGRESS_MAX: u32 = 128 << 20;
/// A small request counts as much as this: its response may be large.
const COST_MIN: u32 = 1 << 20;
/// `connections.max.idle.ms`: a client that sends nothing, or takes nothing, for so long is gone.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// How much is read at once.
const READ: usize = 64 << 10;
/// How much is set apart for a large request before more of it is there: a Produce request of the largest usual size fits.
const AT_ONCE: usize = 2 << 20;
/// How much is gathered before it is written.
const WRITE: usize = 64 << 10;
/// How much memory a connection keeps for its next responses.
const OUT_MAX: usize = 2 << 20;

/// Names a socket; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PeerId(pub(crate) u64);

/// What sockets tell the owner of the cluster.
#[derive(Debug)]
pub(crate) enum Event {
    /// Somebody connected to a broker's listener; with the subject of a certificate, if one was shown.
    Opened { peer: PeerId, broker: usize, subject: Option<String>, link: Link },
    /// Somebody connected who does not speak as the listener does.
    Refused { why: String },
    /// A request came, in this frame.
    Request { peer: PeerId, request: Request, frame: Bytes, cost: u32 },
    /// The socket is gone, or good for nothing any more.
    Closed { peer: PeerId, refused: Option<String> },
    /// An operator wants to see the cluster.
    Look { answer: oneshot::Sender<String> },
    /// An operator wants something done.
    Order { order: Order, answer: oneshot::Sender<Result<String, String>> },
    /// Somebody wants the server to end.
    Stop,
}

/// The owner's end of a socket. Dropping it closes the socket once all responses are written.
#[derive(Debug)]
pub(crate) struct Link {
    responses: tasks::UnboundedSender<(Response, u32)>,
    budget: Arc<Semaphore>,
}

impl Link {
    /// Sends the response to a request of this cost. A socket that has gone takes nothing.
    pub(crate) fn respond(&self, response: Response, cost: u32) {
        if self.responses.send((response, cost)).is_err() {
            self.done(cost);
        }
    }

    /// A request of this cost is done without a response.
    pub(crate) fn done(&self, cost: u32) {
        self.budget.add_permits(cost as usize);
    }
}

/// How listeners speak.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    /// What brokers are called outside.
    pub(crate) advertised: Arc<Advertised>,
    /// TLS, if they speak it.
    pub(crate) tls: Option<Tls>,
}

/// Takes care of a socket until it ends. `broker` is whose listener it came in on.
pub(crate) fn attend(
    stream: TcpStream,
    peer: PeerId,
    broker: usize,
    manner: Manner,
    events: mpsc::Sender<Event>,
) {
    // Without it the kernel waits 40 ms for more to send; a socket that cannot be told is gone already.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Manner { advertised, tls } = manner;
    let Some(tls) = tls else {
        let (reading, writing) = stream.into_split();
        return open(reading, writing, (peer, broker, None), advertised, events);
    };
    tokio::spawn(async move {
        match tls.accept(stream).await {
            Ok((stream, subject)) => {
                let (reading, writing) = tokio::io::split(stream);
                open(reading, writing, (peer, broker, subject), advertised, events);
            }
            Err((why, stream)) => {
                // The client hears of it once it is counted.
                tell(&events, Event::Refused { why });
                drop(stream);
            }
        }
    });
}

/// Lets a client in: tells the owner, and begins to read and to write.
fn open(
    reading: impl AsyncRead + Unpin + Send + 'static,
    writing: impl AsyncWrite + Unpin + Send + 'static,
    (peer, broker, subject): (PeerId, usize, Option<String>),
    advertised: Arc<Advertised>,
    events: mpsc::Sender<Event>,
) {
    let (responses, taken) = tasks::unbounded_channel();
    let budget = Arc::new(Semaphore::new(IN_PROGRESS_MAX as usize));
    let link = Link { responses, budget: budget.clone() };
    // If the owner has gone there is nobody to serve.
    if events.send(Event::Opened { peer, broker, subject, link }).is_err() {
        return;
    }
    let (reader_events, reader_budget) = (events.clone(), budget.clone());
    let reader = tokio::spawn(async move {
        let end = read(reading, peer, &reader_events, &reader_budget).await;
        let refused = end.err().map(|refused| refused.to_string());
        tell(&reader_events, Event::Closed { peer, refused });
    });
    tokio::spawn(async move {
        // Either way the socket is done: the owner has dropped its link, or the client takes nothing any more.
        drop(write(writing, taken, &advertised, &budget).await);
        reader.abort();
        tell(&events, Event::Closed { peer, refused: None });
    });
}

/// Tells the owner, if there is one still.
fn tell(events: &mpsc::Sender<Event>, event: Event) {
    drop(events.send(event));
}

/// Reads requests until the socket ends.
async fn read(
    mut socket: impl AsyncRead + Unpin,
    peer: PeerId,
    events: &mpsc::Sender<Event>,
    budget: &Semaphore,
) -> Result<(), Refused> {
    let mut received = BytesMut::with_capacity(READ);
    loop {
        while let Some(frame) = split(&mut received, REQUEST_MAX)? {
            let cost = u32::try_from(frame.len()).unwrap_or(u32::MAX).clamp(COST_MIN, IN_PROGRESS_MAX);
            let Ok(permits) = budget.acquire_many(cost).await else { return Ok(()) };
            permits.forget();
            let request = edge::request(frame.clone())?;
            if events.send(Event::Request { peer, request, frame, cost }).is_err() {
                return Ok(());
            }
        }
        make_room(&mut received);
        match timeout(IDLE_MAX, socket.read_buf(&mut received)).await {
            Ok(Ok(bytes)) if bytes > 0 => {}
            Ok(_) | Err(_) => return Ok(()),
        }
    }
}

/// Sees to it that there is room for more. What was read is kept alive by the logs that it went into, so that room that is not used
/// is lost for long: small frames fill a buffer together, a large one gets memory of just its size.
fn make_room(received: &mut BytesMut) {
    let frame = received.first_chunk().map_or(0, |length| 4 + u32::from_be_bytes(*length) as usize);
    let wanted = if frame > READ {
        // What is only promised does not take all the memory that there is.
        frame.min(AT_ONCE.max(2 * received.len()))
    } else if received.capacity() - received.len() < READ / 8 {
        received.len() + READ
    } else {
        return;
    };
    if received.capacity() < wanted {
        let mut larger = BytesMut::with_capacity(wanted);
        larger.extend_from_slice(received);
        *received = larger;
    }
}

/// Writes responses until there are no more, or nobody takes them.
async fn write(
    mut socket: impl AsyncWrite + Unpin,
    mut responses: tasks::UnboundedReceiver<(Response, u32)>,
    advertised: &Advertised,
    budget: &Semaphore,
) -> io::Result<()> {
    let mut out = BytesMut::with_capacity(WRITE);
    while let Some((first, cost)) = responses.recv().await {
        let mut paid = cost as usize;
        put(first, advertised, &mut out)?;
        while out.len() < WRITE
            && let Ok((next, cost)) = responses.try_recv()
        {
            paid += cost as usize;
            put(next, advertised, &mut out)?;
        }
        timeout(IDLE_MAX, socket.write_all(&out)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        budget.add_permits(paid);
        if out.capacity() > OUT_MAX {
            out = BytesMut::with_capacity(WRITE);
        }
        out.clear();
    }
    socket.shutdown().await
}

fn put(mut response: Response, advertised: &Advertised, out: &mut BytesMut) -> io::Result<()> {
    advertised.translate(&mut response.body);
    edge::response(&response, out).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_frames_share_a_buffer_and_a_large_one_has_its_own() {
        let mut received = BytesMut::with_capacity(READ);
        let room = received.capacity();
        received.extend_from_slice(&[0; 100]);
        make_room(&mut received);
        assert_eq!(received.capacity(), room);
        received.extend_from_slice(&vec![0; room - 200]);
        make_room(&mut received);
        assert!(received.capacity() >= received.len() + READ);
        for (promised, room) in [(100_000, 100_004), (REQUEST_MAX, AT_ONCE)] {
            let length = u32::try_from(promised).expect("it fits").to_be_bytes();
            let mut received = BytesMut::from(&length[..]);
            make_room(&mut received);
            assert!((room..room + READ).contains(&received.capacity()), "{}", received.capacity());
            assert_eq!(received[..], length);
        }
        // What has come is doubled.
        let length = u32::try_from(REQUEST_MAX).expect("it fits").to_be_bytes();
        let mut received = BytesMut::from(&length[..]);
        received.resize(3 << 20, 0);
        make_room(&mut received);
        assert!(received.capacity() >= 6 << 20);
    }
}
