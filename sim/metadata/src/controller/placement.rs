//! Where replicas of new partitions go (`StripedReplicaPlacer` in Kafka's source).
//!
//! Replicas go round the racks, and within a rack round its brokers, each from a random start, so that both leaderships and
//! replicas spread evenly. A broker that is not fenced is preferred to one that is, and the first replica, which will
//! lead, is never on a fenced one. Brokers in controlled shutdown get nothing.

use std::collections::BTreeMap;

use trial_node::{NodeId, Rng};
use trial_wire::StrBytes;

use crate::record::BrokerRegistration;

/// Replicas cannot be placed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlacementError {
    #[error("All brokers are currently fenced.")]
    AllFenced,
    #[error(
        "The target replication factor of {replication_factor} cannot be reached because only {brokers} broker(s) are \
         registered."
    )]
    TooFewBrokers { replication_factor: usize, brokers: usize },
}

/// Chooses the replicas of `partitions` partitions, `replication_factor` (1 and up) each.
pub(super) fn place<'a>(
    brokers: impl Iterator<Item = &'a BrokerRegistration>,
    partitions: usize,
    replication_factor: usize,
    rng: &mut Rng,
) -> Result<Vec<Vec<NodeId>>, PlacementError> {
    let mut racks = Racks::new(brokers, rng);
    if racks.unfenced == 0 {
        return Err(PlacementError::AllFenced);
    }
    if replication_factor > racks.total {
        return Err(PlacementError::TooFewBrokers { replication_factor, brokers: racks.total });
    }
    Ok((0..partitions).map(|_| racks.place(replication_factor, rng)).collect())
}

/// Brokers that are handed out one after the other, each at most once per partition, from a start that moves on with each
/// partition.
#[derive(Default)]
struct Ring {
    brokers: Vec<NodeId>,
    start: usize,
    taken: usize,
    epoch: usize,
}

impl Ring {
    fn next(&mut self, epoch: usize) -> Option<NodeId> {
        if self.brokers.is_empty() {
            return None;
        }
        if self.epoch != epoch {
            self.epoch = epoch;
            self.taken = 0;
            self.start = (self.start + 1) % self.brokers.len();
        }
        if self.taken == self.brokers.len() {
            return None;
        }
        let broker = self.brokers[(self.start + self.taken) % self.brokers.len()];
        self.taken += 1;
        Some(broker)
    }

    fn randomize_start(&mut self, rng: &mut Rng) {
        if !self.brokers.is_empty() {
            self.start = draw_index(rng, self.brokers.len());
        }
    }
}

#[derive(Default)]
struct Rack {
    unfenced: Ring,
    fenced: Ring,
}

struct Racks {
    racks: Vec<Rack>,
    unfenced: usize,
    total: usize,
    /// Counts the partitions.
    epoch: usize,
    /// Counts the partitions since the last shuffle.
    stripes: usize,
    /// The rack that the next partition starts at.
    start: usize,
}

impl Racks {
    fn new<'a>(brokers: impl Iterator<Item = &'a BrokerRegistration>, rng: &mut Rng) -> Racks {
        let mut by_name: BTreeMap<Option<&StrBytes>, Rack> = BTreeMap::new();
        let (mut unfenced, mut total) = (0, 0);
        for broker in brokers.filter(|broker| !broker.in_controlled_shutdown) {
            let rack = by_name.entry(broker.rack.as_ref()).or_default();
            let ring = if broker.fenced { &mut rack.fenced } else { &mut rack.unfenced };
            ring.brokers.push(broker.broker_id);
            total += 1;
            unfenced += usize::from(!broker.fenced);
        }
        let mut racks: Vec<Rack> = by_name.into_values().collect();
        for rack in &mut racks {
            rack.fenced.randomize_start(rng);
            rack.unfenced.randomize_start(rng);
        }
        let start = if racks.is_empty() { 0 } else { draw_index(rng, racks.len()) };
        Racks { racks, unfenced, total, epoch: 0, stripes: 0, start }
    }

    fn place(&mut self, replication_factor: usize, rng: &mut Rng) -> Vec<NodeId> {
        // As many partitions as there are brokers use up the distinct stripes: go on with others. A single broker has but
        // one stripe.
        if self.stripes == self.unfenced && self.unfenced > 1 {
            shuffle(&mut self.racks, rng);
            for rack in &mut self.racks {
                shuffle(&mut rack.fenced.brokers, rng);
                shuffle(&mut rack.unfenced.brokers, rng);
            }
            self.stripes = 0;
        }
        let epoch = self.epoch;
        let count = self.racks.len();
        let start = self.start % count;
        let mut replicas = Vec::with_capacity(replication_factor);
        // The leader: from the first rack that has a broker that is not fenced.
        let mut leader_rack = start;
        loop {
            if let Some(leader) = self.racks[leader_rack].unfenced.next(epoch) {
                replicas.push(leader);
                break;
            }
            leader_rack = (leader_rack + 1) % count;
        }
        // The others: round the racks from the start, but for the leader's rack, which has had its turn.
        let mut rack = start;
        let mut skip = Some(leader_rack);
        while replicas.len() < replication_factor {
            if skip == Some(rack) {
                skip = None;
            } else {
                let Rack { unfenced, fenced } = &mut self.racks[rack];
                replicas.extend(unfenced.next(epoch).or_else(|| fenced.next(epoch)));
            }
            rack = (rack + 1) % count;
        }
        self.epoch += 1;
        self.stripes += 1;
        self.start = (start + 1) % count;
        replicas
    }
}

