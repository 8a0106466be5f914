//! What a secure listener shows and asks, and what a client trusts and shows, built from PEM.
use poll::link::ClientTls;
use poll::{ClientAuth, Identity, SECRET_BYTES, Secret, Tls};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustls::{ClientConfig, ServerConfig};
use std::sync::Arc;

/// Certificates, keys and roots, checked.
#[pyclass(frozen, module = "megahertz._core")]
pub struct TlsConfig(pub Arc<ServerConfig>);

#[pymethods]
impl TlsConfig {
    #[new]
    #[pyo3(signature = (identities, *, secret, client_ca=None, client_required=true, only_13=false, http2=true))]
    fn new(
        identities: Vec<(Vec<u8>, Vec<u8>)>,
        secret: &[u8],
        client_ca: Option<Vec<u8>>,
        client_required: bool,
        only_13: bool,
        http2: bool,
    ) -> PyResult<Self> {
        let bad = || PyValueError::new_err("secret: none that ticket_secret() made");
        let mut tickets = Secret::from_bytes(secret).ok_or_else(bad)?;
        tickets.ratchet();
        let client_auth = match client_ca {
            None => ClientAuth::None,
            Some(pem) if client_required => ClientAuth::Required(pem),
            Some(pem) => ClientAuth::Optional(pem),
        };
        let identities = identities.into_iter().map(|(chain, key)| Identity { chain, key });
        let tls = Tls { identities: identities.collect(), client_auth, only_13, http2, tickets };
        tls.build().map(TlsConfig).map_err(|error| PyValueError::new_err(error.to_string()))
    }
}

/// Certificates to trust and to show, checked.
#[pyclass(frozen, module = "megahertz._core")]
pub struct ClientTlsConfig(pub Arc<ClientConfig>);

#[pymethods]
impl ClientTlsConfig {
    #[new]
    #[pyo3(signature = (trusted=None, identity=None))]
    fn new(trusted: Option<Vec<u8>>, identity: Option<(Vec<u8>, Vec<u8>)>) -> PyResult<Self> {
        ClientTls { trusted, identity }.build().map(ClientTlsConfig).map_err(PyValueError::new_err)
    }
}

/// A secret for the workers of one server, or `last` as it is by now.
#[pyfunction]
#[pyo3(signature = (last=None))]
fn ticket_secret<'py>(py: Python<'py>, last: Option<&[u8]>) -> PyResult<Bound<'py, PyBytes>> {
    let secret = if let Some(last) = last {
        let bad = || PyValueError::new_err("last: none that ticket_secret() made");
        let mut secret = Secret::from_bytes(last).ok_or_else(bad)?;
        secret.ratchet();
        secret
    } else {
        let bytes: Vec<u8> =
            py.import("os")?.call_method1("urandom", (SECRET_BYTES,))?.extract()?;
        let bytes = bytes.try_into().map_err(|_| PyValueError::new_err("urandom"))?;
        Secret::new(bytes)
    };
    Ok(PyBytes::new(py, &secret.to_bytes()))
}

/// Adds this idea's classes to `megahertz._core`.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<TlsConfig>()?;
    module.add_class::<ClientTlsConfig>()?;
    module.add_function(wrap_pyfunction!(ticket_secret, module)?)
}
