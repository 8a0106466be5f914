//! One frame (RFC 6455 section 5.2): its head read and written, its payload unmasked.

/// The largest payload of a control frame (RFC 6455 section 5.5).
pub const MOST_CONTROL: usize = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// More of a fragmented message.
    Continuation = 0,
    /// UTF-8.
    Text = 1,
    /// Octets.
    Binary = 2,
    /// The last frame of its sender.
    Close = 8,
    /// To be answered by a pong.
    Ping = 9,
    /// The answer to a ping, or a sign of life.
    Pong = 10,
}

/// Why a connection fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The peer broke a rule of framing.
    Protocol,
    /// Text that is no UTF-8, or compressed octets that do not inflate.
    Payload,
    /// A message larger than allowed.
    TooBig,
}

impl Fault {
    /// The close code that tells the peer (RFC 6455 section 7.4.1).
    pub const fn code(self) -> u16 {
        match self {
            Fault::Protocol => 1002,
            Fault::Payload => 1007,
            Fault::TooBig => 1009,
        }
    }

    /// And a word for people.
    pub const fn reason(self) -> &'static str {
        match self {
            Fault::Protocol => "protocol error",
            Fault::Payload => "invalid payload",
            Fault::TooBig => "message too big",
        }
    }
}

/// How a connection ended, or is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// RFC 6455 section 7.4; 1005 where the peer named none.
    pub code: u16,
    /// At most 123 octets.
    pub reason: String,
}

impl Close {
    /// A close of our own; a reason that does not fit is cut at a character.
    pub fn new(code: u16, reason: &str) -> Close {
        let mut end = reason.len().min(MOST_CONTROL - 2);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        Close { code, reason: reason[..end].to_owned() }
    }

    /// Reads the payload of a close frame.
    pub(super) fn read(payload: &[u8]) -> Result<Close, Fault> {
        let (code, reason) = match payload {
            [] => return Ok(Close { code: 1005, reason: String::new() }),
            [_] => return Err(Fault::Protocol),
            [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        };
        let reason = std::str::from_utf8(reason).map_err(|_| Fault::Payload)?;
        if !is_code(code) {
            return Err(Fault::Protocol);
        }
        Ok(Close { code, reason: reason.to_owned() })
    }

    /// Appends it as a frame; 1005 and 1006 are never sent, so they become an empty one.
    pub fn write(&self, out: &mut Vec<u8>) {
        if !is_code(self.code) {
            return write(out, Opcode::Close, b"", false);
        }
        write(
            out,
            Opcode::Close,
            &[&self.code.to_be_bytes(), self.reason.as_bytes()].concat(),
            false,
        );
    }
}

/// Whether a close frame may carry `code` (RFC 6455 section 7.4, and IANA's registry after it).
pub const fn is_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// A frame's head as its octets say, checked as far as it can be by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub size: usize,
    pub fin: bool,
    pub compressed: bool,
    pub opcode: Opcode,
    pub length: u64,
    pub mask: [u8; 4],
}

impl Head {
    /// The head at the front of `data`; `None` while it is not all there.
    pub(super) fn read(data: &[u8]) -> Result<Option<Head>, Fault> {
        let &[first, ref rest @ ..] = data else { return Ok(None) };
        let opcode = opcode(first & 15)?;
        let (fin, control) = (first & 0x80 != 0, opcode as u8 >= 8);
        // RSV2 and RSV3 belong to no extension of ours, RSV1 to messages alone (RFC 7692, 6.1).
        let compressed = first & 0x40 != 0;
        if first & 0x30 != 0 || (control && (!fin || compressed)) {
            return Err(Fault::Protocol);
        }
        let &[second, ref rest @ ..] = rest else { return Ok(None) };
        let short = u64::from(second & 127);
        if second & 128 == 0 || (control && short > MOST_CONTROL as u64) {
            return Err(Fault::Protocol);
        }
        let (length, extra, least) = match short {
            126 => {
                let Some(bytes) = rest.first_chunk() else { return Ok(None) };
                (u64::from(u16::from_be_bytes(*bytes)), 2, 126)
            }
            127 => {
                let Some(bytes) = rest.first_chunk() else { return Ok(None) };
                (u64::from_be_bytes(*bytes), 8, 0x1_0000)
            }
            short => (short, 0, 0),
        };
        // "the minimal number of bytes MUST be used", and the top bit is never set (section 5.2).
        if length < least || length >> 63 != 0 {
            return Err(Fault::Protocol);
        }
        let Some(mask) = rest[extra..].first_chunk() else { return Ok(None) };
        let size = 6 + extra;
        Ok(Some(Head { size, fin, compressed, opcode, length, mask: *mask }))
    }
}

fn opcode(number: u8) -> Result<Opcode, Fault> {
    Ok(match number {
        0 => Opcode::Continuation,
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        _ => return Err(Fault::Protocol),
    })
}

/// Takes the mask off, eight octets at a time.
pub(super) fn unmask(data: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([mask, mask].concat().try_into().unwrap_or_default());
    let mut words = data.chunks_exact_mut(8);
    for word in &mut words {
        let mut octets = [0; 8];
        octets.copy_from_slice(word);
        word.copy_from_slice(&(u64::from_ne_bytes(octets) ^ wide).to_ne_bytes());
    }
    for (octet, key) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *octet ^= key;
    }
}

/// Appends a whole, unfragmented frame of a server's: without a mask (section 5.1).
pub fn write(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], compressed: bool) {
    let size = payload.len();
    out.reserve(size + 10);
    out.push(0x80 | u8::from(compressed) << 6 | opcode as u8);
    if size <= MOST_CONTROL {
        out.push(size as u8);
    } else if let Ok(size) = u16::try_from(size) {
        out.push(126);
        out.extend_from_slice(&size.to_be_bytes());
    } else {
        out.push(127);
        out.extend_from_slice(&(size as u64).to_be_bytes());
    }
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_takes_as_few_octets_as_it_can() {
        for (size, head) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (0xffff, &[0x82, 126, 0xff, 0xff]),
            (0x1_0000, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut out = vec![];
            write(&mut out, Opcode::Binary, &vec![7; size], false);
            assert_eq!(&out[..head.len()], head);
            assert_eq!(out.len(), head.len() + size);
        }
    }

    #[test]
    fn a_mask_comes_off_at_every_length() {
        for size in 0..40_u8 {
            let mut data: Vec<u8> = (0..size).collect();
            unmask(&mut data, [1, 2, 3, 4]);
            let expected: Vec<u8> = (0..size).map(|at| at ^ (at % 4 + 1)).collect();
            assert_eq!(data, expected);
        }
    }

    #[test]
    fn a_reason_is_cut_where_a_character_ends() {
        let close = Close::new(4000, &"ä".repeat(100));
        assert_eq!(close.reason.len(), 122);
        let mut out = vec![];
        close.write(&mut out);
        assert_eq!(out.len(), 2 + 2 + 122);
        assert_eq!(Close::read(&out[2..]), Ok(close));
    }

    #[test]
    fn codes_that_may_not_be_sent_are_not() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            assert!(!is_code(code), "{code}");
            assert_eq!(Close::read(&u16::to_be_bytes(code)), Err(Fault::Protocol));
            let mut out = vec![];
            Close::new(code, "x").write(&mut out);
            assert_eq!(out, [0x88, 0]);
        }
        assert_eq!(Close::read(&[3]), Err(Fault::Protocol));
        assert_eq!(Close::read(&[3, 232, 0xff]), Err(Fault::Payload));
        assert_eq!(Close::read(&[]).map(|close| close.code), Ok(1005));
    }
}
