//! Random faults, with a controller and metadata that lag behind: what was acknowledged by all must be in the log of every
//! leader that is elected cleanly, and in the end in every log.

use super::*;

const ALL: i16 = -1;

struct Chaos {
    cluster: Cluster,
    rng: Rng,
    /// Batches whose acknowledgement is awaited: from whom, partition and checksum.
    awaited: Vec<(Token, NodeId, TopicIdPartition, u32)>,
    /// What was acknowledged: partition, offset and checksum.
    acknowledged: Vec<(TopicIdPartition, i64, u32)>,
    appended: u32,
    /// Disks of brokers whose process is not running.
    stopped: BTreeMap<NodeId, SimDisk>,
    next_epoch: i64,
}

impl Chaos {
    fn new(seed: u64) -> Chaos {
        let mut rng = Rng::named(seed, "chaos");
        let min_isr = if rng.chance(1, 2) { "1" } else { "2" };
        let mut cluster = Cluster::new(&[("min.insync.replicas", min_isr), ("segment.bytes", "700")]);
        cluster.controller_is_prompt = false;
        Chaos {
            cluster,
            rng,
            awaited: Vec::new(),
            acknowledged: Vec::new(),
            appended: 0,
            stopped: BTreeMap::new(),
            next_epoch: 1_000,
        }
    }

    fn node(&mut self) -> NodeId {
        [A, B, C][self.rng.below(3) as usize]
    }

    fn step(&mut self) {
        let tp = if self.rng.chance(1, 2) { P0 } else { P1 };
        match self.rng.below(100) {
            0..30 => self.produce(tp),
            30..45 => {
                let ms = self.rng.between(1, 3_000);
                self.cluster.advance(Span::from_millis(ms));
            }
            45..47 => {
                let secs = self.rng.between(10, 50);
                self.cluster.advance(Span::from_secs(secs));
            }
            47..60 => self.controller(),
            60..75 => {
                let id = self.node();
                if self.cluster.nodes.contains_key(&id) {
                    self.cluster.publish_to(id);
                }
            }
            75..81 => {
                let id = self.node();
                if !self.cluster.cut.remove(&id) {
                    self.cluster.cut.insert(id);
                }
            }
            81..91 => self.elect(tp),
            91..95 => self.stop(),
            _ => self.restart(),
        }
        self.collect();
    }

    fn produce(&mut self, tp: TopicIdPartition) {
        // Clients may have any idea of who leads.
        let leader = self.cluster.metadata.partitions[&tp].leader;
        let to = if self.rng.chance(1, 4) { self.node() } else { leader };
        if !self.cluster.nodes.contains_key(&to) {
            return;
        }
        self.appended += 1;
        let size = self.rng.between(1, 3) as usize;
        let records = batch(&format!("batch {}", self.appended), size);
        let crc = trial_wire::Batch::parse(records.clone()).unwrap().header().crc;
        let acks = if self.rng.chance(1, 5) { 1 } else { ALL };
        let token = self.cluster.produce(to, acks, &[(tp, records)]);
        if acks == ALL {
            self.awaited.push((token, to, tp, crc));
        }
    }

    fn collect(&mut self) {
        for (token, to, tp, crc) in std::mem::take(&mut self.awaited) {
            match self.cluster.produced_one(token) {
                None => self.awaited.push((token, to, tp, crc)),
                Some((0, offset)) => self.acknowledged.push((tp, offset, crc)),
                Some(_) => {}
            }
        }
    }

    /// The controller handles a request, or loses it, or loses the answer.
    fn controller(&mut self) {
        match self.rng.below(4) {
            0 => {
                let Some((from, id, body)) = self.cluster.to_controller.pop_front() else { return };
                if self.rng.chance(1, 2)
                    && let RequestKind::AlterPartition(request) = body
                {
                    self.cluster.alter_partition(&request);
                }
                if self.cluster.nodes.contains_key(&from) {
                    let failure = Err(RequestFailure::Disconnected);
                    self.cluster.with(from, |replicas, ctx| replicas.handle_response(ctx, id, failure));
                }
            }
            _ => {
                if self.cluster.to_controller.front().is_some_and(|r| self.cluster.nodes.contains_key(&r.0)) {
                    self.cluster.answer_controller();
                } else {
                    self.cluster.to_controller.pop_front();
                }
            }
        }
        self.cluster.run();
    }

