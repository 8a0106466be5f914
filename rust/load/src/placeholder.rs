//! Text with placeholders, compiled once and rendered for each request.
//!
//! `{id}` is unique among the requests of every run, `{n}` counts them from 0, `{rand:LO-HI}` and
//! `{uuid}` are drawn anew wherever they stand, `{csv:COLUMN}` is a cell of the request's row. Any
//! other brace is text, so JSON needs no escaping.
use crate::data::Data;
use crate::random::Random;
use crate::template::Malformed;

enum Piece {
    Text(Vec<u8>),
    Id,
    Number,
    Uuid,
    Random(u64, u64),
    Cell(usize),
}

/// What the placeholders of one request stand for.
pub(crate) struct Values<'a> {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) random: &'a mut Random,
    pub(crate) row: &'a [Vec<u8>],
}

pub(crate) struct Text(Vec<Piece>);

impl Text {
    pub(crate) fn compile(text: &[u8], data: &Data) -> Result<Self, Malformed> {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some((&byte, after)) = rest.split_first() {
            let Some((piece, used)) = placeholder(rest, data)? else {
                literal.push(byte);
                rest = after;
                continue;
            };
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(piece);
            rest = &rest[used..];
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self(pieces))
    }

    pub(crate) fn is_constant(&self) -> bool {
        self.0.iter().all(|piece| matches!(piece, Piece::Text(_)))
    }

    pub(crate) fn render(&self, values: &mut Values, out: &mut Vec<u8>) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Id => decimal(values.id, out),
                Piece::Number => decimal(values.number, out),
                Piece::Uuid => uuid(values.random, out),
                Piece::Random(low, high) => decimal(values.random.between(*low, *high), out),
                Piece::Cell(column) => out.extend_from_slice(&values.row[*column]),
            }
        }
    }

    /// The columns that it takes cells from.
    pub(crate) fn columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Cell(column) => Some(*column),
            _ => None,
        })
    }
}

pub(crate) fn decimal(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Version 4, variant 10 (RFC 9562 section 5.4).
fn uuid(random: &mut Random, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let high = random.next() & !0xF000 | 0x4000;
    let low = random.next() & !(0b11 << 62) | 0b10 << 62;
    let bits = u128::from(high) << 64 | u128::from(low);
    for digit in 0..32 {
        if matches!(digit, 8 | 12 | 16 | 20) {
            out.push(b'-');
        }
        out.push(HEX[(bits >> (124 - 4 * digit)) as usize & 0xF]);
    }
}

fn placeholder(text: &[u8], data: &Data) -> Result<Option<(Piece, usize)>, Malformed> {
    for (name, piece) in
        [(&b"{id}"[..], Piece::Id), (b"{n}", Piece::Number), (b"{uuid}", Piece::Uuid)]
    {
        if text.starts_with(name) {
            return Ok(Some((piece, name.len())));
        }
    }
    if let Some((inside, used)) = argument(text, b"{csv:")? {
        return Ok(Some((Piece::Cell(data.column(inside)?), used)));
    }
    let Some((inside, used)) = argument(text, b"{rand:")? else {
        return Ok(None);
    };
    let bounds = inside.split_once('-').and_then(|(low, high)| {
        let (low, high) = (low.parse().ok()?, high.parse().ok()?);
        (low <= high).then_some(Piece::Random(low, high))
    });
    let piece = bounds.ok_or_else(|| {
        Malformed(format!("{{rand:{inside}}}: write {{rand:LO-HI}}, two numbers with LO <= HI"))
    })?;
    Ok(Some((piece, used)))
}

/// What stands between `opening` and the brace that closes it, and how long all of it is.
fn argument<'a>(text: &'a [u8], opening: &[u8]) -> Result<Option<(&'a str, usize)>, Malformed> {
    let Some(rest) = text.strip_prefix(opening) else {
        return Ok(None);
    };
    let inside = rest.iter().position(|&byte| byte == b'}').map(|end| &rest[..end]);
    let inside = inside.and_then(|inside| std::str::from_utf8(inside).ok());
    let opened = String::from_utf8_lossy(opening);
    let inside = inside.ok_or_else(|| Malformed(format!("{opened} is not closed by a brace")))?;
    Ok(Some((inside, opening.len() + inside.len() + 1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rendered(text: &str) -> String {
        let data = Data {
            columns: vec!["user".into(), "city".into()],
            rows: vec![vec![b"ann".to_vec(), b"Bergen".to_vec()]],
            random: false,
        };
        let text = Text::compile(text.as_bytes(), &data).unwrap();
        let mut values =
            Values { id: 77, number: 5, random: &mut Random::new(1), row: &data.rows[0] };
        let mut out = Vec::new();
        text.render(&mut values, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_placeholder_has_its_value() {
        assert_eq!(rendered("{id} {n} {rand:4-4} {csv:city}/{csv:user}"), "77 5 4 Bergen/ann");
    }

    #[test]
    fn other_braces_are_text() {
        for text in ["", "{", "}", "{}", "{\"id\": {}}", "{ id }", "{rand}", "{csv}", "{{"] {
            assert_eq!(rendered(text), text);
        }
    }

    #[test]
    fn uuids_differ_and_have_their_version() {
        let both = rendered("{uuid} {uuid}");
        let (one, two) = both.split_once(' ').unwrap();
        assert_ne!(one, two);
        for uuid in [one, two] {
            let parts: Vec<usize> = uuid.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12]);
            assert_eq!(&uuid[14..15], "4");
            assert!("89ab".contains(&uuid[19..20]));
        }
    }

    #[test]
    fn what_is_half_a_placeholder_is_refused() {
        for text in
            ["{rand:}", "{rand:1}", "{rand:2-1}", "{rand:1-", "{rand:a-b}", "{csv:x}", "{csv:"]
        {
            assert!(Text::compile(text.as_bytes(), &Data::default()).is_err(), "{text}");
        }
    }

    proptest! {
        /// Text and placeholders in any order: each piece is rendered on its own.
        #[test]
        fn pieces_are_rendered_one_after_the_other(
            pieces in proptest::collection::vec(
                prop_oneof![
                    "[^{}]{0,5}".prop_map(|text| (text.clone(), text)),
                    Just(("{id}".to_owned(), "77".to_owned())),
                    Just(("{n}".to_owned(), "5".to_owned())),
                    Just(("{csv:user}".to_owned(), "ann".to_owned())),
                    (0u64..).prop_map(|n| (format!("{{rand:{n}-{n}}}"), n.to_string())),
                    Just(("{".to_owned(), "{".to_owned())),
                ],
                0..8,
            )
        ) {
            let (given, expected): (String, String) = pieces.into_iter().unzip();
            // "{" before "id}" would be another placeholder than the one that was meant
            prop_assume!(!given.contains("{{"));
            prop_assert_eq!(rendered(&given), expected);
        }

        #[test]
        fn any_text_is_compiled_or_refused(text in any::<Vec<u8>>()) {
            let _ = Text::compile(&text, &Data::default());
        }
    }
}
