//! A request's head: where its parts lie in the buffer, and how its body is framed.
//!
//! # Theory
//! httparse finds the lines and checks their alphabet; what a request *means* is decided here, in
//! one pass over its fields. Everything is a [`Span`] into the caller's bytes: the head may be
//! moved or copied whole and its spans stay true.
//!
//! # Rules
//! - What two readers could frame differently is refused, never repaired: Content-Length beside
//!   Transfer-Encoding, a repeated or signed length, a coding that is not chunked alone, a line
//!   ended by a bare LF (RFC 9112 sections 2.2, 6.1 and 11.2).
//! - HTTP/1.1 asks for exactly one Host (RFC 9112 section 3.2), of the alphabet of an authority.
//!
//! # Rejected
//! A parser of our own: httparse is fuzzed, has SIMD, and costs 58 ns for the head of wrk. Reading
//! the fields again when a handler asks for one: 510 ns a look-up against 8 bytes a field here.
use crate::refusal::Refusal;
use std::mem::MaybeUninit;

/// The most fields that any setting may allow; what httparse writes to lies on the stack.
pub const MOST_FIELDS: usize = 256;

/// The limits of a head.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of the whole head.
    pub head: usize,
    /// Fields in it.
    pub fields: usize,
    /// Bytes of the request target.
    pub target: usize,
}

/// A range of the head's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Its first byte.
    pub at: u16,
    /// How many.
    pub len: u16,
}

impl Span {
    /// The bytes meant, out of the head they were found in.
    pub fn of(self, head: &[u8]) -> &[u8] {
        &head[self.at as usize..self.at as usize + self.len as usize]
    }

    pub(crate) fn within(whole: &[u8], part: &[u8]) -> Span {
        let at = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        debug_assert!(at + part.len() <= whole.len());
        Span { at: at as u16, len: part.len() as u16 }
    }
}

/// One header field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// Its name, in the case it was sent in.
    pub name: Span,
    /// Its value, without the white space around it.
    pub value: Span,
}

/// How the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes; none where no length is given.
    Length(u64),
    /// By a last chunk of size 0.
    Chunked,
}

impl Default for Framing {
    fn default() -> Framing {
        Framing::Length(0)
    }
}

/// A whole head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Bytes of it, the empty line included.
    pub len: usize,
    /// The method.
    pub method: Span,
    /// The path of the target, percent-encoded as sent.
    pub path: Span,
    /// The query, without its question mark.
    pub query: Span,
    /// The minor version: 0 or 1.
    pub minor: u8,
    /// How the body is framed.
    pub framing: Framing,
    /// Whether the peer wants the connection to stay open.
    pub keep: bool,
    /// Whether the peer waits for 100 Continue before it sends the body.
    pub expects: bool,
    /// Whether it is a GET without a body that asks to become a WebSocket (RFC 6455 section 4.2.1).
    pub websocket: bool,
    /// The fields, in order.
    pub fields: Vec<Field>,
}

impl Head {
    /// The path, percent-encoded; `/` where an absolute-form target has none (RFC 9110 4.2.3).
    pub fn path_of<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        match self.path.of(bytes) {
            b"" => b"/",
            path => path,
        }
    }

    /// [`parse`] into a head that was used before, whose room for fields is used again; false while
    /// it is not all there.
    ///
    /// # Errors
    /// The refusal to answer with before the connection is closed.
    pub fn read(&mut self, buffer: &[u8], bounds: &Bounds) -> Result<bool, Refusal> {
        let mut space = [const { MaybeUninit::<httparse::Header>::uninit() }; MOST_FIELDS];
        let mut request = httparse::Request::new(&mut []);
        let room = &mut space[..bounds.fields.min(MOST_FIELDS)];
        let len = match request.parse_with_uninit_headers(buffer, room) {
            Ok(httparse::Status::Complete(len)) if len <= bounds.head => len,
            Ok(httparse::Status::Partial) => return too_long(buffer, bounds).map(|()| false),
            Ok(httparse::Status::Complete(_)) | Err(httparse::Error::TooManyHeaders) => {
                return Err(Refusal::HeadTooLarge);
            }
            Err(httparse::Error::Version) => return Err(version(buffer)),
            Err(_) => return Err(Refusal::Malformed),
        };
        let head = &buffer[..len];
        let method = request.method.unwrap_or_default().as_bytes();
        let first = &head[..Span::within(head, method).at as usize];
        let ends = ends_lines(head, request.headers);
        if !ends || !first.chunks(2).all(|line| line == b"\r\n") {
            return Err(Refusal::Malformed);
        }
        let target = request.path.unwrap_or_default().as_bytes();
        let minor = request.version.unwrap_or(0);
        if target.len() > bounds.target {
            return Err(Refusal::TargetTooLong);
        }
        let (path, query) = split(method, target)?;
        let meaning = Meaning::read(request.headers, minor)?;
        let fields = request.headers.iter().map(|field| Field {
            name: Span::within(head, field.name.as_bytes()),
            value: Span::within(head, field.value),
        });
        self.fields.clear();
        self.fields.extend(fields);
        self.len = len;
        self.method = Span::within(head, method);
        self.path = path.map_or(Span::default(), |path| Span::within(head, path));
        self.query = query.map_or(Span::default(), |query| Span::within(head, query));
        self.minor = minor;
        self.framing = meaning.framing;
        self.keep = meaning.keep;
        self.expects = meaning.expects && minor == 1;
        self.websocket =
            meaning.websocket && method == b"GET" && meaning.framing == Framing::Length(0);
        Ok(true)
    }
}

