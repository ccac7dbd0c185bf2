//! The login text of Kafka's clients, `sasl.jaas.config`: a login module, `required`, and options.

use std::collections::BTreeMap;

/// Who a client is to log in as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JaasConfig {
    /// `username`.
    pub username: String,
    /// `password`.
    pub password: String,
}

/// The text makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JaasError {
    /// It does not have the form of one entry.
    #[error("write it as: <login module> required username=\"<name>\" password=\"<password>\";")]
    Form,
    /// The login module is not one of a mechanism that we have.
    #[error("login module {0:?}: there are PlainLoginModule and ScramLoginModule")]
    Module(String),
    /// An option is missing.
    #[error("option {0} is missing")]
    Missing(&'static str),
}

impl JaasConfig {
    /// Reads `<login module> required username="..." password="...";`.
    ///
    /// # Errors
    /// [`JaasError`].
    pub fn parse(text: &str) -> Result<JaasConfig, JaasError> {
        let entry = text.trim().strip_suffix(';').ok_or(JaasError::Form)?;
        let mut words = words(entry)?.into_iter();
        let module = words.next().ok_or(JaasError::Form)?;
        let known = ["PlainLoginModule", "ScramLoginModule"];
        if !known.contains(&module.rsplit('.').next().unwrap_or_default()) {
            return Err(JaasError::Module(module));
        }
        if words.next().as_deref() != Some("required") {
            return Err(JaasError::Form);
        }
        let mut options = BTreeMap::new();
        for word in words {
            let (name, value) = word.split_once('=').ok_or(JaasError::Form)?;
            options.insert(name.to_owned(), value.to_owned());
        }
        let mut take = |name| options.remove(name).ok_or(JaasError::Missing(name));
        Ok(JaasConfig { username: take("username")?, password: take("password")? })
    }
}

/// Splits at spaces outside of quotes, which fall away; a backslash takes the next character as it is.
fn words(text: &str) -> Result<Vec<String>, JaasError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', Some(_)) => word.get_or_insert_default().push(chars.next().ok_or(JaasError::Form)?),
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if quote.is_some() { Err(JaasError::Form) } else { Ok(words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_found() {
        let parsed = JaasConfig::parse(
            "org.apache.kafka.common.security.scram.ScramLoginModule required\n  username=\"alice\" password='a \"b\"; c';",
        );
        let expected = JaasConfig { username: "alice".to_owned(), password: "a \"b\"; c".to_owned() };
        assert_eq!(parsed, Ok(expected));
        let parsed = JaasConfig::parse(r#"PlainLoginModule required username=bob password="x\"y\\z=";"#);
        assert_eq!(parsed.map(|login| login.password).as_deref(), Ok(r#"x"y\z="#));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let parse = |text| JaasConfig::parse(text).unwrap_err();
        assert_eq!(parse("PlainLoginModule required username=a password=b"), JaasError::Form);
        assert_eq!(parse("PlainLoginModule username=a password=b;"), JaasError::Form);
        assert_eq!(parse("PlainLoginModule required username=\"a;"), JaasError::Form);
        assert_eq!(parse("PlainLoginModule required password=b;"), JaasError::Missing("username"));
        let module = "com.sun.security.auth.module.Krb5LoginModule";
        assert_eq!(parse(&format!("{module} required;")), JaasError::Module(module.to_owned()));
    }
}
