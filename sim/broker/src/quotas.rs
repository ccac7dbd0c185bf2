//! How much clients use of their quotas, and for how long they have to wait if that is too much (KIP-13, KIP-219).
//!
//! As in Kafka, use is counted in samples of `quota.window.size.seconds`, of which the newest `quota.window.num` count. All is
//! computed in whole numbers. A client over its quota gets its answer at once, which says how long it has to wait; for so long
//! nothing is read from its connection.

use std::collections::{BTreeMap, VecDeque};

use trial_metadata::QuotaValue;
use trial_metadata::quota::{QuotaClient, QuotaKey, quota_of};
use trial_node::{ConnId, Io, Now, Span, Time, TraceEvent};
use trial_wire::message::{encode_request, encode_response, request_overhead, throttle_time_ms};
use trial_wire::messages::{FetchRequest, FetchResponse};
use trial_wire::{ApiKey, RequestKind, ResponseKind, StrBytes};

use crate::connections::CONTROLLER_PORT;
use crate::security::Session;
use crate::{Broker, Token};

/// The name of whoever is not authenticated.
const ANONYMOUS: &str = "ANONYMOUS";

/// Stands after the length of a user's name, which the name and a client id follow: either may have any characters.
const FORWARDED: char = '\n';

/// The windows over which use is averaged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    /// How many count.
    pub num: u64,
    /// How long each is, in milliseconds.
    pub size_ms: u64,
}

impl Windows {
    /// From the configs, which are validated to be positive.
    pub fn new(num: i32, size_seconds: i32) -> Windows {
        Windows { num: u64::from(num.unsigned_abs()), size_ms: 1000 * u64::from(size_seconds.unsigned_abs()) }
    }
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    start_ms: u64,
    last_ms: u64,
    sum: i64,
}

/// Use over a sliding window (`Rate` and `SampledStat` in Kafka's source).
#[derive(Clone, Debug, Default)]
struct Rate {
    /// Oldest first.
    samples: VecDeque<Sample>,
}

impl Rate {
    /// Counts `amount`, which is negative to take back what was counted before.
    fn record(&mut self, windows: Windows, now_ms: u64, amount: i64) {
        match self.samples.back_mut() {
            Some(sample) if now_ms - sample.start_ms < windows.size_ms => {
                sample.sum += amount;
                sample.last_ms = now_ms;
            }
            _ => self.samples.push_back(Sample { start_ms: now_ms, last_ms: now_ms, sum: amount }),
        }
        self.forget(windows, now_ms);
    }

    /// A sample of which a part lies within the window counts whole.
    fn forget(&mut self, windows: Windows, now_ms: u64) {
        let oldest_ms = windows.num * windows.size_ms;
        while self.samples.front().is_some_and(|sample| now_ms - sample.last_ms >= oldest_ms) {
            self.samples.pop_front();
        }
    }

    /// How long the window is, in milliseconds: since the oldest sample, but never less than all windows but one.
    fn window_ms(&self, windows: Windows, now_ms: u64) -> u64 {
        let elapsed = self.samples.front().map_or(0, |oldest| now_ms - oldest.start_ms);
        let missing = (windows.num - 1).saturating_sub(elapsed / windows.size_ms);
        (elapsed + missing * windows.size_ms).max(1)
    }

    /// How many milliseconds without any use bring the rate down to the quota; 0 if it is not above (`QuotaUtils.throttleTime`).
    fn excess_ms(&self, windows: Windows, now_ms: u64, quota: QuotaValue) -> u64 {
        let used: i64 = self.samples.iter().map(|sample| sample.sum).sum();
        let used = u128::try_from(used).unwrap_or(0) * 1_000_000_000;
        let quota = u128::from(quota.millionths());
        let window = u128::from(self.window_ms(windows, now_ms));
        let excess = used.saturating_sub(quota * window);
        // Rounded to the nearest.
        u64::try_from((2 * excess + quota) / (2 * quota)).unwrap_or(u64::MAX)
    }
}

/// What is known of a request in progress whose client may have a quota.
#[derive(Clone, Debug)]
struct InProgress {
    key: QuotaKey,
    client_id: StrBytes,
    user: StrBytes,
    /// Of a Produce request: its size.
    bytes: u64,
    /// Of a Fetch request: whether it asks for all partitions anew.
    is_full: bool,
}

