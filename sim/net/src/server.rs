//! The listeners, and the loop that owns the cluster.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::advertised::Advertised;
use crate::clock::{Clock, TimeScale};
use crate::cluster::Cluster;
use crate::control;
use crate::limits::Seats;
use crate::peers::{Doors, Peers};
use crate::socket::{Event, Manner, PeerId, attend, queue, tell};
use crate::tally::Tally;
use crate::tls::Tls;

/// An event that is nearer than this is not slept for: a sleep takes longer.
const NEAR: Duration = Duration::from_micros(100);
/// The longest sleep.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// How many events from sockets are taken before the cluster gets to run.
const EVENTS_AT_ONCE: usize = 1000;
/// How long a listener waits after it could not accept, for want of file descriptors as a rule.
pub(crate) const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// What a shell reports for a program that was interrupted (SIGINT).
const INTERRUPTED: i32 = 128 + 2;

/// A server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Clients cannot be told to connect to no address in particular.
    #[error("{0}: brokers tell clients their address, so it has to be a particular one, as 127.0.0.1")]
    Unspecified(SocketAddr),
    /// There are not so many ports above the first.
    #[error("{first}: {brokers} brokers need as many ports, and there are not so many from there to 65535")]
    Ports {
        /// The first address.
        first: SocketAddr,
        /// How many brokers there are.
        brokers: usize,
    },
    /// The operating system refuses.
    #[error("cannot listen on {address}: {error}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// Whoever reaches the operator's line can break the cluster.
    #[error("{0}: the operator's line can only be on this machine's own addresses, as 127.0.0.1:8088")]
    NotLocal(SocketAddr),
    /// The operating system gives no thread or no event queue.
    #[error("cannot start: {0}")]
    Start(io::Error),
}

/// Listeners for the brokers of a cluster.
#[derive(Debug)]
pub struct Server {
    runtime: Runtime,
    doors: Doors,
    tls: Option<Tls>,
    addresses: Vec<SocketAddr>,
    listeners: Vec<TcpListener>,
    events: Receiver<Event>,
    to_owner: Sender<Event>,
}

/// Ends a server from another thread.
#[derive(Clone, Debug)]
pub struct Stop(Sender<Event>);

impl Stop {
    /// Ends it. Nothing happens if it has ended.
    pub fn stop(&self) {
        drop(self.0.send(Event::Stop));
    }
}

