//! The two addresses of a connection, as Python has them.
//!
//! ASGI wants both with every request: asked of the kernel and spelled out each time, they would
//! cost two system calls and more instructions than reading the request.
use poll::{Reactor, Token};
use pyo3::prelude::*;
use std::net::SocketAddr;

/// A host and a port, or None.
pub type Address = Py<PyAny>;

struct Known {
    epoch: u32,
    peer: Address,
    local: Address,
}

/// By slot, made at the first question. What is replaced are strings and numbers: dropping them
/// runs no Python.
#[derive(Default)]
pub struct Addresses(Vec<Option<Known>>);

impl Addresses {
    /// The peer's and ours.
    pub fn of(
        &mut self,
        py: Python<'_>,
        reactor: &Reactor,
        token: Token,
    ) -> PyResult<(Address, Address)> {
        let index = token.index as usize;
        if self.0.len() <= index {
            self.0.resize_with(index + 1, || None);
        }
        let known = match self.0[index].take().filter(|known| known.epoch == token.epoch) {
            Some(known) => known,
            None => Known {
                epoch: token.epoch,
                peer: pair(py, reactor.peer(token))?,
                local: pair(py, reactor.local(token))?,
            },
        };
        let both = (known.peer.clone_ref(py), known.local.clone_ref(py));
        self.0[index] = Some(known);
        Ok(both)
    }
}

/// `(host, port)`, the host in its shortest spelling.
pub fn pair(py: Python<'_>, address: Option<SocketAddr>) -> PyResult<Address> {
    let pair = address.map(|address| (address.ip().to_canonical().to_string(), address.port()));
    Ok(pair.into_pyobject(py)?.unbind())
}
