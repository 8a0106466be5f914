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
    /// What somebody else knows of a connection that was handed over.
    pub fn tell(
        &mut self,
        py: Python<'_>,
        token: Token,
        peer: Option<(String, u16)>,
        local: Option<(String, u16)>,
    ) -> PyResult<()> {
        let (peer, local) = (peer.into_pyobject(py)?.unbind(), local.into_pyobject(py)?.unbind());
        *self.place(token) = Some(Known { epoch: token.epoch, peer, local });
        Ok(())
    }

    fn place(&mut self, token: Token) -> &mut Option<Known> {
        let index = token.index as usize;
        if self.0.len() <= index {
            self.0.resize_with(index + 1, || None);
        }
        &mut self.0[index]
    }

    /// The peer's and ours.
    pub fn of(
        &mut self,
        py: Python<'_>,
        reactor: &Reactor,
        token: Token,
    ) -> PyResult<(Address, Address)> {
        let place = self.place(token);
        let known = match place.take().filter(|known| known.epoch == token.epoch) {
            Some(known) => known,
            None => Known {
                epoch: token.epoch,
                peer: pair(py, reactor.peer(token))?,
                local: pair(py, reactor.local(token))?,
            },
        };
        let both = (known.peer.clone_ref(py), known.local.clone_ref(py));
        *place = Some(known);
        Ok(both)
    }
}

/// `(host, port)`, the host in its shortest spelling.
pub fn pair(py: Python<'_>, address: Option<SocketAddr>) -> PyResult<Address> {
    let pair = address.map(|address| (address.ip().to_canonical().to_string(), address.port()));
    Ok(pair.into_pyobject(py)?.unbind())
}
