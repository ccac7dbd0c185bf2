//! Everything at once, at random: what is told and done is always backed by what is committed, and all comes to an end.

use std::collections::BTreeSet;

use trial_node::view::TransactionState;
use trial_node::{Rng, Span};
use trial_wire::{ErrorCode, StrBytes};

use super::{Bench, NEW, Producer, record};
use crate::Coordinator;

const SEEDS: u64 = 100;
const STEPS: u64 = 200;
const IDS: [&str; 3] = ["t", "u", "v"];

struct Chaos {
    bench: Bench,
    rng: Rng,
    /// How many records of the log are committed.
    committed: usize,
    /// Markers that have been checked.
    checked: BTreeSet<crate::SendId>,
}

impl Chaos {
    fn step(&mut self) {
        self.bench.id = IDS[usize::try_from(self.rng.below(3)).unwrap()];
        let version = if self.rng.chance(1, 2) { 5 } else { 4 };
        match self.rng.below(20) {
            0 => {
                let producer = if self.rng.chance(1, 2) { NEW } else { self.producer() };
                self.bench.init(version, producer);
            }
            1..4 => {
                let producer = self.producer();
                let all: [&[(&str, &[i32])]; 3] = [&[("a", &[0, 1])], &[("b", &[0])], &[("a", &[1])]];
                let partitions = all[usize::try_from(self.rng.below(3)).unwrap()];
                self.bench.add(version - 1, producer, partitions);
            }
            4 => {
                let producer = self.producer();
                self.bench.add_offsets(3, producer);
            }
            5..7 => {
                let (producer, commit) = (self.producer(), self.rng.chance(1, 2));
                self.bench.end(version, producer, commit);
            }
            7..10 => self.commit(),
            10 if !self.bench.uncommitted.is_empty() => drop(self.bench.time_out()),
            11 | 12 => self.acknowledge(),
            13 => {
                let limit = if self.rng.chance(1, 10) { 80_000 } else { 200 };
                self.bench.wait(Span::from_millis(self.rng.below(limit)));
            }
            14 => {
                let leader = [None, Some(1), Some(2)][usize::try_from(self.rng.below(3)).unwrap()];
                self.bench.set_leader("a", 0, leader);
            }
            15 if self.rng.chance(1, 2) => {
                let refusals = [None, None, None, Some(ErrorCode::NotEnoughReplicas)];
                self.bench.refusal = refusals[usize::try_from(self.rng.below(4)).unwrap()];
            }
            15 if self.rng.chance(1, 4) => self.fail_over(),
            16..18 => self.commit(),
            18 | 19 => self.acknowledge(),
            _ => {}
        }
        self.check();
    }

    /// The producer that the coordinator knows, or one that is late.
    fn producer(&mut self) -> Producer {
        let entry = self.bench.coordinator.ids.get(&StrBytes::from_static_str(self.bench.id));
        let Some(known) = entry.and_then(|entry| entry.logged.as_ref()) else { return (1000, 0) };
        let late = i16::from(self.rng.chance(1, 5));
        (known.log.producer_id.0, known.log.producer_epoch.0 - late)
    }

    fn commit(&mut self) {
        let Some((_, end)) = self.bench.uncommitted.front() else { return };
        self.committed = self.committed.max(*end);
        self.bench.commit();
    }

    fn acknowledge(&mut self) {
        if self.bench.sent.is_empty() {
            return;
        }
        match self.rng.below(4) {
            0 => self.bench.lose_response(),
            1 => self.bench.acknowledge(ErrorCode::NotLeaderOrFollower.code()),
            _ => self.bench.acknowledge(0),
        };
    }

    /// The leader resigns or dies, and the next one lacks some of what was not committed.
    fn fail_over(&mut self) {
        self.bench.with(|c, _| c.resign());
        assert!(self.bench.waiting.is_empty(), "a coordinator that resigns answers everyone");
        let uncommitted = u64::try_from(self.bench.log.len() - self.committed).unwrap();
        let kept = self.committed + usize::try_from(self.rng.between(0, uncommitted)).unwrap();
        (self.bench, _) = self.bench.fail_over(kept);
        self.checked.clear();
    }

    fn check(&mut self) {
        let (replayed, _) = self.bench.fail_over(self.bench.log.len());
        assert_eq!(self.bench.entries(), replayed.entries(), "what it knows is what the log says");

        for (id, request) in &self.bench.sent {
            if !self.checked.insert(*id) {
                continue;
            }
            for marker in &request.markers {
                let decided = match marker.transaction_result {
                    true => TransactionState::PrepareCommit,
                    false => TransactionState::PrepareAbort,
                };
                let decision = self.bench.log[..self.committed].iter().rev().find_map(|record| {
                    let value = record::decode_value(record.value.as_ref()?).unwrap()?;
                    let is_it = value.producer_id.0 == marker.producer_id.0
                        && value.producer_epoch.0 == marker.producer_epoch;
                    is_it.then_some(value.state)
                });
                assert_eq!(decision, Some(decided), "no marker without a committed decision");
            }
        }
    }

    fn heal(&mut self) {
        self.bench.refusal = None;
        self.bench.set_leader("a", 0, Some(1));
        for _ in 0..20 {
            self.bench.settle();
            self.bench.wait(Span::from_secs(10));
        }
        assert!(self.bench.waiting.is_empty(), "everyone is answered");
        for entry in self.bench.entries() {
            assert!(!entry.contains("Ongoing") && !entry.contains("Prepare"), "{entry}");
        }
    }
}

#[test]
fn nothing_is_done_that_is_not_committed_and_all_comes_to_an_end() {
    let mut transactions = 0;
    for seed in 0..SEEDS {
        let mut bench = Bench::new(i16::try_from(seed % 3).unwrap());
        for id in IDS {
            bench.id = id;
            bench.init(5, NEW);
            bench.settle();
        }
        let rng = Rng::named(seed, "chaos");
        let committed = bench.log.len();
        let mut chaos = Chaos { bench, rng, committed, checked: BTreeSet::new() };
        for _ in 0..STEPS {
            chaos.step();
        }
        chaos.heal();
        let values = chaos.bench.log.iter().filter_map(|record| record.value.as_ref());
        transactions += values
            .filter_map(|value| record::decode_value(value).unwrap())
            .filter(|value| value.state == TransactionState::CompleteCommit)
            .count();
    }
    assert!(transactions > 100, "only {transactions} transactions were committed");
}
