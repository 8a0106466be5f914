//! `cargo +nightly fuzz run json`; the corpus is replayed by `wire`'s ordinary tests.
#![no_main]

#[path = "../laws.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|data: &[u8]| laws::json(data));
