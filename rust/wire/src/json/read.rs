//! Reading JSON text, value by value, by somebody who knows what has to come.
//!
//! Whatever is asked for gives None where it does not stand there. Then the cursor is anywhere: the
//! text is somebody else's, who can also say what is wrong with it.
use super::special::{HIGH, before, special, specials};
use memchr::memchr2;
use std::borrow::Cow;

/// Where somebody reads.
pub struct Cursor<'a> {
    left: &'a [u8],
    /// As the last key was written.
    style: Style,
}

/// A string without its quotes and escapes.
#[derive(Debug, PartialEq, Eq)]
pub enum Text<'a> {
    /// Octets below 0x80.
    Ascii(&'a [u8]),
    /// Any.
    Any(Cow<'a, str>),
}

impl Text<'_> {
    /// How many it has.
    pub fn characters(&self) -> usize {
        match self {
            Text::Ascii(octets) => octets.len(),
            Text::Any(text) => text.chars().count(),
        }
    }

    /// As UTF-8.
    pub fn octets(&self) -> &[u8] {
        match self {
            Text::Ascii(octets) => octets,
            Text::Any(text) => text.as_bytes(),
        }
    }
}

/// What stands before a member's value as most write it; compared in one piece of a constant size,
/// which needs no call.
pub struct Key {
    tight: Spelling,
    spaced: Spelling,
}

/// White space between the tokens of a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// None.
    Tight,
    /// A space behind each comma and colon, as Python's `json` writes.
    Spaced,
}

/// Octets that are compared in one piece.
struct Spelling {
    words: [u64; WORDS],
    mask: [u64; WORDS],
    /// All of it; where it is longer than the words, they have nothing of it.
    octets: Box<[u8]>,
}

const WORDS: usize = 4;

impl Key {
    /// Of a member of an object, which is the first one or follows another.
    pub fn member(name: &str, first: bool) -> Key {
        let mut quoted = vec![];
        super::text(&mut quoted, name);
        let (tight, spaced): (&[u8], &[u8]) = if first { (b"{", b"{") } else { (b",", b", ") };
        Key {
            tight: Spelling::new([tight, &quoted, b":"].concat()),
            spaced: Spelling::new([spaced, &quoted, b": "].concat()),
        }
    }

    fn spelling(&self, style: Style) -> &Spelling {
        match style {
            Style::Tight => &self.tight,
            Style::Spaced => &self.spaced,
        }
    }
}

impl Spelling {
    fn new(octets: Vec<u8>) -> Spelling {
        let (mut begin, mut mask) = ([0; WORDS * 8], [0; WORDS * 8]);
        if octets.len() <= begin.len() {
            begin[..octets.len()].copy_from_slice(&octets);
            mask[..octets.len()].fill(0xFF);
        }
        Spelling { words: words(&begin), mask: words(&mask), octets: octets.into() }
    }

    fn is_at(&self, left: &[u8]) -> bool {
        match left.first_chunk() {
            Some(chunk) if self.octets.len() <= WORDS * 8 => {
                let there = words(chunk);
                let differs = |i: usize| (there[i] ^ self.words[i]) & self.mask[i];
                differs(0) | differs(1) | differs(2) | differs(3) == 0
            }
            _ => left.starts_with(&self.octets),
        }
    }
}

fn words(octets: &[u8; WORDS * 8]) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    for (word, chunk) in words.iter_mut().zip(octets.chunks_exact(8)) {
        *word = u64::from_le_bytes(chunk.try_into().expect("eight octets"));
    }
    words
}

impl<'a> Cursor<'a> {
    /// At the beginning of the text.
    pub fn new(text: &'a [u8]) -> Cursor<'a> {
        Cursor { left: text, style: Style::Tight }
    }

    /// What has not been read.
    pub fn left(&self) -> &'a [u8] {
        self.left
    }

