//! Consumers of both protocols that follow them, are killed, leave, and come back with the other one, with a log that fails now
//! and then and coordinators that fail over: nobody reads what another may read, and in the end everything is read.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use trial_node::Span;
use trial_wire::messages::JoinGroupResponse;
use trial_wire::messages::join_group_request::JoinGroupRequestProtocol;
use trial_wire::messages::join_group_response::JoinGroupResponseMember;
use trial_wire::messages::sync_group_request::SyncGroupRequestAssignment;
use trial_wire::{ErrorCode, StrBytes};

use super::super::driver::{Driver, join, sync, text};
use super::super::offsets::commit;
use super::{ILLEGAL, REBALANCE, UNKNOWN, beat, given, group, holding, leave, read_assignment};
use crate::CallId;
use crate::group::GroupConfig;
use crate::group::embedded::Subscription;

const PARTITIONS: i32 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Eager,
    Cooperative,
    Consumer,
}

#[derive(Clone, Debug)]
enum State {
    /// It has to join, or to join again.
    Joins,
    WaitsForJoin(CallId),
    Syncs(Vec<JoinGroupResponseMember>),
    WaitsForSync(CallId),
    Stable,
}

/// A consumer's process.
#[derive(Clone, Debug)]
struct Process {
    index: usize,
    lives: usize,
    protocol: Protocol,
    instance: Option<&'static str>,
    id: StrBytes,
    /// Its generation or member epoch; 0 or −1 if it is in none.
    epoch: i32,
    state: State,
    reads: BTreeSet<i32>,
    /// As a KIP-848 member: what it has been told to have.
    told: BTreeSet<i32>,
}

impl Process {
    fn new(index: usize, protocol: Protocol) -> Process {
        let instance = (index == 2).then_some("host");
        let mut process = Process {
            index,
            lives: 0,
            protocol,
            instance,
            id: StrBytes::new(),
            epoch: 0,
            state: State::Joins,
            reads: BTreeSet::new(),
            told: BTreeSet::new(),
        };
        process.restart(protocol);
        process
    }

    /// A new process knows nothing of the old one.
    fn restart(&mut self, protocol: Protocol) {
        self.lives += 1;
        self.protocol = protocol;
        self.lose();
        self.id = match protocol {
            Protocol::Consumer => text(&format!("m{}-{}", self.index, self.lives)),
            Protocol::Eager | Protocol::Cooperative => StrBytes::new(),
        };
    }

    /// It is none of the group any more.
    fn lose(&mut self) {
        self.epoch = if self.protocol == Protocol::Consumer { 0 } else { -1 };
        self.reads.clear();
        self.told.clear();
        self.state = State::Joins;
    }

    fn leave(&mut self, driver: &mut Driver) {
        match self.protocol {
            Protocol::Consumer if self.epoch > 0 => {
                let epoch = if self.instance.is_some() { -2 } else { -1 };
                beat(driver, (&self.id, self.instance), epoch, None);
            }
            Protocol::Eager | Protocol::Cooperative if self.instance.is_none() && !self.id.is_empty() => {
                leave(driver, &self.id);
            }
            _ => {}
        }
    }

    fn act(&mut self, driver: &mut Driver) {
        match self.protocol {
            Protocol::Consumer => self.act_consumer(driver),
            Protocol::Eager | Protocol::Cooperative => self.act_classic(driver),
        }
    }

    fn act_consumer(&mut self, driver: &mut Driver) {
        self.reads.retain(|partition| self.told.contains(partition));
        let reads: Vec<i32> = self.reads.iter().copied().collect();
        let answer = beat(driver, (&self.id, self.instance), self.epoch, Some(&reads));
        match ErrorCode::try_from_code(answer.error_code) {
            None => {}
            Some(ErrorCode::CoordinatorNotAvailable) => return,
            Some(ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId) => return self.lose(),
            // It is no group of KIP-848 any more.
            Some(ErrorCode::GroupIdNotFound) if self.epoch > 0 => return self.lose(),
            // A process before it was killed; its session has to end first.
            Some(ErrorCode::UnreleasedInstanceId) if self.epoch == 0 => return,
            other => panic!("{other:?}: {:?}", answer.error_message),
        }
        self.epoch = answer.member_epoch;
        if let Some(assignment) = &answer.assignment {
            self.told = assignment.topic_partitions.iter().flat_map(|t| t.partitions.clone()).collect();
            self.reads.extend(self.told.iter().copied());
        }
    }

