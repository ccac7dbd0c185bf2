//! TLS on the real listeners. It ends here: the cluster sees requests, and is told the subject of a client's certificate.

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
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// TLS that cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not what it should be.
    #[error("{path}: {error}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: pem::Error,
    },
    /// A file has no certificate.
    #[error("{path}: there is no certificate in it", path = .0.display())]
    NoCertificate(PathBuf),
    /// Certificate and key do not fit, or are of a kind that is not supported.
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
                    roots.add(authority)?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
                config.with_client_cert_verifier(verifier)
            }
        };
        let private = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| TlsError::File { path: key.to_owned(), error })?;
        let config = config.with_single_cert(certificates(cert)?, private)?;
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
            Ok(Err((error, stream))) => return Err((format!("TLS: {error}"), Some(stream))),
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

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |error| TlsError::File { path: path.to_owned(), error };
    let found = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    if found.is_empty() { Err(TlsError::NoCertificate(path.to_owned())) } else { Ok(found) }
}
