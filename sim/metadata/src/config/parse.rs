//! Types, ranges and parsing of config values.

use std::fmt;

use trial_node::{Span, nearest};

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
    /// A config of a topic, or of a subscription to metrics, that no broker config is the default of.
    TopicOnly,
    /// A broker config that may be changed while the broker runs (KIP-226), cluster-wide or for one broker.
    Dynamic,
    /// A broker config that only the operator's properties set.
    ReadOnly,
    /// A topic config whose only value is its default.
    Fixed,
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
    /// A decimal fraction from 0 to 1, as [`parse_ratio`] reads it.
    Ratio,
    /// A decimal number above 0.
    Double,
    /// One of some words.
    OneOf(&'static [&'static str]),
    /// Some of some words, separated by commas; at least one.
    ListOf(&'static [&'static str]),
    /// Some of some words, separated by commas, or none.
    SubsetOf(&'static [&'static str]),
    /// Replicas by partition and broker, as in `0:1,1:2`; `*` for all, `none` or nothing for none.
    Replicas,
    /// Any words, separated by commas, or none.
    Words,
    /// Regular expressions of some words, separated by commas, as in `client_id=app-.*`; or none.
    Selectors(&'static [&'static str]),
    /// Log directories, separated by commas: `/` for all of the node's disk, or folders directly in it, as in `/a,/b`.
    LogDirs,
    /// Users as they are known to an authorizer, separated by semicolons, as in `User:alice;User:CN=bob,O=example`; or none.
    Users,
    /// Any text.
    Text,
}

/// A config's name or value is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No such config, or none that we honour.
    #[error("unknown config {name}{}", suggestion(*nearest))]
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
    /// The value makes no sense with another config's.
    #[error("config {name}: {value} must not be above {limit}, which is {at_most}: change one of them")]
    TooLarge {
        /// The config.
        name: &'static str,
        /// Its value.
        value: u64,
        /// The config that limits it.
        limit: &'static str,
        /// That config's value.
        at_most: u64,
    },
    /// The config has one value only.
    #[error("config {name} cannot be anything but its default, {default}: nothing here obeys another value")]
    Fixed {
        /// The config.
        name: &'static str,
        /// Its default.
        default: &'static str,
    },
    /// The config cannot be changed while the broker runs.
    #[error("config {name} cannot be changed while the broker runs: set it in the broker's properties")]
    ReadOnly {
        /// The config.
        name: &'static str,
    },
}

impl ConfigDef {
    /// Checks that `value` is of the config's type and in its range.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`], or [`ConfigError::Fixed`].
    pub fn validate(&self, value: &str) -> Result<(), ConfigError> {
        let text = value.trim();
        let valid = match self.kind {
            ConfigKind::Bool => text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"),
            ConfigKind::Int(min, max) => text.parse().is_ok_and(|n: i32| (min..=max).contains(&n)),
            ConfigKind::Long(min, max) => text.parse().is_ok_and(|n: i64| (min..=max).contains(&n)),
            ConfigKind::Ratio => parse_ratio(text).is_some(),
            ConfigKind::OneOf(words) => words.contains(&text),
            ConfigKind::SubsetOf(_) if text.is_empty() => true,
            ConfigKind::ListOf(words) | ConfigKind::SubsetOf(words) => {
                text.split(',').all(|item| words.contains(&item.trim()))
            }
            ConfigKind::Replicas if matches!(text, "" | "*" | "none") => true,
            ConfigKind::Replicas => text.split(',').all(|pair| {
                let number = |text: &str| text.parse().is_ok_and(|number: i32| number >= 0);
                pair.trim().split_once(':').is_some_and(|(index, id)| number(index) && number(id))
            }),
            ConfigKind::Double => text.parse().is_ok_and(|number: f64| number > 0.0),
            ConfigKind::Selectors(_) if text.is_empty() => true,
            ConfigKind::Selectors(words) => text.split(',').all(|pair| {
                let parts = pair.split_once('=').map(|(word, regex)| (word.trim(), regex.trim()));
                parts.is_some_and(|(word, regex)| words.contains(&word) && !regex.is_empty())
            }),
            ConfigKind::LogDirs => are_log_dirs(text),
            ConfigKind::Users => text
                .split(';')
                .map(str::trim)
                .all(|who| who.is_empty() || who.strip_prefix("User:").is_some_and(|name| !name.is_empty())),
            ConfigKind::Words | ConfigKind::Text => true,
        };
        if valid && self.link == ConfigLink::Fixed && !text.eq_ignore_ascii_case(self.default) {
            return Err(ConfigError::Fixed { name: self.name, default: self.default });
        }
        if valid {
            return Ok(());
        }
        Err(ConfigError::Invalid {
            name: self.name,
            value: value.to_owned(),
            expected: self.kind.to_string(),
        })
    }

