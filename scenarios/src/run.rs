//! Carrying out a scenario: set up, load, faults, drain, judgement.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use trial_broker::BrokerConfig;
use trial_checkers::{Checkers, ClusterState, Load, pending};
use trial_client::{ClientView, Corpus};
use trial_faults::{
    Fault, FaultEntry, FaultPlan, Hosts, Leadership, Moment, ResolveError, ResolvedFault, Target, What,
};
use trial_node::view::{BrokerView, CoordinatorEntry};
use trial_node::{ClientEvent, NodeId, Offset, Span, Time, TopicPartition};
use trial_reports::{FaultSpan, RunRecord};
use trial_wire::TopicName;
use trial_world::{
    Engine, FaultError, HostId, HostSpec, Latency, LinkProfile, MachineProfile, RunEnd, Wire, World,
    WorldConfig, WorldError,
};

use crate::corpus::{self, CorpusError};
use crate::member::{Member, MemberConfig};
use crate::model::{Scenario, Which};
use crate::observe::Watch;
use crate::outside::OUTSIDE;
use crate::plan::{self, HostPlan};
use crate::roles::Cast;
use crate::traffic::Traffic;

/// What a run needs beyond its scenario.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// All randomness of the run comes from it.
    pub seed: u64,
    /// How messages travel.
    pub wire: Wire,
    /// A text to cut records from, with its file's name; the built-in text if there is none.
    pub corpus: Option<(String, Bytes)>,
    /// The first and last of the events to write down in full.
    pub events: Option<(u64, u64)>,
    /// Whether to keep what clients did and saw.
    pub history: bool,
    /// Whether clients from outside take part; what the wall clock shows at the start then, in milliseconds since the Unix
    /// epoch, so that it agrees with theirs.
    pub outside: Option<i64>,
}

/// A run that was carried to its end.
#[derive(Debug)]
pub struct Finished {
    /// What there is to say about it.
    pub record: RunRecord,
    /// The events that were asked for, a line each.
    pub recorded: Vec<String>,
    /// What clients did and saw, the audit included, if that was asked for.
    pub history: Vec<(Time, ClientEvent)>,
    /// The consumers with `isolation.level=read_uncommitted`, by number.
    pub read_uncommitted: BTreeSet<u32>,
}

/// A run that could not be carried to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The corpus is of no use.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// The engine cannot do what the scenario needs.
    #[error("engine {engine}: {what}")]
    Refused {
        /// The engine.
        engine: &'static str,
        /// What it cannot do.
        what: String,
    },
    /// A node broke the rules of the world.
    #[error("seed {seed}: {error}")]
    World {
        /// The seed.
        seed: u64,
        /// What happened.
        error: WorldError,
    },
    /// The scenario can only be served.
    #[error(
        "a fault of scenario {scenario} strikes \"outside\", the host of clients from outside: that is for `trial serve`"
    )]
    NeedsOutside {
        /// The scenario's name.
        scenario: String,
    },
    /// The fault plan does not fit the cluster.
    #[error("fault at {at}: {what}")]
    Fault {
        /// When.
        at: Time,
        /// What is wrong.
        what: String,
    },
    /// A log could not be read for the checkers.
    #[error("seed {seed}: reading a log for the checkers: {error}")]
    Disk {
        /// The seed.
        seed: u64,
        /// What the disk said.
        error: trial_node::DiskError,
    },
}

/// How often a draining cluster is looked at.
const DRAIN_STEP: Span = Span::from_millis(250);
/// How long after it was committed a metadata record should be applied by every broker: two of the quorum's fetches, which
/// wait 500 ms at most.
const METADATA_SPREADS: Span = Span::from_secs(1);
/// How far a run goes between two reports of progress.
const PROGRESS_STEP: Span = Span::from_secs(1);

/// A scenario that is being carried out.
pub struct Run<E = World<Member>> {
    pub(crate) scenario: Scenario,
    pub(crate) seed: u64,
    pub(crate) world: E,
    pub(crate) watch: Watch,
    pub(crate) plan: FaultPlan,
    /// So many of the plan's entries are the scenario's; what follows was injected by hand.
    pub(crate) planned: usize,
    pub(crate) injected: FaultPlan<Hosts>,
    pub(crate) spans: Vec<FaultSpan>,
    /// The host of outside clients, if there are any.
    pub(crate) outside: Option<HostId>,
    /// What is still to be injected and healed, in order.
    pub(crate) moments: VecDeque<Moment>,
    begun: bool,
    pub(crate) active: Vec<Active>,
    /// What clients from outside have done.
    pub(crate) traffic: Traffic,
}

