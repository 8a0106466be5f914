//! What to send: requests with placeholders, compiled once and rendered for each request.
//!
//! `{id}` is unique among the requests of every run, `{n}` counts them from 0, `{rand:LO-HI}` is
//! drawn anew wherever it stands. Any other brace is text, so JSON needs no escaping.
use std::fmt;

use crate::random::Random;

/// One kind of request of a mix.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its share, relative to the other kinds.
    pub weight: f64,
    /// `GET`, `POST`, ...
    pub method: String,
    /// The request target; may hold placeholders.
    pub target: String,
    /// Fields as sent, `host` among them; values may hold placeholders.
    pub headers: Vec<(String, String)>,
    /// The body; may hold placeholders. None sends no content-length.
    pub body: Option<Vec<u8>>,
}

/// A placeholder or a request that cannot be sent.
#[derive(Debug)]
pub struct Malformed(pub String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

enum Piece {
    Text(Vec<u8>),
    Id,
    Number,
    Random(u64, u64),
}

/// What the placeholders of one request stand for.
pub(crate) struct Values<'a> {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) random: &'a mut Random,
}

pub(crate) struct Template {
    head: Vec<Piece>,
    /// Only where the length differs from request to request; else it is text of the head.
    body: Vec<Piece>,
    pub(crate) headless_body: bool,
}

impl Template {
    fn new(spec: &Spec) -> Result<Self, Malformed> {
        let mut head = format!("{} {} HTTP/1.1\r\n", spec.method, spec.target).into_bytes();
        for (name, value) in &spec.headers {
            head.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        refuse_splitting(spec)?;
        let mut body = compile(spec.body.as_deref().unwrap_or_default())?;
        match (&spec.body, body.as_slice()) {
            (None, _) => head.extend_from_slice(b"\r\n"),
            (Some(text), [] | [Piece::Text(_)]) => {
                head.extend_from_slice(
                    format!("content-length: {}\r\n\r\n", text.len()).as_bytes(),
                );
                head.extend_from_slice(text);
                body.clear();
            }
            (Some(_), _) => head.extend_from_slice(b"content-length: "),
        }
        let headless_body = spec.method == "HEAD";
        Ok(Self { head: compile(&head)?, body, headless_body })
    }

    /// Appends the request to `out`; `scratch` holds the body while it is measured.
    pub(crate) fn render(&self, values: &mut Values, out: &mut Vec<u8>, scratch: &mut Vec<u8>) {
        render(&self.head, values, out);
        if !self.body.is_empty() {
            scratch.clear();
            render(&self.body, values, scratch);
            number(scratch.len() as u64, out);
            out.extend_from_slice(b"\r\n\r\n");
            out.extend_from_slice(scratch);
        }
    }
}

/// A line break in a target or a field would smuggle a second request.
fn refuse_splitting(spec: &Spec) -> Result<(), Malformed> {
    let fields = spec.headers.iter().flat_map(|(name, value)| [name, value]);
    for text in fields.chain([&spec.method, &spec.target]) {
        if text.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(Malformed(format!("{text:?}: no line breaks in a head")));
        }
    }
    if spec.target.bytes().any(|byte| byte <= b' ') || spec.target.is_empty() {
        return Err(Malformed(format!("{:?}: not a request target", spec.target)));
    }
    Ok(())
}

fn number(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn render(pieces: &[Piece], values: &mut Values, out: &mut Vec<u8>) {
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text),
            Piece::Id => number(values.id, out),
            Piece::Number => number(values.number, out),
            Piece::Random(low, high) => number(values.random.between(*low, *high), out),
        }
    }
}