fn draw_index(rng: &mut Rng, len: usize) -> usize {
    usize::try_from(rng.below(len as u64)).expect("below a usize")
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], rng: &mut Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, draw_index(rng, last + 1));
    }
}

#[cfg(test)]
mod tests {
    use trial_wire::Uuid;

    use super::*;

    fn broker(id: i32, rack: Option<&'static str>, fenced: bool) -> BrokerRegistration {
        BrokerRegistration {
            broker_id: NodeId(id),
            broker_epoch: 0,
            incarnation_id: Uuid::nil(),
            end_points: Vec::new(),
            features: Vec::new(),
            rack: rack.map(StrBytes::from),
            fenced,
            in_controlled_shutdown: false,
            log_dirs: Vec::new(),
        }
    }

    fn count(placed: &[Vec<NodeId>], id: i32) -> (usize, usize) {
        let leads = placed.iter().filter(|replicas| replicas[0] == NodeId(id)).count();
        let holds = placed.iter().filter(|replicas| replicas.contains(&NodeId(id))).count();
        (leads, holds)
    }

    #[test]
    fn leaders_and_replicas_spread_evenly_on_every_seed() {
        let brokers: Vec<_> = (0..4).map(|id| broker(id, None, false)).collect();
        for seed in 0..50 {
            let placed = place(brokers.iter(), 8, 3, &mut Rng::named(seed, "placement")).unwrap();
            for id in 0..4 {
                assert_eq!(count(&placed, id), (2, 6), "seed {seed} broker {id}: {placed:?}");
            }
            for replicas in &placed {
                let mut distinct = replicas.clone();
                distinct.sort();
                distinct.dedup();
                assert_eq!(distinct.len(), 3);
            }
        }
    }

    #[test]
    fn every_partition_has_a_replica_in_each_rack() {
        let brokers: Vec<_> =
            (0..6).map(|id| broker(id, Some(["a", "b", "c"][id as usize / 2]), false)).collect();
        for seed in 0..50 {
            for replicas in place(brokers.iter(), 12, 3, &mut Rng::named(seed, "placement")).unwrap() {
                let mut racks: Vec<i32> = replicas.iter().map(|id| id.0 / 2).collect();
                racks.sort_unstable();
                assert_eq!(racks, [0, 1, 2]);
            }
        }
    }

    #[test]
    fn fenced_brokers_come_last_and_never_lead() {
        let brokers = [broker(0, None, true), broker(1, None, false), broker(2, None, false)];
        for seed in 0..50 {
            let rng = &mut Rng::named(seed, "placement");
            assert_eq!(count(&place(brokers.iter(), 4, 2, rng).unwrap(), 0), (0, 0));
            let all = place(brokers.iter(), 4, 3, rng).unwrap();
            assert_eq!(count(&all, 0), (0, 4));
            assert!(all.iter().all(|replicas| replicas[2] == NodeId(0)));
        }
    }

    #[test]
    fn any_cluster_gets_distinct_replicas_and_live_leaders() {
        for seed in 0..2_000 {
            let rng = &mut Rng::named(seed, "placement");
            let racks = [None, Some("a"), Some("b"), Some("c")];
            let mut brokers = vec![broker(0, None, false)];
            brokers.extend((1..1 + rng.below(6) as i32).map(|id| {
                let rack = racks[draw_index(rng, racks.len())];
                broker(id, rack, rng.chance(1, 3))
            }));
            let replication_factor = 1 + draw_index(rng, brokers.len());
            for replicas in place(brokers.iter(), 20, replication_factor, rng).unwrap() {
                let distinct: std::collections::BTreeSet<_> = replicas.iter().collect();
                assert_eq!((replicas.len(), distinct.len()), (replication_factor, replication_factor));
                assert!(!brokers[replicas[0].0 as usize].fenced);
            }
        }
    }

    #[test]
    fn impossible_placements_say_why() {
        let rng = &mut Rng::named(1, "placement");
        let mut brokers = [broker(0, None, true)];
        assert_eq!(place(brokers.iter(), 1, 1, rng), Err(PlacementError::AllFenced));
        brokers[0].fenced = false;
        assert_eq!(
            place(brokers.iter(), 1, 2, rng),
            Err(PlacementError::TooFewBrokers { replication_factor: 2, brokers: 1 })
        );
        assert_eq!(place(brokers.iter(), 3, 1, rng), Ok(vec![vec![NodeId(0)]; 3]));
        brokers[0].in_controlled_shutdown = true;
        assert_eq!(place(brokers.iter(), 1, 1, rng), Err(PlacementError::AllFenced));
    }
}