/// A fault that is in force.
pub(crate) struct Active {
    /// Its injection.
    pub(crate) moment: Moment,
    pub(crate) fault: ResolvedFault,
    /// Its place in [`Run::spans`].
    span: usize,
    /// Its place in [`Run::injected`].
    injected: usize,
}

impl Run {
    /// Makes the world of `scenario`; nothing has happened yet.
    ///
    /// # Errors
    /// [`RunError::Corpus`], [`RunError::NeedsOutside`].
    pub fn new(scenario: Scenario, options: RunOptions) -> Result<Run, RunError> {
        let outside = options.outside;
        let mut run = Run::on(scenario, options, World::new)?;
        run.outside = outside.map(|_| {
            run.watch.add_host(OUTSIDE.to_owned());
            run.world.add_outside(OUTSIDE)
        });
        Ok(run)
    }
}

impl<E: Engine<Member>> Run<E> {
    /// Puts `scenario` on the engine that `make` makes; nothing has happened yet.
    ///
    /// # Errors
    /// [`RunError::Corpus`], [`RunError::Refused`], [`RunError::NeedsOutside`].
    pub fn on(
        scenario: Scenario,
        options: RunOptions,
        make: impl FnOnce(WorldConfig) -> E,
    ) -> Result<Run<E>, RunError> {
        let mut config = WorldConfig::new(options.seed);
        config.wire = options.wire;
        config.link = link(&scenario);
        config.wall_start_ms = options.outside.unwrap_or(config.wall_start_ms);
        let wall_start_ms = config.wall_start_ms;
        let mut world = make(config);
        if let Some((first, last)) = options.events {
            world.record_events(first, last);
        }
        let plan = scenario.plan();
        if let Some(what) = refusal(&world, &scenario, &plan) {
            return Err(RunError::Refused { engine: E::NAME, what });
        }
        if options.outside.is_none() && plan.entries.iter().any(|entry| names(&entry.fault, OUTSIDE)) {
            return Err(RunError::NeedsOutside { scenario: scenario.name });
        }

        let mut wrong_corpus = None;
        let mut values = |value_bytes: u32| match &options.corpus {
            None => corpus::generate(value_bytes),
            Some((file, text)) => corpus::cut(file, text, value_bytes).unwrap_or_else(|error| {
                wrong_corpus.get_or_insert(error);
                Corpus::new(vec![Bytes::new()])
            }),
        };
        let mut hosts = plan::brokers(&scenario);
        hosts.extend(plan::clients(&scenario, &mut values));
        if let Some(error) = wrong_corpus {
            return Err(error.into());
        }
        let names = hosts.iter().map(|h| h.name.clone()).collect();
        for HostPlan { name, config } in hosts {
            let (ports, profile) = match &config {
                MemberConfig::Broker(config) => {
                    (BrokerConfig::ports(&config.properties), scenario.machine.profile())
                }
                MemberConfig::Client(_) => (Vec::new(), MachineProfile::default()),
            };
            world.add_host(HostSpec { name, ports, profile, config });
        }
        let named = match &scenario.expect.checkers {
            Which::All => None,
            Which::Named(names) => Some(names.as_slice()),
        };
        let mut checkers = Checkers::new(named).expect("the scenario's check knows every checker");
        let load = Load { wall_start_ms, ..plan::load(&scenario) };
        checkers.describe(load);
        let mut watch = Watch::new(checkers, names, scenario.cluster.nodes, Time::ZERO + scenario.warmup);
        watch.history = options.history.then(Vec::new);
        Ok(Run {
            scenario,
            seed: options.seed,
            world,
            watch,
            moments: plan.schedule().into(),
            begun: false,
            outside: None,
            planned: plan.entries.len(),
            plan,
            injected: FaultPlan::default(),
            spans: Vec::new(),
            active: Vec::new(),
            traffic: Traffic::default(),
        })
    }

    /// How far simulated time will go at least.
    pub fn planned(&self) -> Time {
        (Time::ZERO + self.scenario.duration).max(self.plan.last_heal())
    }

