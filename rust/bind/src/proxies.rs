//! Proxies that are believed when they say who a request came from.
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::net::IpAddr;
use wire::forwarded::{self, Network, Origin, Told};

/// Whom to believe; nobody by default.
#[derive(Default)]
pub struct Proxies {
    networks: Vec<Network>,
    /// Whoever comes by a unix socket.
    unix: bool,
    pub told: Told,
}

impl Proxies {
    /// Of addresses and networks, and `unix`.
    pub fn parse(items: &[String], header: &str) -> PyResult<Proxies> {
        let told = match header {
            "x-forwarded" => Told::ByX,
            "forwarded" => Told::ByForwarded,
            _ => return Err(PyValueError::new_err(format!("{header:?}: x-forwarded, forwarded"))),
        };
        let mut proxies = Proxies { told, ..Proxies::default() };
        for item in items {
            match Network::parse(item) {
                Some(network) => proxies.networks.push(network),
                None if item == "unix" => proxies.unix = true,
                None => {
                    let told = format!("{item:?} is no address, no network without host bits");
                    return Err(PyValueError::new_err(told));
                }
            }
        }
        Ok(proxies)
    }

    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    pub fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// Whether the peer of that address is one; `None` is a unix socket's.
    pub fn believe(&self, peer: Option<&str>) -> bool {
        let Some(peer) = peer else { return self.unix };
        let address = peer.parse::<IpAddr>();
        address.is_ok_and(|address| self.networks.iter().any(|network| network.holds(address)))
    }

    /// What a peer says of who asked it, where it is believed.
    pub fn origin<'a>(
        &self,
        peer: Option<&str>,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Origin {
        if self.believe(peer) {
            forwarded::origin(self.told, self.networks(), fields)
        } else {
            Origin::default()
        }
    }
}
