//! A response's head, written behind what a connection has yet to send.

/// How the body that follows is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many bytes.
    Known(u64),
    /// Chunks.
    Chunked,
    /// Until the connection closes (a peer of HTTP/1.0).
    UntilClose,
    /// A status without content: 1xx, 204, 304 (RFC 9110 section 6.4.1).
    Absent,
}

/// What the head says about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// HTTP/1.1's habit: stays open, nothing to say.
    Keep,
    /// Stays open for a peer of HTTP/1.0, which must be told.
    KeepSaid,
    /// Closes after this answer.
    Close,
}

/// `HTTP/1.1 200 OK\r\n` and the fields of an answer that never change.
pub fn render(status: u16, fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let size: usize = fields.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let mut out = Vec::with_capacity(size + 48);
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in fields {
        add(&mut out, name, value);
    }
    out
}

/// Appends a field to what [`render`] made, its name in lower case.
pub fn add(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend(name.iter().map(u8::to_ascii_lowercase));
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends a field, its name in the case that it has.
pub fn add_as_is(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// Appends a head: the `rendered` part, framing, `date` (a whole line), persistence.
pub fn write(
    out: &mut Vec<u8>,
    rendered: &[u8],
    length: Length,
    persistence: Persistence,
    date: &[u8],
) {
    out.extend_from_slice(rendered);
    match length {
        Length::Known(bytes) => {
            out.extend_from_slice(b"content-length: ");
            out.extend_from_slice(itoa::Buffer::new().format(bytes).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Length::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Length::UntilClose | Length::Absent => {}
    }
    out.extend_from_slice(date);
    out.extend_from_slice(match persistence {
        Persistence::Keep => &b"\r\n"[..],
        Persistence::KeepSaid => b"connection: keep-alive\r\n\r\n",
        Persistence::Close => b"connection: close\r\n\r\n",
    });
}

/// Appends one chunk; an empty one would end the body, so it is left out.
pub fn chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    begin_chunk(out, data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Appends what stands before a chunk of so many bytes.
pub fn begin_chunk(out: &mut Vec<u8>, count: usize) {
    use std::io::Write as _;
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{count:x}\r\n");
}

/// What a chunked body ends with, before its trailers and an empty line.
pub const LAST_CHUNK: &[u8] = b"0\r\n";

/// Whether a status never has content.
pub const fn is_bodiless(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

/// Whether a field's name is a token and its value cannot end the line (RFC 9110 section 5).
pub fn is_field(name: &[u8], value: &[u8]) -> bool {
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty()
        && name.iter().all(token)
        && value.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

/// The reason phrase; IANA's names, as RFC 9110 section 15 has them.
pub const fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        511 => "Network Authentication Required",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_what_its_parts_say() {
        let rendered = render(200, &[(b"content-type".to_vec(), b"text/plain".to_vec())]);
        let mut out = vec![];
        write(&mut out, &rendered, Length::Known(5), Persistence::Close, b"date: x\r\n");
        let expected = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\
                        date: x\r\nconnection: close\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn chunks() {
        let mut out = vec![];
        chunk(&mut out, &[b'x'; 26]);
        chunk(&mut out, b"");
        assert_eq!(out, [&b"1a\r\n"[..], &[b'x'; 26], b"\r\n"].concat());
    }

    #[test]
    fn fields_that_could_split_the_head_are_told_apart() {
        assert!(is_field(b"x-y", b"a b\t\xe9"));
        assert!(!is_field(b"x-y", b"a\r\nb: c"));
        assert!(!is_field(b"x y", b"a"));
        assert!(!is_field(b"", b"a"));
        assert!(!is_field(b"x", b"a\0"));
    }
}
