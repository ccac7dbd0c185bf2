//! The client process as a node.

use std::collections::{BTreeMap, BTreeSet};

use trial_node::{ClientEvent, ConnId, HaltReason, Input, Io, Node, Now, OpenError, Signal, Span, Time};

use super::bank::Bank;
use super::config::{ClientConfig, Semantics, WorkloadConfig};
use super::consume::Reader;
use super::lists::Lists;
use super::operator::Operator;
use super::pipeline::{ExactlyOnce, Plain};
use super::produce::Load;
use super::setup::Setup;
use super::view::ClientView;

/// Its presence on disk says that this is not the process's first start.
const STARTED: &str = "started";

/// A client process. Its clients know nothing of each other; each has its own connections, as in Kafka.
#[derive(Clone, Debug)]
pub struct ClientNode {
    apps: Vec<App>,
    /// Whose connection it is.
    owners: BTreeMap<ConnId, usize>,
    /// When each app wants to be called, by time and by app.
    wake: BTreeSet<(Time, usize)>,
    wake_of: Vec<Option<Time>>,
    stop_at: Option<Time>,
    stop_passed: bool,
    /// SIGTERM came: stop when everything is flushed.
    terminating: bool,
}

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a process has a handful")]
enum App {
    Setup(Setup),
    Load(Load),
    Reader(Reader),
    Operator(Operator),
    ExactlyOnce(ExactlyOnce),
    Plain(Plain),
    Bank(Bank),
    Lists(Lists),
}

/// Calls the same method of whatever app it is.
macro_rules! each_app {
    ($app:expr, $it:ident => $call:expr) => {
        match $app {
            App::Setup($it) => $call,
            App::Load($it) => $call,
            App::Reader($it) => $call,
            App::Operator($it) => $call,
            App::ExactlyOnce($it) => $call,
            App::Plain($it) => $call,
            App::Bank($it) => $call,
            App::Lists($it) => $call,
        }
    };
}

impl App {
    fn step(&mut self, now: Now, input: Option<Input>, io: &mut Io<'_>) {
        each_app!(self, it => it.step(now, input, io));
    }

    fn poll_timeout(&self) -> Option<Time> {
        each_app!(self, it => it.poll_timeout())
    }

    fn owns(&self, conn: ConnId) -> bool {
        each_app!(self, it => it.owns(conn))
    }

    /// Whether it has ended, if it is one that ends; whether it has nothing left to do, if it is one that goes on for as long
    /// as others give it work, which it does not know before `stop_at`.
    fn is_done(&self, after_stop: bool) -> bool {
        match self {
            App::Setup(setup) => setup.is_done(),
            App::Load(load) => load.is_done(),
            App::Reader(_) => true,
            App::Operator(operator) => operator.is_done(),
            App::ExactlyOnce(pipeline) => after_stop && pipeline.has_caught_up(),
            App::Plain(pipeline) => after_stop && pipeline.has_caught_up(),
            App::Bank(bank) => bank.is_done(),
            App::Lists(lists) => lists.is_done(),
        }
    }

    /// SIGTERM: begins to come to an end.
    fn stop(&mut self, now: Now) {
        match self {
            App::Setup(_) | App::Operator(_) => {}
            App::Load(load) => load.stop(),
            App::Reader(reader) => reader.stop(now),
            App::ExactlyOnce(pipeline) => pipeline.stop(),
            App::Plain(pipeline) => pipeline.stop(),
            App::Bank(bank) => bank.stop(),
            App::Lists(lists) => lists.stop(),
        }
    }

    /// Whether it has come to its end after [`App::stop`].
    fn is_stopped(&self) -> bool {
        match self {
            App::Setup(_) | App::Operator(_) => true,
            App::Load(load) => load.is_done(),
            App::Reader(reader) => reader.is_stopped(),
            App::ExactlyOnce(pipeline) => pipeline.is_stopped(),
            App::Plain(pipeline) => pipeline.is_stopped(),
            App::Bank(bank) => bank.is_done(),
            App::Lists(lists) => lists.is_done(),
        }
    }
}

