//! How many partitions clients may have created and deleted, counted by the active controller (`controller_mutation_rate`,
//! KIP-599).
//!
//! Each client that has such a quota has a bucket of tokens, which fills at the quota's rate up to what
//! `controller.quota.window.num` windows give. A decision takes one for each partition. As long as the bucket owes tokens, newer
//! versions of requests are refused with THROTTLING_QUOTA_EXCEEDED, and their clients try again; older ones do not know that
//! error, and are carried out all the same. Both wait.

use std::collections::BTreeMap;

use trial_metadata::QuotaValue;
use trial_metadata::quota::QuotaClient;
use trial_node::{Now, Time};

use crate::quotas::Windows;

/// A billion of them are one partition.
type Tokens = i128;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: Tokens,
    filled_at_ms: u64,
}

/// The buckets of all clients, as long as this node is the active controller.
#[derive(Clone, Debug)]
pub(crate) struct Mutations {
    windows: Windows,
    buckets: BTreeMap<QuotaClient, Bucket>,
}

/// What a request may take of its client's bucket; of nobody's if the client has no quota.
#[derive(Debug)]
pub(crate) struct MutationQuota<'a> {
    bucket: Option<(&'a mut Bucket, QuotaValue)>,
    /// Whether the request's version knows THROTTLING_QUOTA_EXCEEDED.
    strict: bool,
    throttle_ms: u64,
}

impl Mutations {
    pub fn new(effective: &trial_metadata::BrokerConfig) -> Mutations {
        let seconds = effective.controller_quota_window_size_seconds;
        let windows = Windows::new(effective.controller_quota_window_num, seconds);
        Mutations { windows, buckets: BTreeMap::new() }
    }

    /// What a request of this client may take.
    pub fn quota(
        &mut self,
        now: Now,
        client: Option<(QuotaClient, QuotaValue)>,
        strict: bool,
    ) -> MutationQuota<'_> {
        let windows = self.windows;
        let bucket = client.map(|(client, quota)| {
            let now_ms = now.mono.since(Time::ZERO).as_millis();
            let rate = Tokens::from(quota.millionths());
            let burst = rate * Tokens::from(windows.num * windows.size_ms);
            let full = Bucket { tokens: burst, filled_at_ms: now_ms };
            let bucket = self.buckets.entry(client).or_insert(full);
            let elapsed = Tokens::from(now_ms - bucket.filled_at_ms);
            bucket.tokens = (bucket.tokens + rate * elapsed).min(burst);
            bucket.filled_at_ms = now_ms;
            (bucket, quota)
        });
        MutationQuota { bucket, strict, throttle_ms: 0 }
    }
}

impl MutationQuota<'_> {
    /// Takes the tokens for so many partitions; false if that is refused.
    pub fn accepts(&mut self, partitions: usize) -> bool {
        let Some((bucket, quota)) = &mut self.bucket else { return true };
        let accepted = !self.strict || bucket.tokens >= 0;
        if accepted {
            bucket.tokens -= 1_000_000_000 * partitions as Tokens;
        }
        if bucket.tokens < 0 && !(self.strict && accepted) {
            // One that is strict is let through as long as nothing is owed.
            let rate = Tokens::from(quota.millionths());
            self.throttle_ms = u64::try_from((-2 * bucket.tokens + rate) / (2 * rate)).unwrap_or(u64::MAX);
        }
        accepted
    }

    /// For how long the client is to wait, in milliseconds, as the response tells it.
    pub fn throttle_time_ms(&self) -> i32 {
        i32::try_from(self.throttle_ms).unwrap_or(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use trial_wire::StrBytes;

    use super::*;
    use crate::testing::at;

    #[test]
    fn newer_requests_are_refused_while_tokens_are_owed_and_older_ones_wait() {
        let mut mutations =
            Mutations { windows: Windows { num: 11, size_ms: 1000 }, buckets: BTreeMap::new() };
        let client = || Some(((None, Some(StrBytes::from_static_str("c"))), QuotaValue::from_wire(2.0)));
        // 11 windows of two a second.
        let mut quota = mutations.quota(at(5), client(), true);
        assert!(quota.accepts(20) && quota.accepts(12));
        assert_eq!(quota.throttle_time_ms(), 0);
        assert!(!quota.accepts(1));
        assert_eq!(quota.throttle_time_ms(), 5000);
        let mut quota = mutations.quota(at(5), client(), false);
        assert!(quota.accepts(2));
        assert_eq!(quota.throttle_time_ms(), 6000);
        assert!(!mutations.quota(at(6004), client(), true).accepts(1));
        assert!(mutations.quota(at(6005), client(), true).accepts(1));
        assert!(mutations.quota(at(6005), None, true).accepts(1_000_000));
    }
}