/// Reads a head from the front of `buffer`; `None` while it is not all there.
///
/// # Errors
/// The refusal to answer with before the connection is closed.
pub fn parse(buffer: &[u8], bounds: &Bounds) -> Result<Option<Head>, Refusal> {
    let mut head = Head::default();
    Ok(head.read(buffer, bounds)?.then_some(head))
}

/// Whether every line ends by CRLF, where httparse takes a bare LF as well. A field's name stands
/// at the front of its line, so each end but the last is what lies before a name.
pub(crate) fn ends_lines(head: &[u8], fields: &[httparse::Header<'_>]) -> bool {
    let before = |part: &[u8]| &head[..Span::within(head, part).at as usize];
    head.ends_with(b"\r\n\r\n")
        && fields.iter().all(|field| before(field.name.as_bytes()).ends_with(b"\r\n"))
}

/// An unfinished head that can no longer become an acceptable one.
fn too_long(buffer: &[u8], bounds: &Bounds) -> Result<(), Refusal> {
    let line = memchr::memchr(b'\n', buffer);
    if line.is_none() && buffer.len() > bounds.target + 64 {
        let method_ends = memchr::memchr(b' ', &buffer[..64]).is_some();
        return Err(if method_ends { Refusal::TargetTooLong } else { Refusal::Malformed });
    }
    if buffer.len() >= bounds.head { Err(Refusal::HeadTooLarge) } else { Ok(()) }
}

/// httparse gave up at the version: well formed but another major one, or no version at all.
fn version(buffer: &[u8]) -> Refusal {
    let line = buffer.split(|&byte| byte == b'\r' || byte == b'\n').find(|line| !line.is_empty());
    let last = line.and_then(|line| line.rsplit(|&byte| byte == b' ').next());
    match last {
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
            if major.is_ascii_digit() && *major != b'1' && minor.is_ascii_digit() =>
        {
            Refusal::Version
        }
        _ => Refusal::Malformed,
    }
}

type Parts<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// Path and query of a target in origin-form, absolute-form or, for OPTIONS, asterisk-form
/// (RFC 9112 section 3.2).
fn split<'a>(method: &[u8], target: &'a [u8]) -> Result<Parts<'a>, Refusal> {
    let path = match target {
        [b'/', ..] => target,
        b"*" if method == b"OPTIONS" => target,
        _ if method == b"CONNECT" => return Err(Refusal::Unsupported),
        _ => absolute(target)?,
    };
    // URIs are ASCII (RFC 3986 section 2); a fragment is never sent (RFC 9112 section 3.2).
    if path.contains(&b'#') || !target.is_ascii() {
        return Err(Refusal::Malformed);
    }
    // Targets are short: a call of memchr costs more than it saves.
    match path.iter().position(|&byte| byte == b'?') {
        Some(mark) => Ok((Some(&path[..mark]), Some(&path[mark + 1..]))),
        None => Ok((Some(path), None)),
    }
}

/// What follows the authority of an absolute-form target; its path may be empty.
fn absolute(target: &[u8]) -> Result<&[u8], Refusal> {
    let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| {
        target.len() > scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme)
    });
    let rest = &target[scheme.ok_or(Refusal::Malformed)?.len()..];
    let end = rest.iter().position(|&byte| byte == b'/' || byte == b'?').unwrap_or(rest.len());
    if end == 0 || !is_authority(&rest[..end]) {
        return Err(Refusal::Malformed);
    }
    Ok(&rest[end..])
}

