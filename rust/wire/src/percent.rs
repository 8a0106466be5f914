//! Percent-decoding (RFC 3986 section 2.1); what is no escape stays as it is, as browsers do.
use std::borrow::Cow;

/// The text behind an escaped component; octets that are no UTF-8 become U+FFFD.
pub fn decode(text: &[u8]) -> Cow<'_, str> {
    if memchr::memchr(b'%', text).is_none() {
        return String::from_utf8_lossy(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let pair =
            text.get(at + 1..at + 3).and_then(|pair| Some(hex(pair[0])? << 4 | hex(pair[1])?));
        match pair {
            Some(byte) if text[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    match String::from_utf8(out) {
        Ok(text) => Cow::Owned(text),
        Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

fn hex(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_and_the_rest_is_kept() {
        assert_eq!(decode(b"a%20b%2Fc"), "a b/c");
        assert_eq!(decode(b"%c3%A9"), "é");
        assert_eq!(decode(b"100%"), "100%");
        assert_eq!(decode(b"%zz%4"), "%zz%4");
        assert_eq!(decode(b"%ff"), "\u{fffd}");
    }
}
