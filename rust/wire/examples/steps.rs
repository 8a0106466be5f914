//! One step of a request, so many times over: what `benchmarks/micro.py` counts instructions of.
//!
//! `steps CASE TIMES`; the difference between `2n` and `n` times is what `n` of them cost.
use std::hint::black_box;

use wire::reply::{Length, Persistence, render, write};
use wire::{Bounds, Router, parse};

/// What wrk sends.
const SHORT: &[u8] = b"GET /items/42 HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n";

/// What a browser sends.
const LONG: &[u8] = b"GET /items/42?full=true&limit=20 HTTP/1.1\r\nHost: shop.example.org\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: https://shop.example.org/items\r\nConnection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\r\n";

const BOUNDS: Bounds = Bounds { head: 16 << 10, fields: 100, target: 8 << 10 };

const DATE: &[u8] = b"date: Sat, 21 Nov 2026 00:00:00 GMT\r\n";

fn router() -> Router {
    let mut router = Router::default();
    for (number, kind) in ["users", "orders", "items", "carts", "reviews"].iter().enumerate() {
        for (method, pattern) in [("GET", ""), ("POST", ""), ("GET", "/{id}"), ("PUT", "/{id}")] {
            router.add(method, &format!("/{kind}{pattern}"), number).expect("no conflict");
        }
    }
    router
}

fn step(case: &str) -> Box<dyn FnMut()> {
    match case {
        "parse" => Box::new(|| drop(black_box(parse(black_box(SHORT), &BOUNDS)))),
        "browser" => Box::new(|| drop(black_box(parse(black_box(LONG), &BOUNDS)))),
        "route" => {
            let router = router();
            Box::new(move || {
                black_box(router.find(black_box(b"GET"), black_box(b"/items/42")));
            })
        }
        "head" => {
            let rendered = render(200, &[(b"content-type".to_vec(), b"text/plain".to_vec())]);
            let mut out = Vec::with_capacity(1 << 10);
            Box::new(move || {
                out.clear();
                let length = Length::Known(black_box(12));
                write(black_box(&mut out), &rendered, length, Persistence::Keep, DATE);
            })
        }
        other => panic!("no step {other}: parse, browser, route, head"),
    }
}

fn main() {
    let mut words = std::env::args().skip(1);
    let mut step = step(&words.next().expect("a step"));
    let times: usize = words.next().and_then(|it| it.parse().ok()).expect("how often");
    for _ in 0..times {
        step();
    }
}
