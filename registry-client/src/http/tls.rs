//! TLS: rustls with ring, and the authorities it trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::named_certificate::OrNamed;
use crate::RegistryError;

/// Where distributions keep the bundle of all trusted authorities.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What a connection is made with.
pub(super) struct Terms<'a> {
    pub(super) roots: Roots<'a>,
    /// Certificate and key to show.
    pub(super) client: Option<(&'a Path, &'a Path)>,
}

/// Which certificates are good.
pub(super) enum Roots<'a> {
    /// None: only plain HTTP is spoken.
    None,
    /// Those that the bundles vouch for (the system's where none is named), or a host's own authorities.
    Bundles { named: &'a [PathBuf], own: &'a [PathBuf] },
    /// All.
    Any,
}

/// A finished configuration.
pub(super) fn configuration(terms: &Terms<'_>) -> Result<ClientConfig, RegistryError> {
    let setup = |error: rustls::Error| RegistryError::Setup { reason: error.to_string() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(setup)?;
    let builder = match &terms.roots {
        Roots::None => builder.with_root_certificates(RootCertStore::empty()),
        Roots::Bundles { named, own } => {
            let (roots, trusted) = store(named, own)?;
            match roots.is_empty() {
                true => builder.with_root_certificates(roots),
                false => {
                    let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
                    let webpki =
                        webpki.build().map_err(|error| RegistryError::Setup { reason: error.to_string() })?;
                    let verifier = Arc::new(OrNamed { webpki, trusted });
                    builder.dangerous().with_custom_certificate_verifier(verifier)
                }
            }
        }
        Roots::Any => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(NoQuestions::new(&provider)))
        }
    };
    let mut config = match terms.client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let bad = |path: &Path, reason: String| RegistryError::Setting { path: path.to_owned(), reason };
            let chain = CertificateDer::pem_slice_iter(&read(certificate)?).collect::<Result<Vec<_>, _>>();
            let chain = chain.map_err(|error| bad(certificate, error.to_string()))?;
            // the parser's words name positions, not bytes of the key
            let private =
                PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| bad(key, error.to_string()))?;
            builder
                .with_client_auth_cert(chain, private)
                .map_err(|error| bad(certificate, error.to_string()))?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The bundle of the system, where there is one.
pub(super) fn system_bundle() -> Option<&'static Path> {
    SYSTEM_BUNDLES.iter().map(Path::new).find(|path| path.exists())
}

type Trusted = (RootCertStore, Vec<CertificateDer<'static>>);

fn store(named: &[PathBuf], own: &[PathBuf]) -> Result<Trusted, RegistryError> {
    let (mut roots, mut all) = (RootCertStore::empty(), Vec::new());
    for bundle in named.iter().chain(own) {
        let before = roots.len();
        add(&mut roots, &mut all, bundle)?;
        if roots.len() == before {
            return Err(RegistryError::Setting {
                path: bundle.clone(),
                reason: "no certificate in it".to_owned(),
            });
        }
    }
    if named.is_empty()
        && let Some(system) = system_bundle()
    {
        add(&mut roots, &mut all, system)?;
    }
    Ok((roots, all))
}

fn add(
    roots: &mut RootCertStore,
    all: &mut Vec<CertificateDer<'static>>,
    bundle: &Path,
) -> Result<(), RegistryError> {
    let text = read(bundle)?;
    // bundles hold certificates of their own kinds; one that is not understood must not cost the others
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok).collect();
    roots.add_parsable_certificates(found.iter().cloned());
    all.extend(found);
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>, RegistryError> {
    std::fs::read(file).map_err(|source| RegistryError::File { path: file.to_owned(), source })
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