    /// Elects another member of the ISR.
    fn elect(&mut self, tp: TopicIdPartition) {
        let brokers = self.cluster.metadata.brokers.clone();
        let partition = self.cluster.metadata.partitions.get_mut(&tp).unwrap();
        let isr = partition.isr.clone();
        let alive: Vec<NodeId> = isr.iter().copied().filter(|id| !brokers[id].fenced).collect();
        if alive.is_empty() {
            return;
        }
        let leader = alive[self.rng.below(alive.len() as u64) as usize];
        self.cluster.elect(tp, leader, &isr);
        self.check_leader(tp, leader);
    }

    /// Whoever is elected from the ISR holds everything that was acknowledged.
    fn check_leader(&mut self, tp: TopicIdPartition, leader: NodeId) {
        if !self.cluster.nodes.contains_key(&leader) {
            return;
        }
        self.collect();
        if self.cluster.nodes[&leader].replicas.replica(tp).is_none() {
            return;
        }
        let log = self.cluster.log(leader, tp);
        for (_, offset, crc) in self.acknowledged.iter().filter(|(other, ..)| *other == tp) {
            let held = log.iter().any(|(base, _, other)| (base, other) == (offset, crc));
            assert!(held, "{leader} was elected for {tp:?} without the batch at {offset}");
        }
    }

    /// A broker dies; the controller fences it, which takes it out of the ISR unless it is the last.
    fn stop(&mut self) {
        let id = self.node();
        if !self.cluster.nodes.contains_key(&id) {
            return;
        }
        self.cluster.metadata.brokers.get_mut(&id).unwrap().fenced = true;
        let mut last = false;
        for tp in [P0, P1] {
            let partition = self.cluster.metadata.partitions[&tp].clone();
            let mut isr = partition.isr;
            if isr == [id] {
                last = true;
            } else {
                isr.retain(|other| *other != id);
            }
            let brokers = &self.cluster.metadata.brokers;
            let leader = match partition.leader {
                leader if leader != id => leader,
                _ => isr.iter().copied().find(|id| !brokers[id].fenced).unwrap_or(NodeId::NONE),
            };
            self.cluster.elect(tp, leader, &isr);
        }
        let mut disk = self.cluster.kill(id);
        // What only the last member of an ISR holds does not survive a loss of power: nobody flushes for each record.
        if !last && self.rng.chance(1, 2) {
            disk.lose_power(&mut self.rng);
        } else {
            disk.crash_process();
        }
        self.cluster.run();
        self.collect();
        self.awaited.retain(|(_, to, ..)| *to != id);
        self.stopped.insert(id, disk);
    }

    /// A broker starts, registers, catches up with the metadata and is unfenced.
    fn restart(&mut self) {
        let Some((id, disk)) = self.stopped.pop_first() else { return };
        self.next_epoch += 1;
        let broker = self.cluster.metadata.brokers.get_mut(&id).unwrap();
        broker.epoch = self.next_epoch;
        broker.fenced = false;
        for tp in [P0, P1] {
            let partition = self.cluster.metadata.partitions[&tp].clone();
            if partition.leader == NodeId::NONE && partition.isr.contains(&id) {
                self.cluster.elect(tp, id, &partition.isr);
            }
        }
        self.cluster.start(id, disk);
        self.cluster.publish_to(id);
    }

    fn heal(&mut self) {
        while !self.stopped.is_empty() {
            self.restart();
        }
        self.cluster.cut.clear();
        self.cluster.controller_is_prompt = true;
        self.cluster.publish();
        self.cluster.run();
        self.cluster.advance(Span::from_secs(60));
        self.collect();
        for tp in [P0, P1] {
            let leader = self.cluster.metadata.partitions[&tp].leader;
            let token = self.cluster.produce(leader, ALL, &[(tp, batch("last", 1))]);
            self.cluster.advance(Span::from_secs(5));
            assert_eq!(self.cluster.produced_one(token).map(|answer| answer.0), Some(0), "{tp:?}");
            self.check_leader(tp, leader);
            let log = self.cluster.log(leader, tp);
            let end = self.cluster.log_end_offset(leader, tp);
            for id in [A, B, C] {
                assert_eq!(self.cluster.log(id, tp), log, "{id} {tp:?}");
                assert_eq!(self.cluster.high_watermark(id, tp), end, "{id} {tp:?}");
            }
            assert_eq!(self.cluster.isr(leader, tp).len(), 3, "{tp:?}");
        }
        assert_eq!(self.awaited.len(), 0, "everybody is answered");
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_everything_comes_together_again() {
    let mut acknowledged = 0;
    for seed in 0..40 {
        let mut chaos = Chaos::new(seed);
        for _ in 0..200 {
            chaos.step();
        }
        chaos.heal();
        acknowledged += chaos.acknowledged.len();
    }
    assert!(acknowledged > 500, "the runs did something: {acknowledged}");
}
