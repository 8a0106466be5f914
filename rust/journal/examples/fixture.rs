//! Writes a small directory of the current version: `cargo run -p journal --example fixture DIR`.
use std::path::PathBuf;

use journal::{Journal, Options};

fn main() {
    let directory = PathBuf::from(std::env::args().nth(1).expect("a directory"));
    let (journal, _) = Journal::open(&directory, Options::default()).expect("a new directory");
    for (number, record) in (1..).zip([&b"first"[..], b"second", b"third"]) {
        journal.append(record).expect("room");
        while journal.statistics().durable < number {
            std::thread::yield_now();
        }
    }
    journal.persisted(1, 0);
    journal.close();
}
