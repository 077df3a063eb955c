//! TLS: rustls with ring, and the authorities it trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::RegistryError;

/// Where distributions keep the bundle of all trusted authorities.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Which certificates are good.
pub(super) enum Roots<'a> {
    /// None: only plain HTTP is spoken.
    None,
    /// Those that these bundles vouch for; where there are none, the system's.
    Bundles(&'a [PathBuf]),
    /// All.
    Any,
}

/// A finished configuration.
pub(super) fn configuration(roots: &Roots<'_>) -> Result<ClientConfig, RegistryError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| RegistryError::Setup { reason: error.to_string() })?;
    let mut config = match roots {
        Roots::None => builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
        Roots::Bundles(bundles) => builder.with_root_certificates(store(bundles)?).with_no_client_auth(),
        Roots::Any => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(NoQuestions::new(&provider)))
            .with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn store(bundles: &[PathBuf]) -> Result<RootCertStore, RegistryError> {
    let mut roots = RootCertStore::empty();
    for bundle in bundles {
        let before = roots.len();
        add(&mut roots, bundle)?;
        if roots.len() == before {
            return Err(RegistryError::Setting {
                path: bundle.clone(),
                reason: "no certificate in it".to_owned(),
            });
        }
    }
    if bundles.is_empty()
        && let Some(system) = SYSTEM_BUNDLES.iter().map(Path::new).find(|path| path.exists())
    {
        add(&mut roots, system)?;
    }
    Ok(roots)
}

fn add(roots: &mut RootCertStore, bundle: &Path) -> Result<(), RegistryError> {
    let text =
        std::fs::read(bundle).map_err(|source| RegistryError::File { path: bundle.to_owned(), source })?;
    // bundles hold certificates of their own kinds; one that is not understood must not cost the others
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&text).filter_map(Result::ok));
    Ok(())
}

/// Takes any certificate, for registries that the user called insecure.
#[derive(Debug)]
struct NoQuestions(WebPkiSupportedAlgorithms);

impl NoQuestions {
    fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }
}

impl ServerCertVerifier for NoQuestions {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