/// What clients use.
#[derive(Clone, Debug)]
pub(crate) struct Quotas {
    windows: Windows,
    rates: BTreeMap<(QuotaKey, QuotaClient), Rate>,
    in_progress: BTreeMap<ConnId, InProgress>,
}

impl Quotas {
    /// Nobody has used anything yet.
    pub fn new(effective: &trial_metadata::BrokerConfig) -> Quotas {
        Quotas {
            windows: Windows::new(effective.quota_window_num, effective.quota_window_size_seconds),
            rates: BTreeMap::new(),
            in_progress: BTreeMap::new(),
        }
    }

    /// A connection is gone.
    #[inline]
    pub fn closed(&mut self, conn: ConnId) {
        self.in_progress.remove(&conn);
    }

    fn rate(&mut self, now_ms: u64, key: QuotaKey, client: QuotaClient) -> &mut Rate {
        let windows = self.windows;
        if !self.rates.contains_key(&(key, client.clone())) {
            // Those that have used nothing for the whole window are as good as new.
            self.rates.retain(|_, rate| {
                rate.forget(windows, now_ms);
                !rate.samples.is_empty()
            });
        }
        self.rates.entry((key, client)).or_default()
    }

    /// Counts what a client has used, and tells for how many milliseconds it has to wait.
    fn record(
        &mut self,
        now: Now,
        key: QuotaKey,
        (client, quota): (QuotaClient, QuotaValue),
        amount: u64,
    ) -> u64 {
        let (now_ms, windows) = (millis(now.mono), self.windows);
        let rate = self.rate(now_ms, key, client);
        rate.record(windows, now_ms, i64::try_from(amount).unwrap_or(i64::MAX));
        rate.excess_ms(windows, now_ms, quota)
    }

    /// Takes back what was counted just now.
    fn unrecord(&mut self, now: Now, key: QuotaKey, client: QuotaClient, amount: u64) {
        let (now_ms, windows) = (millis(now.mono), self.windows);
        let amount = i64::try_from(amount).unwrap_or(i64::MAX);
        self.rate(now_ms, key, client).record(windows, now_ms, -amount);
    }
}

impl Broker {
    /// Takes note of whose a request is, if that may have a quota for what it asks. Those of other brokers have none.
    #[inline]
    pub(crate) fn note_client(
        &mut self,
        token: Token,
        port: u16,
        client_id: &StrBytes,
        request: &mut RequestKind,
    ) {
        if !self.published.image.quotas().is_empty() {
            self.note(token, port, client_id, request);
        }
    }

    fn note(&mut self, token: Token, port: u16, client_id: &StrBytes, request: &mut RequestKind) {
        let forwarded = port == CONTROLLER_PORT;
        // The request before may have been answered without being served.
        self.quotas.in_progress.remove(&token.conn);
        let (key, bytes, is_full) = match request {
            RequestKind::CreateTopics(_)
            | RequestKind::DeleteTopics(_)
            | RequestKind::CreatePartitions(_) => (QuotaKey::ControllerMutationRate, 0, false),
            _ if forwarded => return,
            RequestKind::Produce(_) => {
                (QuotaKey::ProducerByteRate, request_size(token, client_id, request), false)
            }
            RequestKind::Fetch(fetch) if is_consumers(fetch) => {
                (QuotaKey::ConsumerByteRate, 0, fetch.session_epoch <= 0)
            }
            _ => return,
        };
        let (user, client_id) = match forwarded.then(|| forwarded_for(client_id)).flatten() {
            Some((user, client_id)) => {
                (StrBytes::from(user.to_owned()), StrBytes::from(client_id.to_owned()))
            }
            None => (self.user_of(token.conn), client_id.clone()),
        };
        let client_id = &client_id;
        let Some((_, quota)) = quota_of(&self.published.image, key, &user, client_id) else { return };
        if let RequestKind::Fetch(fetch) = request {
            limit(fetch, quota, self.quotas.windows);
        }
        let noted = InProgress { key, client_id: client_id.clone(), user, bytes, is_full };
        self.quotas.in_progress.insert(token.conn, noted);
    }

