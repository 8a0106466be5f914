//! Which certificate a peer is shown, by the name that it asked for (SNI, RFC 6066 section 3).
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::Arc;

/// Certificates by the names in them; the first is for everybody else.
pub struct Certificates {
    first: Arc<CertifiedKey>,
    names: HashMap<String, Arc<CertifiedKey>>,
}

impl Certificates {
    /// The first given is shown to peers that name nobody whom we know.
    ///
    /// # Errors
    /// The certificate at this place is none.
    pub fn new(first: Arc<CertifiedKey>, others: Vec<Arc<CertifiedKey>>) -> Result<Self, usize> {
        let mut names = HashMap::new();
        for (place, key) in [first.clone()].into_iter().chain(others).enumerate() {
            let leaf = key.end_entity_cert().map_err(|_| place)?;
            let leaf = webpki::EndEntityCert::try_from(leaf).map_err(|_| place)?;
            for name in leaf.valid_dns_names() {
                names.entry(name.to_ascii_lowercase()).or_insert_with(|| key.clone());
            }
        }
        Ok(Certificates { first, names })
    }

    fn find(&self, name: &str) -> &Arc<CertifiedKey> {
        let name = name.to_ascii_lowercase();
        let exact = self.names.get(&name);
        // A wildcard is the whole leftmost label (RFC 9525 section 6.3).
        let wild =
            || name.split_once('.').and_then(|(_, rest)| self.names.get(&format!("*.{rest}")));
        exact.or_else(wild).unwrap_or(&self.first)
    }
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.names.keys()).finish()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(hello.server_name().map_or(&self.first, |name| self.find(name))))
    }
}
