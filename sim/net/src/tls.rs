//! TLS on the real listeners. It ends here: the cluster sees requests, and is told the subject of a client's certificate.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, InconsistentKeys, InvalidMessage, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// TLS that cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not what it should be.
    #[error("{path}: {what}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The key is another certificate's.
    #[error("{key}: it is not the key of the certificate in {cert}", key = key.display(), cert = cert.display())]
    OtherKey {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        cert: PathBuf,
    },
    /// Certificate and key are of a kind that is not supported.
    #[error("certificate and key: {0}")]
    Config(#[from] rustls::Error),
    /// The authority's certificates cannot be used.
    #[error("certificates of client authorities: {0}")]
    Authority(#[from] VerifierBuilderError),
}

/// What a listener needs to speak TLS 1.2 and 1.3.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// A listener with this certificate (its chain, in PEM) and key. With `client_ca` every client must show a certificate that
    /// one of those in this file has signed (`ssl.client.auth=required`).
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(cert: &Path, key: &Path, client_ca: Option<&Path>) -> Result<Tls, TlsError> {
        let provider = Arc::new(default_provider());
        let config =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let config = match client_ca {
            None => config.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(path)? {
                    roots.add(authority).map_err(|error| wrong(path, error))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
                config.with_client_cert_verifier(verifier)
            }
        };
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| match error {
            pem::Error::NoItemsFound => {
                let what = "there is no private key in it in PEM, or only one that is encrypted: \
                            `openssl pkey -in ENCRYPTED -out KEY` writes it as it is needed";
                wrong(key, what)
            }
            error => unreadable(key, error),
        })?;
        let config = config.with_single_cert(certificates(cert)?, private).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsError::OtherKey { key: key.to_owned(), cert: cert.to_owned() }
            }
            error => error.into(),
        })?;
        Ok(Tls(TlsAcceptor::from(Arc::new(config))))
    }

    /// Shakes hands; returns the subject of the client's certificate, as in `CN=alice,O=example`, if it has shown one. A socket
    /// that is refused is still open, if it is known by then.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> Result<(TlsStream<TcpStream>, Option<String>), (String, Option<TcpStream>)> {
        let stream = match timeout(HANDSHAKE_MAX, self.0.accept(stream).into_fallible()).await {
            Ok(Ok(stream)) => stream,
            Ok(Err((error, stream))) => return Err((format!("TLS: {}", refusal(&error)), Some(stream))),
            Err(_) => return Err(("TLS: the handshake takes too long".to_owned(), None)),
        };
        let (_, session) = stream.get_ref();
        let subject = match session.peer_certificates().and_then(<[_]>::first) {
            None => None,
            Some(certificate) => {
                let parsed =
                    Certificate::from_der(certificate).map_err(|error| (format!("TLS: {error}"), None))?;
                Some(parsed.tbs_certificate().subject().to_string())
            }
        };
        Ok((stream, subject))
    }
}

/// Why a handshake has failed, with what the client's operator can do about it.
fn refusal(error: &io::Error) -> String {
    use rustls::AlertDescription::{BadCertificate, CertificateUnknown, UnknownCA};
    let known = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match known {
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "the client does not speak it; let it set security.protocol to SSL (or SASL_SSL)".to_owned()
        }
        Some(rustls::Error::AlertReceived(UnknownCA | BadCertificate | CertificateUnknown)) => {
            "the client does not trust the certificate; give it to the client (ssl.ca.location, \
             ssl.truststore.location)"
                .to_owned()
        }
        Some(rustls::Error::NoCertificatesPresented) => {
            "the client shows no certificate, and one is asked for".to_owned()
        }
        Some(rustls::Error::InvalidCertificate(why)) => format!("the client's certificate is refused: {why}"),
        _ if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the client closed the connection before the handshake was over".to_owned()
        }
        _ => error.to_string(),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |error| unreadable(path, error);
    let found = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    if found.is_empty() { Err(wrong(path, "there is no certificate in it in PEM")) } else { Ok(found) }
}

fn unreadable(path: &Path, error: pem::Error) -> TlsError {
    match error {
        pem::Error::Io(error) => wrong(path, format_args!("cannot be read: {error}")),
        error => wrong(path, format_args!("it is no PEM: {error}")),
    }
}

fn wrong(path: &Path, what: impl ToString) -> TlsError {
    TlsError::File { path: path.to_owned(), what: what.to_string() }
}