    /// Counts what the answer to a request (there is none to Produce with `acks=0`) or the request itself takes of its client's
    /// quota. If that is too much, the answer says so and the connection is muted.
    pub(crate) fn throttle(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        token: Token,
        answer: Option<&mut ResponseKind>,
    ) {
        if self.quotas.in_progress.is_empty() {
            return;
        }
        let Some(noted) = self.quotas.in_progress.remove(&token.conn) else { return };
        let InProgress { key, client_id, user, bytes, is_full } = noted;
        // It may be another now, or none any more.
        let Some(quota) = quota_of(&self.published.image, key, &user, &client_id) else { return };
        let client = quota.0.clone();
        let throttled_ms = match answer {
            None => self.quotas.record(now, key, quota, bytes),
            Some(ResponseKind::Produce(response)) => {
                let throttled_ms = self.quotas.record(now, key, quota, bytes);
                response.throttle_time_ms = to_wire(throttled_ms);
                throttled_ms
            }
            Some(ResponseKind::Fetch(response)) => {
                let bytes = response_size(token, response);
                let throttled_ms = self.quotas.record(now, key, quota, bytes);
                if throttled_ms > 0 {
                    // It gets nothing now, and so has used nothing.
                    self.quotas.unrecord(now, key, client, bytes);
                    self.replicate(now, io, |replicas, ctx| replicas.withhold_fetch(ctx, response, is_full));
                    withhold(response, is_full);
                    response.throttle_time_ms = to_wire(throttled_ms);
                }
                throttled_ms
            }
            Some(_) => 0,
        };
        self.mute(now, io, token, &client_id, throttled_ms);
    }

    /// The name under which a client's request is forwarded, if the client has a quota that the controller counts: that of its
    /// user and its own, for there is no envelope to put them on.
    pub(crate) fn forwarded_name(&self, token: Token) -> Option<StrBytes> {
        let noted = self.quotas.in_progress.get(&token.conn)?;
        forward_as(&noted.user, &noted.client_id).map(StrBytes::from)
    }

    /// The quota that counts for the request in progress on a connection, and whose that is.
    pub(crate) fn take_mutation_quota(&mut self, token: Token) -> Option<(QuotaClient, QuotaValue)> {
        if self.quotas.in_progress.is_empty() {
            return None;
        }
        let noted = self.quotas.in_progress.remove(&token.conn)?;
        quota_of(&self.published.image, noted.key, &noted.user, &noted.client_id)
    }

    /// Mutes a client's connection if the controller's answer to what was forwarded for it says that it has to wait.
    pub(crate) fn throttle_forwarded(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        token: Token,
        answer: &ResponseKind,
    ) {
        let noted = self.quotas.in_progress.remove(&token.conn);
        let ms = u64::try_from(throttle_time_ms(answer)).unwrap_or(0);
        let client_id = noted.map(|noted| noted.client_id).unwrap_or_default();
        self.mute(now, io, token, &client_id, ms);
    }

    /// Reads nothing from a connection for so long, or for as long as a response can tell.
    fn mute(&mut self, now: Now, io: &mut Io<'_>, token: Token, client_id: &StrBytes, ms: u64) {
        let ms = ms.min(u64::from(i32::MAX.unsigned_abs()));
        if ms > 0 {
            self.connections.mute(token.conn, now.mono + Span::from_millis(ms));
            io.trace(TraceEvent::ClientThrottled { client_id: client_id.clone(), ms });
        }
    }

    /// The name of a connection's user.
    pub(crate) fn user_of(&self, conn: ConnId) -> StrBytes {
        let principal = self.connections.session(conn).and_then(Session::principal);
        let name = principal.and_then(|principal| principal.text().split_once(':'));
        name.map_or(StrBytes::from_static_str(ANONYMOUS), |(_, name)| StrBytes::from(name.to_owned()))
    }
}

fn millis(time: Time) -> u64 {
    time.since(Time::ZERO).as_millis()
}

/// The name under which a request is forwarded for a user's client. If it is longer than a header's client id can be, without
/// the client's own.
fn forward_as(user: &str, client_id: &str) -> Option<String> {
    let names = [client_id, ""].map(|client_id| format!("{}{FORWARDED}{user}{client_id}", user.len()));
    names.into_iter().find(|name| i16::try_from(name.len()).is_ok())
}

/// The user and the client id for which a request is forwarded under a name; `None` if it is the sender's own request.
fn forwarded_for(name: &str) -> Option<(&str, &str)> {
    let (length, names) = name.split_once(FORWARDED)?;
    names.split_at_checked(length.parse().ok()?)
}

fn to_wire(ms: u64) -> i32 {
    i32::try_from(ms).unwrap_or(i32::MAX)
}

fn is_consumers(request: &FetchRequest) -> bool {
    request.replica_id.0 < 0 && request.replica_state.replica_id.0 < 0
}

