use std::collections::BTreeMap;

use bytes::Bytes;
use trial_security::{SaslClient, ScramCredential, ScramMechanism};
use trial_wire::messages::{ApiVersionsRequest, MetadataRequest};

use super::*;

const SHA_256: SaslMechanism = SaslMechanism::Scram(ScramMechanism::Sha256);

/// Alice, whose password is `secret`, and Bob, whose is `hidden`.
struct Users(BTreeMap<&'static str, ScramCredential>);

impl Credentials for Users {
    fn password(&self, user: &str) -> Option<&str> {
        [("alice", "secret"), ("bob", "hidden")].into_iter().find(|(name, _)| *name == user).map(|(_, p)| p)
    }

    fn scram(&self, _: ScramMechanism, user: &str) -> Option<&ScramCredential> {
        self.0.get(user)
    }
}

struct Test {
    session: Session,
    users: Users,
    now: Time,
    version: i16,
    session_lifetime: Span,
}

impl Test {
    fn new(mechanisms: &[SaslMechanism]) -> Test {
        let salt = Bytes::from_static(b"salt");
        let alice = ScramCredential::new(ScramMechanism::Sha256, b"secret", salt, 4096);
        Test {
            session: Session::new(mechanisms.into()),
            users: Users(BTreeMap::from([("alice", alice)])),
            now: Time::ZERO,
            version: 1,
            session_lifetime: Span::ZERO,
        }
    }

    fn take(&mut self, request: impl Into<RequestKind>) -> Verdict {
        let mut around = Surroundings {
            now: self.now,
            version: self.version,
            credentials: &self.users,
            session_lifetime: self.session_lifetime,
            nonce: &mut || "nonce".to_owned(),
        };
        self.session.take(&request.into(), &mut around)
    }

    fn shake_hands(&mut self, mechanism: &'static str) -> Verdict {
        self.take(SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(mechanism)))
    }

    fn authenticate(&mut self, token: impl Into<Bytes>) -> Verdict {
        self.take(SaslAuthenticateRequest::default().with_auth_bytes(token.into()))
    }

    fn who(&self) -> Option<String> {
        self.session.principal().map(ToString::to_string)
    }

    /// Alice has authenticated with PLAIN.
    fn alice(session_lifetime: Span) -> Test {
        let mut test = Test { session_lifetime, ..Test::new(&[SaslMechanism::Plain, SHA_256]) };
        test.shake_hands("PLAIN");
        assert_eq!(test.authenticate("\0alice\0secret"), welcome(session_lifetime));
        test
    }
}

fn welcome(session_lifetime: Span) -> Verdict {
    let ms = i64::try_from(session_lifetime.as_millis()).expect("tests are short");
    Verdict::Respond(SaslAuthenticateResponse::default().with_session_lifetime_ms(ms).into())
}

fn refused(message: &'static str) -> Verdict {
    let response = SaslAuthenticateResponse::default()
        .with_error_code(ErrorCode::SaslAuthenticationFailed.code())
        .with_error_message(Some(StrBytes::from_static_str(message)));
    Verdict::Fail(Some(response.into()))
}

fn offer(error: i16) -> SaslHandshakeResponse {
    let names = ["PLAIN", "SCRAM-SHA-256"].map(StrBytes::from_static_str);
    SaslHandshakeResponse::default().with_error_code(error).with_mechanisms(names.to_vec())
}

#[test]
fn nothing_but_the_handshake_comes_first() {
    let fresh = || Test::new(&[SaslMechanism::Plain, SHA_256]);
    for mut test in [fresh(), fresh()] {
        assert_eq!(test.take(MetadataRequest::default()), Verdict::Fail(None));
        assert_eq!(test.shake_hands("PLAIN"), Verdict::Fail(None), "it is too late");
    }
    let mut test = fresh();
    assert_eq!(test.authenticate("\0alice\0secret"), Verdict::Fail(None));
    let mut test = fresh();
    assert_eq!(test.take(ApiVersionsRequest::default()), Verdict::Serve);
    assert_eq!(test.shake_hands("PLAIN"), Verdict::Respond(offer(0).into()));
    assert_eq!(test.authenticate("\0alice\0secret"), welcome(Span::ZERO));
    assert_eq!(test.who().as_deref(), Some("User:alice"));
    assert_eq!(test.take(MetadataRequest::default()), Verdict::Serve);
    assert_eq!(test.take(ApiVersionsRequest::default()), Verdict::Serve);
    let mut test = Test { version: 99, ..fresh() };
    test.take(ApiVersionsRequest::default());
    test.version = 0;
    assert_eq!(test.take(ApiVersionsRequest::default()), Verdict::Serve, "in an older version");
    let mut test = fresh();
    test.take(ApiVersionsRequest::default());
    assert_eq!(test.take(ApiVersionsRequest::default()), Verdict::Fail(None), "once is enough");
}

#[test]
fn a_mechanism_that_is_not_offered_is_refused_with_those_that_are() {
    let mut test = Test::new(&[SaslMechanism::Plain, SHA_256]);
    let error = ErrorCode::UnsupportedSaslMechanism.code();
    assert_eq!(test.shake_hands("EXTERNAL"), Verdict::Fail(Some(offer(error).into())));
    let mut test = Test { version: 0, ..Test::new(&[SaslMechanism::Plain, SHA_256]) };
    let error = ErrorCode::UnsupportedVersion.code();
    assert_eq!(test.shake_hands("PLAIN"), Verdict::Fail(Some(offer(error).into())));
}

