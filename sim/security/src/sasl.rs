//! SASL mechanisms (RFC 4422), token by token.

use bytes::Bytes;
use trial_wire::StrBytes;

use crate::scram::{ScramClient, ScramServer};
use crate::{KafkaPrincipal, ScramCredential, ScramMechanism};

/// How somebody proves who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SaslMechanism {
    /// The password as it is (RFC 4616).
    Plain,
    /// Knowledge of the password, without giving it away (RFC 5802).
    Scram(ScramMechanism),
    /// What a layer below has found out (RFC 4422, appendix A): the certificate of a TLS client. Only on the listener that is
    /// behind TLS.
    External,
}

impl SaslMechanism {
    /// Every mechanism, with its name.
    pub const ALL: [(&'static str, SaslMechanism); 4] = [
        ("PLAIN", SaslMechanism::Plain),
        ("SCRAM-SHA-256", SaslMechanism::Scram(ScramMechanism::Sha256)),
        ("SCRAM-SHA-512", SaslMechanism::Scram(ScramMechanism::Sha512)),
        ("EXTERNAL", SaslMechanism::External),
    ];

    /// The mechanism of this name.
    pub fn named(name: &str) -> Option<SaslMechanism> {
        SaslMechanism::ALL.iter().find(|(other, _)| *other == name).map(|(_, mechanism)| *mechanism)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        let named = SaslMechanism::ALL.iter().find(|(_, mechanism)| *mechanism == self);
        named.expect("every mechanism has a name").0
    }
}

/// What a server knows of its users.
pub trait Credentials {
    /// A user's password for PLAIN.
    fn password(&self, user: &str) -> Option<&str>;
    /// What is kept of a user's password for SCRAM.
    fn scram(&self, mechanism: ScramMechanism, user: &str) -> Option<&ScramCredential>;
}

/// Why somebody is not let in. The texts are Kafka's, which clients show to people; none of them tells whether a user exists.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The credentials are wrong, or what was said makes no sense.
    #[error("invalid credentials")]
    Credentials,
    /// PLAIN: no such user, or another password.
    #[error("Authentication failed: Invalid username or password")]
    Password,
    /// PLAIN: no name.
    #[error("Authentication failed: username not specified")]
    NoUsername,
    /// PLAIN: no password.
    #[error("Authentication failed: password not specified")]
    NoPassword,
    /// Somebody wants to act as somebody else.
    #[error("Authentication failed: Client requested an authorization id that is different from username")]
    Impersonation,
}

/// How far an authentication has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The client is to hear this, and to go on.
    Continue(Bytes),
    /// It is over; the client is to hear this.
    Done {
        /// The last token.
        token: Bytes,
        /// Who the client is.
        principal: KafkaPrincipal,
    },
}

/// A server's end of an authentication.
#[derive(Clone, Debug)]
pub enum SaslServer {
    /// PLAIN.
    Plain,
    /// SCRAM.
    Scram(Box<ScramServer>),
    /// EXTERNAL.
    External,
}

impl SaslServer {
    /// The beginning of an authentication. `nonce` as for [`ScramServer::new`]; only SCRAM calls it.
    pub fn new(mechanism: SaslMechanism, nonce: impl FnOnce() -> String) -> SaslServer {
        match mechanism {
            SaslMechanism::Plain => SaslServer::Plain,
            SaslMechanism::Scram(scram) => SaslServer::Scram(Box::new(ScramServer::new(scram, nonce()))),
            SaslMechanism::External => SaslServer::External,
        }
    }

    /// Takes the client's next token.
    ///
    /// # Errors
    /// [`Refusal`]: the authentication is over.
    pub fn step(&mut self, token: &[u8], credentials: &dyn Credentials) -> Result<Step, Refusal> {
        match self {
            SaslServer::Plain => plain(token, credentials),
            SaslServer::Scram(server) => {
                let mechanism = server.mechanism();
                server.step(token, |user| credentials.scram(mechanism, user).cloned())
            }
            SaslServer::External => external(token),
        }
    }
}

