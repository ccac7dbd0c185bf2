//! When something is due, and what.

use trial_node::view::TransactionState;
use trial_node::{ProducerEpoch, ProducerId, Span, Time, TraceEvent};
use trial_wire::StrBytes;

use super::TransactionCoordinator;
use super::answer::Caller;
use crate::{Env, Output};

/// How long to wait before a marker is sent or a record is appended again: what Kafka waits before it connects again.
const RETRY_BACKOFF: Span = Span::from_millis(50);

/// How many ids are forgotten with one batch.
const TOMBSTONES_MAX: usize = 100;

/// The three things that a coordinator waits for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timers {
    /// To look for transactions that have been open for too long.
    abort: Option<Time>,
    /// To look for ids that have not been used for too long.
    expire: Option<Time>,
    /// To try again what failed.
    retry: Option<Time>,
}

impl Timers {
    pub fn abort(&mut self, now: Time, interval: Span) {
        self.abort.get_or_insert(now + interval);
    }

    pub fn expire(&mut self, now: Time, interval: Span) {
        self.expire.get_or_insert(now + interval);
    }

    pub fn retry(&mut self, now: Time) {
        self.retry.get_or_insert(now + RETRY_BACKOFF);
    }

    pub fn next(&self) -> Option<Time> {
        [self.abort, self.expire, self.retry].into_iter().flatten().min()
    }
}

impl TransactionCoordinator {
    pub(super) fn run_timers(&mut self, env: &mut Env<'_>) {
        let now = env.now.mono;
        if self.timers.retry.take_if(|due| *due <= now).is_some() {
            self.markers.retry_all();
            self.append_again(env);
        }
        if self.timers.abort.take_if(|due| *due <= now).is_some() {
            self.abort_timed_out(env);
        }
        if self.timers.expire.take_if(|due| *due <= now).is_some() {
            self.forget_expired(env);
        }
    }

    fn abort_timed_out(&mut self, env: &mut Env<'_>) {
        let now_ms = env.now.wall_ms;
        let mut late: Vec<(StrBytes, ProducerId, ProducerEpoch)> = Vec::new();
        for (id, entry) in &self.ids {
            let Some(known) = entry.logged.as_ref() else { continue };
            if known.log.state != TransactionState::Ongoing {
                continue;
            }
            self.timers
                .abort(env.now.mono, self.config.transaction_abort_timed_out_transaction_cleanup_interval);
            let due_ms = known.log.start_ms.saturating_add(i64::from(known.log.timeout_ms));
            if entry.pending.is_none() && due_ms < now_ms {
                late.push((id.clone(), known.log.producer_id, known.log.producer_epoch));
            }
        }
        for (id, producer_id, producer_epoch) in late {
            self.fence(env, &id, Caller::Nobody);
            let transactional_id = id;
            self.outputs.push_back(Output::Trace(TraceEvent::TransactionTimedOut {
                transactional_id,
                producer_id,
                producer_epoch,
            }));
        }
    }

    fn forget_expired(&mut self, env: &mut Env<'_>) {
        let oldest_ms = env.now.wall_ms - i64::from(self.config.transactional_id_expiration_ms);
        let is_expired = |(id, entry): (&StrBytes, &super::coordinator::Entry)| {
            let known = entry.logged.as_ref()?;
            let may_go = matches!(
                known.log.state,
                TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort
            );
            (entry.pending.is_none() && may_go && known.log.last_update_ms <= oldest_ms).then(|| id.clone())
        };
        let mut expired: Vec<StrBytes> = Vec::new();
        if self.is_confirmed {
            expired.extend(self.ids.iter().filter_map(is_expired));
        }
        for ids in expired.chunks(TOMBSTONES_MAX) {
            self.append_tombstones(env, ids.to_vec());
        }
        if !self.ids.is_empty() {
            self.timers
                .expire(env.now.mono, self.config.transaction_remove_expired_transaction_cleanup_interval);
        }
    }
}
