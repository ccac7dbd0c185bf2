//! How a client comes to be known: SASL on a connection (KIP-43, KIP-152), and again before its session ends (KIP-368).

use std::sync::Arc;

use trial_node::{Span, Time};
use trial_security::{Credentials, KafkaPrincipal, Refusal, SaslMechanism, SaslServer, Step};
use trial_wire::api::lookup;
use trial_wire::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use trial_wire::{ApiKey, ErrorCode, RequestKind, ResponseKind, StrBytes};

/// Two authentications of one connection are at least so far apart.
const REAUTHENTICATION_INTERVAL: Span = Span::from_secs(1);

/// One connection on a listener that does not trust everybody.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    state: State,
    /// The mechanisms that the listener offers; none if nobody has to authenticate.
    mechanisms: Arc<[SaslMechanism]>,
    /// Who the client is and how it has shown that, once it has.
    known: Option<Known>,
    /// Whether the client knows that sessions end.
    knows_lifetime: bool,
}

#[derive(Clone, Debug)]
struct Known {
    principal: KafkaPrincipal,
    mechanism: Option<SaslMechanism>,
    /// From then on only another authentication will do.
    expires_at: Time,
    /// When it began to authenticate again, the last time.
    reauthenticated_at: Option<Time>,
}

#[derive(Clone, Debug)]
enum State {
    /// ApiVersions or SaslHandshake is due.
    Fresh,
    /// SaslHandshake is due.
    Versioned,
    /// SaslAuthenticate is due.
    Authenticating { mechanism: SaslMechanism, server: SaslServer },
    /// Whatever comes next, the authentication has failed.
    Failed,
    /// The client may send what it likes.
    Open,
}

/// What an authentication depends on.
pub(crate) struct Surroundings<'a> {
    pub now: Time,
    pub version: i16,
    pub credentials: &'a dyn Credentials,
    /// `connections.max.reauth.ms`; zero for sessions without end.
    pub session_lifetime: Span,
    /// Makes a nonce.
    pub nonce: &'a mut dyn FnMut() -> String,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It is served.
    Serve,
    /// This is the answer.
    Respond(ResponseKind),
    /// The authentication has failed. After a delay there is this answer, if any, and then the connection is closed.
    Fail(Option<ResponseKind>),
    /// The connection is closed.
    Close,
}

impl Session {
    /// A connection whose client must authenticate with one of `mechanisms`, or if there are none, is nobody in particular.
    pub fn new(mechanisms: Arc<[SaslMechanism]>) -> Session {
        let anonymous = || Known {
            principal: KafkaPrincipal::anonymous(),
            mechanism: None,
            expires_at: Time::MAX,
            reauthenticated_at: None,
        };
        let open = mechanisms.is_empty();
        Session {
            state: if open { State::Open } else { State::Fresh },
            mechanisms,
            known: open.then(anonymous),
            knows_lifetime: false,
        }
    }

    /// Who the client is; `None` before it has shown that.
    pub fn principal(&self) -> Option<&KafkaPrincipal> {
        self.known.as_ref().map(|known| &known.principal)
    }

    /// Takes the client's next request.
    pub fn take(&mut self, request: &RequestKind, around: &mut Surroundings<'_>) -> Verdict {
        let state = std::mem::replace(&mut self.state, State::Failed);
        match (state, request) {
            (State::Fresh, RequestKind::ApiVersions(_)) => {
                // Who asks in a version that we do not speak asks again in an older one (KIP-511).
                let spoken = lookup(ApiKey::ApiVersions).is_some_and(|api| api.supports(around.version));
                self.state = if spoken { State::Versioned } else { State::Fresh };
                Verdict::Serve
            }
            (State::Fresh | State::Versioned, RequestKind::SaslHandshake(request)) => {
                self.handshake(request, around)
            }
            (State::Authenticating { mechanism, server }, RequestKind::SaslAuthenticate(request)) => {
                self.authenticate(mechanism, server, request, around)
            }
            (State::Open, request) => {
                self.state = State::Open;
                self.take_when_open(request, around)
            }
            _ => Verdict::Fail(None),
        }
    }

