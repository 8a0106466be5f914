//! Every truncation and every flipped bit: acknowledged records are there, or it says so.
use std::fs;
use std::path::{Path, PathBuf};

use journal::{Error, Journal, Options};
use proptest::prelude::*;
use tempfile::TempDir;

/// In memory where that is possible: thousands of openings, none of which is about the disk.
fn tempdir() -> std::io::Result<TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

/// A directory with `records`, acknowledged and closed, in segments of `segment_bytes`.
fn written(records: &[Vec<u8>], segment_bytes: u64) -> TempDir {
    let home = tempdir().unwrap();
    let options = Options { segment_bytes, ..Options::default() };
    let (journal, _) = Journal::open(home.path(), options).unwrap();
    for record in records {
        let number = journal.append(record).unwrap();
        while journal.statistics().durable < number {
            std::thread::yield_now();
        }
    }
    home
}

fn files(home: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(home).unwrap().map(|it| it.unwrap().path()).collect();
    found.sort();
    found
}

fn read(home: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let (_journal, replay) = Journal::open(home, Options::default())?;
    replay.map(|it| it.map(|(_, bytes)| bytes)).collect()
}

fn three() -> Vec<Vec<u8>> {
    vec![b"first".to_vec(), b"second order".to_vec(), b"third".to_vec()]
}

#[test]
fn every_truncation_keeps_the_whole_records_before_it() {
    let records = three();
    let home = written(&records, 1 << 20);
    let path = files(home.path()).remove(0);
    let whole = fs::read(&path).unwrap();
    let mut kept = Vec::new();
    for length in (64..=whole.len()).rev() {
        fs::write(&path, &whole[..length]).unwrap();
        let found = read(home.path()).unwrap();
        assert_eq!(records[..found.len()], found[..], "at {length}");
        kept.push(found.len());
    }
    assert!(kept.is_sorted_by(|longer, shorter| longer >= shorter));
    assert_eq!((Some(&3), Some(&0)), (kept.first(), kept.last()));
}

#[test]
fn no_flipped_bit_loses_an_acknowledged_record_silently() {
    let records = three();
    let home = written(&records, 1 << 20);
    let path = files(home.path()).remove(0);
    let whole = fs::read(&path).unwrap();
    let mut halted = 0;
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &damaged).unwrap();
        match read(home.path()) {
            Ok(found) => assert_eq!(records, found, "bit {bit}"),
            Err(Error::Corrupt { file, offset, .. }) => {
                assert_eq!(path, file);
                assert!(offset <= bit as u64 / 8, "bit {bit} reported at {offset}");
                halted += 1;
            }
            Err(other) => panic!("bit {bit}: {other}"),
        }
    }
    let bytes: usize = records.iter().map(|record| record.len() + 16).sum();
    assert!(halted >= bytes * 8, "{halted} of {} bits halted", bytes * 8);
}

