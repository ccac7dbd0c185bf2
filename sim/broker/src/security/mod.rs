//! Who clients are and what they may do.
//!
//! Brokers, and whoever else is trusted, come in on the brokers' own listener, where everything is allowed. If there is an
//! authorizer, or SASL, clients have a listener of their own ([`CLIENT_PORT`]), and so do those whom TLS has made known
//! ([`TLS_PORT`]): a connection there has a [`Session`].

mod access;
mod amendment;
mod session;

use std::collections::BTreeMap;
use std::sync::Arc;

use trial_metadata::{MetadataDelta, MetadataImage, MetadataRecord};
use trial_node::{ConnId, Io, Now, Request};
use trial_security::acl::Authorizer;
use trial_security::scram::MIN_ITERATIONS;
use trial_security::{Credentials, KafkaPrincipal, SaslMechanism, ScramCredential, ScramMechanism};
use trial_wire::api::latest;
use trial_wire::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use trial_wire::{ApiKey, RequestKind, StrBytes};

use crate::connections::{BROKER_PORT, CONTROLLER_PORT};
use crate::lifecycle::random_uuid;
use crate::{Broker, BrokerConfig, Token};

pub(crate) use access::Access;
pub(crate) use amendment::Amendment;
pub(crate) use session::{Session, Surroundings, Verdict};

/// The port of the listener for clients of a cluster with an authorizer or SASL.
pub const CLIENT_PORT: u16 = 9094;
/// The port of the listener for clients that TLS has made known. It believes what [`tls_login`] says: only what ends TLS may
/// reach it.
pub const TLS_PORT: u16 = 9095;

/// Whether everybody is trusted who comes in on this port.
#[inline]
pub(crate) fn trusts(port: u16) -> bool {
    port != CLIENT_PORT && port != TLS_PORT
}

impl BrokerConfig {
    /// Whether clients have listeners of their own: if there is an authorizer, or SASL.
    pub fn is_secured(properties: &BTreeMap<String, String>) -> bool {
        let names = ["authorizer.class.name", "sasl.enabled.mechanisms"];
        names.iter().any(|name| properties.get(*name).is_some_and(|value| !value.trim().is_empty()))
    }

    /// The ports that a broker with these properties listens on.
    pub fn ports(properties: &BTreeMap<String, String>) -> Vec<u16> {
        let mut ports = vec![BROKER_PORT, CONTROLLER_PORT];
        if BrokerConfig::is_secured(properties) {
            ports.extend([CLIENT_PORT, TLS_PORT]);
        }
        ports
    }

    /// The port for clients of a broker with these properties.
    pub fn client_port(properties: &BTreeMap<String, String>) -> u16 {
        if BrokerConfig::is_secured(properties) { CLIENT_PORT } else { BROKER_PORT }
    }
}

/// What somebody who ends TLS sends first on a connection to [`TLS_PORT`], so that the broker knows who the client is: the
/// subject of its certificate, as `CN=alice,O=example`, or `ANONYMOUS` if it has none. The responses to these two requests are
/// not the client's.
pub fn tls_login(subject: &str) -> [Request; 2] {
    let request = |correlation_id, api, body| Request {
        correlation_id,
        api_version: latest(api),
        client_id: StrBytes::from_static_str("tls"),
        body: Box::new(body),
    };
    let mechanism = StrBytes::from_static_str(SaslMechanism::External.name());
    let handshake = SaslHandshakeRequest::default().with_mechanism(mechanism);
    let token = bytes::Bytes::copy_from_slice(subject.as_bytes());
    let authenticate = SaslAuthenticateRequest::default().with_auth_bytes(token);
    [
        request(0, ApiKey::SaslHandshake, handshake.into()),
        request(1, ApiKey::SaslAuthenticate, authenticate.into()),
    ]
}

/// How the broker gets to know its clients, and what it lets them do.
#[derive(Clone, Debug)]
pub(crate) struct Security {
    /// The ACLs; none if everybody may do everything.
    authorizer: Option<Arc<Authorizer>>,
    /// `sasl.enabled.mechanisms`.
    mechanisms: Arc<[SaslMechanism]>,
    /// The mechanism behind TLS.
    external: Arc<[SaslMechanism]>,
}

impl Security {
    pub fn new(effective: &trial_metadata::BrokerConfig) -> Security {
        let names = effective.sasl_enabled_mechanisms.iter();
        let known = names.map(|name| SaslMechanism::named(name).expect("the config is validated"));
        let mechanisms = known.collect();
        let super_users = effective.super_users.split(';').map(|who| StrBytes::from(who.trim().to_owned()));
        let allow_without_acl = effective.allow_everyone_if_no_acl_found;
        let authorizer = (!effective.authorizer_class_name.is_empty())
            .then(|| Arc::new(Authorizer::new(super_users, allow_without_acl)));
        Security { authorizer, mechanisms, external: Arc::new([SaslMechanism::External]) }
    }