impl Server {
    /// Listens for each of the brokers: the first at `first`, each further one at the next port; all at free ports if that
    /// of the first is 0.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn bind(first: SocketAddr, doors: Doors) -> Result<Server, ListenError> {
        let brokers = &doors.brokers;
        if first.ip().is_unspecified() {
            return Err(ListenError::Unspecified(first));
        }
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(ListenError::Start)?;
        let mut listeners = Vec::new();
        for index in 0..brokers.len() {
            let port = match first.port() {
                0 => Some(0),
                port => u16::try_from(index).ok().and_then(|index| port.checked_add(index)),
            };
            let Some(port) = port else {
                return Err(ListenError::Ports { first, brokers: brokers.len() });
            };
            listeners.push(listen(&runtime, SocketAddr::new(first.ip(), port))?);
        }
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>();
        let addresses = addresses.map_err(ListenError::Start)?;
        let (to_owner, events) = mpsc::channel();
        Ok(Server { runtime, doors, tls: None, addresses, listeners, events, to_owner })
    }

    /// Where it listens, a broker each.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Something to end it with.
    pub fn stop(&self) -> Stop {
        Stop(self.to_owner.clone())
    }

    /// Speaks TLS with clients, and nothing else.
    pub fn speak_tls(&mut self, tls: Tls) {
        self.tls = Some(tls);
    }

    /// Listens for operators as well (see the table in the documentation of `control`), and returns where. They are heard
    /// from now on, and answered once the server runs.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn control(&self, address: SocketAddr) -> Result<SocketAddr, ListenError> {
        if !control::is_local(&address) {
            return Err(ListenError::NotLocal(address));
        }
        let listener = listen(&self.runtime, address)?;
        let bound = listener.local_addr().map_err(ListenError::Start)?;
        self.runtime.spawn(control::attend(listener, self.to_owner.clone()));
        Ok(bound)
    }

    /// Ends it when the process gets SIGINT or SIGTERM. One that comes when it has been asked to end, or has ended, ends the
    /// process.
    ///
    /// # Errors
    /// The operating system does not allow it.
    pub fn stop_on_signals(&self) -> io::Result<()> {
        let _inside = self.runtime.enter();
        let asked = Arc::new(AtomicBool::new(false));
        for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
            let (mut signals, owner, asked) = (signal(kind)?, self.to_owner.clone(), asked.clone());
            self.runtime.spawn(async move {
                while signals.recv().await.is_some() {
                    if asked.swap(true, Ordering::Relaxed) || owner.send(Event::Stop).is_err() {
                        std::process::exit(INTERRUPTED);
                    }
                }
            });
        }
        Ok(())
    }

    /// Serves the cluster, its clock slaved to the real one from now on, until it is stopped; then closes every connection.
    ///
    /// # Errors
    /// The cluster cannot go on.
    pub fn run<C: Cluster>(&mut self, cluster: &mut C, scale: TimeScale) -> Result<Tally, C::Error> {
        let accepting = self.accept();
        let mut peers = Peers::default();
        let end = self.serve(cluster, scale, &mut peers);
        accepting.iter().for_each(JoinHandle::abort);
        // Whoever still wants something is told at once that nobody is there.
        self.events = mpsc::channel().1;
        end?;
        peers.close_all(cluster);
        Ok(peers.tally)
    }

    fn serve<C: Cluster>(
        &mut self,
        cluster: &mut C,
        scale: TimeScale,
        peers: &mut Peers,
    ) -> Result<(), C::Error> {
        let mut clock = Clock::new(cluster.now(), scale);
        loop {
            cluster.run_until(clock.target(cluster.now(), cluster.next_event()))?;
            peers.deliver(cluster);
            let wait = cluster.next_event().map_or(SLEEP_MAX, |at| clock.wait(at));
            let Some(event) = self.next(wait) else { continue };
            cluster.run_until(clock.target(cluster.now(), cluster.next_event()))?;
            // What has arrived by now came before the event, as it will in a replay.
            peers.deliver(cluster);
            for event in std::iter::once(event).chain(self.events.try_iter().take(EVENTS_AT_ONCE)) {
                if !peers.take(event, &self.doors, cluster) {
                    return Ok(());
                }
            }
        }
    }

    /// The next event from a socket, if one comes in time.
    fn next(&self, wait: Duration) -> Option<Event> {
        if wait < NEAR {
            return self.events.try_recv().ok();
        }
        match self.events.recv_timeout(wait.min(SLEEP_MAX)) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => unreachable!("the server itself holds a sender"),
        }
    }

    /// Begins to accept connections.
    fn accept(&mut self) -> Vec<JoinHandle<()>> {
        let advertised = Arc::new(Advertised::new(&self.doors, &self.addresses));
        let limits = self.doors.limits;
        let before_login = limits.before_login;
        let manner = Manner { advertised, tls: self.tls.clone(), queue: queue(), before_login };
        let last_peer = Arc::new(AtomicU64::new(0));
        let listeners = self.listeners.drain(..).enumerate();
        let accepting = listeners.map(|(broker, listener)| {
            let (events, manner, last_peer) = (self.to_owner.clone(), manner.clone(), last_peer.clone());
            self.runtime.spawn(async move {
                let mut seats = Seats::new(limits);
                loop {
                    let seat = seats.one().await;
                    match listener.accept().await {
                        Ok((stream, from)) => match seats.take(seat, from.ip()) {
                            Ok(seat) => {
                                let peer = PeerId(last_peer.fetch_add(1, Ordering::Relaxed));
                                attend(stream, (peer, broker, seat), manner.clone(), events.clone());
                            }
                            Err(why) => tell(&events, Event::Refused { why }),
                        },
                        Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
                    }
                }
            })
        });
        accepting.collect()
    }
}

fn listen(runtime: &Runtime, address: SocketAddr) -> Result<TcpListener, ListenError> {
    let bound = StdListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let _inside = runtime.enter();
        TcpListener::from_std(listener)
    });
    bound.map_err(|error| ListenError::Bind { address, error })
}
