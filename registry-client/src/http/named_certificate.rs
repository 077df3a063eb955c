//! Servers whose own certificate the user trusts by name.
//!
//! `openssl req -x509` makes certificates that call themselves authorities, and many a registry shows such a one.
//! WebPKI takes no authority for a server; Go does where that very certificate is among those that are trusted.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};

/// What WebPKI says; and a trusted certificate is good for the server that shows it.
#[derive(Debug)]
pub(super) struct OrNamed {
    pub(super) webpki: Arc<WebPkiServerVerifier>,
    /// All that are trusted.
    pub(super) trusted: Vec<CertificateDer<'static>>,
}

/// Whether a certificate was refused for being an authority's, and for nothing that comes before: WebPKI looks at its
/// time first.
fn is_authority(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

impl ServerCertVerifier for OrNamed {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.webpki.verify_server_cert(shown, between, name, ocsp, now) {
            Err(error) if is_authority(&error) => match self.trusted.contains(shown) {
                true => {
                    verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
                    Ok(ServerCertVerified::assertion())
                }
                false => Err(CertificateError::UnknownIssuer.into()),
            },
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::RootCertStore;
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    /// Made by `openssl req -x509` for `self.example`, good from 2026 to 2126.
    const OWN: &str = "-----BEGIN CERTIFICATE-----\n\
        MIIBjTCCATSgAwIBAgIUGqiK/7k/l1u6epyxoF5WohtduQwwCgYIKoZIzj0EAwIw\n\
        DzENMAsGA1UEAwwEc2VsZjAgFw0yNjExMjgwODI0MzBaGA8yMTI2MTEwNDA4MjQz\n\
        MFowDzENMAsGA1UEAwwEc2VsZjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABL5T\n\
        4hUtZIHVFKshEn3Mp57NvX0Hj9kuk4MmNGntLf4dkMOXUDvrgAbDh7cAUCBHrrLw\n\
        su+khoSp6uHtZrLWgPajbDBqMB0GA1UdDgQWBBRDs6H/zXIqotPqPshPxWAKGus2\n\
        QjAfBgNVHSMEGDAWgBRDs6H/zXIqotPqPshPxWAKGus2QjAPBgNVHRMBAf8EBTAD\n\
        AQH/MBcGA1UdEQQQMA6CDHNlbGYuZXhhbXBsZTAKBggqhkjOPQQDAgNHADBEAiAr\n\
        ikKEpa0qhHovOquQ9bbWXl0ZnIW5zXRDpUsAfMkBtQIgEPwe1KbTXrf9TMSMUTtM\n\
        0AnXdCycBFz8LwRkokUWG2Q=\n\
        -----END CERTIFICATE-----\n";

    #[test]
    fn a_trusted_certificate_is_good_for_its_name_and_its_time() {
        let own = CertificateDer::from_pem_slice(OWN.as_bytes()).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(own.clone()).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let webpki =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().expect("roots");
        let years = |years: u64| UnixTime::since_unix_epoch(Duration::from_secs(years * 365 * 86400));
        for (trusted, name, time, good) in [
            (vec![own.clone()], "self.example", years(60), true),
            (vec![own.clone()], "other.example", years(60), false),
            (vec![own.clone()], "self.example", years(50), false),
            (vec![own.clone()], "self.example", years(160), false),
            (Vec::new(), "self.example", years(60), false),
        ] {
            let verifier = OrNamed { webpki: webpki.clone(), trusted };
            let name = ServerName::try_from(name).expect("a name");
            let judged = verifier.verify_server_cert(&own, &[], &name, &[], time);
            assert_eq!(judged.is_ok(), good, "{name:?} {time:?}: {judged:?}");
        }
    }
}
