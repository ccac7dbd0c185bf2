//! What came in from outside.

use std::collections::BTreeMap;

/// Counts over a server's life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that were accepted.
    pub connections: u64,
    /// Requests that went into the cluster.
    pub requests: u64,
    /// Responses that came back.
    pub responses: u64,
    /// Why connections were closed on which something came in that is no request that we serve, and how many.
    pub refused: BTreeMap<String, u64>,
    /// Why responses could not be told to clients, whose connections were closed, and how many.
    pub unsent: BTreeMap<String, u64>,
    /// Connections that the cluster refused or ended.
    pub ended: u64,
}

/// Reasons that are kept apart; hostile clients have any number of them.
const REASONS_MAX: usize = 100;

impl Tally {
    /// A connection is closed for what came in on it.
    pub(crate) fn refuse(&mut self, why: String) {
        count(&mut self.refused, why);
    }

    /// A connection is closed for a response that cannot be encoded.
    pub(crate) fn not_sent(&mut self, why: String) {
        count(&mut self.unsent, why);
    }
}

fn count(reasons: &mut BTreeMap<String, u64>, why: String) {
    let known = reasons.len() < REASONS_MAX || reasons.contains_key(&why);
    let why = if known { why } else { "other reasons".to_owned() };
    *reasons.entry(why).or_default() += 1;
}
