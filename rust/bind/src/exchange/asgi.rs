//! The two steps of an ASGI request that cost most in Python: its scope, and a whole answer.
use super::{ENDED, Exchange, SURVIVES};
use crate::answer;
use crate::calls::Object;
use crate::engine::Engine;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use wire::reply;

/// Adds both functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(asgi_scope, module)?)?;
    module.add_function(wrap_pyfunction!(asgi_answer, module)?)?;
    module.add_function(wrap_pyfunction!(asgi_is_sized, module)?)
}

/// A copy of `template`, which has every key and what is the same for all requests.
#[pyfunction]
#[pyo3(signature = (exchange, template, /))]
fn asgi_scope<'py>(
    exchange: &Bound<'py, Exchange>,
    template: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyDict>> {
    let (py, this) = (exchange.py(), exchange.get());
    this.mark(SURVIVES);
    // Copied with its keys: filling it in never makes the table grow.
    let scope = template.copy()?;
    scope.set_item(intern!(py, "http_version"), this.version(py))?;
    scope.set_item(intern!(py, "method"), this.method(py))?;
    if this.is_secure(py)? {
        scope.set_item(intern!(py, "scheme"), intern!(py, "https"))?;
    }
    scope.set_item(intern!(py, "path"), this.path(py))?;
    scope.set_item(intern!(py, "raw_path"), this.raw_path(py))?;
    scope.set_item(intern!(py, "query_string"), this.query(py))?;
    scope.set_item(intern!(py, "headers"), this.headers(py))?;
    if let Some((peer, local)) = this.addresses(py)? {
        scope.set_item(intern!(py, "client"), peer)?;
        scope.set_item(intern!(py, "server"), local)?;
    }
    let extensions = scope.get_item(intern!(py, "extensions"))?;
    if let Some(Ok(extensions)) = extensions.as_ref().map(|it| it.cast_exact::<PyDict>()) {
        scope.set_item(intern!(py, "extensions"), extensions.copy()?)?;
    }
    Ok(scope)
}

/// Answers by the `http.response.start` and the only `http.response.body`, where both are as
/// they usually are; False: nothing was done, for it takes a closer look.
#[pyfunction]
#[pyo3(signature = (exchange, head, message, /))]
fn asgi_answer(
    exchange: &Bound<'_, Exchange>,
    head: &Object<'_>,
    message: &Object<'_>,
) -> PyResult<bool> {
    let (py, this) = (exchange.py(), exchange.get());
    let Some((status, rendered, body)) = usual(head, message)? else { return Ok(false) };
    let head_only = this.incoming.head.method.of(&this.incoming.bytes) == b"HEAD";
    if this.is_started() || this.is_ended() || head_only {
        return Ok(false);
    }
    this.begin(ENDED, status);
    let engine = this.engine.bind(py);
    engine.borrow_mut().send(this.token, status, &rendered, &body);
    Engine::pump_later(engine)?;
    Ok(true)
}

/// Whether an `http.response.start` says how long its body is, or that there is none; as it
/// usually is: any other is taken for one that does not say.
#[pyfunction]
#[pyo3(signature = (head, /))]
fn asgi_is_sized(head: &Object<'_>) -> PyResult<bool> {
    let py = head.py();
    let Ok(head) = head.cast::<PyDict>() else { return Ok(false) };
    let status = head.get_item(intern!(py, "status"))?.and_then(|it| it.extract::<u16>().ok());
    if status.is_some_and(reply::is_bodiless) {
        return Ok(true);
    }
    let Some(fields) = head.get_item(intern!(py, "headers"))? else { return Ok(false) };
    let Ok(fields) = fields.cast_exact::<PyList>() else { return Ok(false) };
    Ok(fields.iter().rev().any(|field| is_length(&field)))
}

fn is_length(field: &Object<'_>) -> bool {
    let name = match field.cast_exact::<PyTuple>() {
        Ok(pair) => pair.get_item(0),
        Err(_) => field.get_item(0),
    };
    let is_it = |name: Object<'_>| {
        name.cast::<PyBytes>().is_ok_and(|it| it.as_bytes().eq_ignore_ascii_case(b"content-length"))
    };
    name.is_ok_and(is_it)
}

type Whole<'py> = (u16, Vec<u8>, Bound<'py, PyBytes>);

fn usual<'py>(head: &Object<'py>, message: &Object<'py>) -> PyResult<Option<Whole<'py>>> {
    let py = head.py();
    let (Ok(head), Ok(message)) = (head.cast_exact::<PyDict>(), message.cast_exact::<PyDict>())
    else {
        return Ok(None);
    };
    let more = message.get_item(intern!(py, "more_body"))?;
    let body = message.get_item(intern!(py, "body"))?;
    if head.get_item(intern!(py, "trailers"))?.is_some_and(|it| it.is_truthy().unwrap_or(true)) {
        return Ok(None);
    }
    let status = head.get_item(intern!(py, "status"))?.and_then(|it| it.extract::<u16>().ok());
    let (Some(body), Some(status)) = (body, status) else { return Ok(None) };
    let Ok(body) = body.cast_into_exact::<PyBytes>() else { return Ok(None) };
    if more.is_some_and(|more| more.is_truthy().unwrap_or(true)) {
        return Ok(None);
    }
    let fields = head.get_item(intern!(py, "headers"))?;
    let rendered = fields.and_then(|fields| render(status, &fields, body.as_bytes().len()));
    Ok(rendered.map(|rendered| (status, rendered, body)))
}

/// `None` where a field is not plain, or says another length.
fn render(status: u16, fields: &Object<'_>, length: usize) -> Option<Vec<u8>> {
    let fields = fields.cast_exact::<PyList>().ok()?;
    if answer::checked(status).is_err() || reply::is_bodiless(status) {
        return None;
    }
    let mut out = reply::render(status, &[]);
    for field in fields.iter() {
        let (name, value) = plain(&field)?;
        let (name, value) = (name.as_bytes(), value.as_bytes());
        if !reply::is_field(name, value) {
            return None;
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let said = std::str::from_utf8(value.trim_ascii()).ok()?.parse();
            said.is_ok_and(|said: usize| said == length).then_some(())?;
        } else if !answer::is_ours(name) {
            reply::add(&mut out, name, value.trim_ascii());
        }
    }
    Some(out)
}

type Field<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);

fn plain<'py>(field: &Object<'py>) -> Option<Field<'py>> {
    let field = field.cast_exact::<PyTuple>().ok()?;
    if field.len() != 2 {
        return None;
    }
    let item = |at: usize| field.get_item(at).ok()?.cast_into_exact::<PyBytes>().ok();
    Some((item(0)?, item(1)?))
}
