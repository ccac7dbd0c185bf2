//! Who somebody is, and what they may do: SASL mechanisms and ACLs, as plain data without I/O.
//!
//! - [`KafkaPrincipal`]: who somebody is;
//! - [`SaslServer`], [`SaslClient`]: the two ends of an authentication, driven token by token (PLAIN, SCRAM);
//! - [`JaasConfig`]: the login text of Kafka's clients;
//! - [`acl`]: rules about principals, and [`acl::Authorizer`], which decides by them.

pub mod acl;
mod jaas;
mod principal;
mod sasl;
pub mod scram;

pub use jaas::{JaasConfig, JaasError};
pub use principal::KafkaPrincipal;
pub use sasl::{Credentials, Refusal, SaslClient, SaslMechanism, SaslServer, Step};
pub use scram::{ScramCredential, ScramMechanism};