#[test]
fn an_old_segment_cut_short_names_its_file_and_offset() {
    let records = vec![vec![7; 900]; 8];
    let home = written(&records, 2048);
    let first = files(home.path()).remove(0);
    let file = fs::OpenOptions::new().write(true).open(&first).unwrap();
    file.set_len(64 + 24 + 916 + 24 + 100).unwrap();
    match read(home.path()) {
        Err(Error::Corrupt { file, offset, .. }) => {
            assert_eq!((first, 64 + 24 + 916 + 24), (file, offset));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_missing_segment_halts() {
    for gone in [0, 1] {
        let home = written(&vec![vec![7; 900]; 8], 2048);
        fs::remove_file(&files(home.path())[gone]).unwrap();
        assert!(matches!(read(home.path()), Err(Error::Corrupt { .. })), "segment {gone}");
    }
}

#[test]
fn a_torn_tail_is_cut_and_counted() {
    let home = written(&three(), 1 << 20);
    let path = files(home.path()).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(b"half of a record that was never acknowledged");
    fs::write(&path, bytes).unwrap();
    let (journal, replay) = Journal::open(home.path(), Options::default()).unwrap();
    assert_eq!(44, journal.statistics().cut);
    let left = fs::read(&path).unwrap();
    assert!(!left.windows(4).any(|bytes| bytes == b"half"));
    assert_eq!(three().len(), replay.count());
}

/// A record may hold the bytes of a whole segment; they prove nothing (rule 7).
#[test]
fn frames_inside_a_record_are_not_frames() {
    let image = fs::read(&files(written(&three(), 1 << 20).path())[0]).unwrap();
    let home = written(&[b"first".to_vec(), image], 1 << 20);
    let path = files(home.path()).remove(0);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 2 * 24 - 1]).unwrap();
    assert_eq!(vec![b"first".to_vec()], read(home.path()).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_records_survive_any_segment_size(
        records in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..600), 1..30),
        segment_bytes in 200_u64..4000,
    ) {
        let home = written(&records, segment_bytes);
        prop_assert_eq!(records, read(home.path()).unwrap());
    }

    #[test]
    fn a_garbled_stretch_never_loses_silently(
        at in 0_usize..4000,
        noise in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        let records: Vec<_> = (0..12_u8).map(|number| vec![number + 1; 300]).collect();
        let home = written(&records, 2000);
        let paths = files(home.path());
        let path = &paths[at % paths.len()];
        let mut bytes = fs::read(path).unwrap();
        let end = bytes.len() - 24;
        let at = at % end;
        let before = bytes.clone();
        for (byte, noise) in bytes[at..end].iter_mut().zip(&noise) {
            *byte = *noise;
        }
        fs::write(path, &bytes).unwrap();
        if let Ok(found) = read(home.path()) {
            prop_assert_eq!(records, found, "changed: {}", before != bytes);
        }
    }
}

/// The offset of each mark in a segment, and how many records lie before it.
fn marks(segment: &[u8]) -> Vec<(usize, usize)> {
    let (mut at, mut records, mut found) = (64, 0, Vec::new());
    while at + 16 <= segment.len() {
        let word = u32::from_le_bytes(segment[at..at + 4].try_into().unwrap());
        match word {
            0 => break,
            word if word >> 31 == 1 => found.push((at, records)),
            _ => records += 1,
        }
        at += 16 + (word & 0x7fff_ffff) as usize;
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Power is cut during a batch: of what was written since the last sync, any sectors are on
    /// the disk, in any combination. What was synced is there, and the start needs nobody.
    #[test]
    fn any_sectors_of_an_unsynced_batch_may_be_lost(
        size in 1_usize..900,
        kept in prop::collection::vec(any::<bool>(), 32),
    ) {
        const SECTOR: usize = 512;
        let records: Vec<_> = (0..12).map(|number| vec![number + 1; size]).collect();
        let home = tempdir().unwrap();
        let (journal, _) = Journal::open(home.path(), Options::default()).unwrap();
        let last = records.iter().map(|record| journal.append(record).unwrap()).last().unwrap();
        while journal.statistics().durable < last {
            std::thread::yield_now();
        }
        let path = files(home.path()).remove(0);
        let cache = fs::read(&path).unwrap();
        drop(journal);

        // The last batch: from the mark behind the one before it, not synced either, to its own.
        let marks = marks(&cache);
        let [.., (start, synced), (end, _)] = marks[..] else { panic!("{marks:?}") };
        let mut disk = cache.clone();
        disk[start..].fill(0);
        for (at, kept) in (start - start % SECTOR..end).step_by(SECTOR).zip(kept.iter().cycle()) {
            let end = (at + SECTOR).min(end);
            if *kept {
                disk[at..end].copy_from_slice(&cache[at..end]);
            }
        }
        fs::write(&path, &disk).unwrap();
        let found = read(home.path()).unwrap();
        prop_assert!(found.len() >= synced, "{} of {synced}", found.len());
        prop_assert_eq!(&records[..found.len()], &found[..]);
    }
}