    /// Runs to the end. `progress` is told now and then how far simulated time has gone. The record's `wall_ns` and `commit`
    /// are left for the caller, who has a clock and knows the build.
    ///
    /// # Errors
    /// [`RunError`]: the run could not be carried out; a run that was, and violates its invariants, is no error.
    pub fn finish(mut self, progress: &mut dyn FnMut(Time)) -> Result<Finished, RunError> {
        self.begin();
        while let Some(moment) = self.moments.pop_front() {
            self.pass(moment, progress)?;
        }
        let end = self.planned();
        self.advance(Time(end.0.saturating_sub(METADATA_SPREADS.0)), progress)?;
        let mut applied = VecDeque::from([self.metadata_applied()]);
        self.advance(end, progress)?;
        self.watch.checkers.healed(self.plan.last_heal());

        let deadline = end + self.scenario.settle;
        let mut not_yet = self.pending(&mut applied);
        while !(not_yet.is_empty() && self.watch.checkers.all_acked_are_read()) && self.world.now() < deadline
        {
            self.advance((self.world.now() + DRAIN_STEP).min(deadline), progress)?;
            not_yet = self.pending(&mut applied);
        }
        not_yet.extend(self.audit(progress)?);
        let committed = self.committed_offsets();
        self.watch.checkers.committed_offsets(committed);
        self.open_logs_again();
        self.watch.checkers.finish(self.world.now(), &not_yet);
        self.watch.keep_traces();
        let recorded = self.world.recorded().iter();
        let recorded =
            recorded.map(|e| format!("{} {} {} {:032x} {}", e.event, e.at, e.host, e.hash, e.what)).collect();
        let history = self.watch.history.take().unwrap_or_default();
        let read_uncommitted = plan::load(&self.scenario).read_uncommitted;
        Ok(Finished { record: self.record()?, recorded, history, read_uncommitted })
    }

    /// Reads every topic once more from its beginning, with a consumer of its own, so that what is lost is found even if it
    /// was read before. Gives what could not be read.
    fn audit(&mut self, progress: &mut dyn FnMut(Time)) -> Result<Vec<String>, RunError> {
        let topics = self.topics_at_the_end();
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let (HostPlan { name, config }, first) = plan::auditor(&self.scenario, &topics);
        self.watch.checkers.audit(first);
        self.watch.add_host(name.clone());
        let host =
            self.world.add_host(HostSpec { name, ports: vec![], profile: MachineProfile::default(), config });
        self.world.start(host, &mut self.watch);
        let deadline = self.world.now() + self.scenario.settle;
        loop {
            self.advance(self.world.now() + DRAIN_STEP, progress)?;
            let Some(Member::Client(auditor)) = self.world.node(host) else { break };
            let (mut behind, mut done) = (Vec::new(), Vec::new());
            let ends = self.ends();
            for consumer in auditor.view().consumers {
                if consumer.partitions.is_empty() {
                    behind.push("the audit knows no partition of a topic".to_owned());
                }
                for p in consumer.partitions {
                    // What lies above a high watermark that is stuck is not lost, though no consumer can read it.
                    match (p.position, ends.get(&p.tp)) {
                        (Some(position), Some((_, log_end_offset))) if position >= *log_end_offset => {
                            done.push(p.tp)
                        }
                        _ => behind.push(format!("the audit cannot read {} to its end", p.tp)),
                    }
                }
            }
            if behind.is_empty() || self.world.now() >= deadline {
                done.into_iter().for_each(|tp| self.watch.checkers.audited(tp));
                return Ok(behind);
            }
        }
        Ok(vec!["the audit's client does not run".to_owned()])
    }

    /// The topics that there should be: those of the scenario, or, if clients from outside could make some and delete others, those
    /// that the newest metadata has.
    pub(crate) fn topics_at_the_end(&self) -> Vec<TopicName> {
        let newest = self.newest().filter(|_| self.outside.is_some());
        let Some(newest) = newest else {
            return self.scenario.topics.iter().map(|t| plan::topic_name(&t.get_ref().name)).collect();
        };
        let mut topics = BTreeSet::new();
        newest.partitions(&mut |p| {
            if !trial_coordinator::is_internal(p.topic.as_str()) {
                topics.insert(p.topic.clone());
            }
        });
        topics.into_iter().collect()
    }

