//! A whole quorum on a hostile network and on disks that lose power, against KRaft's invariants.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use trial_node::{LeaderEpoch, NodeId, Now, Offset, Rng, Span, Time};
use trial_raft::{
    AppendError, Committed, Env, OffsetAndEpoch, Output, Raft, RaftError, ReplicatedLog, RequestId,
    RequestToken, SnapshotError,
};
use trial_wire::{Batches, RequestKind, ResponseKind};

use crate::disk::TestDisk;
use crate::log::TestLog;
use crate::member::{MS, config};

/// How a run is set up; everything else comes from the seed.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    pub voters: i32,
    pub observers: i32,
    /// How long faults go on, in seconds.
    pub faults_s: u64,
}

/// What a run came to, for comparing two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    pub steps: u64,
    pub committed: i64,
    pub acknowledged: usize,
    pub elections: usize,
    pub snapshots_loaded: u64,
    pub truncations: u64,
    pub digest: u64,
}

enum Event {
    Request { from: usize, to: usize, life: u32, id: RequestId, version: i16, body: RequestKind },
    Response { to: usize, life: u32, id: RequestId, body: ResponseKind },
    Failure { to: usize, life: u32, id: RequestId },
    Timeout { node: usize, life: u32 },
    Restart { node: usize },
    Heal,
    Fault,
    Append,
}

/// A batch that some node called committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CommittedBatch {
    next: i64,
    epoch: i32,
    crc: u32,
    /// Of everything up to its end.
    digest: u64,
}

struct Node {
    raft: Option<Raft<TestLog>>,
    disk: TestDisk,
    rng: Rng,
    /// Grows with each restart.
    life: u32,
    timer: Option<Time>,
    tokens: BTreeMap<RequestToken, (usize, u32, RequestId)>,
    last_token: u64,
    /// How far the listener has read, and the digest of what it read.
    applied: OffsetAndEpoch,
    digest: u64,
    // What must never go back.
    epoch: LeaderEpoch,
    high_watermark: Option<Offset>,
    votes: BTreeMap<LeaderEpoch, NodeId>,
    truncations: u64,
}

/// An append that has not been acknowledged.
struct Waiting {
    node: usize,
    life: u32,
    epoch: LeaderEpoch,
    offset: Offset,
}

pub struct Cluster {
    plan: Plan,
    rng: Rng,
    now: Time,
    sequence: u64,
    events: BTreeMap<(Time, u64), Event>,
    nodes: Vec<Node>,
    cut: Vec<Vec<bool>>,
    loss_percent: u64,
    /// How rarely the next step is a node's last.
    dies_one_in: u64,
    linger: Span,
    quiet: bool,
    leaders: BTreeMap<LeaderEpoch, usize>,
    elected: BTreeSet<LeaderEpoch>,
    committed: BTreeMap<i64, CommittedBatch>,
    waiting: Vec<Waiting>,
    acknowledged: Vec<(Offset, LeaderEpoch)>,
    steps: u64,
    snapshots_loaded: u64,
    truncations: u64,
    digest: u64,
}

fn mix(digest: u64, value: u64) -> u64 {
    (digest.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95)
}

