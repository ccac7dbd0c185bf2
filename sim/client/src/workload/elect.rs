//! An operator who asks for elections at given times.

use std::collections::VecDeque;

use trial_node::{ConnId, Endpoint, Input, Io, Now, OpenError, Time, TopicPartition, TraceEvent};
use trial_wire::StrBytes;

use crate::admin::{Admin, AdminCall, AdminConfig, ElectionType};

use super::config::{ClientConfig, ElectWorkload};

/// Connects only for as long as an election takes, as the command-line tool does.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    config: AdminConfig,
    client_id: StrBytes,
    bootstrap: Vec<Endpoint>,
    /// What is still to be asked for, in order of time.
    elections: VecDeque<(Time, TopicPartition)>,
    asking: Option<Admin>,
}

impl Operator {
    pub fn new(process: &ClientConfig, plan: &ElectWorkload) -> Result<Operator, OpenError> {
        let mut elections = plan.elections.clone();
        elections.sort();
        let client_id = StrBytes::from_string(format!("{}-elections", process.client_id.as_str()));
        let config = plan.admin_config()?;
        Ok(Operator {
            config,
            client_id,
            bootstrap: process.bootstrap.clone(),
            elections: elections.into(),
            asking: None,
        })
    }

    pub fn owns(&self, conn: ConnId) -> bool {
        self.asking.as_ref().is_some_and(|admin| admin.owns(conn))
    }

    pub fn is_done(&self) -> bool {
        self.asking.is_none() && self.elections.is_empty()
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        match &self.asking {
            Some(admin) => admin.poll_timeout(),
            None => self.elections.front().map(|(at, _)| *at),
        }
    }

    pub fn step(&mut self, now: Now, input: Option<Input>, io: &mut Io<'_>) {
        if self.asking.is_none() && self.elections.front().is_some_and(|(at, _)| *at <= now.mono) {
            let mut due = Vec::new();
            while let Some((_, tp)) = self.elections.pop_front_if(|(at, _)| *at <= now.mono) {
                due.push(tp);
            }
            let admin = Admin::new(self.config.clone(), self.client_id.clone(), self.bootstrap.clone());
            let mut admin = admin.expect("a process that was opened has bootstrap servers");
            admin.call(now, AdminCall::ElectLeaders(ElectionType::Preferred, Some(due)));
            self.asking = Some(admin);
        }
        let Some(admin) = &mut self.asking else { return };
        match input {
            Some(input) => admin.handle(now, input, io),
            None => admin.poll(now, io),
        }
        let answer = admin.answers().next();
        if let Some((_, answer)) = answer {
            if let Err(error) = answer {
                io.trace(TraceEvent::ClientError { what: format!("preferred leader election: {error:?}") });
            }
            admin.close(io);
            self.asking = None;
        }
    }
}
