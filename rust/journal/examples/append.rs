//! So many records appended by one caller: what `benchmarks/micro.py` counts instructions of.
//!
//! `append DIR TIMES`. The committer is held back until all are in, so that their batch, and with
//! it the count, is the same in every run.
use std::path::PathBuf;
use std::time::Duration;

use journal::{Journal, Options};

fn main() {
    let mut words = std::env::args().skip(1);
    let directory = PathBuf::from(words.next().expect("a directory"));
    let times: u64 = words.next().and_then(|it| it.parse().ok()).expect("how often");
    let options = Options { spacing: Duration::from_secs(3600), ..Options::default() };
    let (journal, _) = Journal::open(&directory, options).expect("a new directory");
    for number in 0..times {
        journal.append(&[number as u8; 64]).expect("room");
    }
    journal.close();
}