    /// The line of `table` that has this name.
    ///
    /// # Errors
    /// [`ConfigError::Unknown`] with the nearest name that the table has.
    pub fn find(table: &'static [ConfigDef], name: &str) -> Result<&'static ConfigDef, ConfigError> {
        table.iter().find(|def| def.name == name).ok_or_else(|| ConfigError::Unknown {
            name: name.to_owned(),
            nearest: nearest(name, table.iter().map(|def| def.name)),
        })
    }
}

/// The end of a message that suggests a name.
pub(crate) fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

/// Whether these are log directories that can be used beside each other.
fn are_log_dirs(text: &str) -> bool {
    let dirs: Vec<&str> = text.split(',').map(str::trim).collect();
    let is_folder = |dir: &str| {
        dir.strip_prefix('/').is_some_and(|name| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !name.is_empty() && name.len() <= 255 && name.bytes().all(plain) && name != "." && name != ".."
        })
    };
    let differs = |(i, dir): (usize, &&str)| !dirs[..i].contains(dir);
    dirs == ["/"] || (dirs.iter().all(|dir| is_folder(dir)) && dirs.iter().enumerate().all(differs))
}

/// Reads a decimal fraction from 0 to 1, such as `0.5`, in millionths (digits beyond those do not count); `None` if it is not
/// one. What decides is a whole number on every machine.
pub fn parse_ratio(text: &str) -> Option<u32> {
    const ONE: u32 = 1_000_000;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole: u32 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let millionths = fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
    let fraction = millionths.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    whole.checked_mul(ONE)?.checked_add(fraction).filter(|ratio| *ratio <= ONE)
}

impl fmt::Display for ConfigKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigKind::Bool => f.write_str("true or false"),
            ConfigKind::Int(min, i32::MAX) => write!(f, "a 32-bit number of at least {min}"),
            ConfigKind::Int(min, max) => write!(f, "a number from {min} to {max}"),
            ConfigKind::Long(min, i64::MAX) => write!(f, "a 64-bit number of at least {min}"),
            ConfigKind::Long(min, max) => write!(f, "a number from {min} to {max}"),
            ConfigKind::Ratio => f.write_str("a decimal number from 0 to 1"),
            ConfigKind::OneOf(["", word]) => write!(f, "{word}, or nothing"),
            ConfigKind::OneOf(words) => write!(f, "one of {}", words.join(", ")),
            ConfigKind::ListOf(words) => write!(f, "a list of {}", words.join(", ")),
            ConfigKind::SubsetOf(words) => write!(f, "a list of {}, or nothing", words.join(", ")),
            ConfigKind::Replicas => {
                f.write_str("a list of replicas by partition and broker, as in 0:1,1:2, or *, or none")
            }
            ConfigKind::Double => f.write_str("a decimal number above 0"),
            ConfigKind::Words => f.write_str("a list"),
            ConfigKind::Selectors(words) => {
                write!(f, "a list of regular expressions, as in name=expression, of {}", words.join(", "))
            }
            ConfigKind::LogDirs => f.write_str(
                "/ for all of the disk, or a list of different folders directly in it, as in /a,/b",
            ),
            ConfigKind::Users => f.write_str(
                "users, separated by semicolons, as in User:alice;User:CN=bob,O=example, or nothing",
            ),
            ConfigKind::Text => f.write_str("text"),
        }
    }
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
impl FromConfig for Vec<String> {
    fn from_config(text: &str) -> Vec<String> {
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }
}
impl FromConfig for String {
    fn from_config(text: &str) -> String {
        text.trim().to_owned()
    }
}
/// From milliseconds, 0 and up.
impl FromConfig for Span {
    fn from_config(text: &str) -> Span {
        Span::from_millis(1).times(text.trim().parse().expect(VALIDATED))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        BROKER_CONFIGS, CLIENT_METRICS_CONFIGS, FIXED_BROKER_CONFIGS, FIXED_TOPIC_CONFIGS,
        KEPT_BROKER_CONFIGS, TOPIC_CONFIGS,
    };
    use super::*;

