//! The opening handshake (RFC 6455 section 4.2, RFC 7692 section 7.1).
use super::deflate::{LEAST_BITS, MOST_BITS};
use crate::head::Head;
use crate::refusal::Refusal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A request that may become a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// What proves that the key was read; `None` over HTTP/2, whose frames prove enough.
    pub accept: Option<String>,
    /// The window, in bits, that the peer allows us to compress with, where it offers to.
    pub bits: Option<u8>,
}

impl Handshake {
    /// Reads the fields of a request whose Upgrade, or over HTTP/2 whose `:protocol`, names
    /// websocket.
    ///
    /// # Errors
    /// 426 for another version than 13, over HTTP/2 400 as it has no Upgrade; 400 for a key that
    /// is none.
    pub fn read(head: &Head, bytes: &[u8], multiplexed: bool) -> Result<Handshake, Refusal> {
        let (mut key, mut version, mut bits) = (None, None, None);
        for field in &head.fields {
            let (name, value) = (field.name.of(bytes), field.value.of(bytes));
            if name.eq_ignore_ascii_case(b"sec-websocket-key") {
                if key.replace(value).is_some() {
                    return Err(Refusal::Malformed);
                }
            } else if name.eq_ignore_ascii_case(b"sec-websocket-version") {
                if version.replace(value).is_some() {
                    return Err(Refusal::Malformed);
                }
            } else if name.eq_ignore_ascii_case(b"sec-websocket-extensions") {
                bits = bits.or_else(|| offers(value).find_map(|offer| negotiate(&offer)));
            }
        }
        if version != Some(b"13") {
            let refusal = if multiplexed { Refusal::Malformed } else { Refusal::UpgradeRequired };
            return Err(refusal);
        }
        if multiplexed {
            return Ok(Handshake { accept: None, bits });
        }
        let key = key.ok_or(Refusal::Malformed)?;
        if STANDARD.decode(key).map_or(0, |nonce| nonce.len()) != 16 {
            return Err(Refusal::Malformed);
        }
        Ok(Handshake { accept: Some(accept(key)), bits })
    }

