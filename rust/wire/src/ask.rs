//! A request's head, laid out behind nothing: line, fields, and how its body is framed.
//!
//! What comes from a program is checked here, for a line end in a target or a value would be a
//! second request (CVE-2019-9740, and its like in every client).
use crate::reply::{add_as_is, is_field};

/// Why a request cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The method is no token.
    Method,
    /// The target has a character that is none of a URI.
    Target,
    /// The field of that name.
    Field(String),
    /// Content-Length and Transfer-Encoding together, one of them twice, or one that is none.
    Framing,
}

/// What the fields that were given say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// There is a Host.
    pub host: bool,
    /// There is a Content-Length.
    pub length: Option<u64>,
    /// There is `Transfer-Encoding: chunked`.
    pub chunked: bool,
    /// The connection is to close behind the answer.
    pub close: bool,
}

/// Begins a request.
///
/// # Errors
/// It would be none.
pub fn begin(out: &mut Vec<u8>, method: &[u8], prefix: &[u8], target: &[u8]) -> Result<(), Unfit> {
    if !is_field(method, b"") {
        return Err(Unfit::Method);
    }
    if target.is_empty() || !target.iter().all(|octet| (b'!'..=b'~').contains(octet)) {
        return Err(Unfit::Target);
    }
    for part in [method, b" ", prefix, target, b" HTTP/1.1\r\n"] {
        out.extend_from_slice(part);
    }
    Ok(())
}

impl Given {
    /// Adds a field.
    ///
    /// # Errors
    /// It is none, or frames the body in another way than one before.
    pub fn field(&mut self, out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), Unfit> {
        if !is_field(name, value) {
            return Err(Unfit::Field(String::from_utf8_lossy(name).into_owned()));
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host = true,
            10 if name.eq_ignore_ascii_case(b"connection") => {
                let mut options = crate::head::options(value);
                self.close |= options.any(|option| option.eq_ignore_ascii_case(b"close"));
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let text = std::str::from_utf8(value).map_err(|_| Unfit::Framing)?;
                let plain = value.iter().all(u8::is_ascii_digit);
                let length = text.parse().ok().filter(|_| plain).ok_or(Unfit::Framing)?;
                if self.length.replace(length).is_some() || self.chunked {
                    return Err(Unfit::Framing);
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                let twice = std::mem::replace(&mut self.chunked, true);
                if twice || self.length.is_some() || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Unfit::Framing);
                }
            }
            _ => {}
        }
        add_as_is(out, name, value);
        Ok(())
    }

    /// Adds what was not given: Host, and the length of the body that follows.
    pub fn finish(&mut self, out: &mut Vec<u8>, authority: &[u8], body: Body) {
        if !self.host {
            add_as_is(out, b"host", authority);
        }
        match body {
            Body::Known(bytes) if self.length.is_none() && !self.chunked => {
                add_as_is(out, b"content-length", itoa::Buffer::new().format(bytes).as_bytes());
            }
            Body::Pieces if self.length.is_none() && !self.chunked => {
                self.chunked = true;
                add_as_is(out, b"transfer-encoding", b"chunked");
            }
            _ => {}
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// What follows a request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing, of which nothing is said.
    Absent,
    /// So many octets.
    Known(u64),
    /// Nobody knows how many.
    Pieces,
}

impl Body {
    /// Of a request without content: methods that are about content say that there is none
    /// (RFC 9110 section 8.6).
    pub fn empty(method: &[u8]) -> Body {
        if matches!(method, b"POST" | b"PUT" | b"PATCH") { Body::Known(0) } else { Body::Absent }
    }
}

/// Whether doing it twice is as good as once (RFC 9110 section 9.2.2).
pub fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lay(fields: &[(&str, &str)], body: Body) -> Result<String, Unfit> {
        let (mut out, mut given) = (vec![], Given::default());
        begin(&mut out, b"POST", b"", b"/a?b")?;
        for (name, value) in fields {
            given.field(&mut out, name.as_bytes(), value.as_bytes())?;
        }
        given.finish(&mut out, b"here:80", body);
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn what_is_not_given_is_added() {
        assert_eq!(
            lay(&[("X-Y", "z")], Body::Known(3)).unwrap(),
            "POST /a?b HTTP/1.1\r\nX-Y: z\r\nhost: here:80\r\ncontent-length: 3\r\n\r\n"
        );
        assert!(lay(&[], Body::Pieces).unwrap().contains("transfer-encoding: chunked\r\n"));
        let given = lay(&[("Host", "other"), ("Content-Length", "7")], Body::Pieces).unwrap();
        assert_eq!(given, "POST /a?b HTTP/1.1\r\nHost: other\r\nContent-Length: 7\r\n\r\n");
        assert!(!lay(&[], Body::Absent).unwrap().contains("content"));
    }

    #[test]
    fn nothing_is_a_second_request() {
        let mut out = vec![];
        for target in ["", "/ HTTP/1.1\r\nx: y", "/a b", "/\u{e9}", "/\n"] {
            assert_eq!(begin(&mut out, b"GET", b"", target.as_bytes()), Err(Unfit::Target));
        }
        for method in ["", "GET /x", "G\r\nT"] {
            assert_eq!(begin(&mut out, method.as_bytes(), b"", b"/"), Err(Unfit::Method));
        }
        for (name, value) in [("", "x"), ("a b", "x"), ("a", "x\r\ny: z"), ("a", "x\0"), ("a:", "")]
        {
            assert_eq!(lay(&[(name, value)], Body::Absent), Err(Unfit::Field(name.into())));
        }
    }

    #[test]
    fn a_body_is_framed_once() {
        for fields in [
            [("content-length", "1"), ("content-length", "1")],
            [("content-length", "1"), ("transfer-encoding", "chunked")],
            [("transfer-encoding", "chunked"), ("content-length", "1")],
            [("transfer-encoding", "gzip"), ("x", "y")],
            [("content-length", "+1"), ("x", "y")],
            [("content-length", ""), ("x", "y")],
        ] {
            assert_eq!(lay(&fields, Body::Pieces), Err(Unfit::Framing), "{fields:?}");
        }
    }

    #[test]
    fn some_methods_say_that_there_is_no_content() {
        assert_eq!(Body::empty(b"PUT"), Body::Known(0));
        assert_eq!(Body::empty(b"GET"), Body::Absent);
        assert!(is_idempotent(b"DELETE") && !is_idempotent(b"POST") && !is_idempotent(b"get"));
    }
}
