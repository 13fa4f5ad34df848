//! TLS to the server, as libpq's `sslmode` and `sslrootcert` have it.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{AddressError, Roots, Target, TlsMode};

/// The connector for a target; `None` if it never speaks TLS. Reads the root
/// certificates, so a file that is missing or empty shows at start.
pub(super) fn connector(target: &Target) -> Result<Option<MakeRustlsConnect>, AddressError> {
    let provider = Arc::new(ring::default_provider());
    let check = match (target.tls, &target.roots) {
        (TlsMode::Disable, _) => return Ok(None),
        // libpq: encrypt, and check only if the user says against what.
        (TlsMode::Prefer | TlsMode::Require, None) => Check::Nothing(provider.clone()),
        (TlsMode::Prefer, Some(_)) => Check::Nothing(provider.clone()),
        (TlsMode::Require | TlsMode::VerifyCa, _) => Check::Chain(verifier(target, &provider)?),
        (TlsMode::VerifyFull, _) => Check::ChainAndName(verifier(target, &provider)?),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| AddressError::RootCertificates(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(check))
        .with_no_client_auth();
    // What a server that takes direct TLS insists on; others ignore it.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(Some(MakeRustlsConnect::new(config)))
}

fn verifier(
    target: &Target,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, AddressError> {
    let unusable =
        |error: &dyn std::fmt::Display| AddressError::RootCertificates(error.to_string());
    let mut store = RootCertStore::empty();
    match &target.roots {
        None | Some(Roots::System) => {
            let found = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(found.certs);
        }
        Some(Roots::File(path)) => {
            let pem = std::fs::read(path)
                .map_err(|error| unusable(&format_args!("{}: {error}", path.display())))?;
            add_pem(&mut store, &pem)?;
        }
        Some(Roots::Pem(pem)) => add_pem(&mut store, pem)?,
    }
    if store.is_empty() {
        return Err(unusable(&"none found"));
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone())
        .build()
        .map_err(|error| unusable(&error))
}

fn add_pem(store: &mut RootCertStore, pem: &[u8]) -> Result<(), AddressError> {
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate =
            certificate.map_err(|error| AddressError::RootCertificates(error.to_string()))?;
        store
            .add(certificate)
            .map_err(|error| AddressError::RootCertificates(error.to_string()))?;
    }
    Ok(())
}

/// How much of the server's certificate counts.
#[derive(Debug)]
enum Check {
    Nothing(Arc<CryptoProvider>),
    Chain(Arc<WebPkiServerVerifier>),
    ChainAndName(Arc<WebPkiServerVerifier>),
}

impl ServerCertVerifier for Check {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = match self {
            Self::Nothing(_) => return Ok(ServerCertVerified::assertion()),
            Self::Chain(inner) | Self::ChainAndName(inner) => {
                inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
        };
        match (self, verified) {
            // The name is looked at last, after the chain was found good.
            (
                Self::Chain(_),
                Err(rustls::Error::InvalidCertificate(
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. },
                )),
            ) => Ok(ServerCertVerified::assertion()),
            (_, verified) => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match self {
            Self::Nothing(provider) => rustls::crypto::verify_tls12_signature(
                message,
                cert,
                dss,
                &provider.signature_verification_algorithms,
            ),
            Self::Chain(inner) | Self::ChainAndName(inner) => {
                inner.verify_tls12_signature(message, cert, dss)
            }
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match self {
            Self::Nothing(provider) => rustls::crypto::verify_tls13_signature(
                message,
                cert,
                dss,
                &provider.signature_verification_algorithms,
            ),
            Self::Chain(inner) | Self::ChainAndName(inner) => {
                inner.verify_tls13_signature(message, cert, dss)
            }
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        match self {
            Self::Nothing(provider) => provider
                .signature_verification_algorithms
                .supported_schemes(),
            Self::Chain(inner) | Self::ChainAndName(inner) => inner.supported_verify_schemes(),
        }
    }
}