    /// Whether there is an authorizer.
    pub fn authorizes(&self) -> bool {
        self.authorizer.is_some()
    }

    /// ACLs have come or gone.
    pub fn acls_changed(&mut self, image: &MetadataImage, delta: &MetadataDelta) {
        let Some(authorizer) = self.authorizer.as_mut().filter(|_| !delta.acls.is_empty()) else { return };
        let authorizer = Arc::make_mut(authorizer);
        delta.acls.iter().for_each(|id| authorizer.set(*id, image.acls().get(id)));
    }

    /// The beginning of a connection that comes in on `port`; `None` where everybody is trusted.
    pub fn session(&self, port: u16) -> Option<Session> {
        match port {
            CLIENT_PORT => Some(Session::new(self.mechanisms.clone())),
            TLS_PORT => Some(Session::new(self.external.clone())),
            _ => None,
        }
    }
}

/// The users of the cluster: those of the operator's file, and those in the metadata.
struct Users<'a> {
    passwords: &'a BTreeMap<String, String>,
    image: &'a MetadataImage,
}

impl Credentials for Users<'_> {
    fn password(&self, user: &str) -> Option<&str> {
        self.passwords.get(user).map(String::as_str)
    }

    fn scram(&self, mechanism: ScramMechanism, user: &str) -> Option<&ScramCredential> {
        self.image.scram_credentials().get(user.as_bytes())?.get(&mechanism)
    }
}

impl Broker {
    /// A client has connected.
    pub(crate) fn accepted(&mut self, conn: ConnId, port: u16) {
        let session = self.security.session(port);
        self.connections.accepted(conn, port, session);
    }

    /// What the users of a new cluster log in with (`kafka-storage format --add-scram`), and what they may do.
    pub(crate) fn bootstrap_security(&self, io: &mut Io<'_>) -> Vec<MetadataRecord> {
        let scram = self.security.mechanisms.iter().filter_map(|mechanism| match mechanism {
            SaslMechanism::Scram(scram) => Some(*scram),
            SaslMechanism::Plain | SaslMechanism::External => None,
        });
        let mut records = Vec::new();
        for mechanism in scram {
            for (name, password) in &self.config.users {
                let mut salt = [0; 16];
                io.rng.fill(&mut salt);
                let salt = bytes::Bytes::copy_from_slice(&salt);
                let credential = ScramCredential::new(mechanism, password.as_bytes(), salt, MIN_ITERATIONS);
                let name = StrBytes::from(name.clone());
                records.push(MetadataRecord::UserScramCredential { name, mechanism, credential });
            }
        }
        for acl in &self.config.acls {
            records.push(MetadataRecord::AccessControlEntry { id: random_uuid(io), acl: acl.clone() });
        }
        records
    }

    /// What the client at the other end of a connection may do; `None` if that is everything.
    pub(crate) fn access(&self, conn: ConnId) -> Option<Access> {
        let authorizer = self.security.authorizer.as_ref()?;
        let session = self.connections.session(conn)?;
        // Who has not logged in is served next to nothing, and by no means as somebody who is trusted.
        let who = session.principal().cloned().unwrap_or_else(KafkaPrincipal::anonymous);
        Some(Access::new(authorizer.clone(), who))
    }

    /// Whether a request is to be served. If not, it has been dealt with: it was part of an authentication, or came without
    /// one.
    pub(crate) fn admits(&mut self, now: Now, io: &mut Io<'_>, token: Token, request: &RequestKind) -> bool {
        let Some(session) = self.connections.session_mut(token.conn) else { return true };
        let mut around = Surroundings {
            now: now.mono,
            version: token.api_version,
            credentials: &Users { passwords: &self.config.users, image: &self.published.image },
            session_lifetime: self.effective.connections_max_reauth,
            nonce: &mut || {
                let mut bytes = [0; 16];
                io.rng.fill(&mut bytes);
                format!("{:032x}", u128::from_be_bytes(bytes))
            },
        };
        match session.take(request, &mut around) {
            Verdict::Serve => return true,
            Verdict::Respond(body) => self.connections.respond(io, token, body),
            Verdict::Fail(body) => {
                let at = now.mono + self.effective.connection_failed_authentication_delay;
                self.connections.close_at(at, token, body);
            }
            Verdict::Close => self.connections.close(io, token.conn),
        }
        false
    }
}
