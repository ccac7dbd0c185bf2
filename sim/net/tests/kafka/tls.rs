//! Clients that speak TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use trial_net::{Certified, Doors, TimeScale, Tls};
use trial_node::Request;
use trial_wire::frame::{encode_request_frame, split};
use trial_wire::messages::ApiVersionsRequest;
use trial_wire::{RequestKind, StrBytes};

use super::{Plain, Running, brokers};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(vec![]).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("there is randomness")).expect("it signs")
}

/// A certificate for 127.0.0.1 in a file each, and in bytes.
fn certificate(
    authority: &Authority,
    name: &str,
    folder: &Path,
) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("it is an address");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "example");
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().expect("there is randomness");
    let signed = params.signed_by(&key, authority).expect("it signs");
    std::fs::write(folder.join(format!("{name}.crt")), signed.pem()).expect("it can be written");
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).expect("it can be written");
    (signed.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).expect("it is a key"))
}

/// Who the cluster was told that a client is.
fn login(subject: &str) -> [Request; 2] {
    assert_eq!(subject, "CN=alice,O=example");
    [(); 2].map(|()| Request {
        correlation_id: 0,
        api_version: 3,
        client_id: StrBytes::from_static_str("tls"),
        body: Box::new(RequestKind::ApiVersions(ApiVersionsRequest::default())),
    })
}

fn serve(tls: Tls) -> Running {
    let mut doors = Doors::open(brokers());
    doors.certified = Some(Certified { port: 9092, login });
    Running::at(doors, move |server| {
        server.speak_tls(tls);
        server.run(&mut Plain::new(), TimeScale::default()).expect("the cluster goes on")
    })
}

/// Asks for versions; `None` if the connection is closed instead.
fn ask(to: SocketAddr, config: ClientConfig) -> Option<i32> {
    let socket = TcpStream::connect(to).expect("the server listens");
    let name = ServerName::try_from("127.0.0.1").expect("it is an address");
    let session = ClientConnection::new(Arc::new(config), name).expect("the config is whole");
    let mut stream = StreamOwned::new(session, socket);
    let mut frame = BytesMut::new();
    let body = RequestKind::ApiVersions(ApiVersionsRequest::default());
    encode_request_frame(7, 3, "test", &body, &mut frame).expect("it can be encoded");
    stream.write_all(&frame).ok()?;
    let mut received = BytesMut::new();
    loop {
        if let Some(frame) = split(&mut received, 1 << 20).expect("the server sends frames") {
            return frame.first_chunk().map(|id| i32::from_be_bytes(*id));
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer) {
            Ok(bytes) if bytes > 0 => received.extend_from_slice(&buffer[..bytes]),
            Ok(_) | Err(_) => return None,
        }
    }
}

fn config(
    authority: &Authority,
) -> tokio_rustls::rustls::ConfigBuilder<ClientConfig, tokio_rustls::rustls::client::WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).expect("it is one");
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_root_certificates(roots)
}

#[test]
fn who_has_a_certificate_is_known_and_who_has_none_is_closed() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let at = |name: &str| folder.path().join(name);
    let authority = authority();
    certificate(&authority, "server", folder.path());
    let (cert, key) = certificate(&authority, "alice", folder.path());
    std::fs::write(at("ca.crt"), authority.pem()).expect("it can be written");
    let tls =
        Tls::open(&at("server.crt"), &at("server.key"), Some(&at("ca.crt"))).expect("the files are good");
    let server = serve(tls);
    let alice = config(&authority).with_client_auth_cert(vec![cert], key).expect("they fit");
    assert_eq!(ask(server.addresses[0], alice), Some(7));
    assert_eq!(ask(server.addresses[0], config(&authority).with_no_client_auth()), None);
    let mut plain = server.client(0);
    plain.socket.write_all(b"\0\0\0\x08plaintxt").expect("the socket stands");
    // What TLS has to say to that is no frame of Kafka's.
    plain.socket.read_to_end(&mut Vec::new()).expect("it is closed");
    let tally = server.end();
    assert_eq!((tally.connections, tally.requests, tally.responses), (3, 1, 1));
    assert_eq!(tally.refused.values().sum::<u64>(), 2, "{tally:?}");
    assert_eq!(
        tally.refused.keys().map(String::as_str).collect::<Vec<_>>(),
        [
            "TLS: the client does not speak it; let it set security.protocol to SSL (or SASL_SSL)",
            "TLS: the client shows no certificate, and one is asked for"
        ]
    );
}

#[test]
fn files_that_are_no_certificates_are_named() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let at = |name: &str| folder.path().join(name);
    certificate(&authority(), "a", folder.path());
    certificate(&authority(), "b", folder.path());
    std::fs::write(at("empty"), "").expect("it can be written");
    let error =
        |cert: &str, key: &str| Tls::open(&at(cert), &at(key), None).expect_err("it cannot be").to_string();
    assert!(error("missing", "a.key").contains("missing: cannot be read: No such file"));
    assert!(error("empty", "a.key").ends_with("empty: there is no certificate in it in PEM"));
    assert!(error("a.crt", "a.crt").contains("a.crt: there is no private key in it in PEM"));
    let other = error("a.crt", "b.key");
    assert!(
        other.contains("b.key: it is not the key of the certificate in ") && other.ends_with("a.crt"),
        "{other}"
    );
}
