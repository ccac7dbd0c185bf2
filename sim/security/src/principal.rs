//! Who somebody is.

use std::fmt;

use trial_wire::StrBytes;

/// Who somebody is (`KafkaPrincipal`): a type and a name, written `User:alice`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KafkaPrincipal {
    text: StrBytes,
}

impl KafkaPrincipal {
    /// The type of all principals that authentication yields.
    pub const USER: &'static str = "User";

    /// The user of that name.
    pub fn user(name: &str) -> KafkaPrincipal {
        KafkaPrincipal { text: StrBytes::from_string(format!("{}:{name}", KafkaPrincipal::USER)) }
    }

    /// Who did not say who they are: clients of listeners without authentication.
    pub fn anonymous() -> KafkaPrincipal {
        KafkaPrincipal { text: StrBytes::from_static_str("User:ANONYMOUS") }
    }

    /// A principal from its text; `None` unless it is a type, a colon, and a name.
    pub fn parse(text: &StrBytes) -> Option<KafkaPrincipal> {
        let (kind, name) = text.split_once(':')?;
        (!kind.is_empty() && !name.is_empty()).then(|| KafkaPrincipal { text: text.clone() })
    }

    /// As it is written: type, colon, name.
    pub fn text(&self) -> &StrBytes {
        &self.text
    }
}

impl fmt::Display for KafkaPrincipal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_is_a_type_and_a_name() {
        let parse = |text: &str| KafkaPrincipal::parse(&StrBytes::from(text.to_owned()));
        assert_eq!(parse("User:alice"), Some(KafkaPrincipal::user("alice")));
        assert_eq!(parse("User:CN=a:b").map(|who| who.to_string()).as_deref(), Some("User:CN=a:b"));
        for wrong in ["alice", ":alice", "User:", ""] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
