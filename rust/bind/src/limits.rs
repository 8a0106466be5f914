//! `megahertz.settings.Limits` as the reactor takes them: seconds become nanoseconds.
use poll::{Overflow, Settings, SocketOptions};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

fn number(limits: &Bound<'_, PyDict>, name: &str) -> PyResult<f64> {
    let value = limits.get_item(name)?.ok_or_else(|| PyKeyError::new_err(name.to_owned()))?;
    let value: f64 = value.extract()?;
    if value >= 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(PyValueError::new_err(format!("{name}={value}: not a finite number from 0 on")))
}

pub fn settings(limits: &Bound<'_, PyDict>) -> PyResult<Settings> {
    let count = |name: &str| number(limits, name).map(|value| value as usize);
    let nanos = |name: &str| number(limits, name).map(|value| (value * 1e9) as u64);
    Ok(Settings {
        bounds: wire::Bounds {
            head: count("head_bytes")?,
            fields: count("headers")?,
            target: count("target_bytes")?,
        },
        body: count("body_bytes")?,
        head_timeout: nanos("head_timeout")?,
        idle_timeout: nanos("idle_timeout")?,
        body_grace: nanos("body_grace")?,
        body_rate: count("body_rate")? as u64,
        write_timeout: nanos("write_timeout")?,
        unsent: count("unsent_bytes")?,
        requests: count("requests")? as u32,
        connections: count("connections")?,
    })
}

/// What sockets may do, unless their route says otherwise; and how much of what they sent may wait
/// to be received.
pub fn socket_options(limits: &Bound<'_, PyDict>) -> PyResult<(SocketOptions, usize)> {
    let count = |name: &str| number(limits, name).map(|value| value as usize);
    let nanos = |name: &str| number(limits, name).map(|value| (value * 1e9) as u64);
    let options = SocketOptions {
        message: count("message_bytes")?,
        unsent: count("unsent_bytes")?,
        overflow: Overflow::Wait,
        compress: None,
        ping_interval: nanos("ping_interval")?,
        ping_timeout: nanos("ping_timeout")?,
        close_timeout: nanos("close_timeout")?,
    };
    Ok((options, count("unread_bytes")?))
}