impl Cluster {
    /// Runs a plan: faults, then a healed network in which everything must come right.
    pub fn run(plan: Plan) -> Summary {
        let mut rng = Rng::named(plan.seed, "cluster");
        let count = (plan.voters + plan.observers) as usize;
        let linger = Span::from_millis(if rng.chance(1, 2) { 0 } else { 25 });
        let nodes = (0..count)
            .map(|index| Node {
                raft: None,
                disk: TestDisk::default(),
                rng: Rng::named(plan.seed, &format!("node{index}")),
                life: 0,
                timer: None,
                tokens: BTreeMap::new(),
                last_token: 0,
                applied: OffsetAndEpoch::default(),
                digest: 0,
                epoch: LeaderEpoch(0),
                high_watermark: None,
                votes: BTreeMap::new(),
                truncations: 0,
            })
            .collect();
        let mut cluster = Cluster {
            plan,
            rng,
            now: Time::ZERO,
            sequence: 0,
            events: BTreeMap::new(),
            nodes,
            cut: vec![vec![false; count]; count],
            loss_percent: 0,
            dies_one_in: 400,
            linger,
            quiet: false,
            leaders: BTreeMap::new(),
            elected: BTreeSet::new(),
            committed: BTreeMap::new(),
            waiting: Vec::new(),
            acknowledged: Vec::new(),
            steps: 0,
            snapshots_loaded: 0,
            truncations: 0,
            digest: 0,
        };
        for node in 0..count {
            cluster.start(node);
        }
        cluster.at(Span::from_millis(10), Event::Append);
        cluster.at(Span::from_secs(3), Event::Fault);
        cluster.run_until(Time(plan.faults_s * 1_000 * MS));
        cluster.finish()
    }

    /// Everything is healed: the quorum must elect, commit, and agree.
    fn finish(mut self) -> Summary {
        self.quiet = true;
        self.heal();
        for node in 0..self.nodes.len() {
            if self.nodes[node].raft.is_none() {
                self.start(node);
            }
        }
        let before = self.committed_end();
        self.run_until(self.now + Span::from_secs(20));
        let committed = self.committed_end();
        assert!(committed > before, "{}: nothing was committed after the heal", self.plan.seed);
        self.events.retain(|_, event| !matches!(event, Event::Append));
        self.run_until(self.now + Span::from_secs(3));
        let committed = self.committed_end();
        let leaders = self.nodes.iter().filter(|node| node.raft.as_ref().unwrap().is_leader()).count();
        assert_eq!(leaders, 1, "{}: leaders after the heal", self.plan.seed);
        for node in &self.nodes {
            let raft = node.raft.as_ref().unwrap();
            assert_eq!(raft.high_watermark(), Some(Offset(committed)), "{}", self.plan.seed);
            assert_eq!(raft.log().end_offset(), Offset(committed), "{}", self.plan.seed);
            assert_eq!(node.applied.offset, Offset(committed), "{}", self.plan.seed);
        }
        for (offset, epoch) in &self.acknowledged {
            let (_, batch) = self.committed.range(..=offset.0).next_back().unwrap();
            assert!(batch.next > offset.0 && batch.epoch == epoch.0, "{}: lost {offset}", self.plan.seed);
        }
        Summary {
            steps: self.steps,
            committed,
            acknowledged: self.acknowledged.len(),
            elections: self.leaders.len(),
            snapshots_loaded: self.snapshots_loaded,
            truncations: self.truncations,
            digest: self.digest,
        }
    }

    fn committed_end(&self) -> i64 {
        self.committed.values().next_back().map_or(0, |batch| batch.next)
    }

