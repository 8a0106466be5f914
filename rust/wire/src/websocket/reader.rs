//! From a connection's octets to whole messages, incrementally.
//!
//! A frame's head, and a control frame whole, wait in the caller's buffer until they are all
//! there; of a message's payload every octet is taken as it comes. So a connection between two
//! messages holds no buffer.
use super::deflate::Inflater;
use super::frame::{Close, Fault, Head, Opcode, unmask};

/// Reserved for a frame before any of it has come: a claimed length is only a claim.
const FIRST_BYTES: u64 = 64 * 1024;

/// Something whole.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// UTF-8, inflated.
    Text(String),
    /// Octets, inflated.
    Binary(Vec<u8>),
    /// To be answered with its payload.
    Ping(Vec<u8>),
    /// A sign of life.
    Pong,
    /// The peer's last frame.
    Close(Close),
}

/// What the octets at hand come to, and how many of them are done with.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// One item; there may be more behind it.
    Item(Item, usize),
    /// More octets are needed.
    More(usize),
    /// The connection fails.
    Fail(Fault),
}

/// The state of one connection's incoming direction.
#[derive(Debug, Default)]
pub struct Reader {
    /// Of the frame under way.
    left: u64,
    mask: [u8; 4],
    fin: bool,
    in_frame: bool,
    /// Of the message under way.
    kind: Option<Kind>,
    compressed: bool,
    message: Vec<u8>,
    /// Octets of it that are known to be UTF-8.
    checked: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

impl Reader {
    /// The next item at the front of `data`.
    ///
    /// Args: `most` bounds a message in octets, inflated; without an `inflater` the extension was
    /// not negotiated, and a compressed message is a fault.
    pub fn step(&mut self, data: &[u8], most: usize, mut inflater: Option<&mut Inflater>) -> Step {
        let mut used = 0;
        loop {
            if !self.in_frame {
                match Head::read(&data[used..]) {
                    Err(fault) => return Step::Fail(fault),
                    Ok(None) => return Step::More(used),
                    Ok(Some(head)) if head.opcode as u8 >= 8 => return control(head, data, used),
                    Ok(Some(head)) => {
                        if let Err(fault) = self.begin(head, most, inflater.is_some()) {
                            return Step::Fail(fault);
                        }
                        used += head.size;
                    }
                }
            }
            match self.take(&data[used..]) {
                Err(fault) => return Step::Fail(fault),
                Ok(taken) => used += taken,
            }
            if self.left > 0 {
                return Step::More(used);
            }
            self.in_frame = false;
            if self.fin {
                return match self.finish(most, inflater.as_deref_mut()) {
                    Ok(item) => Step::Item(item, used),
                    Err(fault) => Step::Fail(fault),
                };
            }
        }
    }

    /// A data frame's head: the beginning of a message, or its continuation.
    fn begin(&mut self, head: Head, most: usize, inflates: bool) -> Result<(), Fault> {
        let kind = match head.opcode {
            Opcode::Text => Some(Kind::Text),
            Opcode::Binary => Some(Kind::Binary),
            _ => None,
        };
        match (kind, self.kind) {
            (None, None) | (Some(_), Some(_)) => return Err(Fault::Protocol),
            (None, Some(_)) if head.compressed => return Err(Fault::Protocol),
            (None, Some(_)) => {}
            (Some(_), None) if head.compressed && !inflates => return Err(Fault::Protocol),
            (Some(kind), None) => {
                self.kind = Some(kind);
                self.compressed = head.compressed;
            }
        }
        if head.length > (most - self.message.len().min(most)) as u64 {
            return Err(Fault::TooBig);
        }
        self.message.reserve(head.length.min(FIRST_BYTES) as usize);
        (self.left, self.mask, self.fin, self.in_frame) = (head.length, head.mask, head.fin, true);
        Ok(())
    }

