//! Simulated sockets: turmoil's.
//!
//! What a partition keeps back arrives once it has healed, as TCP's retransmissions see to: so it is turmoil's `hold`, not its
//! `partition`, which would lose it while both ends believe that the connection stands. A hold always has both directions; of
//! one that is meant for one direction only, the other's messages are handed on by us, tick by tick. A host without power is
//! crashed and all its links are held: who has sent it something learns, when it is on again, that it knows no such connection.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use trial_faults::{Fault, Links as FaultLinks};
use trial_node::{Endpoint, Rng, Span, Time};
use trial_world::{Latency, WorldConfig};
use turmoil::net::{TcpListener, TcpStream};
use turmoil::{Builder, Sim};

use super::fabric::{Fabric, ToDriver};
use super::kernel::{Call, Event, Kernel, Stack};
use super::links::Link;

/// A tick.
const TICK: Duration = Duration::from_millis(1);
/// How many segments a connection may have under way in each direction, and how many connections a listener may have waiting:
/// those that were held by a partition come all at once, and turmoil panics if there are more. The end of a connection that comes
/// behind as many unread segments is not seen (turmoil 0.7 looks again only when more comes): as if the peer had gone silently, which
/// its time-outs find.
const CAPACITY: usize = 1024;
/// Ports that connections come from. One that is refused, or given up, keeps its port.
const EPHEMERAL_PORTS: std::ops::RangeInclusive<u16> = 10_000..=65_535;

/// Hosts on simulated sockets.
pub struct Turmoil {
    sim: Sim<'static>,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    /// What the next start of each host's kernel takes.
    boots: Vec<Rc<RefCell<Option<Boot>>>>,
    /// The links that faults have touched.
    links: BTreeMap<(u32, u32), Link>,
    latency: (Span, Span),
}

/// What a kernel starts with.
type Boot = (Kernel<Sockets>, UnboundedReceiver<Call>);

/// The sockets of the host that runs.
pub struct Sockets;

impl Stack for Sockets {
    type Listener = TcpListener;
    type Stream = TcpStream;

    async fn listen(&self, port: u16) -> io::Result<TcpListener> {
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await
    }

    async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
        Ok(listener.accept().await?.0)
    }

    async fn connect(&self, to: &Endpoint) -> io::Result<TcpStream> {
        TcpStream::connect((to.host.as_str(), to.port)).await
    }
}

impl Turmoil {
    /// An empty network, whose links have the latency that `config` says.
    pub fn new(config: &WorldConfig) -> Turmoil {
        let latency = match config.link.latency {
            Latency::Constant(span) => (span, Span::ZERO),
            Latency::Uniform { low, high } => (low, high - low),
            Latency::LongTail { median } => (median, median.times(4)),
        };
        let sim = Builder::new()
            .rng_seed(Rng::named(config.seed, "turmoil").next_u64())
            .tick_duration(TICK)
            // The run decides when it is over.
            .simulation_duration(Duration::MAX)
            .min_message_latency(duration(latency.0))
            .max_message_latency(duration(latency.0 + latency.1))
            .tcp_capacity(CAPACITY)
            .ephemeral_ports(EPHEMERAL_PORTS)
            .build();
        Turmoil {
            sim,
            names: Vec::new(),
            addresses: Vec::new(),
            boots: Vec::new(),
            links: BTreeMap::new(),
            latency,
        }
    }

    /// Makes ready what the kernel's next start takes.
    fn boot(&self, host: u32, to_driver: ToDriver) -> UnboundedSender<Call> {
        let (calls, taken) = unbounded_channel();
        let kernel = Kernel { host, stack: Sockets, events: to_driver.events, ids: to_driver.ids };
        *self.boots[host as usize].borrow_mut() = Some((kernel, taken));
        calls
    }

    fn pair(&self, a: u32, b: u32) -> (&str, &str) {
        (&self.names[a as usize], &self.names[b as usize])
    }

