//! `megahertz._core`: the one native module, a thin Python face over the sans-Python crates.
//!
//! Each sibling file binds one idea and adds its own classes; this file is only the list.
use pyo3::prelude::*;

mod address;
mod admit;
mod answer;
mod attend;
mod batch;
mod callbacks;
mod calls;
mod client;
mod conclude;
mod contexts;
mod convert;
mod dispatch;
mod engine;
mod exchange;
mod figures;
mod gate;
mod held;
mod journal;
mod json;
mod lag;
mod limits;
mod link;
mod links;
mod load;
mod plane;
mod probe;
mod proxies;
mod pump;
mod quiet;
mod reply;
mod routes;
mod runtime;
mod socket;
mod task;
mod tie;
mod tls;
mod trace;
mod typed;
mod waiting;

/// The native half of megahertz; imported by `megahertz.engine.native` alone.
#[pymodule(gil_used = true)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    engine::register(module)?;
    socket::register(module)?;
    trace::register(module)?;
    quiet::register(module)?;
    tls::register(module)?;
    probe::register(module)?;
    routes::register(module)?;
    convert::register(module)?;
    exchange::asgi::register(module)?;
    plane::register(module)?;
    gate::register(module)?;
    journal::register(module)?;
    json::register(module)?;
    load::register(module)?;
    links::register(module)?;
    link::register(module)?;
    client::register(module)?;
    // The stub is the list of names, and stubtest compares the two.
    module.delattr("__all__")
}
