//! What holds for any bytes at all; shared by the fuzz targets and the replay of their corpus.
#![allow(dead_code, missing_docs)]
use wire::json::{self, Cursor, Key};
use wire::resp::{Bounds as ReplyBounds, Fault as ReplyFault, Item as ReplyItem, Scanner, item};
use wire::response::{Fault as AnswerFault, Limits, Reader as AnswerReader, Step as Stage};
use wire::websocket::{Fault, Handshake, Inflater, Item, Reader, Step};
use wire::{Bounds, Chunked, Found, Kept, Router};

const BOUNDS: Bounds = Bounds { head: 4096, fields: 32, target: 1024 };

/// A head is found once, at one place, however much of it or behind it is there.
pub fn request(data: &[u8]) {
    let Ok(Some(head)) = wire::parse(data, &BOUNDS) else { return };
    assert!(head.len <= data.len() && head.len <= BOUNDS.head);
    let whole = &data[..head.len];
    assert_eq!(wire::parse(whole, &BOUNDS), Ok(Some(head.clone())));
    assert_eq!(wire::parse(&data[..head.len - 1], &BOUNDS), Ok(None));
    assert!(head.path.len == 0 || matches!(head.path.of(whole)[0], b'/' | b'*'));
    for field in &head.fields {
        assert!(!field.name.of(whole).is_empty());
        assert!(!field.value.of(whole).contains(&b'\n'));
    }
    let mut router = Router::default();
    router.add("GET", "/{a}/{*rest}", 0).unwrap();
    if let Found::Route(_, spans, count) = router.find(b"GET", head.path.of(whole)) {
        for span in &spans[..count] {
            let _ = wire::percent::decode(span.of(head.path.of(whole)));
        }
    }
}

/// A body decodes to the same, in one piece or octet by octet, and never beyond its bound.
pub fn chunks(data: &[u8]) {
    const MOST: usize = 1024;
    let (mut decoder, mut out) = (Chunked::default(), vec![]);
    let whole = decoder.feed(data, &mut out, MOST).map(|used| (used, decoder.is_done()));
    let (mut slow, mut slow_out, mut used) = (Chunked::default(), vec![], 0);
    let mut failed = None;
    for octet in data {
        match slow.feed(std::slice::from_ref(octet), &mut slow_out, MOST) {
            Ok(0) => break,
            Ok(taken) => used += taken,
            Err(refusal) => {
                failed = Some(refusal);
                break;
            }
        }
    }
    assert!(out.len() <= MOST);
    match whole {
        Ok(end) => assert_eq!((end, &out, failed), ((used, slow.is_done()), &slow_out, None)),
        Err(refusal) => assert_eq!(failed, Some(refusal)),
    }
}

/// A WebSocket's octets come to the same items and the same end, in one piece or octet by octet.
pub fn frames(data: &[u8]) {
    const MOST: usize = 4096;
    let whole = read_frames(data, data.len().max(1), MOST);
    assert_eq!(whole, read_frames(data, 1, MOST));
    for item in &whole.0 {
        let size = match item {
            Item::Text(text) => text.len(),
            Item::Binary(octets) => octets.len(),
            Item::Ping(octets) => octets.len() * MOST / 125,
            Item::Close(close) => close.reason.len() * MOST / 123,
            Item::Pong => 0,
        };
        assert!(size <= MOST);
    }
}

fn read_frames(data: &[u8], piece: usize, most: usize) -> (Vec<Item>, Option<Fault>) {
    let (mut reader, mut inflater) = (Reader::default(), Inflater::default());
    let (mut rest, mut items) = (vec![], vec![]);
    for octets in data.chunks(piece) {
        rest.extend_from_slice(octets);
        loop {
            match reader.step(&rest, most, Some(&mut inflater)) {
                Step::Item(item, used) => {
                    rest.drain(..used);
                    items.push(item);
                }
                Step::More(used) => {
                    rest.drain(..used);
                    break;
                }
                Step::Fail(fault) => return (items, Some(fault)),
            }
        }
        assert!(rest.len() < 14 + 125, "only a head or a control frame waits");
    }
    (items, None)
}

