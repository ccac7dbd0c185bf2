//! Everything in a world but its nodes: time, events, machines, network, trace.

use std::collections::BTreeMap;

use trial_node::{Span, Time};

use crate::config::WorldConfig;
use crate::machine::{Machine, Pending};
use crate::net::Network;
use crate::queue::{Event, EventQueue};
use crate::trace::TraceHash;
use crate::world::Counters;

/// How old dirty pages grow before the kernel writes them back (Linux, `dirty_expire_centisecs`).
const WRITE_BACK_AFTER: Span = Span::from_secs(30);

#[derive(Clone, Debug)]
pub(crate) struct Sim {
    pub(crate) now: Time,
    pub(crate) queue: EventQueue,
    pub(crate) machines: Vec<Machine>,
    pub(crate) names: BTreeMap<String, u32>,
    pub(crate) net: Network,
    pub(crate) trace: TraceHash,
    pub(crate) counters: Counters,
    pub(crate) loopback: Span,
    pub(crate) window_bytes: u32,
    /// How many messages were sent; each has its number.
    pub(crate) sent: u64,
}

impl Sim {
    pub(crate) fn new(config: &WorldConfig) -> Sim {
        Sim {
            now: Time::ZERO,
            queue: EventQueue::default(),
            machines: Vec::new(),
            names: BTreeMap::new(),
            net: Network::default(),
            trace: TraceHash::new(config.seed, config.checkpoint_every),
            counters: Counters::default(),
            loopback: config.loopback,
            window_bytes: config.window_bytes,
            sent: 0,
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// If the kernel has dirty pages and no plan to write them back, it makes one.
    pub(crate) fn plan_write_back(&mut self, host: u32) {
        let machine = &mut self.machines[host as usize];
        if !machine.writes_back && machine.disk.dirty_bytes() > 0 {
            machine.writes_back = true;
            let epoch = machine.disk_epoch;
            self.queue.schedule(self.now + WRITE_BACK_AFTER, Event::WriteBack { host, epoch });
        }
    }

    pub(crate) fn on_write_back(&mut self, host: u32, epoch: u32) {
        let machine = &mut self.machines[host as usize];
        if machine.disk_epoch == epoch {
            machine.write_back(self.now);
            machine.writes_back = false;
            self.plan_write_back(host);
        }
    }

    /// A machine loses power.
    pub(crate) fn switch_off(&mut self, host: u32) {
        let machine = &mut self.machines[host as usize];
        machine.disk.lose_power(&mut machine.disk_rng);
        machine.device_is_idle();
        machine.writes_back = false;
        machine.disk_epoch += 1;
        for (pipe, epoch) in machine.nic.switch_off() {
            if self.net.pipe(pipe).0.epoch == epoch {
                self.net.pipe_mut(pipe).in_round = false;
                self.silence_end(pipe);
            }
        }
        for pipe in self.machines[host as usize].conns.drain() {
            self.silence_end(pipe);
        }
    }

    /// Throws away what waits for a node that is gone.
    pub(crate) fn empty_inbox(&mut self, host: u32) {
        for pending in self.machines[host as usize].inbox.drain(..) {
            if let Pending::Message { place, .. } = pending {
                self.net.messages.remove(place);
            }
        }
    }
}