/// host [":" port], without userinfo, by alphabet (RFC 3986 section 3.2.2).
pub fn is_authority(value: &[u8]) -> bool {
    let bracketed = value.first() == Some(&b'[');
    let port = if bracketed {
        let Some(end) = memchr::memchr(b']', value) else { return false };
        let inner = &value[1..end];
        let fits = |&byte: &u8| IN_HOST[byte as usize] || byte == b':';
        if inner.is_empty() || !inner.iter().all(fits) {
            return false;
        }
        &value[end + 1..]
    } else {
        let host = value.iter().take_while(|&&byte| IN_HOST[byte as usize]).count();
        &value[host..]
    };
    match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Unreserved, percent and sub-delims: a look-up, for this is asked of every request.
const IN_HOST: [bool; 256] = {
    let (mut table, mut byte, marks) = ([false; 256], 0, b"-._~%!$&'()*+,;=");
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut mark = 0;
    while mark < marks.len() {
        table[marks[mark] as usize] = true;
        mark += 1;
    }
    table
};

/// What the fields say about the message.
struct Meaning {
    framing: Framing,
    keep: bool,
    expects: bool,
    websocket: bool,
}

impl Meaning {
    fn read(fields: &[httparse::Header<'_>], minor: u8) -> Result<Meaning, Refusal> {
        let (mut length, mut repeated, mut chunked, mut hosts) = (None, false, false, 0);
        let (mut keep, mut close, mut expects) = (minor == 1, false, false);
        let (mut upgrade, mut websocket) = (false, false);
        for field in fields {
            let (name, value) = (field.name.as_bytes(), field.value);
            match name.len() {
                // By length first: most fields match none of these.
                4 if name.eq_ignore_ascii_case(b"host") => {
                    hosts += 1;
                    if value.is_empty() || !is_authority(value) {
                        return Err(Refusal::Malformed);
                    }
                }
                6 if name.eq_ignore_ascii_case(b"expect") => {
                    expects = value.eq_ignore_ascii_case(b"100-continue");
                }
                7 if name.eq_ignore_ascii_case(b"upgrade") => {
                    websocket |= options(value).any(|name| name.eq_ignore_ascii_case(b"websocket"));
                }
                10 if name.eq_ignore_ascii_case(b"connection") => {
                    for option in options(value) {
                        upgrade |= option.eq_ignore_ascii_case(b"upgrade");
                        close |= option.eq_ignore_ascii_case(b"close");
                        keep |= option.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                14 if name.eq_ignore_ascii_case(b"content-length") => {
                    repeated |= length.replace(decimal(value)?).is_some();
                }
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                    repeated |= chunked;
                    chunked = is_chunked(value)?;
                }
                _ => {}
            }
        }
        let host_fits = hosts == 1 || (hosts == 0 && minor == 0);
        if repeated || !host_fits || (chunked && (length.is_some() || minor == 0)) {
            return Err(Refusal::Malformed);
        }
        let framing = if chunked { Framing::Chunked } else { Framing::Length(length.unwrap_or(0)) };
        // A client of HTTP/1.0 is not upgraded (RFC 9110 section 7.8).
        let websocket = websocket && upgrade && minor == 1;
        Ok(Meaning { framing, keep: keep && !close, expects, websocket })
    }
}

/// The elements of a list.
pub(crate) fn options(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// RFC 9112 section 6.3: a request whose last coding is not chunked has no end, 400; codings
/// before it are for who knows them, 501. Empty list elements count for nothing.
fn is_chunked(value: &[u8]) -> Result<bool, Refusal> {
    let mut codings = options(value).filter(|coding| !coding.is_empty()).rev();
    let chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    match (codings.next().is_some_and(chunked), codings.next()) {
        (true, None) => Ok(true),
        (true, Some(coding)) if !chunked(coding) => Err(Refusal::Unsupported),
        _ => Err(Refusal::Malformed),
    }
}

/// Digits only: no sign, no list, no white space; at most what a u64 holds.
fn decimal(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::Malformed);
    }
    Ok(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { head: 4096, fields: 16, target: 1024 };

    fn head(text: &str) -> Head {
        parse(text.as_bytes(), &BOUNDS).unwrap().unwrap()
    }

    fn refusal(text: &str) -> Refusal {
        parse(text.as_bytes(), &BOUNDS).unwrap_err()
    }

    fn with(fields: &str) -> String {
        format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")
    }

    #[test]
    fn parts_lie_where_the_spans_say() {
        let text = "GET /a/b?x=1 HTTP/1.1\r\nHost: a\r\nX-Y:  z \r\n\r\nrest";
        let head = head(text);
        let bytes = text.as_bytes();
        assert_eq!(head.method.of(bytes), b"GET");
        assert_eq!(head.path.of(bytes), b"/a/b");
        assert_eq!(head.query.of(bytes), b"x=1");
        assert_eq!(head.fields[1].name.of(bytes), b"X-Y");
        assert_eq!(head.fields[1].value.of(bytes), b"z");
        assert_eq!(&text[head.len..], "rest");
    }

    #[test]
    fn every_prefix_is_unfinished() {
        let text = with("Content-Length: 3");
        for end in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..end], &BOUNDS), Ok(None), "{end}");
        }
    }

    #[test]
    fn framing_that_two_readers_could_differ_on_is_refused() {
        for fields in [
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
            "Content-Length: 3\r\nContent-Length: 3",
            "Content-Length: +3",
            "Content-Length: 3, 3",
            "Content-Length:",
            "Content-Length: 99999999999999999999",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: chunked, gzip",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding:",
            "Transfer-Encoding : chunked",
            " folded: x",
        ] {
            assert_eq!(refusal(&with(fields)), Refusal::Malformed, "{fields}");
        }
        assert_eq!(refusal(&with("Transfer-Encoding: gzip, chunked")), Refusal::Unsupported);
        head(&with("Transfer-Encoding: , chunked ,"));
        assert_eq!(
            refusal("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Refusal::Malformed
        );
    }

    #[test]
    fn lines_end_with_both_octets() {
        assert_eq!(refusal("GET / HTTP/1.1\nHost: a\r\n\r\n"), Refusal::Malformed);
        assert_eq!(refusal("GET / HTTP/1.1\r\nHost: a\n\r\n"), Refusal::Malformed);
    }

    #[test]
    fn host_is_asked_for_once_and_checked() {
        for text in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
        ] {
            assert_eq!(refusal(text), Refusal::Malformed, "{text}");
        }
        head("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
        head("GET / HTTP/1.0\r\n\r\n");
    }

    #[test]
    fn target_forms() {
        let text = "GET http://a:80/x?y HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(head(text).path.of(text.as_bytes()), b"/x");
        assert_eq!(head("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").path.len, 1);
        assert_eq!(head("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n").path.len, 0);
        assert_eq!(refusal("GET * HTTP/1.1\r\nHost: a\r\n\r\n"), Refusal::Malformed);
        assert_eq!(refusal("GET x HTTP/1.1\r\nHost: a\r\n\r\n"), Refusal::Malformed);
        assert_eq!(refusal("GET /#f HTTP/1.1\r\nHost: a\r\n\r\n"), Refusal::Malformed);
        assert_eq!(refusal("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"), Refusal::Unsupported);
    }

    #[test]
    fn a_bare_lf_ends_no_line() {
        let text = "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nX: y\r\nZ:\r\n\r\n";
        head(text);
        for (at, _) in text.match_indices('\r') {
            let bare = [&text[..at], &text[at + 1..]].concat();
            assert_eq!(refusal(&bare), Refusal::Malformed, "{bare:?}");
        }
    }

    #[test]
    fn other_versions() {
        assert_eq!(refusal("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), Refusal::Version);
        assert_eq!(refusal("GET / HTTX/1.1\r\nHost: a\r\n\r\n"), Refusal::Malformed);
        assert_eq!(refusal("GET / HTTP/1.9\r\nHost: a\r\n\r\n"), Refusal::Malformed);
    }

    #[test]
    fn keep_alive_follows_version_and_options() {
        assert!(head(&with("X: y")).keep);
        assert!(!head(&with("Connection: x, Close")).keep);
        assert!(!head("GET / HTTP/1.0\r\n\r\n").keep);
        assert!(head("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keep);
        assert!(!head("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n").keep);
    }

    #[test]
    fn an_upgrade_takes_both_fields_a_get_and_no_body() {
        let asks = "Connection: keep-alive, Upgrade\r\nUpgrade: x, WebSocket";
        assert!(head(&format!("GET / HTTP/1.1\r\nHost: a\r\n{asks}\r\n\r\n")).websocket);
        for text in [
            with(asks),
            format!("GET / HTTP/1.0\r\nHost: a\r\n{asks}\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: a\r\n{asks}\r\nContent-Length: 1\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n".to_owned(),
        ] {
            assert!(!head(&text).websocket, "{text}");
        }
    }

    #[test]
    fn sizes_are_bounded() {
        let long = "x".repeat(2000);
        assert_eq!(
            refusal(&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
            Refusal::TargetTooLong
        );
        assert_eq!(refusal(&format!("GET /{long}")), Refusal::TargetTooLong);
        assert_eq!(refusal(&with(&"a: b\r\n".repeat(20))), Refusal::HeadTooLarge);
        assert_eq!(refusal(&with(&format!("a: {}", "b".repeat(5000)))), Refusal::HeadTooLarge);
        let unfinished = format!("GET / HTTP/1.1\r\nHost: a\r\na: {}", "b".repeat(5000));
        assert_eq!(refusal(&unfinished), Refusal::HeadTooLarge);
    }
}