/// Whatever the peer offers, the answer is a head that can be sent.
pub fn handshake(data: &[u8]) {
    let Ok(Some(head)) = wire::parse(data, &BOUNDS) else { return };
    for multiplexed in [false, true] {
        let Ok(handshake) = Handshake::read(&head, data, multiplexed) else { continue };
        assert!(handshake.bits.is_none_or(|bits| (9..=15).contains(&bits)));
        let mut out = vec![];
        handshake.write(&mut out, true);
        let lines = String::from_utf8(out).unwrap();
        assert!(lines.is_empty() || lines.ends_with("\r\n") && lines.matches('\n').count() <= 5);
    }
}

/// Whatever is read as a value is written as one that reads the same, by `f64`'s own parser too.
pub fn json(data: &[u8]) {
    let mut cursor = Cursor::new(data);
    if let Some(text) = cursor.string() {
        let mut written = vec![];
        let read = std::str::from_utf8(text.octets()).unwrap();
        assert_eq!(read.chars().count(), text.characters());
        json::text(&mut written, read);
        assert_eq!(Cursor::new(&written).string().unwrap().octets(), read.as_bytes());
    }
    let mut cursor = Cursor::new(data);
    if let Some(number) = cursor.float() {
        let read = &data[..data.len() - cursor.left().len()];
        let read: f64 = std::str::from_utf8(read).unwrap().parse().unwrap();
        assert_eq!(read.to_bits(), number.to_bits());
        let mut written = vec![];
        json::float(&mut written, number);
        assert_eq!(Cursor::new(&written).float().unwrap().to_bits(), number.to_bits());
    }
    let mut cursor = Cursor::new(data);
    if let Some(number) = cursor.integer() {
        let mut written = vec![];
        json::integer(&mut written, number);
        assert_eq!(Cursor::new(&written).integer(), Some(number));
    }
    // A name is a string, whoever looks for it.
    let Some((name, _)) = std::str::from_utf8(data).ok().and_then(|text| text.split_once('"'))
    else {
        return;
    };
    for (first, before) in [(true, b"{"), (false, b",")] {
        let mut written = before.to_vec();
        json::text(&mut written, name);
        written.push(b':');
        assert!(Cursor::new(&written).take_key(&Key::member(name, first)));
        let mut cursor = Cursor::new(&written);
        assert_eq!(cursor.goes_on(before[0], b'}'), Some(true));
        assert_eq!(cursor.name().unwrap().octets(), name.as_bytes());
    }
}

/// What is read of a trace can be written, and reads as the same; however it is split in fields.
pub fn trace(data: &[u8]) {
    const NAMES: [&str; 8] = [
        "traceparent",
        "tracestate",
        "baggage",
        "b3",
        "x-b3-traceid",
        "x-b3-spanid",
        "x-b3-sampled",
        "x-b3-flags",
    ];
    let fields: Vec<(&[u8], &[u8])> = data
        .split(|&octet| octet == b'\n')
        .map(|line| line.split_first().unwrap_or((&0, b"")))
        .map(|(kind, value)| (NAMES[usize::from(*kind) % NAMES.len()].as_bytes(), value))
        .collect();
    let carried = wire::trace::read(fields.iter().copied());
    assert!(carried.baggage.len() <= 8192 && carried.state.split(',').count() <= 32);
    let Some(parent) = carried.parent else {
        assert!(carried.state.is_empty());
        return;
    };
    assert!(parent.trace != 0 && parent.span != 0);
    let flags = u8::from(parent.sampled == Some(true)) | u8::from(parent.random) << 1;
    let written = format!("00-{:032x}-{:016x}-{flags:02x}", parent.trace, parent.span);
    let again = wire::trace::read(
        [
            ("traceparent", written.as_str()),
            ("tracestate", carried.state.as_str()),
            ("baggage", carried.baggage.as_str()),
        ]
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
    );
    let sampled = Some(parent.sampled == Some(true));
    let expected =
        wire::trace::Carried { parent: Some(wire::trace::Parent { sampled, ..parent }), ..carried };
    assert_eq!(again, expected);
}

