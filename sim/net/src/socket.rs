//! One socket: a task that reads requests off it, and one that writes responses to it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc as tasks, oneshot};
use tokio::time::timeout;
use trial_node::{Request, Response};
use trial_wire::frame::split;
use trial_wire::message::MessageError;
use trial_wire::{ApiKey, RequestKind, ResponseKind};

use crate::advertised::Advertised;
use crate::edge::{self, Refused};
use crate::limits::Seat;
use crate::order::Order;
use crate::outgoing::Outgoing;
use crate::tls::Tls;

/// `socket.request.max.bytes`: the largest request, in bytes.
pub(crate) const REQUEST_MAX: usize = 100 << 20;
/// How many bytes of requests a connection may have in progress; what is more stays in the socket, and TCP holds the client
/// back. One request of the largest size fits.
const IN_PROGRESS_MAX: u32 = 128 << 20;
/// A small request counts as much as this: its response may be large.
const COST_MIN: u32 = 1 << 20;
/// `fetch.max.bytes`, as it is by default: what a broker puts into a response at most, in bytes. A client that asks again and
/// again and takes nothing would have as many of them waiting for it.
const FETCH_MAX: usize = 55 << 20;
/// What is read from a byte takes no more memory than so many: an empty name of one byte is a string of 32, an entry of three a
/// structure of a hundred, and a list that grows has room for twice as much. Records are not read, and take what they are.
const READ_FROM_BYTE: usize = 128;
/// How much memory all requests together may take that the cluster has not got yet (Kafka: `queued.max.request.bytes`). A
/// request that takes more waits until it is alone.
const QUEUED_MAX: u32 = 512 << 20;
/// `connections.max.idle.ms`: a client that sends nothing, or takes nothing, for so long is gone.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// How much is read at once.
const READ: usize = 64 << 10;
/// How much is set apart for a large request before more of it is there: a Produce request of the largest usual size fits.
const AT_ONCE: usize = 2 << 20;
/// How much is gathered before it is written.
const WRITE: usize = 64 << 10;

/// Names a socket; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PeerId(pub(crate) u64);

/// A request's place among those that the cluster has not got yet: free again once this is dropped.
pub(crate) type Queued = OwnedSemaphorePermit;

/// What sockets tell the owner of the cluster.
#[derive(Debug)]
pub(crate) enum Event {
    /// Somebody connected to a broker's listener; with the subject of a certificate, if one was shown.
    Opened { peer: PeerId, broker: usize, subject: Option<String>, link: Link },
    /// Somebody connected who does not speak as the listener does, or is too many.
    Refused { why: String },
    /// A request came, in this frame.
    Request { peer: PeerId, request: Request, frame: Bytes, cost: u32, queued: Queued },
    /// A response cannot be told to its client, whose connection is closed.
    Unsent { why: String },
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
    login: Arc<Login>,
}

/// How far a client has logged in. What is told here has happened in this order: who chooses a mechanism was read before it is
/// answered.
#[derive(Debug)]
struct Login {
    /// How many steps have to succeed still, or [`Login::UNCHOSEN`].
    steps_left: AtomicU8,
}

impl Login {
    /// No mechanism is chosen yet.
    const UNCHOSEN: u8 = u8::MAX;

    fn new(has_to: bool) -> Login {
        Login { steps_left: AtomicU8::new(if has_to { Login::UNCHOSEN } else { 0 }) }
    }

    /// The client chooses a mechanism. Only the first choice counts: whoever chooses again before it has logged in is refused.
    fn choose(&self, mechanism: &str) {
        // SCRAM proves something by its second step only.
        let steps = if mechanism.starts_with("SCRAM-") { 2 } else { 1 };
        self.update(|left| (left == Login::UNCHOSEN).then_some(steps));
    }

    /// A step has succeeded.
    fn step(&self) {
        self.update(|left| if left == Login::UNCHOSEN { None } else { left.checked_sub(1) });
    }

    fn update(&self, to: impl Fn(u8) -> Option<u8>) {
        // What is not changed stays as it is.
        self.steps_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, to).ok();
    }

    fn is_done(&self) -> bool {
        self.steps_left.load(Ordering::Relaxed) == 0
    }
}

