//! Heads of HTTP/1.1, which is how a pool lays them out, as HTTP/2 has them, and back.
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Request, Uri, response};
use wire::response::Head;
use wire::{Field, Span};

/// What is said about one connection of HTTP/1.1 alone (RFC 9113 section 8.2.2).
const HOPS: [&[u8]; 6] =
    [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"host"];

/// A request out of its lines.
pub fn request(head: &[u8], scheme: &str) -> Result<Request<()>, String> {
    let mut lines = head.split(|&octet| octet == b'\n').map(<[u8]>::trim_ascii_end);
    let mut words = lines.next().unwrap_or_default().split(|&octet| octet == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (mut fields, mut authority) = (HeaderMap::new(), &b""[..]);
    for line in lines.take_while(|line| !line.is_empty()) {
        let colon = memchr::memchr(b':', line).unwrap_or(line.len() - 1);
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"host") {
            authority = value;
        }
        if HOPS.iter().any(|hop| name.eq_ignore_ascii_case(hop)) {
            continue;
        }
        let name = HeaderName::from_bytes(name).map_err(|error| error.to_string())?;
        let value = HeaderValue::from_bytes(value).map_err(|error| error.to_string())?;
        fields.append(name, value);
    }
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(target).build();
    let uri = uri.map_err(|error| format!("the target: {error}"))?;
    let request = Request::builder().method(method).uri(uri).body(());
    let mut request = request.map_err(|error| error.to_string())?;
    *request.headers_mut() = fields;
    Ok(request)
}

/// An answer's head; None: it is too large.
pub fn head(parts: &response::Parts) -> Option<Head> {
    let (mut octets, mut fields) = (vec![], vec![]);
    for (name, value) in &parts.headers {
        let mut write = |part: &[u8]| {
            let at = u16::try_from(octets.len()).ok()?;
            octets.extend_from_slice(part);
            Some(Span { at, len: u16::try_from(part.len()).ok()? })
        };
        fields.push(Field {
            name: write(name.as_str().as_bytes())?,
            value: write(value.as_bytes())?,
        });
    }
    let status = parts.status.as_u16();
    Some(Head { octets, status, reason: Span::default(), minor: 2, fields })
}

/// Trailers, as they would stand behind chunks.
pub fn lines(trailers: &HeaderMap) -> Vec<u8> {
    let mut out = vec![];
    for (name, value) in trailers {
        wire::reply::add_as_is(&mut out, name.as_str().as_bytes(), value.as_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_loses_what_is_about_its_connection() {
        let text = "PUT /a?b HTTP/1.1\r\nHost: x:1\r\nX-Y: z\r\nConnection: close\r\nx-y: \r\n\r\n";
        let request = request(text.as_bytes(), "https").unwrap();
        assert_eq!(
            (request.method().as_str(), request.uri().to_string().as_str()),
            ("PUT", "https://x:1/a?b")
        );
        let found: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        assert_eq!(found, [("x-y", &b"z"[..]), ("x-y", b"")]);
        assert!(super::request(b"GET /a HTTP/1.1\r\nhost: a b\r\n\r\n", "http").is_err());
    }
}
