//! What a session of `trial serve` is made of, and the run behind it.

use anyhow::{Context, Result};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use trial_net::session::Checkpoint;
use trial_net::{Cluster, FaultId, Order};
use trial_node::{ConnId, Endpoint, Input, Request, Time};
use trial_scenarios::{GroupProtocol, Run, RunError, RunOptions, Scenario, Variant};
use trial_wire::message::MessageError;

/// All that decides what a session is, beside what comes in from outside: the header of its record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The version of the program that recorded it.
    pub version: String,
    /// The commit that it was built from.
    pub commit: String,
    /// The scenario's file, for errors.
    pub file: String,
    /// The scenario's text.
    pub scenario: String,
    /// The variant's `group.protocol`, if the scenario has a choice.
    pub group_protocol: Option<String>,
    /// The variant's `transaction.version`, if the scenario has a choice.
    pub transaction_version: Option<i16>,
    /// The seed.
    pub seed: u64,
    /// What the wall clock showed at the start, in ms since the Unix epoch.
    pub wall_start_ms: i64,
}

impl Setting {
    /// The scenario, in its variant.
    pub fn scenario(&self) -> Result<Scenario> {
        let scenario = Scenario::to_serve(&self.file, &self.scenario)?;
        let protocol = self.group_protocol.as_ref().map(|name| {
            let known = GroupProtocol::ALL.into_iter().find(|protocol| protocol.name() == name);
            known.with_context(|| format!("there is no group.protocol {name:?}"))
        });
        let wanted =
            Variant { group_protocol: protocol.transpose()?, transaction_version: self.transaction_version };
        Ok(scenario.choose(wanted)?)
    }

    /// The run, in which nothing has happened yet.
    pub fn open(&self, history: bool) -> Result<Served> {
        let options = RunOptions {
            seed: self.seed,
            outside: Some(self.wall_start_ms),
            history,
            ..RunOptions::default()
        };
        Ok(Served(Run::new(self.scenario()?, options)?))
    }
}

/// A run, as those outside see it.
pub struct Served(pub Run);

impl Cluster for Served {
    type Error = RunError;

    fn now(&self) -> Time {
        self.0.now()
    }

    fn next_event(&self) -> Option<Time> {
        self.0.next_event()
    }

    fn run_until(&mut self, until: Time) -> Result<(), RunError> {
        self.0.run_until(until)
    }

    fn connect(&mut self, to: &Endpoint) -> Option<ConnId> {
        self.0.connect(to)
    }

    fn request(&mut self, conn: ConnId, request: Request, _frame: Bytes) -> Result<(), MessageError> {
        self.0.request(conn, request)
    }

    fn close(&mut self, conn: ConnId) {
        self.0.close(conn);
    }

    fn unread(&self, conn: ConnId) -> u64 {
        self.0.unread(conn)
    }

    fn arrivals(&mut self) -> Vec<Input> {
        self.0.arrivals()
    }

    fn order(&mut self, order: &Order) -> Result<String, String> {
        let done = match order {
            Order::Fault(fault) => self.0.inject_by_hand(fault),
            Order::Heal(FaultId(id)) => self.0.heal_by_hand(*id),
            Order::HealAll => self.0.heal_all_by_hand(),
            Order::CallOff => self.0.call_off_by_hand(),
        };
        done.map(|done| done.to_string())
    }

    fn state(&self) -> String {
        self.0.state().to_string()
    }

    fn checkpoint(&self, index: usize) -> Option<Checkpoint> {
        let (event, at, hash) = self.0.checkpoint(index)?;
        Some(Checkpoint { event, at, hash })
    }
}
