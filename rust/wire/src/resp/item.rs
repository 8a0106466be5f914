//! One item: what a line says, and the octets behind it.
use super::{Bounds, LINE};
use memchr::memchr;
use std::fmt;

/// A leaf of a reply, or the head of what holds others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Item<'a> {
    /// `+`: a status.
    Simple(&'a [u8]),
    /// `-` and `!`: an error, its first word in capitals.
    Error(&'a [u8]),
    /// `:`.
    Integer(i64),
    /// `$`: any octets.
    Bulk(&'a [u8]),
    /// `=`: text; its three letters of format and the colon are cut off.
    Verbatim(&'a [u8]),
    /// `_`, `$-1` and `*-1`.
    Null,
    /// `#`.
    Boolean(bool),
    /// `,`.
    Double(f64),
    /// `(`: digits, perhaps behind a minus.
    Big(&'a [u8]),
    /// `*`: this many items follow.
    Array(usize),
    /// `~`.
    Set(usize),
    /// `%`: this many pairs.
    Map(usize),
    /// `>`: not a reply to anything; the first item says what it is.
    Push(usize),
    /// `|`: this many pairs about the item behind them.
    Attribute(usize),
}

/// Where the peer left the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An octet that begins no item.
    Type(u8),
    /// A line that does not say what its type demands.
    Line,
    /// A line, a string or an array above its bound.
    TooLong,
    /// Arrays within arrays within arrays.
    TooDeep,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Type(octet) => write!(f, "no item begins with the octet {octet:#04x}"),
            Fault::Line => f.write_str("a line that its type does not allow"),
            Fault::TooLong => f.write_str("a reply longer than the bounds"),
            Fault::TooDeep => f.write_str("a reply deeper than the bounds"),
        }
    }
}

/// The item that begins at `at`, and where the next one does; `None`: not all of it is there.
pub fn item<'a>(
    data: &'a [u8],
    at: usize,
    bounds: &Bounds,
) -> Result<Option<(Item<'a>, usize)>, Fault> {
    let Some(&kind) = data.get(at) else { return Ok(None) };
    if !b"+-:$*_#,(=!~%>|".contains(&kind) {
        return Err(Fault::Type(kind));
    }
    let Some((line, next)) = line(data, at + 1)? else { return Ok(None) };
    let item = match kind {
        b'$' | b'=' | b'!' => return string(kind, data, line, next, bounds),
        b'+' => Item::Simple(line),
        b'-' => Item::Error(line),
        b':' => Item::Integer(integer(line)?),
        b'_' if line.is_empty() => Item::Null,
        b'#' if line == b"t" => Item::Boolean(true),
        b'#' if line == b"f" => Item::Boolean(false),
        b',' => Item::Double(double(line)?),
        b'(' => Item::Big(digits(line)?),
        b'*' if line == b"-1" => Item::Null,
        b'*' => Item::Array(count(line, bounds)?),
        b'~' => Item::Set(count(line, bounds)?),
        b'%' => Item::Map(count(line, bounds)?),
        b'>' => Item::Push(count(line, bounds)?),
        b'|' => Item::Attribute(count(line, bounds)?),
        _ => return Err(Fault::Line),
    };
    Ok(Some((item, next)))
}

/// A line without its end, and where the next one begins.
fn line(data: &[u8], from: usize) -> Result<Option<(&[u8], usize)>, Fault> {
    let rest = &data[from..];
    let window = &rest[..rest.len().min(LINE)];
    match memchr(b'\r', window) {
        None if rest.len() >= LINE => Err(Fault::TooLong),
        None => Ok(None),
        Some(end) => match rest.get(end + 1) {
            Some(b'\n') => Ok(Some((&rest[..end], from + end + 2))),
            Some(_) => Err(Fault::Line),
            None => Ok(None),
        },
    }
}

fn string<'a>(
    kind: u8,
    data: &'a [u8],
    line: &[u8],
    from: usize,
    bounds: &Bounds,
) -> Result<Option<(Item<'a>, usize)>, Fault> {
    if line == b"-1" && kind == b'$' {
        return Ok(Some((Item::Null, from)));
    }
    let length = usize::try_from(integer(line)?).map_err(|_| Fault::Line)?;
    if length > bounds.bulk {
        return Err(Fault::TooLong);
    }
    let Some(whole) = data.get(from..from + length + 2) else { return Ok(None) };
    let (octets, end) = whole.split_at(length);
    if end != b"\r\n" {
        return Err(Fault::Line);
    }
    let item = match kind {
        b'$' => Item::Bulk(octets),
        b'!' => Item::Error(octets),
        // Three letters and a colon: "txt:" or "mkd:".
        _ if octets.get(3) == Some(&b':') => Item::Verbatim(&octets[4..]),
        _ => return Err(Fault::Line),
    };
    Ok(Some((item, from + length + 2)))
}

