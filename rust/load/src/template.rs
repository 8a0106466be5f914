//! What to send: requests compiled once and rendered for each, as bytes or as HTTP/2 fields.
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use crate::data::Data;
use crate::placeholder::{Text, Values, decimal};
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

/// The form that a request has on the wire.
enum Form {
    /// The head, and the body where its length differs from request to request.
    Text {
        head: Text,
        body: Option<Text>,
    },
    Fields(Fields),
}

struct Fields {
    method: Method,
    /// `https://host`
    origin: String,
    target: Text,
    constant: HeaderMap,
    drawn: Vec<(HeaderName, Text)>,
    body: Option<Text>,
}

pub(crate) struct Template {
    form: Form,
    /// HEAD: the answer has the fields of a body and none (RFC 9110 section 9.3.2).
    pub(crate) bodiless: bool,
}

impl Template {
    /// `scheme`: of HTTP/2's pseudo-header; None: HTTP/1.1.
    pub(crate) fn new(spec: &Spec, data: &Data, scheme: Option<&str>) -> Result<Self, Malformed> {
        refuse_splitting(spec, data)?;
        let form = match scheme {
            None => text(spec, data)?,
            Some(scheme) => Form::Fields(fields(spec, data, scheme)?),
        };
        let template = Self { form, bodiless: spec.method == "HEAD" };
        template.try_fields(data)?;
        Ok(template)
    }

    /// Appends the request to `out`; `scratch` holds the body while it is measured.
    pub(crate) fn render(&self, values: &mut Values, out: &mut Vec<u8>, scratch: &mut Vec<u8>) {
        let Form::Text { head, body } = &self.form else {
            return;
        };
        head.render(values, out);
        if let Some(body) = body {
            scratch.clear();
            body.render(values, scratch);
            decimal(scratch.len() as u64, out);
            out.extend_from_slice(b"\r\n\r\n");
            out.extend_from_slice(scratch);
        }
    }

    /// The request and its body for HTTP/2.
    pub(crate) fn fields(
        &self,
        values: &mut Values,
    ) -> Result<(http::Request<()>, Option<Bytes>), Malformed> {
        let Form::Fields(fields) = &self.form else {
            return Err(Malformed("not a template of HTTP/2".into()));
        };
        let refused = |error: &dyn fmt::Display| Malformed(format!("HTTP/2: {error}"));
        let mut text = fields.origin.clone().into_bytes();
        fields.target.render(values, &mut text);
        let mut request = http::Request::new(());
        *request.method_mut() = fields.method.clone();
        *request.uri_mut() = Uri::from_maybe_shared(text).map_err(|e| refused(&e))?;
        *request.headers_mut() = fields.constant.clone();
        for (name, value) in &fields.drawn {
            let mut text = Vec::new();
            value.render(values, &mut text);
            let value = HeaderValue::from_bytes(&text).map_err(|e| refused(&e))?;
            request.headers_mut().append(name.clone(), value);
        }
        let body = fields.body.as_ref().map(|body| {
            let mut text = Vec::new();
            body.render(values, &mut text);
            Bytes::from(text)
        });
        if let Some(body) = &body {
            request.headers_mut().insert(http::header::CONTENT_LENGTH, body.len().into());
        }
        Ok((request, body))
    }

    /// What the `http` crate would refuse is refused before the run, for each row of the data.
    fn try_fields(&self, data: &Data) -> Result<(), Malformed> {
        let Form::Fields(fields) = &self.form else {
            return Ok(());
        };
        let headers = fields.drawn.iter().flat_map(|(_, text)| text.columns());
        let varied = headers.chain(fields.target.columns()).next().is_some();
        let rows = data.rows.iter().map(Vec::as_slice);
        let rows: Vec<&[Vec<u8>]> = if varied { rows.collect() } else { rows.take(1).collect() };
        let none: &[Vec<u8>] = &[];
        for row in if rows.is_empty() { vec![none] } else { rows } {
            let mut values = Values { id: 0, number: 0, random: &mut Random::new(0), row };
            self.fields(&mut values)?;
        }
        Ok(())
    }
}