    /// The running broker that knows the newest metadata.
    pub(crate) fn newest(&self) -> Option<&dyn BrokerView> {
        self.brokers().map(|(_, broker)| broker).max_by_key(|broker| broker.metadata().offset)
    }

    pub(crate) fn brokers(&self) -> impl Iterator<Item = (HostId, &dyn BrokerView)> {
        (0..self.scenario.cluster.nodes).map(HostId).filter_map(|host| match self.world.node(host) {
            Some(Member::Broker(broker)) => Some((host, &**broker as &dyn BrokerView)),
            _ => None,
        })
    }

    /// Starts every host, unless that was done before.
    pub(crate) fn begin(&mut self) {
        if !std::mem::replace(&mut self.begun, true) {
            for host in 0..self.world.host_count() as u32 {
                self.world.start(HostId(host), &mut self.watch);
            }
        }
    }

    /// Goes on to a moment of the fault plan and does what it says.
    pub(crate) fn pass(&mut self, moment: Moment, progress: &mut dyn FnMut(Time)) -> Result<(), RunError> {
        self.advance(moment.at, progress)?;
        match moment.what {
            What::Inject => self.inject(moment),
            What::Heal => self.heal(moment),
        }
    }

    pub(crate) fn advance(&mut self, until: Time, progress: &mut dyn FnMut(Time)) -> Result<(), RunError> {
        while self.world.now() < until {
            let next = (self.world.now() + PROGRESS_STEP).min(until);
            let end = self.world.run_until(next, &mut self.watch);
            match end.map_err(|error| RunError::World { seed: self.seed, error })? {
                RunEnd::Reached => progress(next),
                RunEnd::Stopped => {
                    let error =
                        self.watch.disk_error.take().expect("the watch only stops a run for a disk error");
                    return Err(RunError::Disk { seed: self.seed, error });
                }
            }
        }
        Ok(())
    }

    pub(crate) fn inject(&mut self, moment: Moment) -> Result<(), RunError> {
        let entry = &self.plan.entries[moment.entry];
        let cast = Cast { world: &self.world, brokers: self.scenario.cluster.nodes };
        let fault = match entry.fault.resolve(&cast) {
            Ok(fault) => fault,
            // Nobody plays the role now: there is nothing to strike, and the timeline says so.
            Err(ResolveError::Vacant { role }) => {
                let what = format!("{} (nobody: at this instant there is no {role})", entry.fault);
                self.spans.push(FaultSpan { from_ns: moment.at.0, to_ns: moment.at.0, hosts: vec![], what });
                return Ok(());
            }
            Err(error) => return Err(RunError::Fault { at: moment.at, what: error.to_string() }),
        };
        let lasts = match fault {
            Fault::Restart(_) => Some(entry.lasts.unwrap_or(Span::ZERO)),
            _ => entry.lasts,
        };
        if fault.kind().harms_disks() {
            self.watch.checkers.disks_are_harmed();
        }
        // A transfer of a partition's leadership is asked for by the operator's admin client, who has the plan.
        if !matches!(fault, Fault::TransferLeadership(Leadership::Partition(_))) {
            match self.world.apply(&fault, &mut self.watch) {
                Ok(()) => {}
                Err(FaultError::NothingToStrike(what)) => {
                    let what =
                        format!("{what} (nothing: there is no such file, or nothing of it on the device)");
                    self.spans.push(FaultSpan {
                        from_ns: moment.at.0,
                        to_ns: moment.at.0,
                        hosts: vec![],
                        what,
                    });
                    return Ok(());
                }
                Err(error) => return Err(RunError::Fault { at: moment.at, what: error.to_string() }),
            }
        }
        let to =
            if fault.is_instant() { moment.at } else { lasts.map_or(Time::MAX, |lasts| moment.at + lasts) };
        self.spans.push(FaultSpan {
            from_ns: moment.at.0,
            to_ns: to.0,
            hosts: fault.hosts().names().to_vec(),
            what: fault.to_string(),
        });
        self.injected.entries.push(FaultEntry::once(Span(moment.at.0), fault.clone(), entry.lasts));
        if !fault.is_instant() {
            let (span, injected) = (self.spans.len() - 1, self.injected.entries.len() - 1);
            self.active.push(Active { moment, fault, span, injected });
        }
        Ok(())
    }

