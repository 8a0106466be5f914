//! What a server shows and asks of its peers, from PEM to rustls.
use crate::tls::certificates::Certificates;
use crate::tls::tickets::{Secret, Tickets};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, version};
use std::fmt;
use std::sync::Arc;

/// Handshakes that a worker remembers itself (TLS 1.2 without tickets). Tickets need no memory.
const REMEMBERED: usize = 1024;

/// A certificate chain and its private key, both PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The server's certificate first, then the ones between it and the root.
    pub chain: Vec<u8>,
    /// PKCS #8, PKCS #1 or SEC 1.
    pub key: Vec<u8>,
}

/// Whether peers show a certificate too.
#[derive(Clone, Debug, Default)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// They may; one that does not verify ends the handshake. The roots are PEM.
    Optional(Vec<u8>),
    /// They must.
    Required(Vec<u8>),
}

/// All that a TLS listener needs.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Chosen by the name that the peer asks for; the first for everybody else.
    pub identities: Vec<Identity>,
    /// Whom we let in.
    pub client_auth: ClientAuth,
    /// TLS 1.2 is refused.
    pub only_13: bool,
    /// HTTP/2 is offered.
    pub http2: bool,
    /// Shared by the workers, so that a session goes on with any of them.
    pub tickets: Secret,
}

/// Why there can be no TLS with this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadTls {
    /// Which identity, from 0; none where the clients' roots are wrong.
    pub identity: Option<usize>,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for BadTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.identity {
            Some(number) => write!(f, "certificate {number}: {}", self.why),
            None => write!(f, "client certificates: {}", self.why),
        }
    }
}

impl Tls {
    /// Checks it all and makes what the reactor takes.
    ///
    /// # Errors
    /// What is wrong with which part.
    pub fn build(&self) -> Result<Arc<ServerConfig>, BadTls> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let both = [&version::TLS13, &version::TLS12];
        let versions = if self.only_13 { &both[..1] } else { &both[..] };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(|error| bad(None, &error))?;
        let builder = match self.verifier(&provider)? {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(verifier),
        };
        let mut keys = vec![];
        for (number, identity) in self.identities.iter().enumerate() {
            keys.push(
                identity.key(&provider).map_err(|why| BadTls { identity: Some(number), why })?,
            );
        }
        let none = || BadTls { identity: Some(0), why: "there is none".into() };
        let mut keys = keys.into_iter();
        let first = keys.next().ok_or_else(none)?;
        let certificates = Certificates::new(first, keys.collect())
            .map_err(|number| BadTls { identity: Some(number), why: "no certificate".into() })?;
        let mut config = builder.with_cert_resolver(Arc::new(certificates));
        config.ticketer = Arc::new(Tickets::new(self.tickets.clone()));
        config.session_storage = rustls::server::ServerSessionMemoryCache::new(REMEMBERED);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if self.http2 {
            config.alpn_protocols.insert(0, b"h2".to_vec());
        }
        Ok(Arc::new(config))
    }

    fn verifier(
        &self,
        provider: &Arc<rustls::crypto::CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, BadTls> {
        let (pem, optional) = match &self.client_auth {
            ClientAuth::None => return Ok(None),
            ClientAuth::Optional(pem) => (pem, true),
            ClientAuth::Required(pem) => (pem, false),
        };
        let mut roots = RootCertStore::empty();
        for root in chain(pem).map_err(|why| BadTls { identity: None, why })? {
            roots.add(root).map_err(|error| bad(None, &error))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
        let builder = if optional { builder.allow_unauthenticated() } else { builder };
        builder.build().map(Some).map_err(|error| bad(None, &error))
    }
}

impl Identity {
    fn key(&self, provider: &rustls::crypto::CryptoProvider) -> Result<Arc<CertifiedKey>, String> {
        let chain = chain(&self.chain)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|error| format!("no private key in PEM: {error}"))?;
        let key = provider.key_provider.load_private_key(key);
        let key = key.map_err(|error| format!("a private key that cannot be used: {error}"))?;
        let certified = CertifiedKey::new(chain, key);
        // Unknown: the key cannot tell. Anything else is a mistake that users would meet first.
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
                Ok(Arc::new(certified))
            }
            Err(_) => Err("the private key belongs to another certificate".into()),
        }
    }
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err("no certificate in PEM".into()),
        Ok(chain) => Ok(chain),
        Err(error) => Err(format!("no certificate in PEM: {error}")),
    }
}

fn bad(identity: Option<usize>, error: &dyn fmt::Display) -> BadTls {
    BadTls { identity, why: error.to_string() }
}
