//! Making the topics that the other workloads use.

use trial_node::{ConnId, HaltReason, Input, Io, Now, OpenError, Time};
use trial_wire::{ErrorCode, ResponseKind, StrBytes};

use crate::admin::{Admin, AdminCall};
use crate::errors;
use crate::network::TopicSlot;

use super::config::{ClientConfig, SetupWorkload};

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    AwaitBrokers,
    Creating,
    AwaitLeaders,
    Done,
}

#[derive(Clone, Debug)]
pub(super) struct Setup {
    plan: SetupWorkload,
    admin: Admin,
    stage: Stage,
}

impl Setup {
    pub fn new(process: &ClientConfig, plan: SetupWorkload) -> Result<Setup, OpenError> {
        let client_id = StrBytes::from_string(format!("{}-admin", process.client_id.as_str()));
        let admin = Admin::new(plan.admin_config()?, client_id, process.bootstrap.clone())?;
        Ok(Setup { plan, admin, stage: Stage::AwaitBrokers })
    }

    pub fn owns(&self, conn: ConnId) -> bool {
        self.admin.owns(conn)
    }

    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        self.admin.poll_timeout().filter(|_| !self.is_done())
    }

    pub fn step(&mut self, now: Now, input: Option<Input>, io: &mut Io<'_>) {
        if self.is_done() {
            return;
        }
        match input {
            Some(input) => self.admin.handle(now, input, io),
            None => self.admin.poll(now, io),
        }
        let before = self.stage;
        self.advance(now, io);
        if self.is_done() {
            self.admin.close(io);
        } else if self.stage != before {
            self.admin.poll(now, io);
        }
    }

    fn advance(&mut self, now: Now, io: &mut Io<'_>) {
        match self.stage {
            Stage::AwaitBrokers => {
                if self.admin.metadata().broker_count() >= self.plan.brokers as usize {
                    self.create(now);
                } else {
                    self.look_again(now, io);
                }
            }
            Stage::Creating => {
                let answer = self.admin.answers().next();
                match answer {
                    None => {}
                    Some((_, Ok(ResponseKind::CreateTopics(response)))) => {
                        let failed = response.topics.iter().find_map(|topic| {
                            let error = ErrorCode::try_from_code(topic.error_code)?;
                            (error != ErrorCode::TopicAlreadyExists).then_some((topic, error))
                        });
                        match failed {
                            Some((topic, error)) => {
                                let why = topic.error_message.as_ref().map_or("", |message| message.as_str());
                                let name = topic.name.as_str();
                                let what =
                                    format!("cannot create topic {name}: {} {why}", errors::name(error));
                                io.halt(HaltReason::Fatal(what));
                            }
                            None => self.await_leaders(),
                        }
                    }
                    // The cluster may be starting still.
                    Some((_, _)) => self.create(now),
                }
            }
            Stage::AwaitLeaders if self.all_led() => self.stage = Stage::Done,
            Stage::AwaitLeaders => self.look_again(now, io),
            Stage::Done => {}
        }
    }

    /// Asks for newer metadata, unless it is being asked for.
    fn look_again(&mut self, now: Now, io: &mut Io<'_>) {
        if !self.admin.metadata().update_requested() {
            self.admin.metadata_mut().request_update();
            self.admin.poll(now, io);
        }
    }

    fn create(&mut self, now: Now) {
        if self.plan.topics.is_empty() {
            self.stage = Stage::Done;
        } else {
            self.stage = Stage::Creating;
            self.admin.call(now, AdminCall::CreateTopics(self.plan.topics.clone()));
        }
    }

    fn await_leaders(&mut self) {
        self.stage = Stage::AwaitLeaders;
        for topic in &self.plan.topics {
            self.admin.metadata_mut().add_topic(&topic.name);
        }
    }

    fn all_led(&self) -> bool {
        let metadata = self.admin.metadata();
        (0..self.plan.topics.len()).map(TopicSlot).all(|slot| {
            let led = |partitions| (0..partitions as i32).all(|p| metadata.leader(slot, p).is_some());
            metadata.partition_count(slot).is_some_and(led)
        })
    }
}