impl Node for ClientNode {
    type Config = ClientConfig;

    fn open(config: ClientConfig, io: &mut Io<'_>, now: Now) -> Result<ClientNode, OpenError> {
        let restarted = note_start(io)?;
        // What was intended for this very instant may have been sent before the crash.
        let from = if restarted { now.mono + Span::from_nanos(1) } else { now.mono };
        let mut apps = Vec::new();
        for workload in &config.workloads {
            open_workload(&config, workload, from, io, &mut apps)?;
        }
        let mut node = ClientNode {
            wake_of: vec![None; apps.len()],
            apps,
            owners: BTreeMap::new(),
            wake: BTreeSet::new(),
            stop_at: config.stop_at,
            stop_passed: config.stop_at.is_some_and(|at| at <= now.mono),
            terminating: false,
        };
        for app in 0..node.apps.len() {
            node.step(now, app, None, io);
        }
        Ok(node)
    }

    fn handle(&mut self, now: Now, input: Input, io: &mut Io<'_>) {
        match input {
            Input::Timeout => {
                while let Some((at, app)) = self.wake.first().copied()
                    && at <= now.mono
                {
                    self.step(now, app, None, io);
                    if self.wake_of[app].is_some_and(|again| again <= at) {
                        // It wants no later instant; others must have their turn.
                        break;
                    }
                }
            }
            Input::Connected { conn } | Input::Response { conn, .. } => {
                if let Some(app) = self.owners.get(&conn).copied() {
                    self.step(now, app, Some(input), io);
                }
            }
            Input::Closed { conn, .. } => {
                if let Some(app) = self.owners.remove(&conn) {
                    self.step(now, app, Some(input), io);
                }
            }
            Input::Signal(Signal::Terminate) => {
                self.terminating = true;
                for app in 0..self.apps.len() {
                    self.apps[app].stop(now);
                    self.step(now, app, None, io);
                }
            }
            Input::Accepted { .. }
            | Input::Request { .. }
            | Input::Signal(Signal::ResignQuorumLeadership) => {}
        }
        self.stop_passed |= self.stop_at.is_some_and(|at| at <= now.mono);
        if self.terminating && self.apps.iter().all(App::is_stopped) {
            io.halt(HaltReason::Shutdown);
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.wake.first().map(|(at, _)| *at)
    }
}

impl ClientNode {
    /// Whether all that ends by itself has ended: topics are created, producers have stopped and every record of theirs is
    /// acknowledged or given up, no transaction is open. A pipeline is done while it has written and committed all that there
    /// is to read, as far as it knows. Consumers do not count.
    pub fn is_done(&self) -> bool {
        self.apps.iter().all(|app| app.is_done(self.stop_passed))
    }

    /// Records handed to this process's producers that are neither acknowledged nor given up. O(producers).
    pub fn outstanding_sends(&self) -> u64 {
        self.view().producers.iter().map(|producer| producer.outstanding).sum()
    }

    /// The process seen from outside. Allocates; not for every event.
    pub fn view(&self) -> ClientView {
        let mut view = ClientView::default();
        for app in &self.apps {
            let (producer, consumer) = match app {
                App::Setup(_) | App::Operator(_) => (None, None),
                App::Load(load) => (Some(load.view()), None),
                App::Reader(reader) => (None, Some(reader.view())),
                App::Bank(bank) => (Some(bank.view()), None),
                App::ExactlyOnce(pipeline) => both(pipeline.views()),
                App::Plain(pipeline) => both(pipeline.views()),
                App::Lists(lists) => both(lists.views()),
            };
            view.producers.extend(producer);
            view.consumers.extend(consumer);
        }
        view
    }