    /// Hands on what travels in the open direction of links that are cut in the other.
    fn deliver_one_way(&mut self) {
        let open: Vec<(IpAddr, IpAddr)> = self
            .links
            .iter()
            .filter(|(_, link)| link.cut[0] != link.cut[1])
            .map(|((a, b), link)| {
                let (a, b) = (self.addresses[*a as usize], self.addresses[*b as usize]);
                if link.cut[1] { (a, b) } else { (b, a) }
            })
            .collect();
        if open.is_empty() {
            return;
        }
        self.sim.links(|links| {
            for sent in links.flatten() {
                let (from, to) = sent.pair();
                if open.contains(&(from.ip(), to.ip())) {
                    sent.deliver();
                }
            }
        });
    }
}

impl Fabric for Turmoil {
    const NAME: &'static str = "turmoil";

    fn refuses<T>(fault: &Fault<T>) -> Option<&'static str> {
        match fault {
            Fault::LinkDelay { on: FaultLinks::OutOf(_) | FaultLinks::Into(_), .. } => {
                Some("turmoil's links have one latency for both directions")
            }
            _ => None,
        }
    }

    fn now(&self) -> Time {
        Time(u64::try_from(self.sim.elapsed().as_nanos()).expect("no run lasts 584 years"))
    }

    fn add_host(&mut self, name: &str, to_driver: ToDriver) -> UnboundedSender<Call> {
        let slot: Rc<RefCell<Option<Boot>>> = Rc::default();
        self.boots.push(slot.clone());
        let calls = self.boot(self.names.len() as u32, to_driver);
        self.names.push(name.to_owned());
        self.sim.host(name, move || {
            let boot = slot.borrow_mut().take();
            async move {
                if let Some((kernel, calls)) = boot {
                    kernel.run(calls).await;
                }
                Ok(())
            }
        });
        self.addresses.push(self.sim.lookup(name));
        calls
    }

    fn switch_off(&mut self, host: u32) {
        let others = (0..self.names.len() as u32).filter(|other| *other != host).collect::<Vec<_>>();
        for &other in &others {
            let (off, on) = self.pair(host, other);
            // What is under way to it waits for its kernel, which will know nothing of it; what it has sent is lost, and so are
            // the farewells of the sockets that go down with it.
            self.sim.hold(off, on);
            self.sim.partition_oneway(off, on);
        }
        self.sim.crash(self.names[host as usize].as_str());
        for other in others {
            let (off, on) = self.pair(host, other);
            self.sim.hold(off, on);
        }
    }

    fn switch_on(&mut self, host: u32, to_driver: ToDriver) -> UnboundedSender<Call> {
        let calls = self.boot(host, to_driver);
        self.sim.bounce(self.names[host as usize].as_str());
        calls
    }

    fn set_link(&mut self, a: u32, b: u32, link: Link) {
        let before = self.links.insert((a, b), link).unwrap_or_default();
        let names = self.pair(a, b);
        match (before.is_cut(), link.is_cut()) {
            (false, true) => self.sim.hold(names.0, names.1),
            (true, false) => self.sim.release(names.0, names.1),
            _ => {}
        }
        if (before.delay, before.jitter) != (link.delay, link.jitter) {
            let low = self.latency.0 + link.delay;
            let high = low + self.latency.1 + link.jitter;
            self.sim.set_link_latency(names.0, names.1, duration(low));
            self.sim.set_link_max_message_latency(names.0, names.1, duration(high));
        }
    }

    fn pass(
        &mut self,
        _until: Time,
        _events: &mut UnboundedReceiver<Event>,
    ) -> Result<Option<Event>, String> {
        self.deliver_one_way();
        self.sim.step().map_err(|error| error.to_string())?;
        Ok(None)
    }
}

fn duration(span: Span) -> Duration {
    Duration::from_nanos(span.0)
}
