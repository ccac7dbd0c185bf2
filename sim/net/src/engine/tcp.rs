//! Sockets of this machine's loopback interface, in real time.
//!
//! Hosts have names and fixed ports; each of their listeners has a free port of 127.0.0.1, and a book knows which. Who
//! connects to a listener that is not in it is refused.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{LocalSet, yield_now};
use tokio::time::timeout;
use trial_faults::Fault;
use trial_node::{Endpoint, Time};

use super::fabric::{Fabric, ToDriver};
use super::kernel::{Call, Event, Kernel, Stack};
use super::links::Link;

/// Hosts on loopback sockets.
pub struct Tcp {
    // Before the runtime: what its tasks hold needs that to be dropped.
    tasks: LocalSet,
    runtime: Runtime,
    began: Instant,
    names: Vec<String>,
    /// Each host's kernel, as long as the host is on.
    kernels: Vec<Option<UnboundedSender<Call>>>,
    book: Book,
}

/// Where listeners are, by their hosts' names and ports.
type Book = Rc<RefCell<BTreeMap<Endpoint, SocketAddr>>>;

/// The sockets of one host.
pub struct Sockets {
    host: String,
    book: Book,
}

/// A listener that is in the book as long as it exists.
pub struct Listener {
    listener: TcpListener,
    at: Endpoint,
    book: Book,
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut book = self.book.borrow_mut();
        // The host's next process may listen already.
        if book.get(&self.at).copied() == self.listener.local_addr().ok() {
            book.remove(&self.at);
        }
    }
}

impl Stack for Sockets {
    type Listener = Listener;
    type Stream = TcpStream;

    async fn listen(&self, port: u16) -> io::Result<Listener> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let at = Endpoint::new(trial_wire::StrBytes::from_string(self.host.clone()), port);
        self.book.borrow_mut().insert(at.clone(), listener.local_addr()?);
        Ok(Listener { listener, at, book: self.book.clone() })
    }

    async fn accept(listener: &Listener) -> io::Result<TcpStream> {
        let (stream, _) = listener.listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn connect(&self, to: &Endpoint) -> io::Result<TcpStream> {
        let address = self.book.borrow().get(to).copied();
        let stream = TcpStream::connect(address.ok_or(ErrorKind::ConnectionRefused)?).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Tcp {
    /// No hosts; time begins now.
    ///
    /// # Errors
    /// The operating system gives no event queue.
    pub fn new() -> io::Result<Tcp> {
        Ok(Tcp {
            tasks: LocalSet::new(),
            runtime: Builder::new_current_thread().enable_all().build()?,
            began: Instant::now(),
            names: Vec::new(),
            kernels: Vec::new(),
            book: Book::default(),
        })
    }

    fn start(&self, host: u32, to_driver: ToDriver) -> UnboundedSender<Call> {
        let (calls, taken) = unbounded_channel();
        let stack = Sockets { host: self.names[host as usize].clone(), book: self.book.clone() };
        let kernel = Kernel { host, stack, events: to_driver.events, ids: to_driver.ids };
        self.tasks.spawn_local(kernel.run(taken));
        calls
    }
}

impl Fabric for Tcp {
    const NAME: &'static str = "tcp";

    fn refuses<T>(fault: &Fault<T>) -> Option<&'static str> {
        match fault {
            Fault::Partition(_) | Fault::LinkDelay { .. } => {
                Some("the loopback interface of this machine has no links to cut or to delay")
            }
            _ => None,
        }
    }

    fn now(&self) -> Time {
        Time(u64::try_from(self.began.elapsed().as_nanos()).expect("no run lasts 584 years"))
    }

    fn add_host(&mut self, name: &str, to_driver: ToDriver) -> UnboundedSender<Call> {
        let host = self.names.len() as u32;
        self.names.push(name.to_owned());
        let calls = self.start(host, to_driver);
        self.kernels.push(Some(calls.clone()));
        calls
    }

    /// Nobody can make a loopback socket silent: its peers are told that it is closed, as when a process is killed.
    fn switch_off(&mut self, host: u32) {
        if let Some(calls) = self.kernels[host as usize].take() {
            // A kernel whose calls have ended has ended itself.
            drop(calls.send(Call::Kill));
        }
    }

    fn switch_on(&mut self, host: u32, to_driver: ToDriver) -> UnboundedSender<Call> {
        let calls = self.start(host, to_driver);
        self.kernels[host as usize] = Some(calls.clone());
        calls
    }

    fn set_link(&mut self, _a: u32, _b: u32, _link: Link) {
        // Of all that touches links, only the loss of power is not refused; and there the sockets have gone.
    }

    fn pass(&mut self, until: Time, events: &mut UnboundedReceiver<Event>) -> Result<Option<Event>, String> {
        let wait = Duration::from_nanos(until.since(self.now()).0);
        let next = self.tasks.run_until(async {
            // Sockets get their turn even if there are events already.
            yield_now().await;
            timeout(wait, events.recv()).await.ok().flatten()
        });
        Ok(self.runtime.block_on(next))
    }
}
