//! The client process as a node.

use std::collections::{BTreeMap, BTreeSet};

use trial_node::{ClientEvent, ConnId, HaltReason, Input, Io, Node, Now, OpenError, Signal, Span, Time};

use super::config::{ClientConfig, WorkloadConfig};
use super::consume::Reader;
use super::elect::Operator;
use super::produce::Load;
use super::setup::Setup;
use super::view::ClientView;
use crate::properties::invalid;

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
}

impl App {
    fn step(&mut self, now: Now, input: Option<Input>, io: &mut Io<'_>) {
        match self {
            App::Setup(setup) => setup.step(now, input, io),
            App::Load(load) => load.step(now, input, io),
            App::Reader(reader) => reader.step(now, input, io),
            App::Operator(operator) => operator.step(now, input, io),
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        match self {
            App::Setup(setup) => setup.poll_timeout(),
            App::Load(load) => load.poll_timeout(),
            App::Reader(reader) => reader.poll_timeout(),
            App::Operator(operator) => operator.poll_timeout(),
        }
    }

    fn owns(&self, conn: ConnId) -> bool {
        match self {
            App::Setup(setup) => setup.owns(conn),
            App::Load(load) => load.owns(conn),
            App::Reader(reader) => reader.owns(conn),
            App::Operator(operator) => operator.owns(conn),
        }
    }

    /// Whether it has ended, if it is one that ends.
    fn is_done(&self) -> bool {
        match self {
            App::Setup(setup) => setup.is_done(),
            App::Load(load) => load.is_done(),
            App::Reader(_) => true,
            App::Operator(operator) => operator.is_done(),
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
            let share = match workload {
                WorkloadConfig::Setup(plan) => {
                    apps.push(App::Setup(Setup::new(&config, plan.clone())?));
                    continue;
                }
                WorkloadConfig::Elect(plan) => {
                    apps.push(App::Operator(Operator::new(&config, plan)?));
                    continue;
                }
                WorkloadConfig::Pipeline(_) | WorkloadConfig::Bank(_) | WorkloadConfig::Lists(_) => {
                    return Err(invalid("workload", "is not there yet".to_owned()));
                }
                WorkloadConfig::Produce(plan) => {
                    for client in plan.share.clients() {
                        apps.push(App::Load(Load::new(&config, plan, client, from)?));
                    }
                    plan.share
                }
                WorkloadConfig::Consume(plan) => {
                    for client in plan.share.clients() {
                        apps.push(App::Reader(Reader::new(&config, plan, client)?));
                    }
                    plan.share
                }
            };
            io.history(ClientEvent::ClientStarted {
                consumers: matches!(workload, WorkloadConfig::Consume(_)),
                first: share.first_number + share.index,
                count: share.count,
            });
        }
        let mut node = ClientNode {
            wake_of: vec![None; apps.len()],
            apps,
            owners: BTreeMap::new(),
            wake: BTreeSet::new(),
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
                    if let App::Load(load) = &mut self.apps[app] {
                        load.stop();
                        self.step(now, app, None, io);
                    }
                }
            }
            Input::Accepted { .. }
            | Input::Request { .. }
            | Input::Signal(Signal::ResignQuorumLeadership) => {}
        }
        if self.terminating && self.outstanding_sends() == 0 {
            io.halt(HaltReason::Shutdown);
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.wake.first().map(|(at, _)| *at)
    }
}

impl ClientNode {
    /// Whether all that ends by itself has ended: topics are created, producers have stopped and every record of theirs is
    /// acknowledged or given up. Consumers do not count.
    pub fn is_done(&self) -> bool {
        self.apps.iter().all(App::is_done)
    }

    /// Records handed to this process's producers that are neither acknowledged nor given up. O(producers).
    pub fn outstanding_sends(&self) -> u64 {
        let loads =
            self.apps.iter().map(|app| if let App::Load(load) = app { load.outstanding() } else { 0 });
        loads.sum()
    }

    /// The process seen from outside. Allocates; not for every event.
    pub fn view(&self) -> ClientView {
        let mut view = ClientView::default();
        for app in &self.apps {
            match app {
                App::Setup(_) | App::Operator(_) => {}
                App::Load(load) => view.producers.push(load.view()),
                App::Reader(reader) => view.consumers.push(reader.view()),
            }
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
