//! Text from outside made safe for HTML.

use std::fmt::{self, Write};

/// Text that is displayed with everything escaped that means something in HTML, in text and in quoted attributes alike.
#[derive(Clone, Copy)]
pub(crate) struct Escaped<'a>(&'a str);

/// Text from outside, to be put into a page.
pub(crate) fn esc(text: &str) -> Escaped<'_> {
    Escaped(text)
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // HTML has no way to write these; a parser would complain.
                c if c.is_control() && !matches!(c, '\n' | '\t') => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// At most `max` characters of a text, with an ellipsis where it is cut.
pub(crate) fn shortened(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_is_markup() {
        assert_eq!(
            esc("<a href=\"x\">'&\u{0}\n").to_string(),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;\u{fffd}\n"
        );
    }

    #[test]
    fn a_cut_text_says_so() {
        assert_eq!(shortened("orders", 6), "orders");
        assert_eq!(shortened("öräers", 4), "örä…");
    }
}