fn text(spec: &Spec, data: &Data) -> Result<Form, Malformed> {
    let mut head = format!("{} {} HTTP/1.1\r\n", spec.method, spec.target).into_bytes();
    for (name, value) in &spec.headers {
        head.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    let mut body = spec.body.as_deref().map(|body| Text::compile(body, data)).transpose()?;
    match (&spec.body, &body) {
        (Some(text), Some(compiled)) if compiled.is_constant() => {
            head.extend_from_slice(format!("content-length: {}\r\n\r\n", text.len()).as_bytes());
            // Compiled with the head, it is one copy a request.
            head.extend_from_slice(text);
            body = None;
        }
        (Some(_), _) => head.extend_from_slice(b"content-length: "),
        (None, _) => head.extend_from_slice(b"\r\n"),
    }
    Ok(Form::Text { head: Text::compile(&head, data)?, body })
}

/// Fields of one connection have no place in HTTP/2 (RFC 9113 section 8.2.2).
const OF_HTTP1: [&str; 5] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

fn fields(spec: &Spec, data: &Data, scheme: &str) -> Result<Fields, Malformed> {
    let bad = |name: &str| Malformed(format!("{name:?}: not a name that HTTP/2 takes"));
    let mut authority = "";
    let (mut constant, mut drawn) = (HeaderMap::new(), Vec::new());
    for (name, value) in &spec.headers {
        let lower = name.to_ascii_lowercase();
        if lower == "host" {
            authority = value;
        } else if !OF_HTTP1.contains(&lower.as_str()) {
            let field = HeaderName::from_bytes(lower.as_bytes()).map_err(|_| bad(name))?;
            let text = Text::compile(value.as_bytes(), data)?;
            match HeaderValue::from_bytes(value.as_bytes()) {
                Ok(value) if text.is_constant() => drop(constant.append(field, value)),
                _ => drawn.push((field, text)),
            }
        }
    }
    Ok(Fields {
        method: spec.method.parse().map_err(|_| bad(&spec.method))?,
        origin: format!("{scheme}://{authority}"),
        target: Text::compile(spec.target.as_bytes(), data)?,
        constant,
        drawn,
        body: spec.body.as_deref().map(|body| Text::compile(body, data)).transpose()?,
    })
}

/// A line break in a target or a field would smuggle a second request.
fn refuse_splitting(spec: &Spec, data: &Data) -> Result<(), Malformed> {
    let fields = spec.headers.iter().flat_map(|(name, value)| [name, value]);
    for text in fields.chain([&spec.method, &spec.target]) {
        if text.bytes().any(breaks) {
            return Err(Malformed(format!("{text:?}: no line breaks in a head")));
        }
        check_cells(text, data, breaks)?;
    }
    if spec.target.bytes().any(blank) || spec.target.is_empty() {
        return Err(Malformed(format!("{:?}: not a request target", spec.target)));
    }
    check_cells(&spec.target, data, blank)
}

fn breaks(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | 0)
}

fn blank(byte: u8) -> bool {
    byte <= b' '
}

