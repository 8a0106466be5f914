//! Writing JSON text: strings, and numbers as others write them too.
//!
//! Octet for octet what msgspec writes: no character above 0x7F is escaped, a float has the fewest
//! digits that read back the same, and what JSON has no number for is null.

use super::special::{before, special, specials};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A string and its quotes.
pub fn text(out: &mut Vec<u8>, text: &str) {
    let mut left = text.as_bytes();
    out.push(b'"');
    if short(out, left) {
        return out.push(b'"');
    }
    loop {
        let (plain, rest) = left.split_at(plain(left));
        out.extend_from_slice(plain);
        let Some((&octet, after)) = rest.split_first() else { break };
        escape(out, octet);
        left = after;
    }
    out.push(b'"');
}

/// What stands before a value: a short one is copied in one piece of a constant size, which needs
/// no call.
pub enum Lead {
    /// So many of the octets.
    Short([u8; LEAD], usize),
    /// It has more than `LEAD`.
    Long(Box<[u8]>),
}

const LEAD: usize = 32;

impl Lead {
    /// Of a member of an object, which is the first one or follows another.
    pub fn member(name: &str, first: bool) -> Lead {
        let mut lead = vec![if first { b'{' } else { b',' }];
        text(&mut lead, name);
        lead.push(b':');
        let mut octets = [0; LEAD];
        match octets.get_mut(..lead.len()) {
            Some(part) => {
                part.copy_from_slice(&lead);
                Lead::Short(octets, lead.len())
            }
            None => Lead::Long(lead.into()),
        }
    }

    /// Writes it.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Lead::Short(octets, length) => {
                let end = out.len() + length;
                out.extend_from_slice(octets);
                out.truncate(end);
            }
            Lead::Long(octets) => out.extend_from_slice(octets),
        }
    }
}

/// Writes 8 to 16 octets as two overlapping words, if none of them needs an escape.
fn short(out: &mut Vec<u8>, octets: &[u8]) -> bool {
    let (Some(first), Some(last)) = (octets.first_chunk::<8>(), octets.last_chunk::<8>()) else {
        return false;
    };
    if octets.len() > 16 || has_special(*first) || has_special(*last) {
        return false;
    }
    let begin = out.len() + octets.len() - 8;
    out.extend_from_slice(first);
    out.truncate(begin);
    out.extend_from_slice(last);
    true
}

fn has_special(octets: [u8; 8]) -> bool {
    specials(u64::from_le_bytes(octets)) != 0
}

/// An integer.
pub fn integer(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A float; null where it is infinite or none at all.
pub fn float(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        return out.extend_from_slice(b"null");
    }
    if thousandths(out, value) {
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let written = buffer.format_finite(value);
    if value.abs() < 1e16 {
        return out.extend_from_slice(written.as_bytes());
    }
    // Its exponent has a sign, which the others leave out.
    let (before, after) = written.split_once('+').unwrap_or((written, ""));
    out.extend_from_slice(before.as_bytes());
    out.extend_from_slice(after.as_bytes());
}

/// Writes a float of at most three decimal places, as prices are, if it is one below 10^12.
///
/// No two decimals of up to 15 digits are read as the same double, so one that is read as this is
/// the shortest there is, zeros aside. Both numbers divided are exact: the quotient is rounded
/// once, as reading rounds.
fn thousandths(out: &mut Vec<u8>, value: f64) -> bool {
    let size = value.abs();
    if size >= 1e12 {
        return false;
    }
    let count = (size * 1e3 + 0.5) as i64;
    if (count as f64 / 1e3).to_bits() != size.to_bits() {
        return false;
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    integer(out, count / 1000);
    let digit = |unit: i64| b'0' + (count / unit % 10) as u8;
    let places = match (digit(10), digit(1)) {
        (b'0', b'0') => 1,
        (_, b'0') => 2,
        _ => 3,
    };
    let end = out.len() + 1 + places;
    out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
    out.truncate(end);
    true
}

/// How many octets stand as they are, from the first one on.
fn plain(octets: &[u8]) -> usize {
    let count = before::<16>(octets, special);
    let rest = &octets[count..];
    count + rest.iter().position(|&octet| special(octet) != 0).unwrap_or(rest.len())
}

#[cold]
fn escape(out: &mut Vec<u8>, octet: u8) {
    let short = match octet {
        b'"' | b'\\' => octet,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            let digits = [HEX[usize::from(octet >> 4)], HEX[usize::from(octet & 15)]];
            out.extend_from_slice(b"\\u00");
            return out.extend_from_slice(&digits);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(given: &str) -> String {
        let mut out = vec![];
        text(&mut out, given);
        String::from_utf8(out).expect("UTF-8 stays UTF-8")
    }

    #[test]
    fn what_needs_no_escape_stands_as_it_is() {
        for given in ["", "a", "exactly sixteen.", "\u{7f}é\u{2028}/ and some more than sixteen"] {
            assert_eq!(written(given), format!("\"{given}\""));
        }
    }

    #[test]
    fn an_escape_is_found_wherever_it_stands() {
        for before in 0..40 {
            for after in [0, 1, 15, 16, 40] {
                let (a, b) = ("a".repeat(before), "b".repeat(after));
                assert_eq!(written(&format!("{a}\"{b}")), format!("\"{a}\\\"{b}\""));
                assert_eq!(written(&format!("{a}\u{1f}{b}")), format!("\"{a}\\u001f{b}\""));
            }
        }
    }

    #[test]
    fn numbers_are_the_shortest_that_read_back() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (9.95, "9.95"),
            (0.001, "0.001"),
            (-120.5, "-120.5"),
            (999_999_999_999.999, "999999999999.999"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e16"),
            (1e-5, "0.00001"),
            (1e-6, "1e-6"),
            (5e-324, "5e-324"),
            (f64::NAN, "null"),
            (f64::NEG_INFINITY, "null"),
        ] {
            let mut out = vec![];
            float(&mut out, value);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
        for step in 0..200_000 {
            let value = f64::from(step) * 0.000_25 + 7e8 * f64::from(step % 7);
            let mut out = vec![];
            float(&mut out, value);
            assert_eq!(out, zmij::Buffer::new().format_finite(value).as_bytes());
        }
        let mut out = vec![];
        integer(&mut out, i64::MIN);
        assert_eq!(out, b"-9223372036854775808");
    }
}
