//! SCRAM (RFC 5802, RFC 7677; KIP-84): credentials, messages, and the two ends of the exchange.

mod client;
mod message;
mod server;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use pbkdf2::pbkdf2_hmac;
use sha2::{Digest, Sha256, Sha512};

pub use client::ScramClient;
pub use server::ScramServer;

/// A variant of SCRAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i8)]
pub enum ScramMechanism {
    /// `SCRAM-SHA-256`.
    Sha256 = 1,
    /// `SCRAM-SHA-512`.
    Sha512 = 2,
}

/// The fewest iterations of a credential.
pub const MIN_ITERATIONS: i32 = 4096;
/// The most iterations of a credential.
pub const MAX_ITERATIONS: i32 = 16_384;

impl ScramMechanism {
    /// The mechanism with this number (`ScramMechanism.type`).
    pub fn from_id(id: i8) -> Option<ScramMechanism> {
        match id {
            1 => Some(ScramMechanism::Sha256),
            2 => Some(ScramMechanism::Sha512),
            _ => None,
        }
    }

    /// Its number.
    pub fn id(self) -> i8 {
        self as i8
    }

    fn hmac(self, key: &[u8], text: &[u8]) -> Bytes {
        const ANY: &str = "any key will do";
        match self {
            ScramMechanism::Sha256 => {
                let mac = Hmac::<Sha256>::new_from_slice(key).expect(ANY);
                Bytes::copy_from_slice(&mac.chain_update(text).finalize().into_bytes())
            }
            ScramMechanism::Sha512 => {
                let mac = Hmac::<Sha512>::new_from_slice(key).expect(ANY);
                Bytes::copy_from_slice(&mac.chain_update(text).finalize().into_bytes())
            }
        }
    }

    fn hash(self, text: &[u8]) -> Bytes {
        match self {
            ScramMechanism::Sha256 => Bytes::copy_from_slice(&Sha256::digest(text)),
            ScramMechanism::Sha512 => Bytes::copy_from_slice(&Sha512::digest(text)),
        }
    }

    /// `Hi(password, salt, iterations)`: what clients derive from their password, and what credentials are made of.
    pub fn salted_password(self, password: &[u8], salt: &[u8], iterations: u32) -> Bytes {
        match self {
            ScramMechanism::Sha256 => {
                let mut salted = [0; 32];
                pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut salted);
                Bytes::copy_from_slice(&salted)
            }
            ScramMechanism::Sha512 => {
                let mut salted = [0; 64];
                pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut salted);
                Bytes::copy_from_slice(&salted)
            }
        }
    }
}

/// What a server keeps of a user's password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScramCredential {
    /// The salt.
    pub salt: Bytes,
    /// `StoredKey`.
    pub stored_key: Bytes,
    /// `ServerKey`.
    pub server_key: Bytes,
    /// How often the password was hashed.
    pub iterations: i32,
}

impl ScramCredential {
    /// The credential of a password.
    ///
    /// # Panics
    /// With less than one iteration.
    pub fn new(mechanism: ScramMechanism, password: &[u8], salt: Bytes, iterations: i32) -> ScramCredential {
        let times = u32::try_from(iterations).expect("a credential has iterations");
        let salted = mechanism.salted_password(password, &salt, times);
        ScramCredential::of_salted(mechanism, &salted, salt, iterations)
    }

    /// The credential of a password that is salted already (KIP-554).
    pub fn of_salted(
        mechanism: ScramMechanism,
        salted_password: &[u8],
        salt: Bytes,
        iterations: i32,
    ) -> ScramCredential {
        let client_key = mechanism.hmac(salted_password, b"Client Key");
        ScramCredential {
            salt,
            stored_key: mechanism.hash(&client_key),
            server_key: mechanism.hmac(salted_password, b"Server Key"),
            iterations,
        }
    }
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn from_base64(text: &str) -> Option<Bytes> {
    STANDARD.decode(text).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests;