    fn at(&mut self, after: Span, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now + after, self.sequence), event);
    }

    fn run_until(&mut self, end: Time) {
        while let Some(entry) = self.events.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((time, _), event) = entry.remove_entry();
            self.now = time;
            self.steps += 1;
            self.handle(event);
        }
        self.now = end;
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Request { from, to, life, id, version, body } => {
                if self.cut[from][to] {
                    return;
                }
                let node = &mut self.nodes[to];
                if node.raft.is_none() {
                    let after = self.delay();
                    return self.at(after, Event::Failure { to: from, life, id });
                }
                node.last_token += 1;
                let token = RequestToken(node.last_token);
                node.tokens.insert(token, (from, life, id));
                self.step(to, |raft, env| raft.handle_request(env, token, version, &body));
            }
            Event::Response { to, life, id, body } if self.is_alive(to, life) => {
                // The one step that does much to the disk is tried harder.
                if matches!(body, ResponseKind::FetchSnapshot(_)) {
                    self.dies_one_in = 20;
                }
                self.step(to, |raft, env| raft.handle_response(env, id, body));
            }
            Event::Failure { to, life, id } if self.is_alive(to, life) => {
                self.step(to, |raft, env| raft.handle_failure(env, id));
            }
            Event::Timeout { node, life } if self.is_alive(node, life) => {
                self.nodes[node].timer = None;
                self.step(node, |raft, env| raft.handle_timeout(env));
            }
            Event::Response { .. } | Event::Failure { .. } | Event::Timeout { .. } => {}
            Event::Restart { node } => {
                if self.nodes[node].raft.is_none() {
                    self.start(node);
                }
            }
            Event::Heal => self.heal(),
            Event::Fault => {
                if !self.quiet {
                    self.fault();
                    let after = Span::from_millis(self.rng.between(100, 4_000));
                    self.at(after, Event::Fault);
                }
            }
            Event::Append => {
                self.append();
                let after = Span::from_millis(self.rng.between(1, 100));
                self.at(after, Event::Append);
            }
        }
    }

    fn is_alive(&self, node: usize, life: u32) -> bool {
        self.nodes[node].life == life && self.nodes[node].raft.is_some()
    }

    fn delay(&mut self) -> Span {
        let micros = if self.rng.chance(1, 50) { 400_000 } else { 3_000 };
        Span::from_micros(self.rng.between(50, micros))
    }

    // ---- Faults

    fn heal(&mut self) {
        for row in &mut self.cut {
            row.fill(false);
        }
        self.loss_percent = 0;
    }

    fn fault(&mut self) {
        let count = self.nodes.len();
        let victim = self.rng.below(count as u64) as usize;
        let for_ms = self.rng.between(200, 6_000);
        match self.rng.below(8) {
            0 | 1 => {
                let power = self.rng.chance(1, 2);
                self.crash(victim, power);
                self.at(Span::from_millis(for_ms), Event::Restart { node: victim });
            }
            2 => {
                // Everyone at once, as when a data centre loses power.
                for node in 0..count {
                    self.crash(node, true);
                    let after = Span::from_millis(self.rng.between(1, 3_000));
                    self.at(after, Event::Restart { node });
                }
            }
            3 | 4 => {
                for (from, to) in (0..count).flat_map(|from| (0..count).map(move |to| (from, to))) {
                    if (from == victim) != (to == victim) {
                        self.cut[from][to] = true;
                    }
                }
                self.at(Span::from_millis(for_ms), Event::Heal);
            }
            5 => {
                // Any links, each way by itself.
                for (from, to) in (0..count).flat_map(|from| (0..count).map(move |to| (from, to))) {
                    self.cut[from][to] = self.rng.chance(1, 3);
                }
                self.at(Span::from_millis(for_ms), Event::Heal);
            }
            6 => {
                self.loss_percent = self.rng.between(1, 40);
                self.at(Span::from_millis(for_ms), Event::Heal);
            }
            _ => {
                if self.nodes[victim].raft.as_ref().is_some_and(Raft::is_leader) {
                    self.step(victim, |raft, env| {
                        let (_, epoch) = raft.leader_and_epoch();
                        raft.resign(env, epoch)
                    });
                }
            }
        }
    }

    fn crash(&mut self, node: usize, power: bool) {
        let node = &mut self.nodes[node];
        if node.raft.take().is_none() {
            return;
        }
        node.tokens.clear();
        if power {
            node.disk.lose_power(&mut self.rng);
        }
    }

    fn start(&mut self, index: usize) {
        let id = index as i32 + 1;
        let mut config = config(id, self.plan.voters);
        config.append_linger = self.linger;
        config.fetch_max_bytes = 400;
        let node = &mut self.nodes[index];
        node.life += 1;
        node.timer = None;
        node.applied = OffsetAndEpoch::default();
        node.digest = 0;
        node.high_watermark = None;
        node.truncations = 0;
        let log = TestLog::open(&mut node.disk);
        let now = Now { mono: self.now, wall_ms: self.now.0 as i64 / 1_000_000 };
        let env = &mut Env { now, disk: &mut node.disk, rng: &mut node.rng };
        node.raft = Some(Raft::open(config, log, env).unwrap());
        self.after_step(index);
    }

    // ---- Work

    fn append(&mut self) {
        for index in 0..self.nodes.len() {
            if !self.nodes[index].raft.as_ref().is_some_and(Raft::is_leader) || self.rng.chance(1, 3) {
                continue;
            }
            let count = self.rng.between(1, 3);
            let values: Vec<Bytes> =
                (0..count).map(|_| Bytes::from(self.rng.next_u64().to_string())).collect();
            let life = self.nodes[index].life;
            let mut appended = None;
            self.step(index, |raft, env| {
                let (_, epoch) = raft.leader_and_epoch();
                match raft.append(env, epoch, &values) {
                    Ok(offset) => appended = Some((epoch, offset)),
                    Err(AppendError::Fatal(error)) => return Err(error),
                    Err(error) => panic!("{error}"),
                }
                Ok(())
            });
            if let Some((epoch, offset)) = appended {
                self.waiting.push(Waiting { node: index, life, epoch, offset });
            }
            if self.rng.chance(1, 40) {
                self.snapshot(index);
            }
        }
    }

    /// The listener of a node stores what it has applied, and may let the log before it go.
    fn snapshot(&mut self, index: usize) {
        let clean = self.rng.chance(1, 2);
        let node = &mut self.nodes[index];
        let Some(raft) = &mut node.raft else { return };
        if node.applied.offset == Offset::ZERO {
            return;
        }
        // Several chunks' worth, so that fetching it takes a while.
        let content = [&node.digest.to_be_bytes()[..], &[7; 1_500]].concat();
        match raft.create_snapshot(&mut node.disk, node.applied, Bytes::from(content)) {
            Err(SnapshotError::Stale { .. }) => return,
            created => created.unwrap(),
        }
        if clean {
            raft.clean_up_to_latest_snapshot(&mut node.disk).unwrap();
        }
        self.after_step(index);
    }

    /// One step of a node and what comes of it. Rarely the node loses power in its course, after any of the things that it
    /// does to its disk, and nothing that it wanted sent gets out.
    fn step(
        &mut self,
        index: usize,
        what: impl FnOnce(&mut Raft<TestLog>, &mut Env<'_>) -> Result<(), RaftError>,
    ) {
        let dies = !self.quiet && self.rng.chance(1, self.dies_one_in);
        self.dies_one_in = 400;
        let fuse = dies.then(|| self.rng.below(8));
        let node = &mut self.nodes[index];
        let Some(raft) = &mut node.raft else { return };
        node.disk.fuse = fuse;
        let now = Now { mono: self.now, wall_ms: self.now.0 as i64 / 1_000_000 };
        let done = what(raft, &mut Env { now, disk: &mut node.disk, rng: &mut node.rng });
        if node.disk.is_dead() {
            self.crash(index, true);
            let after = Span::from_millis(self.rng.between(1, 2_000));
            return self.at(after, Event::Restart { node: index });
        }
        node.disk.fuse = None;
        done.unwrap();
        self.after_step(index);
    }

    fn after_step(&mut self, index: usize) {
        while let Some(output) = self.nodes[index].raft.as_mut().unwrap().poll_output() {
            self.carry_out(index, output);
        }
        self.check(index);
        let node = &mut self.nodes[index];
        let deadline = node.raft.as_ref().unwrap().poll_timeout();
        if let Some(deadline) = deadline
            && node.timer.is_none_or(|timer| deadline < timer)
        {
            node.timer = Some(deadline);
            let life = node.life;
            self.sequence += 1;
            self.events.insert((deadline.max(self.now), self.sequence), Event::Timeout { node: index, life });
        }
    }

    fn carry_out(&mut self, index: usize, output: Output) {
        self.digest = mix(self.digest, self.now.0 ^ index as u64);
        let lost = self.rng.below(100) < self.loss_percent;
        let after = self.delay();
        let life = self.nodes[index].life;
        match output {
            Output::Request { to, id, api_version, body } => {
                let to = to.0 as usize - 1;
                if !lost {
                    self.at(after, Event::Request { from: index, to, life, id, version: api_version, body });
                } else if self.rng.chance(1, 2) {
                    self.at(after, Event::Failure { to: index, life, id });
                }
            }
            Output::Response { token, body } => {
                let (to, life, id) = self.nodes[index].tokens.remove(&token).expect("one answer to each");
                if !lost && !self.cut[index][to] {
                    self.at(after, Event::Response { to, life, id, body });
                } else if lost && self.rng.chance(1, 2) {
                    self.at(after, Event::Failure { to, life, id });
                }
            }
            Output::LeaderChanged { leader, epoch } if leader == Some(NodeId(index as i32 + 1)) => {
                self.check_new_leader(index, epoch);
            }
            Output::HighWatermarkAdvanced(_) => self.apply(index),
            Output::RequestTimedOut { .. } | Output::LeaderChanged { .. } | Output::Trace(_) => {}
        }
    }

    // ---- Invariants

    /// Monotonic epoch and high watermark, one vote and one leader per epoch; acknowledges appends.
    fn check(&mut self, index: usize) {
        let seed = self.plan.seed;
        let node = &mut self.nodes[index];
        let view = node.raft.as_ref().unwrap().quorum_view();
        assert!(view.epoch >= node.epoch, "{seed}: node {index} went back to epoch {}", view.epoch);
        node.epoch = view.epoch;
        assert!(view.high_watermark >= node.high_watermark, "{seed}: high watermark fell at node {index}");
        node.high_watermark = view.high_watermark;
        if let Some(voted) = view.voted_for {
            let first = *node.votes.entry(view.epoch).or_insert(voted);
            assert_eq!(first, voted, "{seed}: node {index} voted twice in epoch {}", view.epoch);
        }
        self.truncations += view.truncations - node.truncations;
        node.truncations = view.truncations;
        if view.is_leader {
            let first = *self.leaders.entry(view.epoch).or_insert(index);
            assert_eq!(first, index, "{seed}: two leaders in epoch {}", view.epoch);
        }
        let life = node.life;
        let acknowledged = &mut self.acknowledged;
        self.waiting.retain(|waiting| {
            if waiting.node != index {
                return true;
            }
            if waiting.life != life || !view.is_leader || view.epoch != waiting.epoch {
                return false;
            }
            if view.high_watermark.is_some_and(|high_watermark| high_watermark > waiting.offset) {
                acknowledged.push((waiting.offset, waiting.epoch));
                return false;
            }
            true
        });
    }

    /// A new leader has everything that anyone ever called committed, and leads an epoch that nobody ever led.
    fn check_new_leader(&mut self, index: usize, epoch: LeaderEpoch) {
        let seed = self.plan.seed;
        assert!(self.elected.insert(epoch), "{seed}: epoch {epoch} has a leader, node {index}, again");
        let node = &mut self.nodes[index];
        let log = node.raft.as_ref().unwrap().log().clone();
        let held: BTreeMap<i64, (i64, LeaderEpoch)> = log
            .batches(&mut node.disk)
            .into_iter()
            .map(|(base, next, epoch, _)| (base.0, (next.0, epoch)))
            .collect();
        for (base, batch) in self.committed.range(log.start_offset().0..) {
            assert_eq!(
                held.get(base),
                Some(&(batch.next, LeaderEpoch(batch.epoch))),
                "{seed}: the leader of epoch {epoch}, node {index}, lacks offset {base}"
            );
        }
        assert!(log.end_offset().0 >= self.committed_end(), "{seed}: leader {index} ends too soon");
    }

    /// The listener reads on; what it reads must be what everyone reads.
    fn apply(&mut self, index: usize) {
        let seed = self.plan.seed;
        loop {
            let node = &mut self.nodes[index];
            let raft = node.raft.as_ref().unwrap();
            match raft.read_committed(&mut node.disk, node.applied.offset, 300).unwrap() {
                Committed::Nothing => break,
                Committed::Snapshot(id) => {
                    let content = raft.read_snapshot(&mut node.disk, id).unwrap();
                    node.digest = u64::from_be_bytes(content[..8].try_into().unwrap());
                    node.applied = id;
                    let last = self.committed.range(..id.offset.0).next_back().unwrap().1;
                    assert_eq!(
                        (last.next, last.epoch, last.digest),
                        (id.offset.0, id.epoch.0, node.digest),
                        "{seed}: snapshot {id} at node {index}"
                    );
                    self.snapshots_loaded += 1;
                }
                Committed::Batches(batches) => {
                    for batch in Batches::new(batches) {
                        let header = *batch.unwrap().header();
                        let node = &mut self.nodes[index];
                        assert_eq!(header.base_offset, node.applied.offset.0, "{seed}: a gap at {index}");
                        let identity = u64::from(header.crc) << 32 | header.partition_leader_epoch as u64;
                        node.digest = mix(node.digest, identity);
                        let epoch = LeaderEpoch(header.partition_leader_epoch);
                        node.applied = OffsetAndEpoch::new(Offset(header.next_offset()), epoch);
                        let found = CommittedBatch {
                            next: header.next_offset(),
                            epoch: header.partition_leader_epoch,
                            crc: header.crc,
                            digest: node.digest,
                        };
                        let first = *self.committed.entry(header.base_offset).or_insert(found);
                        assert_eq!(first, found, "{seed}: committed offset {} changed", header.base_offset);
                    }
                }
            }
        }
    }
}

