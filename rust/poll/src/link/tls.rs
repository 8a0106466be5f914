//! TLS towards a server: whom to trust, and who we are.
use super::Loss;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::sync::Arc;

/// What connections to a server have in common.
#[derive(Clone, Debug, Default)]
pub struct ClientTls {
    /// Certificates in PEM to trust; None: those of the system.
    pub trusted: Option<Vec<u8>>,
    /// A chain and a key in PEM, for servers that ask who we are.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl ClientTls {
    /// Checks it all and makes what connections begin from.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn build(&self) -> Result<Arc<ClientConfig>, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(self.roots()?);
        let config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|error| format!("no private key in PEM: {error}"))?;
                builder
                    .with_client_auth_cert(certificates(chain)?, key)
                    .map_err(|error| format!("the client certificate: {error}"))?
            }
        };
        Ok(Arc::new(config))
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let mut store = RootCertStore::empty();
        if let Some(pem) = &self.trusted {
            for certificate in certificates(pem)? {
                store.add(certificate).map_err(|error| format!("a root: {error}"))?;
            }
        } else {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        if store.is_empty() {
            return Err("no root certificate to trust".into());
        }
        Ok(store)
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.map_err(|error| format!("no certificate in PEM: {error}"))
}

/// Whom one connection speaks TLS with.
#[derive(Clone, Debug)]
pub struct Peer {
    /// From [`ClientTls::build`].
    pub config: Arc<ClientConfig>,
    /// Asked for (SNI), and looked for in the certificate; a name or an address.
    pub name: String,
}

impl Peer {
    /// The same, with protocols to be offered beside TLS (ALPN), the one liked best first.
    #[must_use]
    pub fn offering(&self, protocols: &[&[u8]]) -> Peer {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Peer { config: Arc::new(config), name: self.name.clone() }
    }

    pub(super) fn session(&self, sealed: usize) -> Result<ClientConnection, Loss> {
        let wrong = |error: &dyn std::fmt::Display| Loss::Tls(error.to_string());
        let name = ServerName::try_from(self.name.clone()).map_err(|error| wrong(&error))?;
        let mut session =
            ClientConnection::new(Arc::clone(&self.config), name).map_err(|error| wrong(&error))?;
        session.set_buffer_limit(Some(sealed));
        Ok(session)
    }
}
