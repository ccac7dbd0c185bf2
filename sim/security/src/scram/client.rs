//! The client's end.

use bytes::Bytes;

use super::message::{GS2_HEADER, ServerFirst, escape};
use super::{MIN_ITERATIONS, ScramMechanism, base64, xor};

/// A client's end of one exchange.
#[derive(Clone, Debug)]
pub struct ScramClient {
    mechanism: ScramMechanism,
    password: String,
    nonce: String,
    /// The client's first message, without its header.
    bare: String,
    /// What the server has to say at the end, once that is known.
    expected: Option<String>,
}

impl ScramClient {
    /// The beginning of an exchange. `nonce` is the client's part of it: printable, without commas, never used before.
    pub fn new(mechanism: ScramMechanism, username: &str, password: &str, nonce: String) -> ScramClient {
        let bare = format!("n={},r={nonce}", escape(username));
        ScramClient { mechanism, password: password.to_owned(), nonce, bare, expected: None }
    }

    /// The first message.
    pub fn first(&self) -> Bytes {
        Bytes::from(format!("{GS2_HEADER}{}", self.bare))
    }

    /// Takes the server's next message. Gives the answer to it; nothing at the end, when the server has proved that it knows
    /// the credential.
    ///
    /// # Errors
    /// What is wrong with the server's message.
    pub fn step(&mut self, message: &[u8]) -> Result<Option<Bytes>, &'static str> {
        let text = std::str::from_utf8(message).map_err(|_| "the server's message is no text")?;
        match &self.expected {
            None => self.prove(text).map(Some),
            Some(expected) if expected == text => Ok(None),
            Some(_) => Err("the server does not know the password"),
        }
    }

    fn prove(&mut self, text: &str) -> Result<Bytes, &'static str> {
        let first = ServerFirst::parse(text).ok_or("the server's first message makes no sense")?;
        if !first.nonce.starts_with(&self.nonce) {
            return Err("the server's nonce does not begin with the client's");
        }
        if first.iterations < MIN_ITERATIONS.unsigned_abs() {
            return Err("the server asks for too few iterations");
        }
        let mechanism = self.mechanism;
        let salted = mechanism.salted_password(self.password.as_bytes(), &first.salt, first.iterations);
        let without_proof = format!("c={},r={}", base64(GS2_HEADER.as_bytes()), first.nonce);
        let auth_message = format!("{},{text},{without_proof}", self.bare);
        let client_key = mechanism.hmac(&salted, b"Client Key");
        let signature = mechanism.hmac(&mechanism.hash(&client_key), auth_message.as_bytes());
        let server_key = mechanism.hmac(&salted, b"Server Key");
        let own = mechanism.hmac(&server_key, auth_message.as_bytes());
        self.expected = Some(format!("v={}", base64(&own)));
        Ok(Bytes::from(format!("{without_proof},p={}", base64(&xor(&client_key, &signature)))))
    }
}
