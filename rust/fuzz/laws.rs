//! What holds for any bytes at all; shared by the fuzz targets and the replay of their corpus.
#![allow(dead_code, missing_docs)]
use wire::{Bounds, Chunked, Found, Router};

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
