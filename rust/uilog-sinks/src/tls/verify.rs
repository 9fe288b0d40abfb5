//! Verifies a server by the certificates in a `ca-file`, or those of the
//! system.
//!
//! Responsible for one thing that webpki does not do: the server's own
//! certificate may be among them, as `openssl req -x509` makes it. It is then
//! trusted, whether or not it is marked as an authority's, but only for the
//! servers that it names, and as long as it is valid. webpki verifies all
//! others. curl and OpenSSL do the same.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use chrono::Utc;
use rustls::CertificateError;
use rustls::DigitallySignedStruct;
use rustls::Error;
use rustls::ExtendedKeyPurpose;
use rustls::OtherError;
use rustls::RootCertStore;
use rustls::SignatureScheme;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::crypto::verify_tls13_signature_with_raw_key;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::UnixTime;

use super::certificate::Certificate;
use super::certificate::Key;
use super::explain::SelfSigned;

/// Verifies servers by the certificates in a file.
#[derive(Debug)]
pub(super) struct Verifier {
    certificates: Vec<CertificateDer<'static>>,
    authorities: Arc<WebPkiServerVerifier>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// One that trusts these listed certificates.
    ///
    /// # Errors
    ///
    /// One of them is damaged.
    pub(super) fn new(
        certificates: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone()).map_err(|_| {
                "a certificate in it is damaged: copy it again".to_owned()
            })?;
        }
        Self::with_roots(certificates, roots, provider)
    }

    /// A verifier that trusts the system's certificates. Some of them may be
    /// too old to be parsed.
    ///
    /// # Errors
    ///
    /// None can be parsed.
    pub(super) fn of_system(
        certificates: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        Self::with_roots(certificates, roots, provider)
    }

    fn with_roots(
        certificates: Vec<CertificateDer<'static>>,
        roots: RootCertStore,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let authorities = WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::clone(provider),
        );
        Ok(Self {
            certificates,
            authorities: authorities
                .build()
                .map_err(|_| "none can be used".to_owned())?,
            algorithms: provider.signature_verification_algorithms,
        })
    }

    /// The certificate, if it is in the file itself.
    fn named(&self, der: &CertificateDer<'_>) -> Option<Certificate> {
        let is_it = |it: &CertificateDer<'_>| it.as_ref() == der.as_ref();
        let is_named = self.certificates.iter().any(is_it);
        is_named.then(|| Certificate::read(der)).flatten()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(certificate) = self.named(end_entity) {
            check(&certificate, server_name, now)?;
            return Ok(ServerCertVerified::assertion());
        }
        let verified = self.authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        verified.map_err(|error| match error {
            Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::Other(_),
            ) if is_self_issued(end_entity) => {
                CertificateError::Other(OtherError(Arc::new(SelfSigned))).into()
            }
            error => error,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let Some(certificate) = self.named(der) else {
            let authorities = &self.authorities;
            return authorities.verify_tls12_signature(message, der, signed);
        };
        let bad = || Error::from(CertificateError::BadSignature);
        let key = Key::read(&certificate.key).ok_or_else(bad)?;
        let mapping = self.algorithms.mapping.iter();
        let mut algorithms = mapping
            .filter(|it| it.0 == signed.scheme)
            .flat_map(|it| it.1)
            .filter(|it| it.public_key_alg_id().as_ref() == key.algorithm);
        let is_valid = algorithms.any(|it| {
            let signature = signed.signature();
            it.verify_signature(key.bits, message, signature).is_ok()
        });
        match is_valid {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(bad()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let Some(certificate) = self.named(der) else {
            let authorities = &self.authorities;
            return authorities.verify_tls13_signature(message, der, signed);
        };
        // By its key alone: webpki reads no certificate of version 1.
        let key = SubjectPublicKeyInfoDer::from(certificate.key);
        let algorithms = &self.algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn is_self_issued(der: &CertificateDer<'_>) -> bool {
    Certificate::read(der).is_some_and(|it| it.is_self_issued)
}

/// Whether a certificate that is trusted as it is may be used for this.
fn check(
    certificate: &Certificate,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), CertificateError> {
    if now < unix_time(certificate.not_before) {
        return Err(CertificateError::NotValidYetContext {
            time: now,
            not_before: unix_time(certificate.not_before),
        });
    }
    if now > unix_time(certificate.not_after) {
        return Err(CertificateError::ExpiredContext {
            time: now,
            not_after: unix_time(certificate.not_after),
        });
    }
    if !certificate.is_for_servers {
        return Err(CertificateError::InvalidPurposeContext {
            required: ExtendedKeyPurpose::ServerAuth,
            presented: Vec::new(),
        });
    }
    if !certificate.is_for(server_name) {
        return Err(CertificateError::NotValidForNameContext {
            expected: server_name.to_owned(),
            presented: vec![certificate.shown_names()],
        });
    }
    Ok(())
}

/// Times before 1970 count as 1970.
fn unix_time(time: DateTime<Utc>) -> UnixTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}
