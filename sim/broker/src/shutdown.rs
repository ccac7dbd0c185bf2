//! The end of the process: the controlled shutdown of the broker, then the quorum's leadership, then the halt.

use trial_node::{HaltReason, Io, Now, Span, Time, TraceEvent};

use crate::Broker;
use crate::lifecycle::LifecycleEvent;
use crate::quorum::env;

/// How long a controlled shutdown may take (5 min in Kafka, not configurable there).
const CONTROLLED_SHUTDOWN_TIMEOUT: Span = Span::from_secs(300);
/// How long a stopping quorum leader waits for a successor (5 s in Kafka, not configurable there).
const RESIGNATION_TIMEOUT: Span = Span::from_secs(5);

/// How far the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    /// SIGTERM came; the controlled shutdown must be over by then.
    ShuttingDown {
        deadline: Time,
    },
    /// The broker has stopped; the quorum's leadership must have moved by then.
    Resigning {
        deadline: Time,
    },
    Halted,
}

impl Phase {
    /// When it ends whatever happens; [`Time::MAX`] for never.
    pub fn deadline(self) -> Time {
        match self {
            Phase::ShuttingDown { deadline } | Phase::Resigning { deadline } => deadline,
            Phase::Running | Phase::Halted => Time::MAX,
        }
    }
}

impl Broker {
    /// SIGTERM came.
    pub(crate) fn terminate(&mut self, now: Now, io: &mut Io<'_>) {
        if self.phase != Phase::Running {
            return;
        }
        io.trace(TraceEvent::ShutdownStarted);
        self.phase = Phase::ShuttingDown { deadline: now.mono + CONTROLLED_SHUTDOWN_TIMEOUT };
        let controlled = self.effective.controlled_shutdown_enable;
        if !controlled || self.lifecycle.begin_controlled_shutdown(now) == Some(LifecycleEvent::ShutDown) {
            self.stop(now, io);
        }
    }

    /// Stops the broker, and then gives up the quorum's leadership if this node has it.
    pub(crate) fn stop(&mut self, now: Now, io: &mut Io<'_>) {
        self.connections.close_clients(io);
        self.lifecycle.stop();
        self.coordinators.stop();
        // Logs that were not loaded may need recovery still: then the shutdown must not count as clean.
        if self.caught_up {
            let done = self.replicate(now, io, |replicas, ctx| replicas.shutdown(ctx));
            self.fail_on_error(done);
        }
        if self.quorum.raft.is_leader() && self.config.voters.len() > 1 {
            self.phase = Phase::Resigning { deadline: now.mono + RESIGNATION_TIMEOUT };
            let done = self.quorum.raft.shut_down(&mut env(now, io));
            self.fail_on_error(done);
        } else {
            self.halt(io, HaltReason::Shutdown);
        }
    }

    /// Gives up the quorum's leadership if this node has it.
    pub(crate) fn resign(&mut self, now: Now, io: &mut Io<'_>) {
        let (leader, epoch) = self.quorum.raft.leader_and_epoch();
        if leader == Some(self.config.node_id) {
            let done = self.quorum.raft.resign(&mut env(now, io), epoch);
            self.fail_on_error(done);
        }
    }

    /// Ends the process: for `reason`, unless something has failed in this very step. An end in order counts only if
    /// everything that belongs to it was done.
    pub(crate) fn halt(&mut self, io: &mut Io<'_>, reason: HaltReason) {
        if self.phase != Phase::Halted {
            self.phase = Phase::Halted;
            io.halt(self.fatal.take().map_or(reason, HaltReason::Fatal));
        }
    }

    /// Ends a phase whose time is over.
    pub(crate) fn phase_timeout(&mut self, now: Now, io: &mut Io<'_>) {
        if self.phase.deadline() <= now.mono {
            match self.phase {
                Phase::ShuttingDown { .. } => self.stop(now, io),
                _ => self.halt(io, HaltReason::Shutdown),
            }
        }
    }

    /// Halts once somebody else leads the quorum.
    pub(crate) fn maybe_finish_resigning(&mut self, io: &mut Io<'_>) {
        if let Phase::Resigning { .. } = self.phase
            && self.quorum.leader().is_some_and(|leader| leader != self.config.node_id)
        {
            self.halt(io, HaltReason::Shutdown);
        }
    }
}
