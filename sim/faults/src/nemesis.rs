//! A random plan from a seed.

use trial_node::{Rng, Span};
use trial_storage::disk::fault::{DiskFault, DiskPart, FailingOps};

use crate::fault::{Fault, FaultKind, Leadership, Links};
use crate::plan::{FaultEntry, FaultPlan};
use crate::target::Target;

/// What kind of trouble to make. The plan is data like any other: it can be replayed, edited and shrunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nemesis {
    /// The kinds of fault to choose from; a kind that is listed twice is twice as likely.
    pub kinds: Vec<FaultKind>,
    /// How many brokers the cluster has, at least 1.
    pub brokers: u32,
    /// Partitions whose leader may be the target, instead of a broker by its index or the controller.
    pub partitions: Vec<trial_node::TopicPartition>,
    /// No fault comes before this instant.
    pub start: Span,
    /// Everything has healed by this instant.
    pub end: Span,
    /// The mean time from one injection to the next; each is drawn from half of it to one and a half of it.
    pub gap: Span,
    /// The shortest time that a fault lasts.
    pub lasts_min: Span,
    /// The longest.
    pub lasts_max: Span,
    /// How many faults may last at one instant. Each disturbs one broker; so with fewer than half of the brokers, and not
    /// more than the replication factor less `min.insync.replicas`, a majority and an ISR that suffices can always go on.
    pub at_once_max: u32,
}