    fn heal(&mut self, moment: Moment) -> Result<(), RunError> {
        let of_moment =
            |a: &Active| (a.moment.entry, a.moment.repetition) == (moment.entry, moment.repetition);
        // A fault that struck nobody has nothing to heal.
        let Some(index) = self.active.iter().position(of_moment) else { return Ok(()) };
        self.heal_active(index)
    }

    /// Heals a fault that is in force, now.
    pub(crate) fn heal_active(&mut self, index: usize) -> Result<(), RunError> {
        let Active { moment, fault, span, injected } = self.active.remove(index);
        let now = self.world.now();
        let healed = self.world.heal(&fault, &mut self.watch);
        healed.map_err(|error| RunError::Fault { at: now, what: error.to_string() })?;
        self.spans[span].to_ns = now.0;
        // A restart without a pause is over before it has begun, and stays as it was written.
        let injected = &mut self.injected.entries[injected];
        if injected.lasts.is_some() || now > moment.at {
            injected.lasts = Some(now.since(moment.at));
        }
        Ok(())
    }

    /// Up to where any broker has applied the metadata, and when that was so.
    pub(crate) fn metadata_applied(&self) -> (Time, Offset) {
        let hosts = (0..self.scenario.cluster.nodes).filter_map(|host| self.world.node(HostId(host)));
        let offsets = hosts.filter_map(|member| match member {
            Member::Broker(broker) => Some(broker.metadata().offset),
            Member::Client(_) => None,
        });
        (self.world.now(), offsets.max().unwrap_or(Offset::ZERO))
    }

    /// What has not recovered yet. `applied` holds what was applied when, the oldest first.
    pub(crate) fn pending(&self, applied: &mut VecDeque<(Time, Offset)>) -> Vec<String> {
        let brokers = self.scenario.cluster.nodes;
        applied.push_back(self.metadata_applied());
        while applied.get(1).is_some_and(|(at, _)| *at + METADATA_SPREADS <= self.world.now()) {
            applied.pop_front();
        }
        // Clients from outside may move partitions as well.
        let assignments = match self.outside {
            None => crate::operate::assignments(&self.scenario),
            Some(_) => BTreeMap::new(),
        };
        let mut state = ClusterState { metadata_due: applied[0].1, assignments, ..ClusterState::default() };
        let ends = self.ends();
        let mut unfinished = Vec::new();
        for host in (0..self.world.host_count() as u32).map(HostId) {
            match self.world.node(host) {
                Some(Member::Broker(broker)) => state.brokers.push(&**broker as &dyn BrokerView),
                Some(Member::Client(client)) => {
                    let view = client.view();
                    state.outstanding += view.producers.iter().map(|p| p.outstanding).sum::<u64>();
                    unfinished.extend(unfinished_at(&view));
                    for consumer in &view.consumers {
                        for p in &consumer.partitions {
                            // What the consumer itself knows of the end is old if it has stopped fetching.
                            let end =
                                ends.get(&p.tp).map(|(high_watermark, _)| *high_watermark).max(p.end_offset);
                            if p.position.is_none() || p.position < end {
                                let text =
                                    |o: Option<Offset>| o.map_or("nothing".to_owned(), |o| o.to_string());
                                let what =
                                    format!("read up to {}, the end is {}", text(p.position), text(end));
                                state.behind.push((consumer.number, p.tp.clone(), what));
                            }
                        }
                    }
                }
                None if host.0 < brokers && self.is_struck(host) => {
                    state.struck.push(NodeId(host.0 as i32 + 1));
                }
                None if host.0 < brokers => {
                    state.down.push((NodeId(host.0 as i32 + 1), self.why_down(host)));
                }
                None if self.is_struck(host) || self.world.is_outside(host) => {}
                None => state.clients_down.push((self.world.name(host).to_owned(), self.why_down(host))),
            }
        }
        let mut pending = pending(&state);
        pending.extend(unfinished);
        pending
    }

    /// The high watermark and log end offset of every partition's leader, as far as it runs.
    pub(crate) fn ends(&self) -> BTreeMap<TopicPartition, (Offset, Offset)> {
        let mut ends = BTreeMap::new();
        for host in (0..self.scenario.cluster.nodes).map(HostId) {
            let Some(Member::Broker(broker)) = self.world.node(host) else { continue };
            broker.partitions(&mut |p| {
                if let Some(replica) =
                    broker.replica(p.id).filter(|r| r.leader && r.leader_epoch == p.leader_epoch)
                {
                    let tp = TopicPartition { topic: p.topic.clone(), partition: p.id.partition };
                    ends.insert(tp, (replica.high_watermark, replica.log_end_offset));
                }
            });
        }
        ends
    }

