//! An operator who asks the cluster for something at given times.

use std::collections::VecDeque;

use trial_node::{ConnId, Endpoint, Input, Io, Now, OpenError, Time, TraceEvent};
use trial_wire::{ErrorCode, ResponseKind, StrBytes};

use crate::admin::{Admin, AdminCall, AdminConfig};
use crate::errors;

use super::config::{ClientConfig, OperateWorkload};

/// Connects only for as long as a call takes, as the command-line tools do.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    config: AdminConfig,
    client_id: StrBytes,
    bootstrap: Vec<Endpoint>,
    /// What is still to be asked for, in order of time.
    calls: VecDeque<(Time, AdminCall)>,
    asking: Option<Admin>,
}

impl Operator {
    pub fn new(process: &ClientConfig, plan: &OperateWorkload) -> Result<Operator, OpenError> {
        let mut calls = plan.calls.clone();
        calls.sort_by_key(|(at, _)| *at);
        let client_id = StrBytes::from_string(format!("{}-admin", process.client_id.as_str()));
        let config = plan.admin_config()?;
        Ok(Operator {
            config,
            client_id,
            bootstrap: process.bootstrap.clone(),
            calls: calls.into(),
            asking: None,
        })
    }

    pub fn owns(&self, conn: ConnId) -> bool {
        self.asking.as_ref().is_some_and(|admin| admin.owns(conn))
    }

    pub fn is_done(&self) -> bool {
        self.asking.is_none() && self.calls.is_empty()
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        match &self.asking {
            Some(admin) => admin.poll_timeout(),
            None => self.calls.front().map(|(at, _)| *at),
        }
    }

    pub fn step(&mut self, now: Now, input: Option<Input>, io: &mut Io<'_>) {
        if self.asking.is_none()
            && let Some((_, call)) = self.calls.pop_front_if(|(at, _)| *at <= now.mono)
        {
            let admin = Admin::new(self.config.clone(), self.client_id.clone(), self.bootstrap.clone());
            let mut admin = admin.expect("a process that was opened has bootstrap servers");
            admin.call(now, call);
            self.asking = Some(admin);
        }
        let Some(admin) = &mut self.asking else { return };
        match input {
            Some(input) => admin.handle(now, input, io),
            None => admin.poll(now, io),
        }
        let answer = admin.answers().next();
        if let Some((_, answer)) = answer {
            let refused = match answer {
                Err(error) => Some(error.to_string()),
                Ok(response) => refusal(&response),
            };
            if let Some(what) = refused {
                io.trace(TraceEvent::ClientError { what: format!("what the operator asked for: {what}") });
            }
            admin.close(io);
            self.asking = None;
        }
    }
}

/// What the cluster would not do of what it was asked for. An election that is not needed is no failure.
fn refusal(response: &ResponseKind) -> Option<String> {
    let (code, message) = match response {
        ResponseKind::AlterPartitionReassignments(response) => {
            let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
            let mut all = std::iter::once((response.error_code, &response.error_message))
                .chain(partitions.map(|partition| (partition.error_code, &partition.error_message)));
            all.find(|(code, _)| *code != 0)?
        }
        ResponseKind::IncrementalAlterConfigs(response) => {
            let refused = response.responses.iter().find(|resource| resource.error_code != 0)?;
            (refused.error_code, &refused.error_message)
        }
        ResponseKind::AlterClientQuotas(response) => {
            let refused = response.entries.iter().find(|entry| entry.error_code != 0)?;
            (refused.error_code, &refused.error_message)
        }
        _ => return None,
    };
    let error = ErrorCode::try_from_code(code)?;
    let message = message.as_ref().map_or("", |message| message.as_str());
    Some(format!("{} {message}", errors::name(error)))
}
