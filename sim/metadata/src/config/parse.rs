//! Types, ranges and parsing of config values.

use std::fmt;

use trial_node::Span;
use trial_wire::Compression;

/// One line of a table of configs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigDef {
    /// Kafka's name.
    pub name: &'static str,
    /// Its type and range.
    pub kind: ConfigKind,
    /// Its default, as text.
    pub default: &'static str,
    /// How it relates to other configs.
    pub link: ConfigLink,
    /// What it does, in one line.
    pub doc: &'static str,
}

/// How a config relates to others, or may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigLink {
    /// A topic config whose default is this broker config.
    Broker(&'static str),
    /// A broker config that may be changed while the broker runs (KIP-226), cluster-wide or for one broker.
    Dynamic,
    /// A broker config that only the operator's properties set.
    ReadOnly,
}

/// The type and range of a config's values. Ranges include both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigKind {
    /// `true` or `false`.
    Bool,
    /// A 32-bit number.
    Int(i32, i32),
    /// A 64-bit number.
    Long(i64, i64),
    /// One of some words.
    OneOf(&'static [&'static str]),
    /// Some of some words, separated by commas; at least one.
    ListOf(&'static [&'static str]),
}

/// A config's name or value is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No such config, or none that we honour.
    #[error("unknown config {name}{}", suggestion(nearest))]
    Unknown {
        /// The name.
        name: String,
        /// The nearest name that there is.
        nearest: Option<&'static str>,
    },
    /// The value is not of the type, or not in the range.
    #[error("config {name}: invalid value {value:?}: must be {expected}")]
    Invalid {
        /// The config.
        name: &'static str,
        /// The value.
        value: String,
        /// What it should be.
        expected: String,
    },
    /// The config cannot be changed while the broker runs.
    #[error("config {name} cannot be changed while the broker runs: set it in the broker's properties")]
    ReadOnly {
        /// The config.
        name: &'static str,
    },
}

fn suggestion(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

impl fmt::Display for ConfigKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigKind::Bool => f.write_str("true or false"),
            ConfigKind::Int(min, i32::MAX) => write!(f, "a 32-bit number of at least {min}"),
            ConfigKind::Int(min, max) => write!(f, "a number from {min} to {max}"),
            ConfigKind::Long(min, i64::MAX) => write!(f, "a 64-bit number of at least {min}"),
            ConfigKind::Long(min, max) => write!(f, "a number from {min} to {max}"),
            ConfigKind::OneOf(words) => write!(f, "one of {}", words.join(", ")),
            ConfigKind::ListOf(words) => write!(f, "a list of {}", words.join(", ")),
        }
    }
}

/// `cleanup.policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Old segments are deleted.
    pub delete: bool,
    /// Only the last record of each key is kept.
    pub compact: bool,
}

/// `compression.type` of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionType {
    /// As the producer sent it.
    Producer,
    /// The broker compresses with this codec.
    Codec(Compression),
}

/// `message.timestamp.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's timestamps.
    CreateTime,
    /// The broker's, when it appends.
    LogAppendTime,
}

/// A type that validated config text turns into.
pub(super) trait FromConfig {
    fn from_config(text: &str) -> Self;
}

const VALIDATED: &str = "config text is validated before it is stored";

impl FromConfig for bool {
    fn from_config(text: &str) -> bool {
        text.trim().eq_ignore_ascii_case("true")
    }
}
impl FromConfig for i32 {
    fn from_config(text: &str) -> i32 {
        text.trim().parse().expect(VALIDATED)
    }
}
impl FromConfig for i64 {
    fn from_config(text: &str) -> i64 {
        text.trim().parse().expect(VALIDATED)
    }
}
/// From milliseconds, 0 and up.
impl FromConfig for Span {
    fn from_config(text: &str) -> Span {
        Span::from_millis(1).times(text.trim().parse().expect(VALIDATED))
    }
}
impl FromConfig for CleanupPolicy {
    fn from_config(text: &str) -> CleanupPolicy {
        let has = |word| text.split(',').any(|item| item.trim() == word);
        CleanupPolicy { delete: has("delete"), compact: has("compact") }
    }
}
impl FromConfig for CompressionType {
    fn from_config(text: &str) -> CompressionType {
        match text.trim() {
            "producer" => CompressionType::Producer,
            codec => CompressionType::Codec(Compression::from_name(codec).expect(VALIDATED)),
        }
    }
}
impl FromConfig for TimestampType {
    fn from_config(text: &str) -> TimestampType {
        match text.trim() {
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        }
    }
}
