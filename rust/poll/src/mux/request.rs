//! A request of HTTP/2 as a head of HTTP/1.1: one shape for all that comes after.
use http::request::Parts;
use http::{Method, header};
use wire::{Bounds, Field, Framing, Head, Refusal, Span};

/// Lays the parts out in bytes of our own.
///
/// # Errors
/// It says too much, or what RFC 9113 section 8.3.1 forbids and h2 lets pass.
pub fn lay_out(parts: &Parts, ended: bool, bounds: &Bounds) -> Result<(Head, Vec<u8>), Refusal> {
    let websocket = is_websocket(parts);
    if parts.method == Method::CONNECT && (!websocket || ended) {
        return Err(Refusal::Unsupported);
    }
    let target = parts.uri.path_and_query();
    let target = target.map_or("", http::uri::PathAndQuery::as_str);
    if target.len() > bounds.target {
        return Err(Refusal::TargetTooLong);
    }
    if !target.is_ascii() {
        return Err(Refusal::Malformed);
    }
    let host = host(parts)?;
    let mut page = Page { bytes: vec![], most: bounds.head };
    // As an opening handshake has it over HTTP/1.1 (RFC 8441 section 5).
    let method = if websocket { "GET" } else { parts.method.as_str() };
    let method = page.write(method.as_bytes())?;
    let path = page.write(parts.uri.path().as_bytes())?;
    let query = page.write(parts.uri.query().unwrap_or_default().as_bytes())?;
    let mut fields = vec![];
    fields.push(Field { name: page.write(b"host")?, value: page.write(host)? });
    for name in parts.headers.keys() {
        if name == header::HOST {
            continue;
        }
        if name == header::COOKIE {
            // Crumbs are one field again (section 8.2.3).
            let crumbs: Vec<_> = parts.headers.get_all(name).iter().map(AsRef::as_ref).collect();
            let value = page.write(&crumbs.join(&b"; "[..]))?;
            fields.push(Field { name: page.write(b"cookie")?, value });
            continue;
        }
        let place = page.write(name.as_str().as_bytes())?;
        for value in parts.headers.get_all(name) {
            fields.push(Field { name: place, value: page.write(value.as_bytes())? });
        }
    }
    if fields.len() > bounds.fields {
        return Err(Refusal::HeadTooLarge);
    }
    let bytes = page.bytes;
    Ok((
        Head {
            len: bytes.len(),
            method,
            path,
            query,
            minor: 1,
            framing: if websocket { Framing::Length(0) } else { framing(parts, ended)? },
            keep: true,
            websocket,
            expects: parts.headers.get(header::EXPECT).is_some_and(is_continue),
            fields,
        },
        bytes,
    ))
}

/// CONNECT with a `:protocol` of websocket (RFC 8441 section 4).
fn is_websocket(parts: &Parts) -> bool {
    let protocol = parts.extensions.get::<h2::ext::Protocol>();
    parts.method == Method::CONNECT
        && protocol.is_some_and(|name| name.as_str().eq_ignore_ascii_case("websocket"))
}

/// `:authority`, or Host where there is none; both have to agree.
fn host(parts: &Parts) -> Result<&[u8], Refusal> {
    let mut named = parts.headers.get_all(header::HOST).iter().map(AsRef::as_ref);
    let field: Option<&[u8]> = named.next();
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let differs = matches!((authority, field), (Some(one), Some(other)) if one != other);
    let host = authority.or(field).filter(|host| wire::is_authority(host));
    match host {
        Some(host) if named.next().is_none() && !differs => Ok(host),
        _ => Err(Refusal::Malformed),
    }
}

fn is_continue(value: &http::HeaderValue) -> bool {
    value.as_bytes().eq_ignore_ascii_case(b"100-continue")
}

/// How much will come, where that was said; h2 holds the frames against it.
fn framing(parts: &Parts, ended: bool) -> Result<Framing, Refusal> {
    if ended {
        return Ok(Framing::Length(0));
    }
    let Some(length) = parts.headers.get(header::CONTENT_LENGTH) else {
        return Ok(Framing::Chunked);
    };
    let length = length.to_str().ok().and_then(|length| length.parse().ok());
    length.map(Framing::Length).ok_or(Refusal::Malformed)
}

/// Bytes and where in them each part lies.
struct Page {
    bytes: Vec<u8>,
    most: usize,
}

impl Page {
    fn write(&mut self, part: &[u8]) -> Result<Span, Refusal> {
        let at = self.bytes.len();
        if at + part.len() > self.most {
            return Err(Refusal::HeadTooLarge);
        }
        self.bytes.extend_from_slice(part);
        Ok(Span { at: at as u16, len: part.len() as u16 })
    }
}