/// A nemesis that cannot make a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nemesis: {0}")]
pub struct NemesisError(pub &'static str);

impl Nemesis {
    /// One fault at a time, of every kind that leaves what disks hold alone, from 5 s on, each lasting 1 to 10 s, about every 5 s, all healed by `end`.
    pub fn gentle(brokers: u32, end: Span) -> Nemesis {
        Nemesis {
            kinds: FaultKind::ALL.into_iter().filter(|kind| !kind.harms_disks()).collect(),
            brokers,
            partitions: Vec::new(),
            start: Span::from_secs(5),
            end,
            gap: Span::from_secs(5),
            lasts_min: Span::from_secs(1),
            lasts_max: Span::from_secs(10),
            at_once_max: 1,
        }
    }

    /// The plan for `seed`: the same for the same seed and settings, on every machine.
    ///
    /// # Errors
    /// [`NemesisError`] when the settings contradict each other.
    pub fn plan(&self, seed: u64) -> Result<FaultPlan, NemesisError> {
        self.check()?;
        let mut rng = Rng::named(seed, "nemesis");
        let mut plan = FaultPlan::default();
        // When each fault that may last now heals.
        let mut heals: Vec<Span> = Vec::new();
        let mut at = self.start;
        loop {
            at += Span(rng.between(self.gap.0 / 2, self.gap.0 + self.gap.0 / 2));
            heals.retain(|heal| *heal > at);
            if heals.len() >= self.at_once_max as usize {
                // Wait for the first of them.
                at = at.max(heals.iter().copied().min().expect("there is at least one"));
                heals.retain(|heal| *heal > at);
            }
            let lasts = whole_millis(rng.between(self.lasts_min.0, self.lasts_max.0));
            let begin = whole_millis(at.0);
            if begin + lasts > self.end {
                return Ok(plan);
            }
            let fault = self.fault(&mut rng);
            let lasts = (!fault.is_instant()).then_some(lasts);
            heals.extend(lasts.map(|lasts| begin + lasts));
            plan.entries.push(FaultEntry::once(begin, fault, lasts));
        }
    }

    fn check(&self) -> Result<(), NemesisError> {
        let wrong = [
            (self.kinds.is_empty(), "no kinds of fault to choose from"),
            (self.brokers == 0, "a cluster has at least one broker"),
            (self.gap.0 < 2_000_000, "the gap must be at least 2 ms"),
            (self.lasts_min > self.lasts_max, "lasts_min is above lasts_max"),
            (self.at_once_max == 0, "at_once_max must be at least 1"),
        ];
        match wrong.iter().find(|(wrong, _)| *wrong) {
            Some((_, what)) => Err(NemesisError(what)),
            None => Ok(()),
        }
    }

    /// One broker: by index, as the controller, or as a partition's leader.
    fn broker(&self, rng: &mut Rng) -> Target {
        match rng.below(4) {
            0 => Target::Controller,
            1 if !self.partitions.is_empty() => {
                let index = rng.below(self.partitions.len() as u64);
                Target::LeaderOf(self.partitions[index as usize].clone())
            }
            _ => Target::Broker(rng.below(u64::from(self.brokers)) as u32),
        }
    }

    fn links(&self, rng: &mut Rng) -> Links {
        let broker = self.broker(rng);
        match rng.below(4) {
            0 => Links::OutOf(broker),
            1 => Links::Into(broker),
            _ => Links::Around(broker),
        }
    }

    fn fault(&self, rng: &mut Rng) -> Fault {
        let kind = self.kinds[rng.below(self.kinds.len() as u64) as usize];
        match kind {
            FaultKind::Kill => Fault::Kill(self.broker(rng)),
            FaultKind::PowerOff => Fault::PowerOff(self.broker(rng)),
            FaultKind::Restart => Fault::Restart(self.broker(rng)),
            FaultKind::Pause => Fault::Pause(self.broker(rng)),
            FaultKind::Partition => Fault::Partition(self.links(rng)),
            FaultKind::LinkDelay => {
                let add = Span::from_millis(rng.between(1, 200));
                let jitter = Span::from_millis(rng.between(0, add.as_millis()));
                Fault::LinkDelay { on: self.links(rng), add, jitter }
            }
            FaultKind::LinkBandwidth => {
                Fault::LinkBandwidth { on: self.links(rng), limit: rng.between(1, 100) * 100_000 }
            }
            FaultKind::SlowDisk => {
                Fault::SlowDisk { on: self.broker(rng), factor: rng.between(2, 100) as u32 }
            }
            FaultKind::FsyncStall => Fault::FsyncStall(self.broker(rng)),
            FaultKind::ClockSkew => {
                let offset = rng.between(0, 120_000) as i64 - 60_000;
                let ppm = rng.between(1, 1_000) as i32 - 500;
                Fault::ClockSkew { on: self.broker(rng), offset: offset * 1_000_000, ppm: ppm.max(1) }
            }
            FaultKind::TransferLeadership => match rng.below(2) {
                0 if !self.partitions.is_empty() => {
                    let index = rng.below(self.partitions.len() as u64);
                    let tp = self.partitions[index as usize].clone();
                    Fault::TransferLeadership(Leadership::Partition(tp))
                }
                _ => Fault::TransferLeadership(Leadership::Quorum(Target::Controller)),
            },
            FaultKind::DiskError => self.disk(DiskFault::Error(FailingOps::ALL), rng),
            FaultKind::DiskFull => self.disk(DiskFault::Full(None), rng),
            FaultKind::TornWrite => self.disk(DiskFault::TornWrite, rng),
            FaultKind::LostFsync => self.disk(DiskFault::LostFsync, rng),
            FaultKind::BitRot => self.disk(DiskFault::BitRot { file: "log".to_owned(), bits: 1 }, rng),
            FaultKind::MisdirectedWrite => self.disk(DiskFault::MisdirectedWrite, rng),
            FaultKind::FileLost => self.disk(DiskFault::FileLost { file: "log".to_owned() }, rng),
        }
    }

    /// A fault of one broker's disk, with the files of one partition if any is known.
    fn disk(&self, what: DiskFault, rng: &mut Rng) -> Fault {
        let part = match self.partitions.len() as u64 {
            0 => DiskPart::Everything,
            n => DiskPart::Partition(self.partitions[rng.below(n) as usize].clone()),
        };
        Fault::Disk { on: self.broker(rng), part, what }
    }
}

/// People read the plan: no fractions of a millisecond.
fn whole_millis(nanos: u64) -> Span {
    Span::from_millis(nanos.div_ceil(1_000_000))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use trial_node::TopicPartition;
    use trial_wire::StrBytes;

    use super::*;
    use crate::plan::What;

    fn busy() -> Nemesis {
        Nemesis {
            partitions: vec![TopicPartition::new(StrBytes::from_static_str("orders"), 0)],
            kinds: FaultKind::ALL.to_vec(),
            gap: Span::from_millis(500),
            at_once_max: 2,
            ..Nemesis::gentle(5, Span::from_secs(120))
        }
    }

    #[test]
    fn same_seed_same_plan_other_seed_other_plan() {
        assert_eq!(busy().plan(7), busy().plan(7));
        assert_ne!(busy().plan(7), busy().plan(8));
    }

    /// The plan of a seed is part of the product, as the streams are.
    #[test]
    fn plan_is_pinned() {
        let plan = Nemesis::gentle(3, Span::from_secs(30)).plan(1).unwrap();
        expect_test::expect_file!["../tests/golden/nemesis.toml"].assert_eq(&plan.to_toml());
    }

    #[test]
    fn every_kind_comes() {
        let plan = Nemesis { end: Span::from_secs(2_000), ..busy() }.plan(1).unwrap();
        for kind in FaultKind::ALL {
            assert!(plan.entries.iter().any(|entry| entry.fault.kind() == kind), "{kind:?}");
        }
    }

    #[test]
    fn settings_that_contradict_each_other_are_errors() {
        let none = Nemesis { kinds: vec![], ..busy() };
        assert_eq!(none.plan(1), Err(NemesisError("no kinds of fault to choose from")));
        assert!(Nemesis { at_once_max: 0, ..busy() }.plan(1).is_err());
        assert!(Nemesis { lasts_min: Span::from_secs(11), ..busy() }.plan(1).is_err());
    }

    proptest! {
        #[test]
        fn plans_keep_their_bounds_and_survive_toml(seed in any::<u64>(), at_once_max in 1u32..4) {
            let nemesis = Nemesis { at_once_max, ..busy() };
            let plan = nemesis.plan(seed).unwrap();
            prop_assert!(plan.entries.len() > 10);
            prop_assert!(plan.last_heal().0 <= nemesis.end.0);
            let mut lasting = 0;
            for moment in plan.schedule() {
                prop_assert!(moment.at.0 >= nemesis.start.0);
                let instant = plan.entries[moment.entry].fault.is_instant();
                match moment.what {
                    What::Inject if instant => {}
                    What::Inject => lasting += 1,
                    What::Heal => lasting -= 1,
                }
                prop_assert!((0..=at_once_max as i32).contains(&lasting));
            }
            let text = plan.to_toml();
            prop_assert_eq!(toml::from_str::<FaultPlan>(&text).unwrap(), plan);
        }
    }
}
