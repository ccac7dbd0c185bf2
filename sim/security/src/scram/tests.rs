use super::*;
use crate::{KafkaPrincipal, Refusal, Step};

fn text(bytes: &Bytes) -> &str {
    std::str::from_utf8(bytes).expect("messages are text")
}

/// RFC 7677, section 3.
const USER: &str = "user";
const PASSWORD: &str = "pencil";
const CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_FIRST: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn credential() -> ScramCredential {
    let salt = from_base64("W22ZaJ0SNY7soEsUEjb6gQ==").expect("it is base64");
    ScramCredential::new(ScramMechanism::Sha256, PASSWORD.as_bytes(), salt, 4096)
}

#[test]
fn the_client_says_what_the_rfc_says() {
    let mut client = ScramClient::new(ScramMechanism::Sha256, USER, PASSWORD, CLIENT_NONCE.to_owned());
    assert_eq!(text(&client.first()), CLIENT_FIRST);
    let proof = client.step(SERVER_FIRST.as_bytes()).expect("it is an answer").expect("the proof is due");
    assert_eq!(text(&proof), CLIENT_FINAL);
    assert_eq!(client.clone().step(SERVER_FINAL.as_bytes()), Ok(None));
    assert!(client.step(b"v=AAAA").is_err(), "a server that does not know the credential");
}

#[test]
fn the_server_says_what_the_rfc_says() {
    let mut server = ScramServer::new(ScramMechanism::Sha256, SERVER_NONCE.to_owned());
    let known = |user: &str| (user == USER).then(credential);
    let first = server.step(CLIENT_FIRST.as_bytes(), known);
    assert_eq!(first, Ok(Step::Continue(Bytes::from_static(SERVER_FIRST.as_bytes()))));
    let done = server.step(CLIENT_FINAL.as_bytes(), known);
    let token = Bytes::from_static(SERVER_FINAL.as_bytes());
    assert_eq!(done, Ok(Step::Done { token, principal: KafkaPrincipal::user(USER) }));
    assert_eq!(server.step(CLIENT_FINAL.as_bytes(), known), Err(Refusal::Credentials), "only once");
}

/// RFC 5802's own example is of SHA-1; these are the same steps with SHA-512, both ends against each other.
#[test]
fn both_ends_agree_with_every_mechanism() {
    for mechanism in [ScramMechanism::Sha256, ScramMechanism::Sha512] {
        let salt = Bytes::from_static(b"some salt");
        let credential = ScramCredential::new(mechanism, b"p\xc3\xa4ss,w=rd", salt, 5000);
        let mut server = ScramServer::new(mechanism, "srv".to_owned());
        let mut client = ScramClient::new(mechanism, "a,b=c", "päss,w=rd", "cli".to_owned());
        let known = |user: &str| (user == "a,b=c").then(|| credential.clone());
        let Ok(Step::Continue(answer)) = server.step(&client.first(), known) else { panic!("it goes on") };
        let proof = client.step(&answer).expect("it is an answer").expect("the proof is due");
        let Ok(Step::Done { token, principal }) = server.step(&proof, known) else { panic!("it is over") };
        assert_eq!(client.step(&token), Ok(None));
        assert_eq!(principal, KafkaPrincipal::user("a,b=c"));
    }
}

#[test]
fn a_wrong_password_proves_nothing() {
    let mut server = ScramServer::new(ScramMechanism::Sha256, SERVER_NONCE.to_owned());
    let mut client = ScramClient::new(ScramMechanism::Sha256, USER, "pencils", CLIENT_NONCE.to_owned());
    let Ok(Step::Continue(answer)) = server.step(&client.first(), |_| Some(credential())) else {
        panic!("it goes on")
    };
    let proof = client.step(&answer).expect("it is an answer").expect("the proof is due");
    assert_eq!(server.step(&proof, |_| None), Err(Refusal::Credentials));
}

#[test]
fn strangers_and_impostors_are_refused() {
    let mut server = ScramServer::new(ScramMechanism::Sha256, SERVER_NONCE.to_owned());
    assert_eq!(server.step(CLIENT_FIRST.as_bytes(), |_| None), Err(Refusal::Credentials));
    let mut server = ScramServer::new(ScramMechanism::Sha256, SERVER_NONCE.to_owned());
    let first = b"n,a=root,n=user,r=abc";
    assert_eq!(server.step(first, |_| Some(credential())), Err(Refusal::Impersonation));
}

#[test]
fn a_client_does_not_fall_for_another_nonce_or_few_iterations() {
    let client = ScramClient::new(ScramMechanism::Sha256, USER, PASSWORD, CLIENT_NONCE.to_owned());
    for wrong in ["r=other,s=QQ==,i=4096", "r=rOprNGfwEbeRWgbNEkqOx,s=QQ==,i=4095", "e=unknown-user"] {
        assert!(client.clone().step(wrong.as_bytes()).is_err(), "{wrong}");
    }
}
