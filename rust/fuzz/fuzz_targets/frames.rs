//! `cargo +nightly fuzz run frames`; the corpus is replayed by `wire`'s ordinary tests.
#![no_main]

#[path = "../laws.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|data: &[u8]| laws::frames(data));
