//! Clients that are no part of the scenario: they share one host of its network, and somebody else says when they do what.

use trial_node::{ConnId, Endpoint, Input, Request, Time};
use trial_wire::message::MessageError;
use trial_world::{HostId, World};

use crate::member::Member;
use crate::model::Scenario;
use crate::plan;
use crate::run::{Run, RunError};

/// The name of the host that outside clients share.
pub const OUTSIDE: &str = "outside";

/// What [`Scenario::bare`] is made of.
const BARE: &str = include_str!("../serve.toml");

impl Scenario {
    /// Three brokers and nothing else: no topics, no load, no faults.
    pub fn bare() -> Scenario {
        toml::from_str(BARE).expect("it is part of the program")
    }
}

/// The cluster as clients from outside see it. Needs [`RunOptions::outside`](crate::RunOptions::outside).
impl Run {
    /// Where clients find the brokers, in the order of their ids, by the names that the brokers themselves tell.
    pub fn bootstrap(&self) -> Vec<Endpoint> {
        plan::bootstrap(&self.scenario)
    }

    /// When load begins: by then the cluster has formed, and its topics are made.
    pub fn warm(&self) -> Time {
        Time::ZERO + self.scenario.warmup
    }

    /// The instant that the run is at.
    pub fn now(&self) -> Time {
        self.world.now()
    }

    /// When something happens next unless somebody outside does something before.
    pub fn next_event(&self) -> Option<Time> {
        let fault = self.moments.front().map(|moment| moment.at);
        self.world.next_event().into_iter().chain(fault).min()
    }

    /// Runs up to and including an instant, faults included; the first time from the start.
    ///
    /// # Errors
    /// [`RunError`]: the run cannot go on.
    pub fn run_until(&mut self, until: Time) -> Result<(), RunError> {
        self.begin();
        while let Some(moment) = self.moments.front().copied().filter(|moment| moment.at <= until) {
            self.moments.pop_front();
            self.pass(moment, &mut |_| ())?;
        }
        self.advance(until, &mut |_| ())
    }

    /// An outside client connects. `None` while a fault keeps the host of outside clients down.
    pub fn connect(&mut self, to: &Endpoint) -> Option<ConnId> {
        let (world, host) = self.outside();
        world.outside_connect(host, to)
    }

    /// An outside client sends a request; dropped if the connection has gone.
    ///
    /// # Errors
    /// [`MessageError`] when the request's version cannot express it.
    pub fn request(&mut self, conn: ConnId, request: Request) -> Result<(), MessageError> {
        let (world, host) = self.outside();
        world.outside_request(host, conn, request)
    }

    /// An outside client closes a connection.
    pub fn close(&mut self, conn: ConnId) {
        let (world, host) = self.outside();
        world.outside_close(host, conn);
    }

    /// How many bytes an outside client has sent that the broker has not taken yet.
    pub fn unread(&self, conn: ConnId) -> u64 {
        self.outside.map_or(0, |host| self.world.outside_unread(host, conn))
    }

    /// Takes out what has arrived at outside clients, in the order of arrival.
    pub fn arrivals(&mut self) -> Vec<Input> {
        self.world.arrivals().into_iter().map(|arrival| arrival.input).collect()
    }

    fn outside(&mut self) -> (&mut World<Member>, HostId) {
        (&mut self.world, self.outside.expect("the run was made for outside clients"))
    }
}
