//! The server's end.

use bytes::Bytes;

use super::message::{ClientFinal, ClientFirst};
use super::{MIN_ITERATIONS, ScramCredential, ScramMechanism, base64, xor};
use crate::{KafkaPrincipal, Refusal, Step};

/// A server's end of one exchange: takes the client's two messages, answers each.
#[derive(Clone, Debug)]
pub struct ScramServer {
    mechanism: ScramMechanism,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// Waits for the client's first message; has the part of the nonce that is the server's.
    First { nonce: String },
    /// Waits for the client's proof.
    Final {
        username: String,
        credential: ScramCredential,
        gs2_header: String,
        nonce: String,
        /// What both have said, up to the proof.
        said: String,
    },
    /// It is over.
    Done,
}

impl ScramServer {
    /// The beginning of an exchange. `nonce` is the server's part of it: printable, without commas, never used before.
    pub fn new(mechanism: ScramMechanism, nonce: String) -> ScramServer {
        ScramServer { mechanism, state: State::First { nonce } }
    }

    /// Which variant is spoken.
    pub fn mechanism(&self) -> ScramMechanism {
        self.mechanism
    }

    /// Takes the client's next message. `credential_of` finds what is known of a user.
    ///
    /// # Errors
    /// [`Refusal`]: the exchange is over, the client is not who it says.
    pub fn step(
        &mut self,
        message: &[u8],
        credential_of: impl FnOnce(&str) -> Option<ScramCredential>,
    ) -> Result<Step, Refusal> {
        let text = std::str::from_utf8(message).map_err(|_| Refusal::Credentials)?;
        match std::mem::replace(&mut self.state, State::Done) {
            State::First { nonce } => self.first(text, &nonce, credential_of),
            State::Final { username, credential, gs2_header, nonce, said } => {
                self.last(text, &username, &credential, &gs2_header, &nonce, &said)
            }
            State::Done => Err(Refusal::Credentials),
        }
    }

    fn first(
        &mut self,
        text: &str,
        nonce: &str,
        credential_of: impl FnOnce(&str) -> Option<ScramCredential>,
    ) -> Result<Step, Refusal> {
        let first = ClientFirst::parse(text).ok_or(Refusal::Credentials)?;
        if first.authorization_id.as_ref().is_some_and(|id| *id != first.username) {
            return Err(Refusal::Impersonation);
        }
        let credential = credential_of(&first.username).ok_or(Refusal::Credentials)?;
        if credential.iterations < MIN_ITERATIONS {
            return Err(Refusal::Credentials);
        }
        let nonce = format!("{}{nonce}", first.nonce);
        let answer = format!("r={nonce},s={},i={}", base64(&credential.salt), credential.iterations);
        self.state = State::Final {
            said: format!("{},{answer}", first.bare),
            username: first.username,
            credential,
            gs2_header: first.gs2_header.to_owned(),
            nonce,
        };
        Ok(Step::Continue(Bytes::from(answer)))
    }

    fn last(
        &self,
        text: &str,
        username: &str,
        credential: &ScramCredential,
        gs2_header: &str,
        nonce: &str,
        said: &str,
    ) -> Result<Step, Refusal> {
        let last = ClientFinal::parse(text).ok_or(Refusal::Credentials)?;
        let mechanism = self.mechanism;
        let auth_message = format!("{said},{}", last.without_proof);
        let signature = mechanism.hmac(&credential.stored_key, auth_message.as_bytes());
        let proves = last.proof.len() == signature.len()
            && mechanism.hash(&xor(&last.proof, &signature)) == credential.stored_key;
        if last.nonce != nonce || last.channel_binding != gs2_header.as_bytes() || !proves {
            return Err(Refusal::Credentials);
        }
        let own = mechanism.hmac(&credential.server_key, auth_message.as_bytes());
        let token = Bytes::from(format!("v={}", base64(&own)));
        Ok(Step::Done { token, principal: KafkaPrincipal::user(username) })
    }
}