/// The same for the cells that will stand there.
fn check_cells(text: &str, data: &Data, bad: fn(u8) -> bool) -> Result<(), Malformed> {
    for column in Text::compile(text.as_bytes(), data)?.columns() {
        for (at, row) in data.rows.iter().enumerate() {
            if row[column].iter().any(|&byte| bad(byte)) {
                let name = &data.columns[column];
                let cell = String::from_utf8_lossy(&row[column]);
                let why = format!("data row {}, {name} = {cell:?}: not in a head", at + 1);
                return Err(Malformed(why));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    fn data(cell: &str) -> Data {
        let rows = vec![vec![cell.as_bytes().to_vec()]];
        Data { columns: vec!["user".into()], rows, random: false }
    }

    fn rendered(spec: &Spec) -> String {
        let data = data("ann");
        let template = Template::new(spec, &data, None).unwrap();
        let mut values =
            Values { id: 77, number: 5, random: &mut Random::new(1), row: &data.rows[0] };
        let mut out = Vec::new();
        template.render(&mut values, &mut out, &mut Vec::new());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn placeholders_stand_in_path_headers_and_body() {
        assert_eq!(
            rendered(&spec("/o/{id}?u={csv:user}", Some(r#"{"id": {id}, "n": {n}}"#))),
            "POST /o/77?u=ann HTTP/1.1\r\nhost: h\r\nx-id: 77\r\ncontent-length: 18\r\n\r\n\
             {\"id\": 77, \"n\": 5}"
        );
    }

    #[test]
    fn a_body_has_its_length_and_none_has_none() {
        for (body, end) in
            [("{}", "content-length: 2\r\n\r\n{}"), ("", "content-length: 0\r\n\r\n")]
        {
            let text = rendered(&spec("/", Some(body)));
            assert!(text.ends_with(end), "{text}");
        }
        assert!(!rendered(&spec("/", None)).contains("content-length"));
    }

    #[test]
    fn fields_leave_out_what_belongs_to_a_connection() {
        let mut spec = spec("/o/{n}", Some("{n}"));
        spec.headers.push(("Connection".into(), "close".into()));
        spec.headers.push(("X-Kind".into(), "load".into()));
        let template = Template::new(&spec, &Data::default(), Some("https")).unwrap();
        let mut values = Values { id: 77, number: 5, random: &mut Random::new(1), row: &[] };
        let (request, body) = template.fields(&mut values).unwrap();
        assert_eq!(request.uri().to_string(), "https://h/o/5");
        assert_eq!(request.headers()["x-id"], "77");
        assert_eq!(request.headers()["x-kind"], "load");
        assert_eq!(request.headers()["content-length"], "1");
        assert_eq!((request.headers().len(), body.as_deref()), (3, Some(&b"5"[..])));
    }

    #[test]
    fn split_heads_are_refused_in_text_and_in_cells() {
        let refused = |spec: &Spec, cell| Template::new(spec, &data(cell), None).err().unwrap().0;
        assert!(refused(&spec("/ HTTP/1.1\r\nx: y", None), "").contains("no line breaks"));
        assert!(refused(&spec("", None), "").contains("not a request target"));
        assert!(refused(&spec("/{csv:user}", None), "a b").contains("data row 1, user"));
        let mut split = spec("/", None);
        split.headers[1].1 = "{csv:user}".into();
        assert!(refused(&split, "a\r\nx: y").contains("data row 1, user"));
        assert!(Template::new(&split, &data("a b"), None).is_ok());
        assert!(Template::new(&spec("/<{n}>", None), &data(""), Some("http")).is_err());
    }

    proptest! {
        /// What is rendered is what a parser reads: the same method, target, fields and body.
        #[test]
        fn a_request_comes_back_as_it_was_meant(
            target in "/[!-z]{0,20}",
            value in "[ -~]{0,20}",
            body in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..60)),
        ) {
            let mut spec = spec(&target, None);
            spec.headers.push(("x-any".into(), value.clone()));
            spec.body.clone_from(&body);
            // A brace may begin a placeholder, which is not what is meant here.
            prop_assume!(!format!("{target}{value}").contains('{'));
            prop_assume!(!body.iter().flatten().any(|&byte| byte == b'{'));
            let template = Template::new(&spec, &Data::default(), None).unwrap();
            let mut values = Values { id: 7, number: 5, random: &mut Random::new(1), row: &[] };
            let mut out = Vec::new();
            template.render(&mut values, &mut out, &mut Vec::new());

            let mut fields = [httparse::EMPTY_HEADER; 8];
            let mut head = httparse::Request::new(&mut fields);
            let end = head.parse(&out).unwrap().unwrap();
            let field = |name: &str| head.headers.iter().find(|f| f.name == name).map(|f| f.value);
            prop_assert_eq!((head.method, head.path), (Some("POST"), Some(target.as_str())));
            prop_assert_eq!(field("x-id"), Some(&b"7"[..]));
            prop_assert_eq!(field("x-any").map(<[u8]>::trim_ascii), Some(value.trim().as_bytes()));
            let length = body.as_ref().map(|body| body.len().to_string());
            prop_assert_eq!(field("content-length"), length.as_ref().map(String::as_bytes));
            prop_assert_eq!(&out[end..], body.unwrap_or_default());
        }
    }
}