fn integer(line: &[u8]) -> Result<i64, Fault> {
    let (minus, digits) = match line {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    // Nineteen digits do not overflow a u64.
    if digits.is_empty() || digits.len() > 19 {
        return Err(Fault::Line);
    }
    let mut value: u64 = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Fault::Line);
        }
        value = value * 10 + u64::from(digit);
    }
    let signed = if minus { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() };
    signed.ok_or(Fault::Line)
}

fn digits(line: &[u8]) -> Result<&[u8], Fault> {
    let digits = line.strip_prefix(b"-").unwrap_or(line);
    let good = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if good { Ok(line) } else { Err(Fault::Line) }
}

fn double(line: &[u8]) -> Result<f64, Fault> {
    let text = std::str::from_utf8(line).map_err(|_| Fault::Line)?;
    text.parse().map_err(|_| Fault::Line)
}

fn count(line: &[u8], bounds: &Bounds) -> Result<usize, Fault> {
    let count = usize::try_from(integer(line)?).map_err(|_| Fault::Line)?;
    if count > bounds.count { Err(Fault::TooLong) } else { Ok(count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &[u8]) -> Result<Option<(Item<'_>, usize)>, Fault> {
        item(data, 0, &Bounds { bulk: 10, count: 10, depth: 3 })
    }

    #[test]
    fn every_type_is_read() {
        let cases: [(&[u8], Item<'_>); 16] = [
            (b"+OK\r\n", Item::Simple(b"OK")),
            (b"-ERR no\r\n", Item::Error(b"ERR no")),
            (b"!6\r\nERR no\r\n", Item::Error(b"ERR no")),
            (b":-9223372036854775808\r\n", Item::Integer(i64::MIN)),
            (b"$2\r\n\r\n\r\n", Item::Bulk(b"\r\n")),
            (b"=7\r\ntxt:abc\r\n", Item::Verbatim(b"abc")),
            (b"_\r\n", Item::Null),
            (b"$-1\r\n", Item::Null),
            (b"*-1\r\n", Item::Null),
            (b"#f\r\n", Item::Boolean(false)),
            (b",-1.5e3\r\n", Item::Double(-1500.0)),
            (b",-inf\r\n", Item::Double(f64::NEG_INFINITY)),
            (b"(-123456789012345678901\r\n", Item::Big(b"-123456789012345678901")),
            (b"%2\r\n", Item::Map(2)),
            (b">3\r\n", Item::Push(3)),
            (b"|1\r\n", Item::Attribute(1)),
        ];
        for (data, expected) in cases {
            assert_eq!(read(data), Ok(Some((expected, data.len()))));
            for short in 0..data.len() {
                assert_eq!(read(&data[..short]), Ok(None), "{:?}", &data[..short]);
            }
        }
    }

    #[test]
    fn what_redis_never_says_is_refused() {
        let cases: [(&[u8], Fault); 16] = [
            (b"HTTP/1.1 400\r\n", Fault::Type(b'H')),
            (b"\r\n", Fault::Type(b'\r')),
            (b":\r\n", Fault::Line),
            (b":1a\r\n", Fault::Line),
            (b":9223372036854775808\r\n", Fault::Line),
            (b":99999999999999999999\r\n", Fault::Line),
            (b"$-2\r\n", Fault::Line),
            (b"$?\r\n", Fault::Line),
            (b"$11\r\n", Fault::TooLong),
            (b"$1\r\nabc", Fault::Line),
            (b"=3\r\nabc\r\n", Fault::Line),
            (b"*11\r\n", Fault::TooLong),
            (b"_x\r\n", Fault::Line),
            (b"#x\r\n", Fault::Line),
            (b"(1.0\r\n", Fault::Line),
            (b"+a\rb\r\n", Fault::Line),
        ];
        for (data, fault) in cases {
            assert_eq!(read(data), Err(fault), "{data:?}");
        }
        assert_eq!(read(&vec![b'+'; LINE + 2]), Err(Fault::TooLong));
    }
}