    /// Lets an app act, and takes note of its connections and of when it wants to act again.
    fn step(&mut self, now: Now, app: usize, input: Option<Input>, io: &mut Io<'_>) {
        let before = *io.last_conn;
        self.apps[app].step(now, input, io);
        if *io.last_conn > before {
            let apps = &self.apps;
            // Connections that the app has closed itself are forgotten on this occasion.
            self.owners.retain(|conn, owner| *owner != app || apps[app].owns(*conn));
            self.owners.extend((before + 1..=*io.last_conn).map(|conn| (ConnId(conn), app)));
        }
        let wake = self.apps[app].poll_timeout();
        if wake != self.wake_of[app] {
            if let Some(old) = self.wake_of[app] {
                self.wake.remove(&(old, app));
            }
            if let Some(new) = wake {
                self.wake.insert((new, app));
            }
            self.wake_of[app] = wake;
        }
    }
}

fn both<A, B>((a, b): (A, B)) -> (Option<A>, Option<B>) {
    (Some(a), Some(b))
}

/// Makes the apps of a workload, and tells the history which clients start. Nothing that was intended before `from` is done.
fn open_workload(
    config: &ClientConfig,
    workload: &WorkloadConfig,
    from: Time,
    io: &mut Io<'_>,
    apps: &mut Vec<App>,
) -> Result<(), OpenError> {
    // The workload's share of clients, and the numbers of its first producer and consumer.
    let (share, producer, consumer) = match workload {
        WorkloadConfig::Setup(plan) => {
            apps.push(App::Setup(Setup::new(config, plan.clone())?));
            return Ok(());
        }
        WorkloadConfig::Operate(plan) => {
            apps.push(App::Operator(Operator::new(config, plan)?));
            return Ok(());
        }
        WorkloadConfig::Produce(plan) => (plan.share, Some(plan.share.first_number), None),
        WorkloadConfig::Consume(plan) => (plan.share, None, Some(plan.share.first_number)),
        WorkloadConfig::Bank(plan) => (plan.share, Some(plan.share.first_number), None),
        WorkloadConfig::Pipeline(plan) => {
            (plan.share, Some(plan.share.first_number), Some(plan.first_consumer))
        }
        WorkloadConfig::Lists(plan) => (plan.share, Some(plan.share.first_number), Some(plan.first_consumer)),
    };
    for (consumers, first) in [(false, producer), (true, consumer)] {
        if let Some(first) = first {
            let (first, count) = (first + share.index, share.count);
            io.history(ClientEvent::ClientStarted { consumers, first, count });
        }
    }
    for client in share.clients() {
        apps.push(match workload {
            WorkloadConfig::Setup(_) | WorkloadConfig::Operate(_) => unreachable!("they have no clients"),
            WorkloadConfig::Produce(plan) => App::Load(Load::new(config, plan, client, from)?),
            WorkloadConfig::Consume(plan) => App::Reader(Reader::new(config, plan, client)?),
            WorkloadConfig::Bank(plan) => App::Bank(Bank::new(config, plan, client, from)?),
            WorkloadConfig::Lists(plan) => App::Lists(Lists::new(config, plan, client, from)?),
            WorkloadConfig::Pipeline(plan) if plan.semantics == Semantics::ExactlyOnce => {
                App::ExactlyOnce(ExactlyOnce::new(config, plan, client, io)?)
            }
            WorkloadConfig::Pipeline(plan) => App::Plain(Plain::new(config, plan, client, io)?),
        });
    }
    Ok(())
}

/// The connection that an input is about.
pub(super) fn conn_of(input: &Input) -> Option<ConnId> {
    match input {
        Input::Connected { conn } | Input::Closed { conn, .. } | Input::Response { conn, .. } => Some(*conn),
        Input::Timeout | Input::Accepted { .. } | Input::Request { .. } | Input::Signal(_) => None,
    }
}

/// Leaves a durable mark of this start. Returns whether there was one.
fn note_start(io: &mut Io<'_>) -> Result<bool, OpenError> {
    let restarted = io.disk.list("")?.iter().any(|name| name == STARTED);
    if !restarted {
        let file = io.disk.open(STARTED, true)?;
        io.disk.sync(file)?;
        io.disk.close(file);
        io.disk.sync_folder("")?;
    }
    Ok(restarted)
}