    /// Appends the fields that agree to it, behind a status line of 101 (200 over HTTP/2);
    /// `compress` takes up the peer's offer.
    pub fn write(&self, out: &mut Vec<u8>, compress: bool) {
        use std::io::Write as _;
        // Writing to a Vec cannot fail.
        if let Some(accept) = &self.accept {
            let _ = write!(
                out,
                "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n"
            );
        }
        let Some(bits) = self.bits.filter(|_| compress) else { return };
        out.extend_from_slice(
            b"sec-websocket-extensions: permessage-deflate; server_no_context_takeover; \
              client_no_context_takeover",
        );
        if bits < MOST_BITS {
            let _ = write!(out, "; server_max_window_bits={bits}");
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn accept(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// The elements of a list, not split inside quotes (RFC 9110 section 5.6.4).
fn split(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    value
        .split(move |&octet| {
            let inside = quoted;
            (quoted, escaped) = match octet {
                b'"' if !escaped => (!quoted, false),
                b'\\' if quoted && !escaped => (quoted, true),
                _ => (quoted, false),
            };
            octet == separator && !inside
        })
        .map(<[u8]>::trim_ascii)
}

/// Each extension of the field: its name, then parameters with their values.
fn offers(value: &[u8]) -> impl Iterator<Item = Vec<(&[u8], Option<&[u8]>)>> {
    split(value, b',').map(|offer| {
        let parameter = |item| {
            let mut parts = split(item, b'=');
            let (name, value) = (parts.next().unwrap_or_default(), parts.next());
            (name, value.map(unquoted))
        };
        split(offer, b';').map(parameter).collect()
    })
}

fn unquoted(value: &[u8]) -> &[u8] {
    let inner = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    inner.unwrap_or(value)
}

/// The window of an offer that we can take up; what it asks for beyond RFC 7692 declines it.
fn negotiate(offer: &[(&[u8], Option<&[u8]>)]) -> Option<u8> {
    let [(b"permessage-deflate", None), parameters @ ..] = offer else { return None };
    let mut bits = MOST_BITS;
    for (index, &(name, value)) in parameters.iter().enumerate() {
        if parameters[..index].iter().any(|&(earlier, _)| earlier == name) {
            return None;
        }
        match (name, value) {
            // Ours to say in any case; the window of what the peer sends is its own affair.
            (
                b"server_no_context_takeover"
                | b"client_no_context_takeover"
                | b"client_max_window_bits",
                None,
            ) => {}
            (b"client_max_window_bits", Some(value)) => drop(window(value)?),
            (b"server_max_window_bits", Some(value)) => bits = window(value)?,
            _ => return None,
        }
    }
    (bits >= LEAST_BITS).then_some(bits)
}

/// 8 to 15, without a leading zero.
fn window(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{Bounds, parse};

    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";

    fn read(fields: &str) -> Result<Handshake, Refusal> {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let bounds = Bounds { head: 4096, fields: 16, target: 1024 };
        let head = parse(text.as_bytes(), &bounds).unwrap().unwrap();
        Handshake::read(&head, text.as_bytes(), false)
    }

    fn bits(offers: &str) -> Option<u8> {
        read(&format!("{KEY}{VERSION}Sec-WebSocket-Extensions: {offers}\r\n")).unwrap().bits
    }

    #[test]
    fn the_example_of_rfc_6455() {
        let handshake = read(&format!("{KEY}{VERSION}")).unwrap();
        assert_eq!(handshake.accept.as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(handshake.bits, None);
    }

    #[test]
    fn a_version_or_key_that_is_none_is_refused() {
        assert_eq!(read(KEY), Err(Refusal::UpgradeRequired));
        let old = format!("{KEY}Sec-WebSocket-Version: 8\r\n");
        assert_eq!(read(&old), Err(Refusal::UpgradeRequired));
        let twice = format!("{KEY}{VERSION}{VERSION}");
        assert_eq!(read(&twice), Err(Refusal::Malformed));
        assert_eq!(read(VERSION), Err(Refusal::Malformed));
        assert_eq!(read(&format!("{KEY}{KEY}{VERSION}")), Err(Refusal::Malformed));
        for key in ["", "short", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZSE="] {
            let fields = format!("Sec-WebSocket-Key: {key}\r\n{VERSION}");
            assert_eq!(read(&fields), Err(Refusal::Malformed), "{key}");
        }
    }

    #[test]
    fn the_first_offer_that_we_can_take_up_counts() {
        for (offers, expected) in [
            ("permessage-deflate", Some(15)),
            ("permessage-deflate; client_max_window_bits", Some(15)),
            ("permessage-deflate; client_max_window_bits=\"10\"", Some(15)),
            ("permessage-deflate; server_max_window_bits=9", Some(9)),
            ("permessage-deflate;server_no_context_takeover;client_no_context_takeover", Some(15)),
            ("permessage-deflate; server_max_window_bits=8", None),
            ("permessage-deflate; server_max_window_bits=8, permessage-deflate", Some(15)),
            ("permessage-deflate; server_max_window_bits", None),
            ("permessage-deflate; server_max_window_bits=16", None),
            ("permessage-deflate; server_max_window_bits=09", None),
            ("permessage-deflate; server_no_context_takeover=1", None),
            ("permessage-deflate; server_max_window_bits=9; server_max_window_bits=9", None),
            ("permessage-deflate; unheard_of=\"a,b; c\"", None),
            ("x; y=\"permessage-deflate, permessage-deflate\"", None),
            ("x-webkit-deflate-frame, permessage-deflate", Some(15)),
        ] {
            assert_eq!(bits(offers), expected, "{offers}");
        }
    }

    #[test]
    fn the_answer_names_what_was_agreed() {
        let handshake = Handshake { accept: Some("x".into()), bits: Some(10) };
        let mut out = vec![];
        handshake.write(&mut out, true);
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with("client_no_context_takeover; server_max_window_bits=10\r\n"));
        let mut out = vec![];
        handshake.write(&mut out, false);
        assert!(!String::from_utf8(out).unwrap().contains("extensions"));
    }
}