impl Link {
    /// Sends the response to a request of this cost. A socket that has gone takes nothing.
    pub(crate) fn respond(&self, response: Response, cost: u32) {
        if matches!(&*response.body, ResponseKind::SaslAuthenticate(login) if login.error_code == 0) {
            self.login.step();
        }
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
    /// The memory for requests that the cluster has not got yet.
    pub(crate) queue: Arc<Semaphore>,
    /// [`Limits::before_login`](crate::Limits::before_login).
    pub(crate) before_login: Option<usize>,
}

/// The memory that a server has for requests on their way to the cluster.
pub(crate) fn queue() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(QUEUED_MAX as usize))
}

/// Takes care of a socket until it ends. `broker` is whose listener it came in on.
pub(crate) fn attend(
    stream: TcpStream,
    (peer, broker, seat): (PeerId, usize, Seat),
    manner: Manner,
    events: mpsc::Sender<Event>,
) {
    // Without it the kernel waits 40 ms for more to send; a socket that cannot be told is gone already.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Some(tls) = manner.tls.clone() else {
        return open(stream.into_split(), (peer, broker, None), seat, manner, events);
    };
    tokio::spawn(async move {
        match tls.accept(stream).await {
            Ok((stream, subject)) => {
                open(tokio::io::split(stream), (peer, broker, subject), seat, manner, events);
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
    (reading, writing): (impl AsyncRead + Unpin + Send + 'static, impl AsyncWrite + Unpin + Send + 'static),
    (peer, broker, subject): (PeerId, usize, Option<String>),
    seat: Seat,
    manner: Manner,
    events: mpsc::Sender<Event>,
) {
    let Manner { advertised, queue, before_login, .. } = manner;
    let (responses, taken) = tasks::unbounded_channel();
    let budget = Arc::new(Semaphore::new(IN_PROGRESS_MAX as usize));
    let before_login = before_login.filter(|_| subject.is_none());
    let login = Arc::new(Login::new(before_login.is_some()));
    let incoming = Incoming {
        peer,
        events: events.clone(),
        budget: budget.clone(),
        queue,
        login: login.clone(),
        before_login: before_login.unwrap_or(REQUEST_MAX),
    };
    let link = Link { responses, budget: budget.clone(), login };
    // If the owner has gone there is nobody to serve.
    if events.send(Event::Opened { peer, broker, subject, link }).is_err() {
        return;
    }
    let reader = tokio::spawn(async move {
        let end = incoming.read(reading).await;
        let refused = end.err().map(|refused| refused.to_string());
        tell(&incoming.events, Event::Closed { peer, refused });
    });
    tokio::spawn(async move {
        // In any case the socket is done.
        match write(writing, taken, &advertised, &budget).await {
            // The owner has dropped its link, or the client takes nothing any more.
            Ok(()) | Err(Unwritten::Socket) => {}
            Err(Unwritten::Response(error)) => tell(&events, Event::Unsent { why: error.to_string() }),
        }
        reader.abort();
        tell(&events, Event::Closed { peer, refused: None });
        drop(seat);
    });
}

/// Tells the owner, if there is one still.
pub(crate) fn tell(events: &mpsc::Sender<Event>, event: Event) {
    drop(events.send(event));
}

/// What a socket's reader goes by.
struct Incoming {
    peer: PeerId,
    events: mpsc::Sender<Event>,
    budget: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    login: Arc<Login>,
    /// The largest request until the client has logged in, in bytes.
    before_login: usize,
}

impl Incoming {
    /// Reads requests until the socket ends.
    async fn read(&self, mut socket: impl AsyncRead + Unpin) -> Result<(), Refused> {
        let mut received = BytesMut::with_capacity(READ);
        // How much more memory the last request takes than was expected: the next one waits for that as well.
        let mut unpaid = 0;
        loop {
            while let Some(frame) = split(&mut received, self.largest())? {
                let expected = expected(&frame);
                let cost = within(expected.saturating_add(unpaid), COST_MIN, IN_PROGRESS_MAX);
                let Ok(permits) = self.budget.acquire_many(cost).await else { return Ok(()) };
                permits.forget();
                // Last, so that nobody holds a place in the queue who waits for his own client to take responses.
                let place = self.queue.clone().acquire_many_owned(within(expected, 1, QUEUED_MAX)).await;
                let Ok(queued) = place else { return Ok(()) };
                let request = edge::request(frame.clone())?;
                unpaid = at_most(&frame, &request).saturating_sub(expected);
                if let RequestKind::SaslHandshake(handshake) = &*request.body {
                    self.login.choose(&handshake.mechanism);
                }
                let event = Event::Request { peer: self.peer, request, frame, cost, queued };
                if self.events.send(event).is_err() {
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

    /// The largest request, in bytes.
    fn largest(&self) -> usize {
        if self.login.is_done() { REQUEST_MAX } else { self.before_login }
    }
}

/// How much memory a request will take, in bytes: the most that is possible, but of Produce, which is records as a rule, as much
/// as the frame.
fn expected(frame: &[u8]) -> usize {
    let is_produce =
        frame.first_chunk().is_some_and(|api| i16::from_be_bytes(*api) == ApiKey::Produce as i16);
    if is_produce { frame.len() } else { frame.len().saturating_mul(READ_FROM_BYTE) }
}

/// How much memory a request that was read takes at most, in bytes, and the response to it.
fn at_most(frame: &[u8], request: &Request) -> usize {
    match &*request.body {
        RequestKind::Produce(produce) => {
            let partitions = produce.topic_data.iter().flat_map(|topic| &topic.partition_data);
            let records: usize =
                partitions.filter_map(|partition| partition.records.as_ref()).map(Bytes::len).sum();
            records + (frame.len() - records).saturating_mul(READ_FROM_BYTE)
        }
        RequestKind::Fetch(fetch) => {
            let records = usize::try_from(fetch.max_bytes).unwrap_or(0).min(FETCH_MAX);
            expected(frame).max(records)
        }
        _ => expected(frame),
    }
}

/// A number of permits for so many bytes, within limits.
fn within(bytes: usize, least: u32, most: u32) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX).clamp(least, most)
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

/// Why no more responses are written.
#[derive(Debug)]
enum Unwritten {
    /// Nobody takes them.
    Socket,
    /// One cannot be encoded.
    Response(MessageError),
}

/// Writes responses until there are no more, or nobody takes them.
async fn write(
    mut socket: impl AsyncWrite + Unpin,
    mut responses: tasks::UnboundedReceiver<(Response, u32)>,
    advertised: &Advertised,
    budget: &Semaphore,
) -> Result<(), Unwritten> {
    let mut out = Outgoing::default();
    while let Some((mut response, cost)) = responses.recv().await {
        let mut paid = cost as usize;
        loop {
            advertised.translate(&mut response.body);
            out.put(&response).map_err(Unwritten::Response)?;
            if out.len() >= WRITE {
                break;
            }
            let Ok((next, cost)) = responses.try_recv() else { break };
            response = next;
            paid += cost as usize;
        }
        let mut pieces = out.take();
        // TLS holds back what the socket did not take at once, and nobody would send it before the next response.
        let written = async {
            socket.write_all_buf(&mut pieces).await?;
            socket.flush().await
        };
        taken(written).await?;
        drop(pieces);
        budget.add_permits(paid);
        out.shrink();
    }
    taken(socket.shutdown()).await
}

/// Waits until the client has taken what is written, for as long as one may take nothing.
async fn taken(written: impl Future<Output = io::Result<()>>) -> Result<(), Unwritten> {
    match timeout(IDLE_MAX, written).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Unwritten::Socket),
    }
}

#[cfg(test)]
mod tests {
    use trial_wire::StrBytes;
    use trial_wire::frame::encode_request_frame;
    use trial_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
    use trial_wire::messages::{
        FetchRequest, MetadataRequest, MetadataResponse, ProduceRequest, SaslAuthenticateRequest,
        SaslAuthenticateResponse, SaslHandshakeRequest,
    };

    use super::*;
    use crate::limits::{Limits, Seats};

    fn incoming(peer: u64, events: mpsc::Sender<Event>, queue: Arc<Semaphore>) -> Incoming {
        let budget = Arc::new(Semaphore::new(IN_PROGRESS_MAX as usize));
        let (peer, login) = (PeerId(peer), Arc::new(Login::new(false)));
        Incoming { peer, events, budget, queue, login, before_login: 0 }
    }

    /// A client's end of a connection.
    async fn opened(before_login: Option<usize>, events: mpsc::Sender<Event>) -> tokio::io::DuplexStream {
        let (client, socket) = tokio::io::duplex(1 << 10);
        let manner = Manner { advertised: Arc::default(), tls: None, queue: queue(), before_login };
        let mut seats = Seats::new(Limits::NONE);
        let seat = seats.take(seats.one().await, [127, 0, 0, 1].into()).expect("there is room");
        open(tokio::io::split(socket), (PeerId(1), 0, None), seat, manner, events);
        client
    }

    fn frame(version: i16, body: &RequestKind) -> BytesMut {
        let mut frame = BytesMut::new();
        encode_request_frame(1, version, "", body, &mut frame).expect("it can be encoded");
        frame
    }

    fn records(count: usize, bytes: usize) -> RequestKind {
        let data = || PartitionProduceData::default().with_records(Some(Bytes::from(vec![0; bytes])));
        let topic = TopicProduceData::default().with_partition_data((0..count).map(|_| data()).collect());
        RequestKind::Produce(ProduceRequest::default().with_topic_data(vec![topic]))
    }

    #[test]
    fn a_request_costs_what_is_read_from_it() {
        let of = |version, body: &RequestKind| {
            let frame = frame(version, body).split_off(4).freeze();
            let request = edge::request(frame.clone()).expect("it is one");
            (frame.len(), expected(&frame), at_most(&frame, &request))
        };
        let auth = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(vec![0; 1000]));
        let (length, before, after) = of(2, &RequestKind::SaslAuthenticate(auth));
        assert_eq!((before, after), (128 * length, 128 * length));
        // Records as they are, and what is around them.
        let (length, before, after) = of(9, &records(1, 1 << 20));
        assert_eq!((before, after), (length, (1 << 20) + 128 * (length - (1 << 20))));
        assert!(after < before + 8192, "{after}");
        let (length, before, after) = of(9, &records(10_000, 0));
        assert_eq!((before, after), (length, 128 * length));
        // A Fetch is small, and its response may be large.
        for (max_bytes, least) in [(1 << 20, 1 << 20), (i32::MAX, FETCH_MAX), (-1, 0)] {
            let fetch = FetchRequest::default().with_max_bytes(max_bytes);
            let (length, before, after) = of(11, &RequestKind::Fetch(fetch));
            assert_eq!((before, after), (128 * length, least.max(128 * length)));
        }
        assert_eq!(within(usize::MAX, COST_MIN, IN_PROGRESS_MAX), IN_PROGRESS_MAX);
        assert_eq!(within(1, COST_MIN, IN_PROGRESS_MAX), COST_MIN);
    }

    #[test]
    fn all_connections_share_the_queue_and_what_is_larger_waits_until_it_is_alone() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
        let (events, taken) = mpsc::channel();
        let queue = queue();
        let client = |peer, bytes: BytesMut| {
            let incoming = incoming(peer, events.clone(), queue.clone());
            tokio::spawn(async move { incoming.read(&bytes[..]).await })
        };
        runtime.block_on(async {
            let small = || frame(9, &RequestKind::Metadata(MetadataRequest::default()));
            let auth = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(vec![0; 5 << 20]));
            let large = || frame(2, &RequestKind::SaslAuthenticate(auth.clone()));
            let request = || match taken.try_recv() {
                Ok(Event::Request { peer, queued, .. }) => Some((peer.0, queued)),
                Ok(other) => panic!("{other:?}"),
                Err(_) => None,
            };
            for (peer, first, second) in [(1, small(), large()), (3, large(), small())] {
                let first = client(peer, first);
                assert!(first.await.expect("it does not panic").is_ok());
                let second = client(peer + 1, second);
                let (from, place) = request().expect("nobody else is there");
                assert_eq!(from, peer);
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                assert!(request().is_none(), "{peer}");
                drop(place);
                assert!(second.await.expect("it does not panic").is_ok());
                assert_eq!(request().map(|(from, _)| from), Some(peer + 1));
            }
        });
    }

    #[test]
    fn the_next_waits_for_a_request_that_became_more_than_was_expected() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
        let (events, taken) = mpsc::channel();
        let incoming = incoming(1, events, queue());
        let budget = incoming.budget.clone();
        let many = frame(9, &records(1 << 18, 0));
        let length = u32::try_from(many.len() - 4).expect("it fits");
        let bytes = [&many[..], &many[..]].concat();
        let cost = || match taken.try_recv() {
            Ok(Event::Request { cost, .. }) => Some(cost),
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        };
        runtime.block_on(async {
            let client = tokio::spawn(async move { incoming.read(&bytes[..]).await });
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert_eq!((cost(), cost()), (Some(length), None));
            budget.add_permits(length as usize);
            assert!(client.await.expect("it does not panic").is_ok());
            assert_eq!(cost(), Some(IN_PROGRESS_MAX));
        });
    }

    #[test]
    fn a_response_that_cannot_be_encoded_ends_its_connection_and_is_told() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
        let (events, taken) = mpsc::channel();
        let respond = |link: &Link, correlation_id, api_version| {
            let body = Box::new(ResponseKind::Metadata(MetadataResponse::default()));
            link.respond(Response { correlation_id, api_version, body }, COST_MIN);
        };
        runtime.block_on(async {
            let mut client = opened(None, events).await;
            let Ok(Event::Opened { link, .. }) = taken.try_recv() else { panic!("it is opened first") };
            respond(&link, 1, 12);
            respond(&link, 2, 99);
            let mut received = Vec::new();
            client.read_to_end(&mut received).await.expect("it is closed");
        });
        let Ok(Event::Unsent { why }) = taken.try_recv() else { panic!("it is told why") };
        assert!(why.starts_with("Metadata version 99"), "{why}");
        assert!(matches!(taken.try_recv(), Ok(Event::Closed { peer: PeerId(1), refused: None })));
    }

    #[tokio::test]
    async fn a_response_does_not_wait_for_the_next_one_in_the_buffers_of_tls() {
        let (mut client, socket) = tokio::io::duplex(1 << 10);
        let (responses, taken) = tasks::unbounded_channel();
        let writer = tokio::spawn(async move {
            let buffered = tokio::io::BufWriter::new(socket);
            write(buffered, taken, &Advertised::default(), &Semaphore::new(0)).await
        });
        let body = Box::new(ResponseKind::Metadata(MetadataResponse::default()));
        let response = Response { correlation_id: 1, api_version: 12, body };
        responses.send((response, COST_MIN)).expect("the writer runs");
        let turns = async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            read = client.read_u32() => assert!(read.expect("the socket stands") > 0),
            () = turns => panic!("the response is not there"),
        }
        drop(responses);
        assert!(writer.await.expect("it does not panic").is_ok());
    }

    #[test]
    fn who_has_not_logged_in_sends_nothing_large() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
        let (small, large) = (frame(9, &records(1, 100)), frame(9, &records(1, 1000)));
        let sent = |mechanisms: &[&'static str], steps: &[i16]| {
            let (events, taken) = mpsc::channel();
            runtime.block_on(async {
                let mut client = opened(Some(500), events).await;
                let Ok(Event::Opened { link, .. }) = taken.try_recv() else { panic!("it is opened first") };
                for mechanism in mechanisms {
                    let mechanism = StrBytes::from_static_str(mechanism);
                    let handshake = SaslHandshakeRequest::default().with_mechanism(mechanism);
                    let handshake = frame(1, &RequestKind::SaslHandshake(handshake));
                    client.write_all(&handshake).await.expect("somebody reads it");
                    while !matches!(taken.try_recv(), Ok(Event::Request { .. })) {
                        tokio::task::yield_now().await;
                    }
                }
                for &error_code in steps {
                    let body = SaslAuthenticateResponse::default().with_error_code(error_code);
                    let body = Box::new(ResponseKind::SaslAuthenticate(body));
                    link.respond(Response { correlation_id: 1, api_version: 2, body }, COST_MIN);
                }
                for bytes in [&small, &large] {
                    // The second may find nobody who takes all of it.
                    drop(client.write_all(bytes).await);
                }
                drop(client);
                tokio::task::yield_now().await;
            });
            let mut requests = 0;
            loop {
                match taken.try_recv() {
                    Ok(Event::Request { .. }) => requests += 1,
                    Ok(Event::Closed { refused, .. }) => return (requests, refused),
                    other => panic!("{other:?}"),
                }
            }
        };
        let refused = format!("a frame of {} bytes is not between 0 and 500", large.len() - 4);
        let cases: [(&[&str], &[i16], bool); 8] = [
            (&[], &[], false),
            (&["PLAIN"], &[], false),
            (&["PLAIN"], &[58], false),
            (&["PLAIN"], &[0], true),
            // The first step of SCRAM says who it is, the second proves it.
            (&["SCRAM-SHA-256"], &[0], false),
            (&["SCRAM-SHA-512"], &[0, 58], false),
            (&["SCRAM-SHA-512"], &[0, 0], true),
            (&["SCRAM-SHA-256", "PLAIN"], &[0], false),
        ];
        for (mechanisms, steps, may) in cases {
            let expected = if may { (2, None) } else { (1, Some(refused.clone())) };
            assert_eq!(sent(mechanisms, steps), expected, "{mechanisms:?} {steps:?}");
        }
    }

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
