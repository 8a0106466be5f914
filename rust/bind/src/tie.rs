//! What lives as long as a connection, whatever number of requests it serves.
use crate::engine::Engine;
use crate::socket::key;
use poll::Token;
use pyo3::intern;
use pyo3::prelude::*;

impl Engine {
    /// What is tied to the connection: at first what `make()` gives.
    pub fn tie(
        slf: &Bound<'_, Self>,
        token: Token,
        make: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let watched = slf.borrow_mut().reactor.watch(token);
        let Some(token) = watched else {
            let object = make.call0()?;
            object.call_method0(intern!(py, "end"))?; // It is closed already.
            return Ok(object.unbind());
        };
        if let Some(object) = slf.borrow().tied.get(&key(token)) {
            return Ok(object.clone_ref(py));
        }
        let object = make.call0()?.unbind();
        slf.borrow_mut().tied.insert(key(token), object.clone_ref(py));
        Ok(object)
    }

    /// The connection has closed.
    pub fn untie(slf: &Bound<'_, Self>, token: Token) -> PyResult<()> {
        let object = slf.borrow_mut().tied.remove(&key(token));
        match object {
            Some(object) => object.call_method0(slf.py(), intern!(slf.py(), "end")).map(drop),
            None => Ok(()),
        }
    }
}