    /// Takes what of `data` belongs to the frame's payload.
    fn take(&mut self, data: &[u8]) -> Result<usize, Fault> {
        let taken = data.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let from = self.message.len();
        self.message.extend_from_slice(&data[..taken]);
        unmask(&mut self.message[from..], self.mask);
        self.mask.rotate_left(taken % 4);
        self.left -= taken as u64;
        if self.kind == Some(Kind::Text) && !self.compressed {
            self.check()?;
        }
        Ok(taken)
    }

    /// Fails at the first octet that no UTF-8 has there; a character's beginning may wait.
    fn check(&mut self) -> Result<(), Fault> {
        match std::str::from_utf8(&self.message[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(Fault::Payload),
        }
        Ok(())
    }

    fn finish(&mut self, most: usize, inflater: Option<&mut Inflater>) -> Result<Item, Fault> {
        let (kind, checked) = (self.kind.take(), std::mem::take(&mut self.checked));
        let mut message = std::mem::take(&mut self.message);
        if let Some(inflater) = inflater.filter(|_| self.compressed) {
            message = inflater.inflate(&message, most)?;
        } else if kind == Some(Kind::Text) && checked != message.len() {
            return Err(Fault::Payload);
        }
        if kind == Some(Kind::Binary) {
            return Ok(Item::Binary(message));
        }
        String::from_utf8(message).map(Item::Text).map_err(|_| Fault::Payload)
    }
}

/// A control frame, whole; it may stand between the frames of a message (section 5.4).
fn control(head: Head, data: &[u8], used: usize) -> Step {
    let from = used + head.size;
    let end = from + head.length as usize;
    let Some(payload) = data.get(from..end) else { return Step::More(used) };
    let mut payload = payload.to_vec();
    unmask(&mut payload, head.mask);
    match head.opcode {
        Opcode::Ping => Step::Item(Item::Ping(payload), end),
        Opcode::Pong => Step::Item(Item::Pong, end),
        _ => match Close::read(&payload) {
            Ok(close) => Step::Item(Item::Close(close), end),
            Err(fault) => Step::Fail(fault),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::deflate::Deflater;
    use super::*;

    const MOST: usize = 1 << 20;

    /// A client's frame.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x11, 0x22, 0x33, 0x44];
        let mut out = vec![first];
        match payload.len() {
            size @ 0..126 => out.push(128 | size as u8),
            size @ 126..0x1_0000 => {
                out.push(0xfe);
                out.extend_from_slice(&(size as u16).to_be_bytes());
            }
            size => {
                out.push(0xff);
                out.extend_from_slice(&(size as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(&mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(octet, key)| octet ^ key));
        out
    }

    fn all(data: &[u8]) -> Result<Vec<Item>, Fault> {
        let (mut reader, mut inflater) = (Reader::default(), Inflater::default());
        let (mut at, mut items) = (0, vec![]);
        loop {
            match reader.step(&data[at..], MOST, Some(&mut inflater)) {
                Step::Item(item, used) => {
                    items.push(item);
                    at += used;
                }
                Step::More(_) => return Ok(items),
                Step::Fail(fault) => return Err(fault),
            }
        }
    }

    fn text(text: &str) -> Item {
        Item::Text(text.to_owned())
    }

    #[test]
    fn messages_of_every_length_come_out_whole() {
        for size in [0, 1, 125, 126, 127, 65_535, 65_536, 200_000] {
            let payload: Vec<u8> = (0..size).map(|at| at as u8).collect();
            assert_eq!(all(&frame(0x82, &payload)), Ok(vec![Item::Binary(payload)]));
        }
    }

    #[test]
    fn fragments_are_joined_and_control_frames_stand_between() {
        let data = [frame(1, b"a\xc3"), frame(0x89, b"p"), frame(0, b"\xa4"), frame(0x80, b"z")];
        assert_eq!(all(&data.concat()), Ok(vec![Item::Ping(b"p".to_vec()), text("aäz")]));
    }

    #[test]
    fn what_rfc_6455_forbids_fails() {
        let unmasked = vec![0x81, 1, b'a'];
        let longer = vec![0x82, 0xfe, 0, 5, 0, 0, 0, 0, 1, 2, 3, 4, 5];
        let longest = vec![0x82, 255, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0];
        let top_bit = vec![0x82, 255, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for (what, data) in [
            ("no mask", unmasked),
            ("two octets for five", longer),
            ("eight octets for two", longest),
            ("the top bit of a length", top_bit),
            ("RSV2", frame(0x81 | 0x20, b"")),
            ("RSV3", frame(0x81 | 0x10, b"")),
            ("RSV1 of a control frame", frame(0x89 | 0x40, b"")),
            ("a reserved opcode", frame(0x83, b"")),
            ("a reserved control opcode", frame(0x8b, b"")),
            ("a fragmented ping", frame(9, b"")),
            ("a long ping", frame(0x89, &[0; 126])),
            ("a continuation of nothing", frame(0x80, b"a")),
            ("a message inside another", [frame(1, b"a"), frame(0x81, b"b")].concat()),
            ("RSV1 inside a message", [frame(1, b"a"), frame(0xc0, b"b")].concat()),
            ("a close of one octet", frame(0x88, b"a")),
            ("close code 1005", frame(0x88, &1005_u16.to_be_bytes())),
        ] {
            assert_eq!(all(&data), Err(Fault::Protocol), "{what}");
        }
    }

    #[test]
    fn without_the_extension_rsv1_fails() {
        let mut reader = Reader::default();
        let step = reader.step(&frame(0xc1, b""), MOST, None);
        assert_eq!(step, Step::Fail(Fault::Protocol));
    }

    #[test]
    fn text_fails_before_it_is_whole() {
        let data = frame(0x81, b"abc\xf4\x90\x80\x80xxxx");
        let mut reader = Reader::default();
        assert_eq!(reader.step(&data[..9], MOST, None), Step::More(9));
        assert_eq!(reader.step(&data[9..10], MOST, None), Step::More(1));
        assert_eq!(reader.step(&data[10..11], MOST, None), Step::Fail(Fault::Payload));
        assert_eq!(all(&frame(0x81, b"\xc3")), Err(Fault::Payload));
    }

    #[test]
    fn a_claim_beyond_the_limit_fails_at_once() {
        let mut reader = Reader::default();
        let head = &frame(0x82, &[0; 2000])[..8];
        assert_eq!(reader.step(head, 1999, None), Step::Fail(Fault::TooBig));
        let mut reader = Reader::default();
        let data = [frame(2, &[0; 1500]), frame(0, &[0; 600])].concat();
        assert_eq!(reader.step(&data, 2000, None), Step::Fail(Fault::TooBig));
    }

    #[test]
    fn compressed_messages_inflate_within_the_limit() {
        let mut deflater = Deflater::default();
        let payload = "so it goes ".repeat(1000);
        let packed = deflater.deflate(payload.as_bytes(), 15);
        assert_eq!(all(&frame(0xc1, &packed)), Ok(vec![text(&payload)]));
        let (first, rest) = packed.split_at(packed.len() / 2);
        let split = [frame(0x41, first), frame(0x80, rest)].concat();
        assert_eq!(all(&split), Ok(vec![text(&payload)]));
        let bomb = deflater.deflate(&vec![0; MOST + 1], 15);
        assert!(bomb.len() < MOST / 100);
        assert_eq!(all(&frame(0xc2, &bomb)), Err(Fault::TooBig));
        assert_eq!(all(&frame(0xc2, b"\xff\xff")), Err(Fault::Payload));
        let latin = deflater.deflate(b"\xe4", 15);
        assert_eq!(all(&frame(0xc1, &latin)), Err(Fault::Payload));
    }

    #[test]
    fn between_two_messages_nothing_is_held() {
        let mut reader = Reader::default();
        let data = frame(0x82, &[1; 1000]);
        assert!(matches!(reader.step(&data, MOST, None), Step::Item(..)));
        assert_eq!(reader.message.capacity(), 0);
        assert!(size_of::<Reader>() <= 56, "{}", size_of::<Reader>());
    }
}