    #[test]
    fn every_default_is_valid_and_every_link_leads_somewhere() {
        let others = [CLIENT_METRICS_CONFIGS, FIXED_BROKER_CONFIGS, FIXED_TOPIC_CONFIGS, KEPT_BROKER_CONFIGS];
        for def in TOPIC_CONFIGS.iter().chain(BROKER_CONFIGS).chain(others.into_iter().flatten()) {
            assert_eq!(def.validate(def.default), Ok(()));
            if let ConfigLink::Broker(name) = def.link {
                let broker = ConfigDef::find(BROKER_CONFIGS, name).unwrap();
                assert_eq!((broker.kind, broker.default), (def.kind, def.default), "{name}");
                assert_eq!(broker.link, ConfigLink::Dynamic, "{name}");
            }
        }
        for table in [TOPIC_CONFIGS, BROKER_CONFIGS].into_iter().chain(others) {
            assert!(table.is_sorted_by(|a, b| a.name < b.name));
        }
    }

    #[test]
    fn errors_name_key_value_and_remedy() {
        let message = |name, value| {
            let error = ConfigDef::find(TOPIC_CONFIGS, name).and_then(|def| def.validate(value)).unwrap_err();
            error.to_string()
        };
        assert_eq!(
            message("min.insync.replica", "2"),
            "unknown config min.insync.replica; did you mean min.insync.replicas?"
        );
        assert_eq!(message("colour", "red"), "unknown config colour");
        assert_eq!(
            message("min.insync.replicas", "0"),
            "config min.insync.replicas: invalid value \"0\": must be a 32-bit number of at least 1"
        );
        assert_eq!(
            message("cleanup.policy", "delete,shred"),
            "config cleanup.policy: invalid value \"delete,shred\": must be a list of compact, delete"
        );
        assert_eq!(
            message("compression.type", "none"),
            "config compression.type: invalid value \"none\": must be one of gzip, lz4, producer, snappy, uncompressed, zstd"
        );
        assert_eq!(
            message("min.cleanable.dirty.ratio", "1.5"),
            "config min.cleanable.dirty.ratio: invalid value \"1.5\": must be a decimal number from 0 to 1"
        );
        assert_eq!(
            message("message.timestamp.type", "createtime"),
            "config message.timestamp.type: invalid value \"createtime\": must be one of CreateTime, LogAppendTime"
        );
        assert_eq!(
            message("unclean.leader.election.enable", "yes"),
            "config unclean.leader.election.enable: invalid value \"yes\": must be true or false"
        );
    }

    #[test]
    fn log_directories_are_folders_of_the_disk() {
        let def = ConfigDef::find(BROKER_CONFIGS, "log.dirs").unwrap();
        for text in ["/", " /a ", "/a,/b", "/data-1, /data-2 ,/data.3"] {
            assert_eq!(def.validate(text), Ok(()), "{text}");
        }
        for text in ["", "a", "/a,", "/,/a", "/a,/a", "/a/b", "/..", "/a b"] {
            assert!(def.validate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn super_users_say_that_they_are_users() {
        let check =
            |value| ConfigDef::find(BROKER_CONFIGS, "super.users").and_then(|def| def.validate(value));
        for good in ["", "User:admin", " User:admin ; User:CN=root,O=example;"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for wrong in ["admin", "User:", "User:admin,admin;bob", "Group:ops"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        let authorizer = ConfigDef::find(BROKER_CONFIGS, "authorizer.class.name").unwrap();
        assert_eq!(
            authorizer.kind.to_string(),
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer, or nothing"
        );
    }

    #[test]
    fn ratios_are_read_in_millionths() {
        let read = ["0", "1", "0.5", ".25", "1.", "0.000001", "0.0000019", "1.000000"].map(parse_ratio);
        assert_eq!(read.map(Option::unwrap), [0, 1_000_000, 500_000, 250_000, 1_000_000, 1, 1, 1_000_000]);
        for text in ["", ".", "-0.5", "1.000001", "2", "0,5", "5e-1", "4295.0", "+1"] {
            assert_eq!(parse_ratio(text), None, "{text}");
        }
    }
}
