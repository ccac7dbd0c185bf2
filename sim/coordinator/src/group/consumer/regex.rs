//! Subscriptions by regular expression: the coordinator finds the topics (KIP-848, "Regular Expression Support").
//!
//! An expression is resolved once for all members that have it, by the rights of the one whose heartbeat makes it necessary:
//! when it is new to the group, and when topics or ACLs have changed since. What it is resolved to is in the log, so the next
//! coordinator goes on with the same topics.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use trial_node::Offset;
use trial_wire::{StrBytes, TopicName};

use super::ConsumerGroup;
use super::member::MemberMetadata;
use super::target::Members;
use crate::group::context::owned;
use crate::group::record::RegularExpression;
use crate::{Env, Record, pattern};

/// Regular expressions and what they are resolved to.
pub(super) type Regexes = BTreeMap<StrBytes, Resolved>;

/// What a regular expression is resolved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    /// The topics.
    pub(super) topics: BTreeSet<TopicName>,
    /// The version of the metadata that they are from.
    version: Offset,
    /// When that was, in ms since the epoch.
    timestamp_ms: i64,
}

/// Whether a request resolves regular expressions that are new or outdated.
#[derive(Clone, Copy)]
pub(super) enum Resolving<'a> {
    /// It does; with `describes` of its [`Request`](crate::Request).
    For(Option<&'a dyn Fn(&TopicName) -> bool>),
    /// It leaves them as they are.
    Nothing,
}

/// What is wrong with a regular expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InvalidRegex(pub(super) String);

impl Resolved {
    /// As a record says it.
    pub(super) fn record(&self) -> RegularExpression<'_> {
        RegularExpression {
            topics: self.topics.iter().map(|name| name.as_str()).collect(),
            version: self.version.0,
            timestamp_ms: self.timestamp_ms,
        }
    }

    /// What a record says.
    pub(super) fn replayed(record: &RegularExpression<'_>) -> Resolved {
        Resolved {
            topics: record.topics.iter().map(|name| TopicName(owned(name))).collect(),
            version: Offset(record.version),
            timestamp_ms: record.timestamp_ms,
        }
    }
}

impl ConsumerGroup {
    /// What the expressions of `members` are resolved to, and the records that say what of it is new. `sender` is who made the
    /// call.
    ///
    /// # Errors
    /// What is wrong with the sender's expression, if it is new.
    pub(super) fn resolve(
        &self,
        members: &Members<'_>,
        sender: &MemberMetadata,
        env: &Env<'_>,
        resolving: Resolving<'_>,
        records: &mut Vec<Record>,
    ) -> Result<Cow<'_, Regexes>, InvalidRegex> {
        let wanted = members.regexes();
        if wanted.is_empty() && self.regexes.is_empty() {
            return Ok(Cow::Borrowed(&self.regexes));
        }
        let mut regexes = self.regexes.clone();
        self.forget_regexes(members, &mut regexes, records);
        let Resolving::For(describes) = resolving else { return Ok(Cow::Owned(regexes)) };
        for regex in wanted {
            let known = regexes.get(regex);
            // Once per change: members with different rights would undo each other's work without end.
            let is_right = |known: &Resolved| !self.topics_outdated || known.version >= self.topics_version;
            if known.is_some_and(is_right) {
                continue;
            }
            let topics = match matching(regex, env, describes) {
                Ok(topics) => topics,
                Err(why) if known.is_none() && sender.subscribed_topic_regex.as_ref() == Some(regex) => {
                    return Err(why);
                }
                // Another coordinator took it, whose syntax is not quite ours.
                Err(_) => BTreeSet::new(),
            };
            if known.is_none_or(|known| known.topics != topics) {
                let (version, timestamp_ms) = (env.metadata.version(), env.now.wall_ms);
                let resolved = Resolved { topics, version, timestamp_ms };
                records.push(self.regex_record(regex, &resolved));
                regexes.insert(regex.clone(), resolved);
            }
        }
        Ok(Cow::Owned(regexes))
    }

    /// Takes out what none of `members` has, with the tombstones.
    pub(super) fn forget_regexes(
        &self,
        members: &Members<'_>,
        regexes: &mut Regexes,
        records: &mut Vec<Record>,
    ) {
        let wanted = members.regexes();
        regexes.retain(|regex, _| {
            let keep = wanted.contains(regex);
            if !keep {
                records.push(self.regex_tombstone(regex));
            }
            keep
        });
    }
}

/// The topics, internal ones too, whose whole names match and that may be described.
fn matching(
    regex: &StrBytes,
    env: &Env<'_>,
    describes: Option<&dyn Fn(&TopicName) -> bool>,
) -> Result<BTreeSet<TopicName>, InvalidRegex> {
    let pattern = pattern::whole(regex).map_err(|error| {
        let why = pattern::reason(&error);
        InvalidRegex(format!(
            "SubscribedTopicRegex `{}` is not a valid regular expression: {why}.",
            regex.as_str()
        ))
    })?;
    let mut topics = BTreeSet::new();
    env.metadata.topic_names(&mut |name| {
        if pattern.is_match(name) && describes.is_none_or(|describes| describes(name)) {
            topics.insert(name.clone());
        }
    });
    Ok(topics)
}