/// Names the plan of a run that panics wherever it does.
struct Witness(Plan);

impl Drop for Witness {
    #[allow(clippy::print_stderr, reason = "a failure names its seed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed: {:?}", self.0);
        }
    }
}

fn run(plan: Plan) -> Summary {
    let _witness = Witness(plan);
    Cluster::run(plan)
}

fn campaign(voters: i32, observers: i32, seeds: std::ops::Range<u64>) {
    let mut sum = Summary {
        steps: 0,
        committed: 0,
        acknowledged: 0,
        elections: 0,
        snapshots_loaded: 0,
        truncations: 0,
        digest: 0,
    };
    for seed in seeds {
        let summary = run(Plan { seed, voters, observers, faults_s: 60 });
        sum.steps += summary.steps;
        sum.committed += summary.committed;
        sum.acknowledged += summary.acknowledged;
        sum.elections += summary.elections;
        sum.snapshots_loaded += summary.snapshots_loaded;
        sum.truncations += summary.truncations;
    }
    let happened =
        sum.acknowledged > 0 && sum.elections > 0 && sum.snapshots_loaded > 0 && sum.truncations > 0;
    assert!(happened, "the faults had no effect: {sum:?}");
}

#[test]
fn three_voters_hold_under_faults() {
    campaign(3, 0, 0..30);
}

#[test]
fn five_voters_hold_under_faults() {
    campaign(5, 0, 100..120);
}

#[test]
fn observers_follow_under_faults() {
    campaign(3, 2, 200..210);
}

#[test]
fn one_voter_holds_under_faults() {
    let summary = run(Plan { seed: 300, voters: 1, observers: 1, faults_s: 60 });
    assert!(summary.acknowledged > 0);
}

#[test]
fn a_seed_repeats() {
    let plan = Plan { seed: 7, voters: 3, observers: 1, faults_s: 30 };
    assert_eq!(run(plan), run(plan));
}
