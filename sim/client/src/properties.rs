//! Reading configs by the names that Kafka gives them.

use std::collections::BTreeMap;
use std::str::FromStr;

use trial_node::{OpenError, Span};

/// A map of configs that is being read. Every name that is asked for counts as valid; [`Properties::finish`] refuses the
/// others.
#[derive(Debug)]
pub struct Properties<'a> {
    given: &'a BTreeMap<String, String>,
    known: Vec<&'static str>,
}

impl<'a> Properties<'a> {
    /// Begins to read `given`.
    pub fn new(given: &'a BTreeMap<String, String>) -> Properties<'a> {
        Properties { given, known: Vec::new() }
    }

    /// The value of `name`, if one is given.
    pub fn text(&mut self, name: &'static str) -> Option<&'a str> {
        self.known.push(name);
        self.given.get(name).map(String::as_str)
    }

    /// Replaces `value` by the number that is given for `name`, if any; it must lie in `low..=high`.
    ///
    /// # Errors
    /// [`OpenError::Config`] if it is no number or out of range.
    pub fn number<T>(&mut self, name: &'static str, low: T, high: T, value: &mut T) -> Result<(), OpenError>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.text(name) else { return Ok(()) };
        match text.parse::<T>() {
            Ok(number) if low <= number && number <= high => *value = number,
            _ => return Err(invalid(name, format!("{text:?} is not a whole number from {low} to {high}"))),
        }
        Ok(())
    }

    /// Replaces `span` by the milliseconds that are given for `name`, if any; −1 and less are refused.
    ///
    /// # Errors
    /// As [`Properties::number`].
    pub fn millis(&mut self, name: &'static str, span: &mut Span) -> Result<(), OpenError> {
        let mut millis = span.as_millis();
        self.number(name, 0, i32::MAX as u64, &mut millis)?;
        *span = Span::from_millis(millis);
        Ok(())
    }

    /// Replaces `flag` by what is given for `name`, if anything.
    ///
    /// # Errors
    /// [`OpenError::Config`] unless it is `true` or `false`.
    pub fn flag(&mut self, name: &'static str, flag: &mut bool) -> Result<(), OpenError> {
        match self.text(name) {
            None => {}
            Some("true") => *flag = true,
            Some("false") => *flag = false,
            Some(other) => return Err(invalid(name, format!("{other:?} is neither true nor false"))),
        }
        Ok(())
    }

    /// Replaces `choice` by the one of `choices` that is given for `name`, if any.
    ///
    /// # Errors
    /// [`OpenError::Config`] that names the choices.
    pub fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
        choice: &mut T,
    ) -> Result<(), OpenError> {
        let Some(text) = self.text(name) else { return Ok(()) };
        match choices.iter().find(|(name, _)| *name == text) {
            Some((_, value)) => *choice = *value,
            None => {
                let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
                return Err(invalid(name, format!("{text:?} is none of {}", names.join(", "))));
            }
        }
        Ok(())
    }

    /// Refuses names that nobody asked for.
    ///
    /// # Errors
    /// [`OpenError::Config`], with the valid name that was probably meant.
    pub fn finish(self) -> Result<(), OpenError> {
        match self.given.keys().find(|name| !self.known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let nearest = trial_node::nearest(name, self.known.iter().copied());
                let nearest = nearest.map_or(String::new(), |nearest| format!("; did you mean {nearest}?"));
                Err(invalid(name, format!("no such client config{nearest}")))
            }
        }
    }
}

/// The error for a config that makes no sense.
pub fn invalid(key: &str, what: String) -> OpenError {
    OpenError::Config { key: key.to_owned(), what }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    #[test]
    fn unknown_name_is_refused_with_the_nearest_one() {
        let given = map(&[("linger.msec", "5")]);
        let mut properties = Properties::new(&given);
        let (mut linger, mut size) = (Span::ZERO, 0u64);
        properties.millis("linger.ms", &mut linger).unwrap();
        properties.number("batch.size", 0, 10, &mut size).unwrap();
        let error = properties.finish().unwrap_err();
        assert_eq!(error.to_string(), "config linger.msec: no such client config; did you mean linger.ms?");
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let given = map(&[("retries", "-1"), ("acks", "2"), ("check.crcs", "yes")]);
        let mut properties = Properties::new(&given);
        let mut retries = 3;
        let error = properties.number("retries", 0, 9, &mut retries).unwrap_err();
        assert_eq!(error.to_string(), r#"config retries: "-1" is not a whole number from 0 to 9"#);
        assert_eq!(retries, 3);
        let mut acks = -1;
        let error = properties.choice("acks", &[("all", -1), ("0", 0)], &mut acks).unwrap_err();
        assert_eq!(error.to_string(), r#"config acks: "2" is none of all, 0"#);
        let mut check = true;
        let error = properties.flag("check.crcs", &mut check).unwrap_err();
        assert_eq!(error.to_string(), r#"config check.crcs: "yes" is neither true nor false"#);
    }
}