fn compile(text: &[u8]) -> Result<Vec<Piece>, Malformed> {
    let mut pieces = Vec::new();
    let mut literal = Vec::new();
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let Some((piece, used)) = placeholder(rest)? else {
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
    Ok(pieces)
}

fn placeholder(text: &[u8]) -> Result<Option<(Piece, usize)>, Malformed> {
    if text.starts_with(b"{id}") {
        return Ok(Some((Piece::Id, 4)));
    }
    if text.starts_with(b"{n}") {
        return Ok(Some((Piece::Number, 3)));
    }
    let Some(range) = text.strip_prefix(b"{rand:") else {
        return Ok(None);
    };
    let bounds = range.iter().position(|&byte| byte == b'}').and_then(|end| {
        let (low, high) = std::str::from_utf8(&range[..end]).ok()?.split_once('-')?;
        let (low, high) = (low.parse().ok()?, high.parse().ok()?);
        (low <= high).then_some((Piece::Random(low, high), end + "{rand:}".len()))
    });
    bounds.map(Some).ok_or_else(|| Malformed("{rand:LO-HI} needs two numbers, LO <= HI".into()))
}

/// Several kinds of requests, drawn by weight.
pub(crate) struct Mix {
    templates: Vec<Template>,
    /// Where each kind's share ends; the last is the sum of all.
    ends: Vec<f64>,
}

impl Mix {
    pub(crate) fn new(specs: &[Spec]) -> Result<Self, Malformed> {
        // One byte of an outcome names the kind.
        if specs.is_empty() || specs.len() > 256 {
            return Err(Malformed("a mix has 1 to 256 kinds of requests".into()));
        }
        let mut ends = Vec::with_capacity(specs.len());
        let mut sum = 0.0;
        for spec in specs {
            if !(spec.weight.is_finite() && spec.weight > 0.0) {
                return Err(Malformed(format!("weight {}: must be above 0", spec.weight)));
            }
            sum += spec.weight;
            ends.push(sum);
        }
        let templates = specs.iter().map(Template::new).collect::<Result<_, _>>()?;
        Ok(Self { templates, ends })
    }

    pub(crate) fn draw(&self, random: &mut Random) -> u8 {
        if self.ends.len() == 1 {
            return 0;
        }
        let point = random.unit() * self.ends[self.ends.len() - 1];
        let kind = self.ends.partition_point(|&end| end <= point);
        kind.min(self.ends.len() - 1) as u8
    }

    pub(crate) fn template(&self, kind: u8) -> &Template {
        &self.templates[usize::from(kind)]
    }

    pub(crate) fn len(&self) -> usize {
        self.templates.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(target: &str, body: Option<&str>) -> Spec {
        Spec {
            weight: 1.0,
            method: "POST".into(),
            target: target.into(),
            headers: vec![("host".into(), "h".into()), ("x-id".into(), "{id}".into())],
            body: body.map(|text| text.as_bytes().to_vec()),
        }
    }

    fn rendered(spec: &Spec) -> String {
        let mix = Mix::new(std::slice::from_ref(spec)).unwrap();
        let mut random = Random::new(1);
        let mut out = Vec::new();
        let mut values = Values { id: 77, number: 5, random: &mut random };
        mix.template(0).render(&mut values, &mut out, &mut Vec::new());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn placeholders_stand_in_path_headers_and_body() {
        assert_eq!(
            rendered(&spec("/o/{id}", Some(r#"{"id": {id}, "n": {n}, "r": {rand:4-4}}"#))),
            "POST /o/77 HTTP/1.1\r\nhost: h\r\nx-id: 77\r\ncontent-length: 26\r\n\r\n\
             {\"id\": 77, \"n\": 5, \"r\": 4}"
        );
    }

    #[test]
    fn a_constant_body_has_its_length() {
        let text = rendered(&spec("/", Some("{}")));
        assert!(text.ends_with("content-length: 2\r\n\r\n{}"), "{text}");
    }

    #[test]
    fn an_empty_body_says_so() {
        let text = rendered(&spec("/", Some("")));
        assert!(text.ends_with("content-length: 0\r\n\r\n"), "{text}");
    }

    #[test]
    fn without_a_body_there_is_no_length() {
        assert!(!rendered(&spec("/", None)).contains("content-length"));
    }

    #[test]
    fn bad_ranges_and_split_heads_are_refused() {
        for body in ["{rand:}", "{rand:1}", "{rand:2-1}", "{rand:1-", "{rand:a-b}"] {
            assert!(Mix::new(&[spec("/", Some(body))]).is_err(), "{body}");
        }
        assert!(Mix::new(&[spec("/ HTTP/1.1\r\nx: y", None)]).is_err());
        assert!(Mix::new(&[spec("", None)]).is_err());
        assert!(Mix::new(&[]).is_err());
    }

    #[test]
    fn kinds_are_drawn_by_weight() {
        let weighted = |weight| Spec { weight, ..spec("/", None) };
        let mix = Mix::new(&[weighted(9.0), weighted(1.0)]).unwrap();
        let mut random = Random::new(3);
        let second = (0..10_000).filter(|_| mix.draw(&mut random) == 1).count();
        assert!((900..1100).contains(&second), "{second}");
    }
}