    fn act_classic(&mut self, driver: &mut Driver) {
        match self.state.clone() {
            State::Joins => {
                if self.protocol == Protocol::Eager {
                    self.reads.clear();
                }
                let reads: Vec<i32> = self.reads.iter().copied().collect();
                let protocol = JoinGroupRequestProtocol::default()
                    .with_name(text("range"))
                    .with_metadata(holding(&reads));
                let request = join(&self.id, self.instance).with_protocols(vec![protocol]);
                self.state = State::WaitsForJoin(driver.join(9, request));
                self.hear(driver);
            }
            State::Syncs(members) => {
                let request = sync(self.epoch, &self.id, &[]).with_group_instance_id(self.instance.map(text));
                let request = request.with_assignments(self.assign(&members));
                self.state = State::WaitsForSync(driver.send(5, request));
                self.hear(driver);
            }
            State::WaitsForJoin(_) | State::WaitsForSync(_) => self.hear(driver),
            State::Stable => {
                let error = driver.beat(self.epoch, &self.id, self.instance);
                self.take(error);
            }
        }
    }

    /// Takes the answer that it waits for, if there is one.
    fn hear(&mut self, driver: &mut Driver) {
        match self.state {
            State::WaitsForJoin(call) => {
                let Some(answer) = driver.joined(call) else { return };
                let JoinGroupResponse { error_code, member_id, generation_id, members, .. } = answer;
                if error_code == ErrorCode::MemberIdRequired.code() {
                    self.id = member_id;
                    self.state = State::Joins;
                } else if error_code != 0 {
                    self.state = State::Joins;
                    self.take(error_code);
                } else {
                    self.id = member_id;
                    self.epoch = generation_id;
                    self.state = State::Syncs(members);
                }
            }
            State::WaitsForSync(call) => match read_assignment(driver, call) {
                None => {}
                Some(Err(error)) => {
                    self.state = State::Joins;
                    self.take(error);
                }
                Some(Ok(assigned)) => {
                    let assigned: BTreeSet<i32> = assigned.into_iter().collect();
                    // Who gives something up says so by joining again (KIP-429).
                    let gives_up = !self.reads.is_subset(&assigned);
                    self.reads = assigned;
                    self.state = if gives_up { State::Joins } else { State::Stable };
                }
            },
            _ => {}
        }
    }

    fn take(&mut self, error: i16) {
        match error {
            0 => {}
            REBALANCE => self.state = State::Joins,
            UNKNOWN => {
                self.lose();
                self.id = StrBytes::new();
            }
            ILLEGAL => self.lose(),
            // Its instance id is another process's, one before it: it does not go on.
            error if error == ErrorCode::FencedInstanceId.code() => {
                self.lose();
                self.id = StrBytes::new();
            }
            error => match ErrorCode::try_from_code(error) {
                Some(ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator) => {}
                other => panic!("{other:?}"),
            },
        }
    }

    /// As the leader: everybody a quarter of the partitions or more; what another still has only once that has given it up.
    fn assign(&self, members: &[JoinGroupResponseMember]) -> Vec<SyncGroupRequestAssignment> {
        let owners: BTreeMap<i32, usize> = members
            .iter()
            .enumerate()
            .flat_map(|(index, member)| {
                let said = Subscription::decode(&member.metadata).expect("it is ConsumerProtocol");
                let owned: Vec<i32> = said.owned.iter().flat_map(|topic| topic.partitions.clone()).collect();
                owned.into_iter().map(move |partition| (partition, index))
            })
            .collect();
        let assignments = members.iter().enumerate().map(|(index, member)| {
            let shall_have = (0..PARTITIONS).filter(|p| *p as usize % members.len() == index);
            let may_have: Vec<i32> =
                shall_have.filter(|p| owners.get(p).is_none_or(|owner| *owner == index)).collect();
            SyncGroupRequestAssignment::default()
                .with_member_id(member.member_id.clone())
                .with_assignment(given(&may_have))
        });
        assignments.collect()
    }

