//! Kafka's checkpoint files: a version, a count, and so many lines of words.

use std::fmt::Write;

/// The only version there is.
const VERSION: &str = "0";

/// Writes a checkpoint of `lines`.
pub(crate) fn encode(lines: impl Iterator<Item = impl std::fmt::Display>) -> String {
    let mut body = String::new();
    let mut count = 0;
    for line in lines {
        writeln!(body, "{line}").expect("writing to a string does not fail");
        count += 1;
    }
    format!("{VERSION}\n{count}\n{body}")
}

/// Reads a checkpoint; each line must be what `parse` makes of it.
pub(crate) fn decode<T>(bytes: &[u8], mut parse: impl FnMut(&str) -> Option<T>) -> Result<Vec<T>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not text".to_owned())?;
    let mut lines = text.lines();
    match lines.next() {
        Some(VERSION) => {}
        Some(version) => return Err(format!("version {version:?}, expected {VERSION}")),
        None => return Err("empty".to_owned()),
    }
    let count: usize =
        lines.next().and_then(|line| line.parse().ok()).ok_or("the second line is not a count")?;
    let mut entries = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        entries.push(parse(line).ok_or_else(|| format!("malformed line {line:?}"))?);
    }
    if entries.len() == count {
        Ok(entries)
    } else {
        Err(format!("{count} lines announced, {} found", entries.len()))
    }
}