    fn take_when_open(&mut self, request: &RequestKind, around: &mut Surroundings<'_>) -> Verdict {
        let known = self.known.as_mut().expect("an open session has a principal");
        if let RequestKind::SaslHandshake(request) = request
            && known.mechanism.is_some()
            && known.reauthenticated_at.is_none_or(|at| at + REAUTHENTICATION_INTERVAL <= around.now)
        {
            known.reauthenticated_at = Some(around.now);
            self.state = State::Failed;
            return self.handshake(request, around);
        }
        if known.expires_at < around.now { Verdict::Close } else { Verdict::Serve }
    }

    fn handshake(&mut self, request: &SaslHandshakeRequest, around: &mut Surroundings<'_>) -> Verdict {
        let names = self.mechanisms.iter().map(|mechanism| StrBytes::from_static_str(mechanism.name()));
        let response = SaslHandshakeResponse::default().with_mechanisms(names.collect());
        let refuse = |response: SaslHandshakeResponse, error: ErrorCode| {
            Verdict::Fail(Some(response.with_error_code(error.code()).into()))
        };
        // What follows version 0 are bare tokens, which are no requests.
        if around.version == 0 {
            return refuse(response, ErrorCode::UnsupportedVersion);
        }
        let asked = SaslMechanism::named(&request.mechanism);
        let Some(mechanism) = asked.filter(|mechanism| self.mechanisms.contains(mechanism)) else {
            return refuse(response, ErrorCode::UnsupportedSaslMechanism);
        };
        let before = self.known.as_ref().and_then(|known| known.mechanism);
        // As Kafka, tells who comes back with another mechanism so by the next request only.
        if before.is_none_or(|before| before == mechanism) {
            let server = SaslServer::new(mechanism, &mut *around.nonce);
            self.state = State::Authenticating { mechanism, server };
        }
        Verdict::Respond(response.into())
    }

    fn authenticate(
        &mut self,
        mechanism: SaslMechanism,
        mut server: SaslServer,
        request: &SaslAuthenticateRequest,
        around: &mut Surroundings<'_>,
    ) -> Verdict {
        self.knows_lifetime |= around.version > 0;
        let refuse = |message: String| {
            let response = SaslAuthenticateResponse::default()
                .with_error_code(ErrorCode::SaslAuthenticationFailed.code())
                .with_error_message(Some(StrBytes::from_string(message)));
            Verdict::Fail(Some(response.into()))
        };
        match server.step(&request.auth_bytes, around.credentials) {
            Ok(Step::Continue(token)) => {
                self.state = State::Authenticating { mechanism, server };
                Verdict::Respond(SaslAuthenticateResponse::default().with_auth_bytes(token).into())
            }
            Ok(Step::Done { token, principal }) => {
                if let Some(before) = self.principal().filter(|before| **before != principal) {
                    let what = "Cannot change principals during re-authentication from";
                    let dotted = |who: &KafkaPrincipal| who.text().replacen(':', ".", 1);
                    return refuse(format!("{what} {}: {}", dotted(before), dotted(&principal)));
                }
                // Who is known by a certificate cannot log in again: sessions end for SASL only, as in Kafka.
                let lifetime = match mechanism {
                    SaslMechanism::External => Span::ZERO,
                    SaslMechanism::Plain | SaslMechanism::Scram(_) => around.session_lifetime,
                };
                let expires_at = if lifetime == Span::ZERO { Time::MAX } else { around.now + lifetime };
                let reauthenticated_at = self.known.as_ref().and_then(|known| known.reauthenticated_at);
                let mechanism = Some(mechanism);
                self.known = Some(Known { principal, mechanism, expires_at, reauthenticated_at });
                self.state = State::Open;
                let lifetime_ms = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
                let response = SaslAuthenticateResponse::default()
                    .with_auth_bytes(token)
                    .with_session_lifetime_ms(if self.knows_lifetime { lifetime_ms } else { 0 });
                Verdict::Respond(response.into())
            }
            Err(Refusal::Credentials) => {
                let again = if self.known.is_some() { "re-authentication" } else { "authentication" };
                let name = mechanism.name();
                refuse(format!(
                    "Authentication failed during {again} due to invalid credentials with SASL mechanism {name}"
                ))
            }
            Err(refusal) => refuse(refusal.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