    /// Whether what it commits counts, or would if there were no rebalance.
    fn is_known(&self, driver: &Driver) -> bool {
        let error = commit(&mut driver.clone(), 0, self.epoch, &self.id);
        !self.id.is_empty() && self.epoch >= 0 && (error == 0 || error == REBALANCE)
    }
}

/// Whoever may commit reads what nobody else who may reads.
fn assert_exclusive(driver: &Driver, processes: &[Process]) {
    let mut readers = BTreeMap::new();
    for process in processes.iter().filter(|process| process.is_known(driver)) {
        for partition in &process.reads {
            let other = readers.insert(*partition, &process.id);
            assert_eq!(other, None, "both {other:?} and {:?} read {partition}", process.id);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Act(usize),
    Refuse(usize),
    Kill(usize),
    Leave(usize),
    Switch(usize),
    Pass(u64),
    FailOver,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..4usize).prop_map(Step::Act),
        1 => (0..4usize).prop_map(Step::Refuse),
        1 => (0..4usize).prop_map(Step::Kill),
        1 => (0..4usize).prop_map(Step::Leave),
        3 => (0..4usize).prop_map(Step::Switch),
        4 => (1..8u64).prop_map(Step::Pass),
        1 => Just(Step::FailOver),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn partitions_have_one_reader_and_in_the_end_all_are_read(
        cooperative in any::<bool>(),
        begin in prop::array::uniform4(any::<bool>()),
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let classic = if cooperative { Protocol::Cooperative } else { Protocol::Eager };
        let config = GroupConfig { consumer_session_timeout: Span::from_secs(10), ..GroupConfig::default() };
        let mut driver = Driver::with_config(config);
        let protocol = |consumer: bool| if consumer { Protocol::Consumer } else { classic };
        let mut processes: Vec<Process> =
            (0..4).map(|index| Process::new(index, protocol(begin[index]))).collect();
        for step in steps {
            match step {
                Step::Act(i) => processes[i].act(&mut driver),
                Step::Refuse(i) => {
                    driver.fail = Some(ErrorCode::NotEnoughReplicas);
                    processes[i].act(&mut driver);
                    driver.fail = None;
                }
                Step::Kill(i) => {
                    let same = processes[i].protocol;
                    processes[i].restart(same);
                }
                Step::Leave(i) | Step::Switch(i) => {
                    processes[i].leave(&mut driver);
                    let is_consumer = processes[i].protocol == Protocol::Consumer;
                    let switches = matches!(step, Step::Switch(_));
                    processes[i].restart(protocol(is_consumer != switches));
                }
                Step::Pass(secs) => driver.pass(Span::from_secs(secs)),
                Step::FailOver => driver.fail_over(),
            }
            assert_exclusive(&driver, &processes);
        }
        for _ in 0..60 {
            for process in &mut processes {
                process.act(&mut driver);
            }
            driver.pass(Span::from_secs(2));
            assert_exclusive(&driver, &processes);
        }
        let mut read: Vec<i32> = processes.iter().flat_map(|process| process.reads.iter().copied()).collect();
        read.sort_unstable();
        prop_assert_eq!(read, (0..PARTITIONS).collect::<Vec<_>>(), "{:#?}", processes);
        let any_consumer = processes.iter().any(|process| process.protocol == Protocol::Consumer);
        let is_classic = group(&driver).contains("classic true");
        prop_assert_eq!(any_consumer, !is_classic, "{}", group(&driver));
        prop_assert!(group(&driver).ends_with("members 4"), "{}", group(&driver));
        driver.fail_over();
    }
}
