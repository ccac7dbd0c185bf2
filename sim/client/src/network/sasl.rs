//! How a client logs in (KIP-43, KIP-152), and does so again before its session ends (KIP-368).

use bytes::Bytes;
use trial_node::{OpenError, Rng, Span};
use trial_security::{JaasConfig, SaslClient, SaslMechanism};
use trial_wire::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use trial_wire::{ApiKey, RequestKind, StrBytes};

use crate::properties::{Properties, invalid};

/// Who a client logs in as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    mechanism: SaslMechanism,
    jaas: JaasConfig,
}

impl Login {
    /// Reads `security.protocol`, `sasl.mechanism` and `sasl.jaas.config`; `None` for a client that does not log in.
    ///
    /// # Errors
    /// [`OpenError::Config`] that says what is wrong or missing.
    pub fn read(properties: &mut Properties<'_>) -> Result<Option<Login>, OpenError> {
        let mut authenticates = false;
        let protocols = [("PLAINTEXT", false), ("SASL_PLAINTEXT", true)];
        properties.choice("security.protocol", &protocols, &mut authenticates)?;
        let mechanism = properties.text("sasl.mechanism");
        let jaas = properties.text("sasl.jaas.config");
        if !authenticates {
            let given = [("sasl.mechanism", mechanism), ("sasl.jaas.config", jaas)];
            return match given.into_iter().find(|(_, given)| given.is_some()) {
                None => Ok(None),
                Some((name, _)) => Err(invalid(name, "needs security.protocol = SASL_PLAINTEXT".to_owned())),
            };
        }
        let names = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512";
        let named = mechanism.and_then(SaslMechanism::named);
        let Some(mechanism) = named.filter(|mechanism| *mechanism != SaslMechanism::External) else {
            let what = match mechanism {
                Some(given) => format!("{given:?} is none of {names}"),
                None => format!("missing: one of {names}"),
            };
            return Err(invalid("sasl.mechanism", what));
        };
        match JaasConfig::parse(jaas.unwrap_or_default()) {
            Ok(jaas) => Ok(Some(Login { mechanism, jaas })),
            Err(error) => Err(invalid("sasl.jaas.config", error.to_string())),
        }
    }
}

/// A client's end of logging in on one connection.
#[derive(Clone, Debug)]
pub(super) struct Dialogue {
    mechanism: SaslMechanism,
    client: SaslClient,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    /// This request.
    Send(Box<RequestKind>),
    /// Nothing: the client is logged in, and should be again after this time, if any.
    Done(Option<Span>),
    /// Nothing: it is not let in, for this reason.
    Failed(String),
}

impl Dialogue {
    /// The beginning, and the first request.
    pub fn begin(login: &Login, rng: &mut Rng) -> (Dialogue, RequestKind) {
        let Login { mechanism, jaas } = login;
        let nonce = || {
            let mut bytes = [0; 16];
            rng.fill(&mut bytes);
            format!("{:032x}", u128::from_be_bytes(bytes))
        };
        let client = SaslClient::new(*mechanism, &jaas.username, &jaas.password, nonce);
        let client = client.expect("only such mechanisms can be chosen");
        let name = StrBytes::from_static_str(mechanism.name());
        let first = SaslHandshakeRequest::default().with_mechanism(name);
        (Dialogue { mechanism: *mechanism, client }, first.into())
    }

    /// The API of every request after the first.
    pub const NEXT_API: ApiKey = ApiKey::SaslAuthenticate;

    /// The broker has answered the first request.
    pub fn shaken(&self, response: &SaslHandshakeResponse) -> Next {
        if response.error_code != 0 {
            let offered: Vec<&str> = response.mechanisms.iter().map(|name| name.as_str()).collect();
            let (name, offered) = (self.mechanism.name(), offered.join(", "));
            return Next::Failed(format!("no login with {name}; the broker offers {offered}"));
        }
        Next::Send(Box::new(authenticate(self.client.first())))
    }

    /// The broker has answered another.
    pub fn answered(&mut self, response: &SaslAuthenticateResponse, rng: &mut Rng) -> Next {
        if response.error_code != 0 {
            return Next::Failed(response.error_message.as_ref().map_or_else(String::new, |m| m.to_string()));
        }
        match self.client.step(&response.auth_bytes) {
            Ok(Some(token)) => Next::Send(Box::new(authenticate(token))),
            Ok(None) => Next::Done(reauthentication(response.session_lifetime_ms, rng)),
            Err(what) => Next::Failed(what.to_owned()),
        }
    }
}

fn authenticate(token: Bytes) -> RequestKind {
    SaslAuthenticateRequest::default().with_auth_bytes(token).into()
}

/// After how much of a session a client logs in again: 85 to 95 percent, by chance, so that not all do at once.
fn reauthentication(session_lifetime_ms: i64, rng: &mut Rng) -> Option<Span> {
    let lifetime = u64::try_from(session_lifetime_ms).ok().filter(|lifetime| *lifetime > 0)?;
    let permille = 850 + rng.below(101);
    Some(Span::from_micros(lifetime.saturating_mul(permille)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(given: &[(&str, &str)]) -> Result<Option<Login>, String> {
        let given: BTreeMap<_, _> = given.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Login::read(&mut Properties::new(&given)).map_err(|error| error.to_string())
    }

    const SASL: (&str, &str) = ("security.protocol", "SASL_PLAINTEXT");
    const PLAIN: (&str, &str) = ("sasl.mechanism", "PLAIN");
    const ALICE: (&str, &str) = ("sasl.jaas.config", "PlainLoginModule required username=alice password=x;");

    #[test]
    fn a_login_is_whole_or_refused() {
        assert_eq!(read(&[]), Ok(None));
        assert!(read(&[SASL, PLAIN, ALICE]).is_ok_and(|login| login.is_some()));
        let error = |given: &[_]| read(given).unwrap_err();
        assert_eq!(error(&[PLAIN]), "config sasl.mechanism: needs security.protocol = SASL_PLAINTEXT");
        assert_eq!(
            error(&[SASL, ALICE]),
            "config sasl.mechanism: missing: one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"
        );
        assert_eq!(
            error(&[SASL, ("sasl.mechanism", "EXTERNAL"), ALICE]),
            "config sasl.mechanism: \"EXTERNAL\" is none of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"
        );
        assert!(error(&[SASL, PLAIN]).starts_with("config sasl.jaas.config: write it as: "));
        assert!(error(&[("security.protocol", "SSL")]).contains("none of PLAINTEXT, SASL_PLAINTEXT"));
    }

    #[test]
    fn a_client_logs_in_again_shortly_before_its_session_ends() {
        let mut rng = Rng::named(1, "test");
        assert_eq!(reauthentication(0, &mut rng), None);
        for _ in 0..100 {
            let after = reauthentication(60_000, &mut rng).expect("sessions end");
            assert!((Span::from_millis(51_000)..=Span::from_millis(57_000)).contains(&after), "{after:?}");
        }
    }
}
