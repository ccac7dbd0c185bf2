//! Members that follow the protocol, whose answers get lost, that fall silent, leave and come back, and coordinators that fail
//! over or cannot write: no partition ever belongs to two that are not fenced, and in the end everybody has a part.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use trial_node::Span;
use trial_wire::messages::ConsumerGroupHeartbeatResponse;
use trial_wire::{ErrorCode, StrBytes, TopicName};

use super::driver::{Driver, alive, join, owning, text};
use crate::group::GroupConfig;

/// A consumer as KIP-848 wants it.
#[derive(Clone, Debug, Default)]
struct Client {
    index: usize,
    lives: usize,
    id: String,
    instance_id: Option<StrBytes>,
    epoch: i32,
    /// What it reads.
    reads: BTreeSet<i32>,
    /// What it has been told to have.
    assigned: BTreeSet<i32>,
    /// Whether the last answer was lost: then it says everything again.
    uncertain: bool,
    revokes_slowly: bool,
    subscribes_to: Vec<TopicName>,
}

impl Client {
    fn new(index: usize) -> Client {
        let mut client =
            Client { index, subscribes_to: vec![TopicName(text("orders"))], ..Client::default() };
        if index == 2 {
            client.instance_id = Some(text("host-2"));
        }
        if index == 3 {
            client.subscribes_to.push(TopicName(text("absent")));
        }
        client.restart();
        client
    }

    /// A new process knows nothing of the old one.
    fn restart(&mut self) {
        self.lives += 1;
        self.id = format!("m{}-{}", self.index, self.lives);
        self.forget();
    }

    fn forget(&mut self) {
        (self.epoch, self.reads, self.assigned) = (0, BTreeSet::new(), BTreeSet::new());
    }

    fn beat(&mut self, driver: &mut Driver, lost: bool) {
        if self.revokes_slowly {
            self.revokes_slowly = false;
        } else {
            self.reads.retain(|partition| self.assigned.contains(partition));
        }
        let reads: Vec<i32> = self.reads.iter().copied().collect();
        let request = if self.epoch == 0 {
            join(&self.id).with_subscribed_topic_names(Some(self.subscribes_to.clone()))
        } else if self.uncertain {
            owning(&self.id, self.epoch, &reads)
                .with_rebalance_timeout_ms(60_000)
                .with_subscribed_topic_names(Some(self.subscribes_to.clone()))
        } else {
            owning(&self.id, self.epoch, &reads)
        };
        let response = driver.beat(request.with_instance_id(self.instance_id.clone()));
        if lost {
            self.uncertain = true;
        } else {
            self.take(&response);
        }
    }

    fn take(&mut self, response: &ConsumerGroupHeartbeatResponse) {
        self.uncertain = false;
        match ErrorCode::try_from_code(response.error_code) {
            None => {}
            Some(ErrorCode::CoordinatorNotAvailable) => {
                self.uncertain = true;
                return;
            }
            Some(ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId) => return self.forget(),
            // A process before it was killed; its session has to end first.
            Some(ErrorCode::UnreleasedInstanceId) if self.epoch == 0 => return,
            other => panic!("{other:?}: {:?}", response.error_message),
        }
        self.epoch = response.member_epoch;
        if let Some(assignment) = &response.assignment {
            self.assigned = assignment.topic_partitions.iter().flat_map(|t| t.partitions.clone()).collect();
            self.reads.extend(self.assigned.iter().copied());
        }
    }

    fn leave(&mut self, driver: &mut Driver) {
        if self.epoch > 0 {
            let epoch = if self.instance_id.is_some() { -2 } else { -1 };
            driver.beat(alive(&self.id, epoch).with_instance_id(self.instance_id.clone()));
        }
        self.restart();
    }
}

/// Nobody has two owners, and whoever the coordinator has not fenced reads only what is known to be theirs.
fn assert_exclusive(driver: &Driver, clients: &[Client]) {
    let owners = driver.owners();
    let known: BTreeMap<i32, &str> =
        owners.iter().map(|(id, _, partition)| (*partition, id.as_str())).collect();
    assert_eq!(known.len(), owners.len(), "{owners:?}");
    for client in clients.iter().filter(|client| driver.members().contains(&client.id)) {
        for partition in &client.reads {
            assert_eq!(known.get(partition), Some(&client.id.as_str()), "who may read {partition}?");
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Beat(usize),
    Lose(usize),
    Linger(usize),
    Refuse(usize),
    Leave(usize),
    Kill(usize),
    Pass(u64),
    Partitions(i32),
    FailOver,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..4usize).prop_map(Step::Beat),
        2 => (0..4usize).prop_map(Step::Lose),
        2 => (0..4usize).prop_map(Step::Linger),
        1 => (0..4usize).prop_map(Step::Refuse),
        1 => (0..4usize).prop_map(Step::Leave),
        1 => (0..4usize).prop_map(Step::Kill),
        2 => (1..50u64).prop_map(Step::Pass),
        1 => (1..9i32).prop_map(Step::Partitions),
        1 => Just(Step::FailOver),
    ]
}

proptest! {
    #[test]
    fn partitions_have_one_reader_and_in_the_end_all_are_read(steps in prop::collection::vec(step(), 1..80)) {
        let mut partitions = 5;
        let mut driver = Driver::new(GroupConfig::default(), &[("orders", partitions)]);
        let mut clients: Vec<Client> = (0..4).map(Client::new).collect();
        for step in steps {
            match step {
                Step::Beat(i) => clients[i].beat(&mut driver, false),
                Step::Lose(i) => clients[i].beat(&mut driver, true),
                Step::Linger(i) => {
                    clients[i].revokes_slowly = true;
                    clients[i].beat(&mut driver, false);
                }
                Step::Refuse(i) => {
                    driver.refuses_appends = true;
                    clients[i].beat(&mut driver, false);
                    driver.refuses_appends = false;
                }
                Step::Kill(i) => clients[i].restart(),
                Step::Leave(i) => clients[i].leave(&mut driver),
                Step::Pass(secs) => driver.pass(Span::from_secs(secs)),
                Step::Partitions(n) if n > partitions => {
                    partitions = n;
                    driver.set_topic("orders", Some(n));
                }
                Step::Partitions(_) => {}
                Step::FailOver => driver.fail_over(),
            }
            assert_exclusive(&driver, &clients);
        }
        // A member that is fenced while it is still known comes back once its session is over.
        for _ in 0..30 {
            for client in &mut clients {
                client.beat(&mut driver, false);
            }
            driver.pass(Span::from_secs(5));
            assert_exclusive(&driver, &clients);
        }
        let mut read: Vec<i32> = clients.iter().flat_map(|client| client.reads.iter().copied()).collect();
        read.sort_unstable();
        prop_assert_eq!(read, (0..partitions).collect::<Vec<_>>());
        let loads = || clients.iter().map(|client| client.reads.len());
        prop_assert!(loads().max().unwrap() - loads().min().unwrap() <= 1);
        prop_assert_eq!(driver.group().map(|group| group.1), Some(false));
        driver.fail_over();
    }
}