/// No answer may take more than what fits the windows, for nothing could make up for that.
fn limit(request: &mut FetchRequest, quota: QuotaValue, windows: Windows) {
    let window_ms = u128::from((windows.num - 1) * windows.size_ms);
    let most = u128::from(quota.millionths()) * window_ms / 1_000_000_000;
    let most = i32::try_from(most).unwrap_or(i32::MAX);
    request.max_bytes = request.max_bytes.min(most);
    request.min_bytes = request.min_bytes.min(request.max_bytes);
}

/// Makes the answer one that has nothing. One to a request that asked for all partitions begins no session.
fn withhold(response: &mut FetchResponse, is_full: bool) {
    response.responses.clear();
    response.node_endpoints.clear();
    if is_full {
        response.session_id = 0;
    }
}

/// The size of a whole frame without its length.
fn request_size(token: Token, client_id: &StrBytes, request: &RequestKind) -> u64 {
    let mut body = bytes::BytesMut::new();
    encode_request(request, token.api_version, &mut body).expect("what was decoded can be encoded");
    let header = request_overhead(ApiKey::Produce, token.api_version, client_id) - 4;
    (header + body.len()) as u64
}

fn response_size(token: Token, response: &FetchResponse) -> u64 {
    let mut body = bytes::BytesMut::new();
    encode_response(&ResponseKind::Fetch(response.clone()), token.api_version, &mut body)
        .expect("what is sent next can be encoded");
    body.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: Windows = Windows { num: 11, size_ms: 1000 };

    fn quota(per_second: f64) -> QuotaValue {
        QuotaValue::from_wire(per_second)
    }

    #[test]
    fn who_uses_too_much_waits_until_the_rate_is_the_quota() {
        let mut rate = Rate::default();
        rate.record(WINDOWS, 5_000, 10_000);
        // 10 kB over ten seconds, for nothing is known of what was before.
        assert_eq!(rate.excess_ms(WINDOWS, 5_000, quota(1000.0)), 0);
        assert_eq!(rate.excess_ms(WINDOWS, 5_000, quota(999.0)), 10);
        assert_eq!(rate.excess_ms(WINDOWS, 5_000, quota(100.0)), 90_000);
        rate.record(WINDOWS, 5_999, 1_000);
        // The window has grown with the sample: 11 kB in 10.999 s.
        assert_eq!(rate.window_ms(WINDOWS, 5_999), 10_999);
        assert_eq!(rate.excess_ms(WINDOWS, 5_999, quota(1000.0)), 1);
        rate.record(WINDOWS, 5_999, -1_000);
        assert_eq!(rate.excess_ms(WINDOWS, 5_999, quota(1000.0)), 0);
    }

    #[test]
    fn what_is_older_than_the_windows_does_not_count() {
        let mut rate = Rate::default();
        for second in 0..12 {
            rate.record(WINDOWS, 1000 * second, 1000);
        }
        // The sample of second 0 has just gone.
        assert_eq!(rate.samples.len(), 11);
        assert_eq!(rate.window_ms(WINDOWS, 11_000), 10_000);
        assert_eq!(rate.excess_ms(WINDOWS, 11_000, quota(1000.0)), 1000);
        rate.forget(WINDOWS, 30_000);
        assert_eq!(rate.excess_ms(WINDOWS, 30_000, quota(0.001)), 0);
        assert_eq!(rate.window_ms(WINDOWS, 30_000), 10_000);
    }

    #[test]
    fn whose_a_forwarded_request_is_can_be_told_whatever_their_names() {
        for (user, client_id) in [("alice", "app"), ("a\nb", "c\nd"), ("3\n", "\n"), ("", ""), ("ü", "ü")] {
            let name = forward_as(user, client_id).unwrap();
            assert_eq!(forwarded_for(&name), Some((user, client_id)));
        }
        let name = forward_as("alice", &"x".repeat(32_767)).unwrap();
        assert_eq!(forwarded_for(&name), Some(("alice", "")), "a header has no room for more");
        for own in ["2", "", "-1\nx", "9\nx", "1\nü"] {
            assert_eq!(forwarded_for(own), None, "{own:?}");
        }
    }

    #[test]
    fn a_small_quota_makes_wait_long_and_never_overflows() {
        let mut rate = Rate::default();
        rate.record(WINDOWS, 0, i64::MAX);
        assert_eq!(rate.excess_ms(WINDOWS, 0, quota(1e-9)), u64::MAX);
        assert!(to_wire(u64::MAX) == i32::MAX);
    }
}
