//! The text of a scenario: where in it something is wrong, and what, in words for people.

use serde::Deserialize;
use toml::Spanned;
use trial_faults::{FaultEntry, Target};
use trial_node::nearest;

use crate::model::{Scenario, Workload};

/// Reads a scenario's text.
///
/// # Errors
/// Where in the text something is wrong, as an offset, and what.
pub(crate) fn parse(text: &str) -> Result<Scenario, (usize, String)> {
    toml::from_str(text).map_err(|error| {
        if let Some(wrong) = wrong_workload(text) {
            return wrong;
        }
        let offset = error.span().map_or(0, |span| span.start);
        if error.message() == "duplicate key" && table_at(text, offset) {
            let what = "there is one already; each of several is written in double brackets, as in [[topic]]";
            return (offset, what.to_owned());
        }
        let offset = wrong_fault(text, offset).unwrap_or(offset);
        (offset, of_key(key_before(text, offset), explain(error.message())))
    })
}

/// Where the first fault is wrong that makes no sense as a whole: the reader of the whole file only says that one does not, and
/// points to the first of all.
fn wrong_fault(text: &str, offset: usize) -> Option<usize> {
    #[derive(Deserialize)]
    struct Faults {
        #[serde(rename = "fault")]
        list: Vec<Spanned<toml::Table>>,
    }
    let faults: Faults = toml::from_str(text).ok()?;
    if faults.list.first()?.span().start != offset {
        return None;
    }
    let of_fault = |fault: &Spanned<toml::Table>| {
        let (start, table) = (fault.span().start, fault.get_ref());
        let wrong = FaultEntry::<Target>::deserialize(table.clone()).err()?;
        let key = wrong.message().split_once(": ").map(|(key, _)| key).filter(|key| table.contains_key(*key));
        Some(key.map_or(start, |key| place(text, start, key)))
    };
    faults.list.iter().find_map(of_fault)
}

/// Whether the line at `offset` begins a table of its own.
fn table_at(text: &str, offset: usize) -> bool {
    let line = text.get(..offset).and_then(|before| before.rsplit('\n').next()).unwrap_or_default();
    line.trim_start().starts_with('[') || text.get(offset..).is_some_and(|rest| rest.starts_with('['))
}

/// Where a word stands, behind `from`: as the key of a value or the last of a table's name, or else anywhere.
pub(crate) fn place(text: &str, from: usize, word: &str) -> usize {
    let rest = &text[from..];
    let is_key = |at: usize| {
        let line = rest[..at].rsplit('\n').next().unwrap_or_default();
        let behind = rest[at + word.len()..].trim_start_matches(['"', '\'']).trim_start_matches([' ', '\t']);
        if line.starts_with('[') {
            return behind.starts_with(']');
        }
        let begins = !line.ends_with(|c: char| c.is_alphanumeric() || "_-.".contains(c));
        begins && !line.contains('#') && behind.starts_with('=')
    };
    let key = rest.match_indices(word).map(|(at, _)| at).find(|at| !word.is_empty() && is_key(*at));
    from + key.or_else(|| rest.find(word)).unwrap_or(0)
}

/// The first workload that cannot be read, if there is one: where the word is that is wrong, and the message. What a kind of workload
/// does not know is only found once the kind is, and by then the reader of the whole file has forgotten which workload it was.
fn wrong_workload(text: &str) -> Option<(usize, String)> {
    #[derive(Deserialize)]
    struct Workloads {
        #[serde(rename = "workload")]
        list: Vec<Spanned<toml::Table>>,
    }
    let workloads: Workloads = toml::from_str(text).ok()?;
    workloads.list.iter().find_map(|spanned| {
        let message = |table: toml::Table| Some(Workload::deserialize(table).err()?.message().to_owned());
        let (start, table) = (spanned.span().start, spanned.get_ref());
        let wrong = message(table.clone())?;
        // Without its kind nothing is right: that comes last.
        let (kind, others): (Vec<&String>, Vec<&String>) = table.keys().partition(|key| *key == "kind");
        let key = culprit(others.into_iter().chain(kind), &wrong, |key| {
            let mut rest = table.clone();
            rest.remove(key);
            message(rest)
        });
        let unknown = wrong.strip_prefix("unknown ").and_then(|unknown| unknown.split('`').nth(1));
        let offset = place(text, start, unknown.or(key).unwrap_or_default());
        let key = key.filter(|key| unknown != Some(key));
        Some((offset, of_key(key, explain(&wrong))))
    })
}

/// The key whose value is the reason for an error: without it there is none, or another.
pub(crate) fn culprit<'a>(
    keys: impl IntoIterator<Item = &'a String>,
    error: &str,
    error_without: impl Fn(&str) -> Option<String>,
) -> Option<&'a str> {
    keys.into_iter().map(String::as_str).find(|key| error_without(key).is_none_or(|other| other != error))
}