    /// The offsets that groups have committed, as the coordinators that run know.
    fn committed_offsets(&self) -> BTreeMap<(String, TopicPartition), Offset> {
        let mut committed = BTreeMap::new();
        for host in (0..self.scenario.cluster.nodes).map(HostId) {
            let Some(Member::Broker(broker)) = self.world.node(host) else { continue };
            broker.partitions(&mut |p| {
                let led = broker.replica(p.id).is_some_and(|r| r.leader && r.leader_epoch == p.leader_epoch);
                if !led {
                    return;
                }
                broker.coordinator_entries(p.id, &mut |entry| {
                    if let CoordinatorEntry::Offset { group, topic, partition, offset, .. } = entry {
                        let tp = TopicPartition::new(topic.to_owned(), partition);
                        committed.insert((group.to_owned(), tp), offset);
                    }
                });
            });
        }
        committed
    }

    /// Why a host's process does not run.
    fn why_down(&self, host: HostId) -> String {
        let halted = self.watch.halted.get(&host);
        halted.map_or("it is down".to_owned(), |(at, why)| format!("{why} (at {at})"))
    }

    /// Shows the checkers every log, with a copy of the disk that it is on.
    fn open_logs_again(&mut self) {
        for host in (0..self.scenario.cluster.nodes).map(HostId) {
            let now = self.world.clocks(host);
            let (Some(Member::Broker(broker)), disk) = self.world.node_and_disk(host) else { continue };
            let mut copy = disk.clone();
            copy.crash_process();
            for log in broker.logs() {
                self.watch.checkers.at_rest(now, broker.node_id(), log, &mut copy);
            }
        }
    }

    /// Whether a fault that never heals keeps this host down.
    fn is_struck(&self, host: HostId) -> bool {
        let name = self.world.name(host);
        self.active.iter().any(|active| active.fault.hosts().names().iter().any(|n| n == name))
    }
}

/// What the scenario needs and the engine cannot do, if there is anything.
fn refusal<E: Engine<Member>>(engine: &E, scenario: &Scenario, plan: &FaultPlan) -> Option<String> {
    if !E::MODELS_COSTS && !scenario.machine.is_free() {
        return Some("it does not model what machines cost: [machine] is not for it".to_owned());
    }
    if !E::MODELS_COSTS && scenario.network.bandwidth.is_some() {
        return Some("it does not model bandwidth: [network] bandwidth is not for it".to_owned());
    }
    plan.entries.iter().find_map(|entry| {
        let why = engine.refuses(&entry.fault)?;
        Some(format!("fault at {}, {}: {why}", entry.at, entry.fault))
    })
}

/// Whether a fault names this host.
fn names(fault: &Fault, host: &str) -> bool {
    let mut found = false;
    fault.for_each_target(&mut |target| found |= matches!(target, Target::Host(name) if name == host));
    found
}

/// What a client process has begun and not brought to an end.
fn unfinished_at(view: &ClientView) -> Vec<String> {
    let transactions = view.producers.iter().filter_map(|producer| {
        let transaction = producer.transaction?;
        let (number, since) = (transaction.id.number, transaction.since);
        Some(format!("transaction {number} of producer {} is open since {since}", producer.number))
    });
    let consumers = view.consumers.iter().filter_map(|consumer| {
        let group = consumer.group.as_ref()?.as_str();
        let what = if consumer.epoch.is_none() {
            format!("is no member of group {group}")
        } else if consumer.revoking {
            format!("has not given up what group {group} wants back")
        } else if consumer.uncommitted {
            format!("has read what it has not committed for group {group}")
        } else {
            return None;
        };
        Some(format!("consumer {} {what}", consumer.number))
    });
    transactions.chain(consumers).collect()
}

fn link(scenario: &Scenario) -> LinkProfile {
    let network = &scenario.network;
    let latency = if network.jitter == Span::ZERO {
        Latency::Constant(network.latency)
    } else {
        Latency::Uniform { low: network.latency, high: network.latency + network.jitter }
    };
    LinkProfile { latency, bytes_per_s: network.bandwidth.unwrap_or(0) }
}