#[test]
fn wrong_credentials_are_refused_in_kafkas_words() {
    let mut test = Test::new(&[SaslMechanism::Plain]);
    test.shake_hands("PLAIN");
    let verdict = test.authenticate("\0alice\0guess");
    assert_eq!(verdict, refused("Authentication failed: Invalid username or password"));
    assert_eq!(test.authenticate("\0alice\0secret"), Verdict::Fail(None), "there is no second try");
    assert_eq!(test.who(), None);
    let mut test = Test::new(&[SHA_256]);
    test.shake_hands("SCRAM-SHA-256");
    let message = "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-256";
    assert_eq!(test.authenticate("n,,n=bob,r=x"), refused(message));
}

#[test]
fn scram_takes_two_rounds() {
    let mut test = Test::new(&[SHA_256]);
    let client = SaslClient::new(SHA_256, "alice", "secret", || "client".to_owned());
    let mut client = client.expect("clients speak it");
    test.shake_hands("SCRAM-SHA-256");
    let Verdict::Respond(ResponseKind::SaslAuthenticate(first)) = test.authenticate(client.first()) else {
        panic!("it goes on")
    };
    let proof = client.step(&first.auth_bytes).expect("it is an answer").expect("the proof is due");
    let Verdict::Respond(ResponseKind::SaslAuthenticate(last)) = test.authenticate(proof) else {
        panic!("it is over")
    };
    assert_eq!(client.step(&last.auth_bytes), Ok(None));
    assert_eq!(test.who().as_deref(), Some("User:alice"));
}

#[test]
fn nothing_else_comes_between_the_rounds() {
    let mut test = Test::new(&[SHA_256]);
    test.shake_hands("SCRAM-SHA-256");
    test.authenticate("n,,n=alice,r=x");
    assert_eq!(test.take(MetadataRequest::default()), Verdict::Fail(None));
}

#[test]
fn a_session_ends_unless_the_client_authenticates_again() {
    let mut test = Test::alice(Span::from_secs(60));
    test.now = Time::ZERO + Span::from_secs(60);
    assert_eq!(test.take(MetadataRequest::default()), Verdict::Serve);
    let mut late = Test { session: test.session.clone(), ..Test::new(&[]) };
    late.now = test.now + Span(1);
    assert_eq!(late.take(MetadataRequest::default()), Verdict::Close);
    assert_eq!(late.shake_hands("PLAIN"), Verdict::Respond(offer(0).into()));
    assert_eq!(late.authenticate("\0alice\0secret"), welcome(Span::ZERO));
    assert_eq!(late.take(MetadataRequest::default()), Verdict::Serve);
    // Too soon: it is a request like any other.
    assert_eq!(late.shake_hands("PLAIN"), Verdict::Serve);
    late.now += Span::from_secs(1);
    assert_eq!(late.shake_hands("PLAIN"), Verdict::Respond(offer(0).into()));
}

#[test]
fn who_authenticates_again_stays_who_it_was() {
    let mut test = Test::alice(Span::ZERO);
    test.shake_hands("PLAIN");
    let what = "Cannot change principals during re-authentication from User.alice: User.bob";
    assert_eq!(test.authenticate("\0bob\0hidden"), refused(what));
    let mut test = Test::alice(Span::ZERO);
    assert_eq!(test.shake_hands("SCRAM-SHA-256"), Verdict::Respond(offer(0).into()));
    assert_eq!(test.authenticate("n,,n=alice,r=x"), Verdict::Fail(None), "not with another mechanism");
}

#[test]
fn old_clients_are_not_told_of_lifetimes() {
    let mut test = Test { session_lifetime: Span::from_secs(9), ..Test::new(&[SaslMechanism::Plain]) };
    test.shake_hands("PLAIN");
    test.version = 0;
    assert_eq!(test.authenticate("\0alice\0secret"), welcome(Span::ZERO));
}

#[test]
fn who_has_a_certificate_stays_for_good_and_nobody_else() {
    let mut test = Test { session_lifetime: Span::from_secs(9), ..Test::new(&[SaslMechanism::External]) };
    test.shake_hands("EXTERNAL");
    assert_eq!(test.authenticate("CN=alice"), welcome(Span::ZERO));
    test.now = Time::ZERO + Span::from_secs(10);
    assert_eq!(test.take(MetadataRequest::default()), Verdict::Serve);
    // The client itself cannot become somebody else.
    test.shake_hands("EXTERNAL");
    let what = "Cannot change principals during re-authentication from User.CN=alice: User.CN=root";
    assert_eq!(test.authenticate("CN=root"), refused(what));
}

#[test]
fn without_mechanisms_everybody_is_nobody_in_particular() {
    let mut test = Test::new(&[]);
    assert_eq!(test.who().as_deref(), Some("User:ANONYMOUS"));
    assert_eq!(test.take(MetadataRequest::default()), Verdict::Serve);
    assert_eq!(test.shake_hands("PLAIN"), Verdict::Serve, "to be told that this makes no sense here");
}