    /// Skips white space.
    pub fn space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.left {
            self.left = rest;
        }
    }

    /// Skips an octet if it is the next.
    pub fn take(&mut self, octet: u8) -> bool {
        match self.left.split_first() {
            Some((&next, rest)) if next == octet => {
                self.left = rest;
                true
            }
            _ => false,
        }
    }

    /// Before an item of a list or a member of an object: skips white space and `before`, which
    /// begins them or is a comma; false at the end, which is skipped.
    pub fn goes_on(&mut self, before: u8, end: u8) -> Option<bool> {
        self.space();
        let first = before != b',';
        if !first && self.take(end) {
            return Some(false);
        }
        if !self.take(before) {
            return None;
        }
        self.space();
        Some(!(first && self.take(end)))
    }

    /// A member's name, and the colon.
    pub fn name(&mut self) -> Option<Text<'a>> {
        let name = self.string()?;
        self.space();
        self.take(b':').then_some(name)
    }

    /// Skips the key and what stands around it, if that is next as most write it.
    pub fn take_key(&mut self, key: &Key) -> bool {
        self.take_spelling(key.spelling(self.style)) || {
            let other = if self.style == Style::Tight { Style::Spaced } else { Style::Tight };
            let taken = self.take_spelling(key.spelling(other));
            if taken {
                self.style = other;
            }
            taken
        }
    }

    fn take_spelling(&mut self, spelling: &Spelling) -> bool {
        let there = spelling.is_at(self.left);
        if there {
            self.left = &self.left[spelling.octets.len()..];
        }
        there
    }

    /// Skips `null`.
    pub fn null(&mut self) -> Option<()> {
        self.left = self.left.strip_prefix(b"null")?;
        Some(())
    }

    /// `true` or `false`.
    pub fn boolean(&mut self) -> Option<bool> {
        let truth = self.left.first() == Some(&b't');
        let word: &[u8] = if truth { b"true" } else { b"false" };
        self.left = self.left.strip_prefix(word)?;
        Some(truth)
    }

    /// A number without point and exponent, of up to 18 digits.
    pub fn integer(&mut self) -> Option<i64> {
        let negative = self.take(b'-');
        let (count, value) = digits(self.left, 0);
        if count == 0 || count > 18 || (count > 1 && self.left[0] == b'0') {
            return None;
        }
        self.left = &self.left[count..];
        let value = value as i64;
        Some(if negative { -value } else { value })
    }

    /// A number that a double can have; one that is too large has no value, nor has `-0`, which is
    /// an integer to many.
    pub fn float(&mut self) -> Option<f64> {
        let all = self.left;
        let negative = self.take(b'-');
        let (whole, mut value) = digits(self.left, 0);
        if whole == 0 || (whole > 1 && self.left[0] == b'0') {
            return None;
        }
        self.left = &self.left[whole..];
        let mut places = 0;
        if self.take(b'.') {
            (places, value) = digits(self.left, value);
            if places == 0 {
                return None;
            }
            self.left = &self.left[places..];
        }
        let exponent = self.exponent()?;
        if negative && value == 0 && places == 0 && !exponent {
            return None;
        }
        // Both numbers divided are exact, and a quotient is rounded once, as reading rounds.
        if let (false, true, Some(power)) = (exponent, whole + places <= 15, POWERS.get(places)) {
            let size = value as f64 / power;
            return Some(if negative { -size } else { size });
        }
        let number = &all[..all.len() - self.left.len()];
        let number: f64 = std::str::from_utf8(number).ok()?.parse().ok()?;
        number.is_finite().then_some(number)
    }

    /// Skips an exponent; false where there is none.
    fn exponent(&mut self) -> Option<bool> {
        if !(self.take(b'e') || self.take(b'E')) {
            return Some(false);
        }
        let _sign = self.take(b'+') || self.take(b'-');
        let (count, _) = digits(self.left, 0);
        self.left = &self.left[count..];
        (count > 0).then_some(true)
    }

    /// A string, of which each escape stands for a character, and which is UTF-8.
    pub fn string(&mut self) -> Option<Text<'a>> {
        let text = self.left.strip_prefix(b"\"")?;
        let size = plain(text);
        let (plain, rest) = text.split_at(size);
        if let [b'"', rest @ ..] = rest {
            self.left = rest;
            return Some(Text::Ascii(plain));
        }
        self.left = text;
        self.any().map(Text::Any)
    }

    #[inline(never)]
    fn any(&mut self) -> Option<Cow<'a, str>> {
        let mut before = vec![];
        loop {
            let end = memchr2(b'"', b'\\', self.left)?;
            let (piece, rest) = self.left.split_at(end);
            if piece.iter().any(|&octet| octet < 0x20) {
                return None;
            }
            let piece = std::str::from_utf8(piece).ok()?;
            self.left = &rest[1..];
            if rest[0] == b'"' && before.is_empty() {
                return Some(Cow::Borrowed(piece));
            }
            before.extend_from_slice(piece.as_bytes());
            if rest[0] == b'"' {
                return String::from_utf8(before).ok().map(Cow::Owned);
            }
            let character = self.escaped()?;
            before.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    /// The character of an escape, behind its backslash.
    fn escaped(&mut self) -> Option<char> {
        let (&kind, rest) = self.left.split_first()?;
        self.left = rest;
        Some(match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.unit()?;
                if !(0xD800..0xDC00).contains(&first) {
                    return char::from_u32(first);
                }
                self.left = self.left.strip_prefix(b"\\u")?;
                let second = self.unit()?.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
                return char::from_u32(0x10000 + ((first - 0xD800) << 10) + second);
            }
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u32> {
        let (unit, rest) = self.left.split_first_chunk::<4>()?;
        self.left = rest;
        unit.iter().try_fold(0, |unit, octet| Some(unit << 4 | char::from(*octet).to_digit(16)?))
    }
}

/// Powers of ten that a double has exactly.
const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// How many digits come, and the number that they make behind others; of no use beyond 19 in all.
fn digits(octets: &[u8], mut value: u64) -> (usize, u64) {
    let mut count = 0;
    while let Some(digit) = octets.get(count).map(|octet| octet.wrapping_sub(b'0')) {
        if digit > 9 {
            break;
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        count += 1;
    }
    (count, value)
}

/// How many octets are ASCII and stand for themselves, from the first one on.
fn plain(octets: &[u8]) -> usize {
    let foreign = |octet: u8| special(octet) | octet >> 7;
    let mut count = 0;
    while let Some(word) = octets[count..].first_chunk() {
        let word = u64::from_le_bytes(*word);
        let found = specials(word) | word & HIGH;
        if found != 0 {
            return count + found.trailing_zeros() as usize / 8;
        }
        count += 8;
        if count == 16 {
            count += before::<32>(&octets[count..], foreign);
        }
    }
    let rest = &octets[count..];
    count + rest.iter().position(|&octet| foreign(octet) != 0).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> Option<String> {
        let mut cursor = Cursor::new(text.as_bytes());
        let read = String::from_utf8(cursor.string()?.octets().to_vec()).expect("UTF-8");
        (cursor.left() == b"!").then_some(read)
    }

    #[test]
    fn what_was_written_is_read() {
        for before in 0..70 {
            for after in [0, 1, 15, 16, 40, 90] {
                for special in ["", "\"", "\\", "\n", "\u{1f}", "\u{7f}", "é", "\u{1f600}"] {
                    let text = "a".repeat(before) + special + &"b".repeat(after);
                    let mut out = vec![];
                    super::super::text(&mut out, &text);
                    out.push(b'!');
                    assert_eq!(string(std::str::from_utf8(&out).expect("UTF-8")), Some(text));
                }
            }
        }
    }

    #[test]
    fn escapes_are_characters() {
        assert_eq!(string(r#""\b\f\n\r\t\"\\\/A"!"#).as_deref(), Some("\u{8}\u{c}\n\r\t\"\\/A"));
        assert_eq!(string(r#""x\u00e9\ud83d\ude00y"!"#).as_deref(), Some("xé\u{1f600}y"));
        for wrong in [
            r#""\x"!"#,
            r#""\u00g0"!"#,
            r#""\u+0e9"!"#,
            r#""\ud83d"!"#,
            r#""\ud83dx"!"#,
            r#""\ud83d\u0041"!"#,
            r#""\ude00"!"#,
            r#""\u00""#,
            r#""\"#,
            r#"""#,
            "\"\n\"!",
            "\"é\n\"!",
            "x",
            "",
        ] {
            assert_eq!(string(wrong), None, "{wrong}");
        }
        assert_eq!(Cursor::new(b"\"\xff\"").string(), None);
        assert_eq!(Cursor::new(b"\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").string(), None);
    }

    #[test]
    fn numbers_are_what_a_parser_reads() {
        for text in [
            "0",
            "-0.0",
            "-0e0",
            "7",
            "9.95",
            "1e3",
            "1E-3",
            "1.5e+300",
            "123456789012345",
            "0.1",
            "1234567890123456",
            "0.30000000000000004",
            "179769313486231570000",
            "5e-324",
            "1e-999",
            "12345678901234567890.12345678901234567890",
        ] {
            let mut cursor = Cursor::new(text.as_bytes());
            let number: f64 = text.parse().expect("a number");
            assert_eq!(cursor.float().map(f64::to_bits), Some(number.to_bits()), "{text}");
            assert_eq!(cursor.left(), b"");
        }
        for text in ["", "-", "-0", ".5", "5.", "01.5", "1e", "1e+", "-.5", "1e999", "nan", "00"] {
            assert_eq!(Cursor::new(text.as_bytes()).float(), None, "{text}");
        }
        for (text, value) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("-12", Some(-12)),
            ("999999999999999999", Some(999_999_999_999_999_999)),
            ("1000000000000000000", None),
            ("18446744073709551617", None),
            ("012", None),
            ("-", None),
            ("+1", None),
        ] {
            assert_eq!(Cursor::new(text.as_bytes()).integer(), value, "{text}");
        }
    }

    #[test]
    fn a_key_is_found_at_any_length_and_behind_none_of_its_beginnings() {
        for size in 0..40 {
            let name = "n".repeat(size);
            for first in [true, false] {
                let key = Key::member(&name, first);
                let text = format!("{}\"{name}\":1", if first { '{' } else { ',' });
                let spaced = format!("{}\"{name}\": 1", if first { "{" } else { ", " });
                let long = text.clone() + &" ".repeat(40);
                for end in 0..text.len() - 1 {
                    assert!(!Cursor::new(&text.as_bytes()[..end]).take_key(&key));
                }
                for text in [text, long, spaced] {
                    let mut cursor = Cursor::new(text.as_bytes());
                    assert!(cursor.take_key(&key));
                    cursor.space();
                    assert_eq!(cursor.integer(), Some(1));
                    let other = text.replace('n', "m");
                    assert_eq!(Cursor::new(other.as_bytes()).take_key(&key), size == 0);
                }
            }
        }
    }

    #[test]
    fn words_are_themselves() {
        assert_eq!(Cursor::new(b"true").boolean(), Some(true));
        assert_eq!(Cursor::new(b"false").boolean(), Some(false));
        assert_eq!(Cursor::new(b"truth").boolean(), None);
        assert_eq!(Cursor::new(b"null").null(), Some(()));
        assert_eq!(Cursor::new(b"nul").null(), None);
        let mut cursor = Cursor::new(b" \t\r\n\x0cx");
        cursor.space();
        assert_eq!(cursor.left(), b"\x0cx");
    }
}
