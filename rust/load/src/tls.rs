//! TLS towards the server: whom to trust, and which protocols to offer.
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::template::Malformed;

/// Whom to speak TLS with.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Asked for (SNI) and looked for in the certificate.
    pub name: String,
    /// Certificates in PEM to trust; None: those of the system.
    pub trusted: Option<Vec<u8>>,
    /// Trust anyone. The traffic is still encrypted, with whoever answers.
    pub insecure: bool,
}

/// What every connection of a run begins its handshake from.
pub(crate) struct Secure {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Secure {
    pub(crate) fn new(tls: &Tls, http2: bool) -> Result<Self, Malformed> {
        let name = ServerName::try_from(tls.name.clone());
        let name = name.map_err(|_| Malformed(format!("{:?}: not a server's name", tls.name)))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Malformed(error.to_string()))?;
        let mut config = if tls.insecure {
            let anyone = Arc::new(Anyone(provider));
            builder.dangerous().with_custom_certificate_verifier(anyone).with_no_client_auth()
        } else {
            builder.with_root_certificates(roots(tls.trusted.as_deref())?).with_no_client_auth()
        };
        let offer: &[u8] = if http2 { b"h2" } else { b"http/1.1" };
        config.alpn_protocols = vec![offer.to_vec()];
        Ok(Self { config: Arc::new(config), name })
    }

    pub(crate) fn connect(&self) -> Result<Box<ClientConnection>, Error> {
        let mut session = ClientConnection::new(Arc::clone(&self.config), self.name.clone())?;
        // A request is rendered whole; it must not be cut at rustls' default of 64 KiB.
        session.set_buffer_limit(None);
        Ok(Box::new(session))
    }
}

fn roots(pem: Option<&[u8]>) -> Result<RootCertStore, Malformed> {
    let mut store = RootCertStore::empty();
    if let Some(pem) = pem {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let refused = |why: &dyn std::fmt::Display| Malformed(format!("CA file: {why}"));
            store.add(certificate.map_err(|e| refused(&e))?).map_err(|e| refused(&e))?;
        }
    } else {
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if store.is_empty() {
        return Err(Malformed("no CA certificate to trust; name a PEM file that has one".into()));
    }
    Ok(store)
}

/// Takes any certificate; the signatures of the handshake still have to be its own.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
