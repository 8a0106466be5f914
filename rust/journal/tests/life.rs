//! A journal from opening to closing, and again.
use std::fs;
use std::path::Path;
use std::time::Duration;

use journal::{Error, Journal, Options, Outcome, Refusal, Verdict};
use rustix::event::{PollFd, PollFlags, poll};
use tempfile::tempdir;

fn open(directory: &Path) -> Journal {
    Journal::open(directory, Options::default()).unwrap().0
}

/// Waits until number `upto` has an outcome.
fn settle(journal: &Journal, upto: u64) -> Vec<Outcome> {
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last: &Outcome| last.upto < upto) {
        poll(&mut [PollFd::from_borrowed_fd(journal.event(), PollFlags::IN)], None).unwrap();
        seen.extend(journal.outcomes());
    }
    seen
}

fn replayed(directory: &Path) -> Vec<(u64, Vec<u8>)> {
    let (_journal, replay) = Journal::open(directory, Options::default()).unwrap();
    replay.map(Result::unwrap).collect()
}

fn segments(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

#[test]
fn what_was_appended_is_replayed_in_order() {
    let home = tempdir().unwrap();
    let journal = open(home.path());
    for number in 1..=3_u64 {
        assert_eq!(Ok(number), journal.append(&[number as u8; 5]));
    }
    drop(journal);
    let expected: Vec<_> = (1..=3).map(|number| (number, vec![number as u8; 5])).collect();
    assert_eq!(expected, replayed(home.path()));
}

#[test]
fn an_outcome_says_what_is_durable() {
    let home = tempdir().unwrap();
    let journal = open(home.path());
    journal.append(b"one").unwrap();
    assert_eq!(Some(Verdict::Durable), settle(&journal, 1).pop().map(|last| last.verdict));
    assert_eq!(1, journal.statistics().durable);
}

#[test]
fn numbers_go_on_after_opening_again() {
    let home = tempdir().unwrap();
    open(home.path()).append(b"one").unwrap();
    assert_eq!(Ok(2), open(home.path()).append(b"two"));
}

#[test]
fn the_persisted_position_survives_closing() {
    let home = tempdir().unwrap();
    let journal = open(home.path());
    for _ in 0..4 {
        journal.append(b"order").unwrap();
    }
    settle(&journal, 4);
    journal.persisted(3, 3);
    drop(journal);
    let again = open(home.path());
    assert_eq!((3, 1), (again.statistics().persisted, again.statistics().records));
}

#[test]
fn a_second_holder_is_refused() {
    let home = tempdir().unwrap();
    let _first = open(home.path());
    let second = Journal::open(home.path(), Options::default());
    assert!(matches!(second, Err(Error::Held(_))));
}

#[test]
fn a_full_journal_refuses_until_something_is_persisted() {
    let home = tempdir().unwrap();
    let options = Options { records: 2, ..Options::default() };
    let (journal, _) = Journal::open(home.path(), options).unwrap();
    journal.append(b"one").unwrap();
    journal.append(b"two").unwrap();
    assert_eq!(Err(Refusal::Full), journal.append(b"three"));
    settle(&journal, 2);
    journal.persisted(1, 1);
    assert_eq!(Ok(3), journal.append(b"three"));
}

#[test]
fn bytes_are_bounded_too() {
    let home = tempdir().unwrap();
    let options = Options { bytes: 100, ..Options::default() };
    let (journal, _) = Journal::open(home.path(), options).unwrap();
    journal.append(&[7; 60]).unwrap();
    assert_eq!(Err(Refusal::Full), journal.append(&[7; 60]));
}

#[test]
fn a_closed_journal_takes_nothing() {
    let home = tempdir().unwrap();
    let journal = open(home.path());
    journal.close();
    assert_eq!(Err(Refusal::Stopped("closed".to_owned())), journal.append(b"late"));
}

#[test]
fn an_empty_record_is_refused() {
    let home = tempdir().unwrap();
    assert_eq!(Err(Refusal::Size(0)), open(home.path()).append(b""));
}

/// Without spacing half a million records took 60 to 100 batches, and on a tmpfs thousands.
#[test]
fn a_crowd_waits_for_the_spacing_and_closing_does_not() {
    let home = tempdir().unwrap();
    let options = Options { spacing: Duration::from_secs(3600), ..Options::default() };
    let (journal, _) = Journal::open(home.path(), options).unwrap();
    for _ in 0..500_000 {
        journal.append(b"order").unwrap();
    }
    journal.close();
    let statistics = journal.statistics();
    assert_eq!(500_000, statistics.durable);
    assert!(statistics.batches < 10, "{statistics:?}");
}

#[test]
fn segments_rotate_and_go_once_they_are_released() {
    let home = tempdir().unwrap();
    let options = Options { segment_bytes: 4096, ..Options::default() };
    let (journal, _) = Journal::open(home.path(), options).unwrap();
    for number in 1..=20 {
        journal.append(&[9; 1000]).unwrap();
        settle(&journal, number);
    }
    let before = segments(home.path());
    journal.persisted(20, 12);
    journal.close();
    let kept = replayed(home.path());
    assert!(before > 4, "{before} segments");
    assert!(segments(home.path()) < before);
    assert!(kept[0].0 <= 13 && kept[0].0 > 1, "kept from {}", kept[0].0);
    assert_eq!(20, kept.last().unwrap().0);
}

#[test]
fn a_half_made_segment_is_forgotten() {
    let home = tempdir().unwrap();
    open(home.path()).append(b"one").unwrap();
    fs::write(home.path().join("00000000000000000002.making"), b"MHZ").unwrap();
    assert_eq!(vec![(1, b"one".to_vec())], replayed(home.path()));
    assert_eq!(1, segments(home.path()));
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let home = tempdir().unwrap();
    open(home.path()).append(b"one").unwrap();
    let path = fs::read_dir(home.path()).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 2;
    let crc = crc32c::crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let refused = Journal::open(home.path(), Options::default()).err().unwrap();
    assert!(matches!(refused, Error::Version { found: 2, .. }), "{refused}");
}

/// Proving scenario 22: a segment written by the first release stays readable.
#[test]
fn version_1_is_readable_for_ever() {
    let home = tempdir().unwrap();
    let name = "00000000000000000001.segment";
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1").join(name);
    fs::copy(fixture, home.path().join(name)).unwrap();
    let (journal, replay) = Journal::open(home.path(), Options::default()).unwrap();
    let records: Vec<_> = replay.map(|it| it.unwrap().1).collect();
    assert_eq!(vec![b"first".to_vec(), b"second".to_vec(), b"third".to_vec()], records);
    assert_eq!(1, journal.statistics().persisted);
}