/// On whose behalf, who, and the password, with zero bytes between.
fn plain(token: &[u8], credentials: &dyn Credentials) -> Result<Step, Refusal> {
    let text = std::str::from_utf8(token).map_err(|_| Refusal::Credentials)?;
    let parts: Vec<&str> = text.split('\0').collect();
    let [authorization_id, username, password] = parts[..] else { return Err(Refusal::Credentials) };
    if username.is_empty() {
        return Err(Refusal::NoUsername);
    }
    if password.is_empty() {
        return Err(Refusal::NoPassword);
    }
    if credentials.password(username) != Some(password) {
        return Err(Refusal::Password);
    }
    if !authorization_id.is_empty() && authorization_id != username {
        return Err(Refusal::Impersonation);
    }
    Ok(Step::Done { token: Bytes::new(), principal: KafkaPrincipal::user(username) })
}

fn external(token: &[u8]) -> Result<Step, Refusal> {
    let name = std::str::from_utf8(token).map_err(|_| Refusal::Credentials)?;
    let text = StrBytes::from_string(format!("{}:{name}", KafkaPrincipal::USER));
    let principal = KafkaPrincipal::parse(&text).ok_or(Refusal::Credentials)?;
    Ok(Step::Done { token: Bytes::new(), principal })
}

/// A client's end of an authentication.
#[derive(Clone, Debug)]
pub enum SaslClient {
    /// PLAIN, with the only token.
    Plain(Bytes),
    /// SCRAM.
    Scram(ScramClient),
}

impl SaslClient {
    /// The beginning of an authentication. `nonce` as for [`ScramClient::new`]; only SCRAM calls it. `None` if clients do not
    /// speak the mechanism.
    pub fn new(
        mechanism: SaslMechanism,
        username: &str,
        password: &str,
        nonce: impl FnOnce() -> String,
    ) -> Option<SaslClient> {
        match mechanism {
            SaslMechanism::Plain => Some(SaslClient::Plain(Bytes::from(format!("\0{username}\0{password}")))),
            SaslMechanism::Scram(scram) => {
                Some(SaslClient::Scram(ScramClient::new(scram, username, password, nonce())))
            }
            SaslMechanism::External => None,
        }
    }

    /// The first token.
    pub fn first(&self) -> Bytes {
        match self {
            SaslClient::Plain(token) => token.clone(),
            SaslClient::Scram(client) => client.first(),
        }
    }

    /// Takes the server's next token. Gives the answer to it, or nothing when the authentication is over.
    ///
    /// # Errors
    /// What is wrong with the server's token.
    pub fn step(&mut self, token: &[u8]) -> Result<Option<Bytes>, &'static str> {
        match self {
            SaslClient::Plain(_) => Ok(None),
            SaslClient::Scram(client) => client.step(token),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Alice;

    impl Credentials for Alice {
        fn password(&self, user: &str) -> Option<&str> {
            (user == "alice").then_some("secret")
        }

        fn scram(&self, _: ScramMechanism, _: &str) -> Option<&ScramCredential> {
            None
        }
    }

    fn plain(token: &str) -> Result<Step, Refusal> {
        SaslServer::new(SaslMechanism::Plain, String::new).step(token.as_bytes(), &Alice)
    }

    #[test]
    fn plain_lets_in_who_knows_the_password() {
        let client = SaslClient::new(SaslMechanism::Plain, "alice", "secret", String::new);
        let mut client = client.expect("clients speak it");
        let token = String::from_utf8(client.first().to_vec()).expect("it is text");
        let alice = Step::Done { token: Bytes::new(), principal: KafkaPrincipal::user("alice") };
        assert_eq!(plain(&token), Ok(alice.clone()));
        assert_eq!(client.step(b""), Ok(None));
        assert_eq!(plain("alice\0alice\0secret"), Ok(alice));
    }

    #[test]
    fn plain_refuses_everybody_else() {
        assert_eq!(plain("\0alice\0Secret"), Err(Refusal::Password));
        assert_eq!(plain("\0bob\0secret"), Err(Refusal::Password));
        assert_eq!(plain("bob\0alice\0secret"), Err(Refusal::Impersonation));
        assert_eq!(plain("\0\0secret"), Err(Refusal::NoUsername));
        assert_eq!(plain("\0alice\0"), Err(Refusal::NoPassword));
        assert_eq!(plain("alice secret"), Err(Refusal::Credentials));
        assert_eq!(plain("\0alice\0secret\0"), Err(Refusal::Credentials));
    }

    #[test]
    fn names_lead_to_mechanisms() {
        for (name, mechanism) in SaslMechanism::ALL {
            assert_eq!((SaslMechanism::named(name), mechanism.name()), (Some(mechanism), name));
        }
        assert_eq!(SaslMechanism::named("GSSAPI"), None);
    }
}
