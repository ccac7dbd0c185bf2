//! Members that do anything at any time, with a log that fails now and then: every request is answered, and what is loaded
//! is what was there.

use trial_node::{Rng, Span};
use trial_wire::messages::leave_group_request::MemberIdentity;
use trial_wire::messages::{JoinGroupRequest, LeaveGroupRequest};
use trial_wire::{ErrorCode, StrBytes};

use super::driver::{Driver, GROUP, join, sync, text};
use crate::CallId;

/// A member as its process sees it.
#[derive(Clone, Debug, Default)]
struct Process {
    id: StrBytes,
    instance: Option<&'static str>,
    generation: i32,
    leads: bool,
    members: Vec<StrBytes>,
    waits: Option<CallId>,
    syncs: Option<CallId>,
}

impl Process {
    fn request(&self) -> JoinGroupRequest {
        join(&self.id, self.instance)
    }

    fn hear(&mut self, driver: &mut Driver) {
        if let Some(answer) = self.waits.and_then(|call| driver.joined(call)) {
            self.waits = None;
            if answer.error_code == 0 || answer.error_code == ErrorCode::MemberIdRequired.code() {
                self.id = answer.member_id;
                self.generation = answer.generation_id;
                self.leads = self.id == answer.leader && !answer.skip_assignment;
                self.members = answer.members.into_iter().map(|member| member.member_id).collect();
            } else {
                self.id = StrBytes::new();
            }
        }
        if self.syncs.is_some_and(|call| driver.synced(call).is_some()) {
            self.syncs = None;
        }
    }

    fn act(&mut self, driver: &mut Driver, rng: &mut Rng) {
        if self.waits.is_some() || self.syncs.is_some() {
            return;
        }
        match rng.below(8) {
            0..3 => {
                self.waits = Some(driver.join(rng.below(10) as i16, self.request()));
            }
            3..5 => {
                let members = if self.leads { self.members.clone() } else { Vec::new() };
                self.syncs =
                    Some(driver.send(rng.below(6) as i16, sync(self.generation, &self.id, &members)));
            }
            5..7 => {
                driver.beat(self.generation, &self.id, self.instance);
            }
            _ => {
                let member = MemberIdentity::default().with_member_id(self.id.clone());
                let request = LeaveGroupRequest::default()
                    .with_group_id(text(GROUP).into())
                    .with_member_id(self.id.clone())
                    .with_members(vec![member]);
                driver.send(rng.below(6) as i16, request);
            }
        }
    }
}

#[test]
fn every_request_is_answered_and_the_log_tells_all() {
    for seed in 0..60 {
        let mut rng = Rng::named(seed, "processes");
        let mut driver = Driver::new();
        driver.rng = Rng::named(seed, "coordinator");
        let instances = [None, None, Some("one"), Some("two"), Some("one")];
        let mut processes = instances.map(|instance| Process { instance, ..Process::default() });
        for _ in 0..400 {
            let which = rng.below(5) as usize;
            processes[which].act(&mut driver, &mut rng);
            driver.fail = rng.chance(1, 10).then_some(ErrorCode::NotEnoughReplicas);
            if rng.chance(1, 10) {
                driver.hold = true;
            } else if rng.chance(1, 3) {
                driver.commit(rng.chance(1, 4).then_some(ErrorCode::RequestTimedOut));
            }
            if rng.chance(1, 100) {
                driver.fail_over();
            }
            driver.pass(Span::from_millis(rng.below(4_000)));
            processes.iter_mut().for_each(|process| process.hear(&mut driver));
        }
        driver.fail = None;
        driver.commit(None);
        driver.pass(Span::from_secs(200));
        processes.iter_mut().for_each(|process| process.hear(&mut driver));
        let waiting = processes.iter().any(|process| process.waits.is_some() || process.syncs.is_some());
        assert!(!waiting, "seed {seed}: {processes:#?}");
        driver.fail_over();
    }
}
