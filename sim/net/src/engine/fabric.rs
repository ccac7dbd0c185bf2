//! What carries hosts: kernels with sockets, links between them, and time.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use trial_faults::Fault;
use trial_node::Time;

use super::kernel::{Call, Event, SocketIds};
use super::links::Link;

/// What a kernel needs to reach the driver.
#[derive(Clone, Debug)]
pub struct ToDriver {
    /// Where it tells what has happened.
    pub events: UnboundedSender<Event>,
    /// Where it gets its sockets' numbers from.
    pub ids: SocketIds,
}

/// Carries hosts, which are numbered from 0 in the order in which they came.
pub trait Fabric {
    /// As [`trial_world::Engine::NAME`].
    const NAME: &'static str;

    /// Why it cannot do what a fault asks of the network or of power, if it cannot.
    fn refuses<T>(fault: &Fault<T>) -> Option<&'static str>;

    /// How much time has passed.
    fn now(&self) -> Time;

    /// Adds a host and switches it on.
    fn add_host(&mut self, name: &str, to_driver: ToDriver) -> UnboundedSender<Call>;

    /// Switches a host off: everything that its kernel knew is gone, and nobody is told if the fabric can help it. The caller
    /// cuts its links, as long as it is off.
    fn switch_off(&mut self, host: u32);

    /// Switches it on again.
    fn switch_on(&mut self, host: u32, to_driver: ToDriver) -> UnboundedSender<Call>;

    /// Says what the link between two hosts is like from now on, `a` being the smaller.
    fn set_link(&mut self, a: u32, b: u32, link: Link);

    /// Lets kernels work and time pass: a little, not further than `until` if it can help it. Gives the first event, or leaves
    /// all to be taken from `events`.
    ///
    /// # Errors
    /// What is wrong, if nothing more can happen.
    fn pass(&mut self, until: Time, events: &mut UnboundedReceiver<Event>) -> Result<Option<Event>, String>;
}
