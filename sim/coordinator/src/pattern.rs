//! Regular expressions that clients send.

use regex::{Regex, RegexBuilder};

/// How much memory a compiled expression may take, in bytes.
const SIZE_MAX: usize = 1 << 20;

/// A pattern that matches whole names. Kafka's expressions are RE2's, which this is made after; it takes time in proportion to a
/// name's length, and a limited amount of memory.
///
/// # Errors
/// What is wrong with the pattern, or that it would become too large.
pub(crate) fn whole(pattern: &str) -> Result<Regex, regex::Error> {
    let build = |pattern: &str| RegexBuilder::new(pattern).size_limit(SIZE_MAX).build();
    // By itself first: `a)(b` makes sense only within the group that is put around it.
    build(pattern)?;
    build(&format!(r"\A(?:{pattern})\z"))
}

/// What is wrong, in one line and without the pattern.
pub(crate) fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_about_whole_names() {
        let pattern = whole("orders|refunds-.*").unwrap();
        assert!(pattern.is_match("orders") && pattern.is_match("refunds-eu"));
        assert!(!pattern.is_match("orders-eu") && !pattern.is_match("my-orders"));
    }

    #[test]
    fn what_is_no_pattern_is_told_in_a_line() {
        let why = |pattern: &str| reason(&whole(pattern).unwrap_err());
        assert_eq!(why("(unclosed"), "unclosed group");
        assert_eq!(why("a)(b"), "unopened group");
        assert_eq!(why("(a)\\1"), "backreferences are not supported");
        assert_eq!(why(r"(\w{100}){100}"), "Compiled regex exceeds size limit of 1048576 bytes");
    }
}