/// Replies end at the same places in one piece or octet by octet, and what was found whole is read
/// to exactly its end.
pub fn replies(data: &[u8]) {
    let bounds = ReplyBounds { bulk: 4096, count: 4096, depth: 8 };
    let (ends, fault) = scan(data, data.len().max(1), &bounds);
    assert_eq!((&ends, fault), (&scan(data, 1, &bounds).0, scan(data, 1, &bounds).1));
    let mut from = 0;
    for end in ends {
        assert_eq!(read(data, from, &bounds), end);
        from = end;
    }
}

fn scan(data: &[u8], piece: usize, bounds: &ReplyBounds) -> (Vec<usize>, Option<ReplyFault>) {
    let (mut scanner, mut ends, mut from) = (Scanner::default(), vec![], 0);
    for there in (piece..=data.len()).step_by(piece) {
        loop {
            match scanner.step(&data[from..there], bounds) {
                Ok(None) => break,
                Ok(Some(length)) => {
                    assert!(length > 0);
                    from += length;
                    ends.push(from);
                }
                Err(fault) => return (ends, Some(fault)),
            }
        }
    }
    (ends, None)
}

/// Where the reply that begins at `at` ends.
fn read(data: &[u8], at: usize, bounds: &ReplyBounds) -> usize {
    let (found, mut next) = item(data, at, bounds).unwrap().unwrap();
    let inside = match found {
        ReplyItem::Array(count) | ReplyItem::Set(count) | ReplyItem::Push(count) => count,
        ReplyItem::Map(pairs) => pairs * 2,
        ReplyItem::Attribute(pairs) => pairs * 2 + 1,
        _ => 0,
    };
    for _ in 0..inside {
        next = read(data, next, bounds);
    }
    next
}

/// An answer comes to the same, in one piece or octet by octet, and never beyond its bounds.
pub fn answers(data: &[u8]) {
    let (Some((&kind, data)), piece) = (data.split_first(), 1) else { return };
    let whole = answer(data, data.len().max(1), kind & 1 == 1);
    let slow = answer(data, piece, kind & 1 == 1);
    // Where a head is broken behind its limit, which of both is seen first may differ.
    if !matches!(whole, Err(AnswerFault::NotHttp | AnswerFault::HeadTooLarge)) {
        assert_eq!(whole, slow);
    }
}

type Told = (usize, Option<u16>, Vec<u8>, bool, Vec<u8>);

fn answer(data: &[u8], piece: usize, bodiless: bool) -> Result<Told, AnswerFault> {
    const LIMITS: Limits = Limits { head: 4096, fields: 32 };
    const MOST: usize = 1024;
    let (mut reader, mut body, mut used, mut status) = (AnswerReader::default(), vec![], 0, None);
    reader.expect(bodiless);
    for octets in data.chunks(piece) {
        let mut at = 0;
        loop {
            let mut sink = Kept { out: &mut body, most: MOST };
            let (taken, step) = reader.feed(&octets[at..], &mut sink, &LIMITS)?;
            assert!(at + taken <= octets.len() && body.len() <= MOST);
            at += taken;
            match step {
                Stage::More => break,
                Stage::Head => {
                    let head = reader.take_head();
                    assert!(status.is_none() && head.octets.len() <= LIMITS.head);
                    for field in &head.fields {
                        assert!(!field.name.of(&head.octets).is_empty());
                        assert!(!field.value.of(&head.octets).contains(&b'\n'));
                    }
                    status = Some(head.status);
                }
                Stage::Done => {
                    return Ok((used + at, status, body, reader.keeps(), reader.take_trailers()));
                }
            }
        }
        used += at;
    }
    Ok((used, status, body, reader.end().is_ok(), vec![]))
}
