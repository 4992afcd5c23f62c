//! Certificates and keys from PEM files, for both sides of STARTTLS.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
};

use crate::failure::Failure;

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let wrong = |what: String| Failure::file(path, what, "name a file with certificates in PEM");
    let read = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    let certificates: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
    if certificates.is_empty() { Err(wrong("holds no certificate".into())) } else { Ok(certificates) }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, Failure> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| Failure::file(path, error, "name a file with a private key in PEM"))
}

/// TLS of a server with this certificate and key. Any client certificate is taken, if the client has the key to it: who that
/// is, the password file says.
///
/// # Errors
/// When a file can't be read or the two do not belong together.
pub fn acceptor(certificate: &Path, private_key: &Path) -> Result<TlsAcceptor, Failure> {
    let provider = Arc::new(ring::default_provider());
    let wrong = |error: Error| Failure::file(certificate, error, "name the certificate and the key that belongs to it");
    let config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .with_client_cert_verifier(Arc::new(AnyClient(provider)))
        .with_single_cert(certificates(certificate)?, key(private_key)?)
        .map_err(wrong)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// TLS of a client that trusts the authorities of `ca`, with a certificate of its own if it has one.
///
/// # Errors
/// When a file can't be read.
pub fn connector(ca: &Path, own: Option<(&Path, &Path)>) -> Result<Arc<ClientConfig>, Failure> {
    let wrong = |error: Error| Failure::file(ca, error, "name a file with certificates in PEM");
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(wrong)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .with_root_certificates(roots);
    let config = match own {
        None => config.with_no_client_auth(),
        Some((certificate, private_key)) => {
            config.with_client_auth_cert(certificates(certificate)?, key(private_key)?).map_err(wrong)?
        }
    };
    Ok(Arc::new(config))
}

/// Takes any certificate of a client that proves to have its key.
#[derive(Debug)]
struct AnyClient(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