/// The key whose value begins at `offset`.
fn key_before(text: &str, offset: usize) -> Option<&str> {
    let line = text.get(..offset)?.rsplit('\n').next()?;
    let key = line.trim_end().strip_suffix('=')?.trim_end().trim_end_matches(['"', '\'']);
    let key = key.rsplit(|c: char| !(c.is_alphanumeric() || "_-.".contains(c))).next();
    key.filter(|key| !key.is_empty())
}

/// The message, with the key that it is about before it.
pub(crate) fn of_key(key: Option<&str>, message: String) -> String {
    const SEVERAL: &str = "wanted exactly 1 element";
    const RATE: &str = "records per time in quotes, as in \"1000/s\" or \"3/10ms\"";
    match key {
        Some("rate") if message.starts_with("expected text in quotes") => {
            format!("rate: {}", message.replace("text in quotes", RATE))
        }
        Some(key) if message.starts_with(SEVERAL) => {
            let one = if key == "transfer_leadership" {
                "quorum and partition"
            } else {
                "between, around, out_of and into"
            };
            format!("{key}: give exactly one of {one}")
        }
        Some(key) if !message.starts_with(key) => format!("{key}: {message}"),
        _ => message,
    }
}

/// What serde says, in plain words. It lists what it expects after an unknown field; the nearest of them is what was probably meant.
pub(crate) fn explain(message: &str) -> String {
    if message.starts_with("unknown ") {
        let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        let near = quoted.split_first().and_then(|(unknown, valid)| nearest(unknown, valid.iter().copied()));
        return format!("{message}{}", meant(near));
    }
    let mismatch = ["invalid type: ", "invalid value: "].iter().find_map(|kind| message.strip_prefix(kind));
    let Some((found, expected)) = mismatch.and_then(|mismatch| mismatch.split_once(", expected ")) else {
        return message.to_owned();
    };
    let found = match found.split_once(['`', '"']) {
        Some(("string ", text)) => format!("\"{text}"),
        Some((_, value)) => value.trim_end_matches('`').to_owned(),
        None => match found {
            "sequence" => "a list".to_owned(),
            "map" => "a table".to_owned(),
            other => other.to_owned(),
        },
    };
    let expected = match expected {
        "u8" => "a whole number from 0 to 255",
        "i16" => "a whole number from -32768 to 32767",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number, 0 or more",
        "a string" => "text in quotes",
        "a boolean" => "true or false",
        "a sequence" if found == "a table" => "a list, as in [\"one\"], or of tables, as in [[topic]]",
        "a sequence" => "a list, as in [\"one\", \"two\"]",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    };
    format!("expected {expected}; found {found}")
}

/// The end of a message that suggests a name.
pub(crate) fn meant(nearest: Option<&str>) -> String {
    nearest.map_or(String::new(), |name| format!("; did you mean {name:?}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_looked_for_as_a_key_first() {
        let text =
            "# rate = 1\n[[workload]]\ntopic = \"separate\"\nconfig = { \"max.rate\" = 1 }\nrate = \"1/s\"\n";
        assert_eq!(text[place(text, 0, "rate")..].lines().next(), Some("rate = \"1/s\""));
        assert!(text[place(text, 0, "max.rate")..].starts_with("max.rate\" = 1"));
        assert!(text[place(text, 0, "separate")..].starts_with("separate\"\n"));
        let table = "config = { \"super.users\" = \"\" }\n[cluster.users]\nalice = \"secret\"\n";
        assert!(table[place(table, 0, "users")..].starts_with("users]"));
        assert_eq!(place(text, 3, "absent"), 3);
        assert_eq!(place(text, 3, ""), 3);
    }

    #[test]
    fn the_key_of_a_value_is_found_whatever_its_letters() {
        for (text, key) in [
            ("at = ", Some("at")),
            ("config = { \"max.rate\" = ", Some("max.rate")),
            ("users = { \"a→b\" = ", Some("b")),
            ("users = { \"a→\" = ", None),
            ("at ", None),
        ] {
            assert_eq!(key_before(text, text.len()), key, "{text}");
        }
    }

    #[test]
    fn what_serde_says_is_put_plainly() {
        let explained = [
            (
                "invalid type: string \"six\", expected u32",
                "expected a whole number from 0 to 4294967295; found \"six\"",
            ),
            ("invalid value: integer `-1`, expected u64", "expected a whole number, 0 or more; found -1"),
            ("invalid type: floating point `3.5`, expected a string", "expected text in quotes; found 3.5"),
            ("invalid type: map, expected a boolean", "expected true or false; found a table"),
            (
                "unknown field `kil`, expected `kill` or `at`",
                "unknown field `kil`, expected `kill` or `at`; did you mean \"kill\"?",
            ),
            ("missing field `at`", "missing field `at`"),
        ];
        for (message, plain) in explained {
            assert_eq!(explain(message), plain);
        }
    }
}
