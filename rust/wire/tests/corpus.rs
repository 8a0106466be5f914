//! Replays the fuzz corpus, and mutations of it from a fixed seed.
#[path = "../../fuzz/laws.rs"]
mod laws;

use std::path::Path;

/// xorshift64*: enough to pick octets, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let seeds: Vec<_> = files.map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!seeds.is_empty());
    seeds
}

fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    const OCTETS: &[u8] = b"\r\n\t \0:;,/?#%0aF\x7f\x80\xff+-$*~>|_(=!t1\"\\u.e}";
    let mut data = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(data.len());
        let octet = OCTETS[random.below(OCTETS.len())];
        match random.below(4) {
            0 => data.insert(at.min(data.len()), octet),
            1 if !data.is_empty() => drop(data.remove(at)),
            2 => data.truncate(at),
            _ if !data.is_empty() => data[at] = octet,
            _ => {}
        }
    }
    data
}

fn replay(name: &str, law: fn(&[u8])) {
    let seeds = corpus(name);
    for seed in &seeds {
        law(seed);
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..50_000 {
        law(&mutate(&mut random, &seeds));
    }
}

#[test]
fn requests() {
    replay("request", laws::request);
}

#[test]
fn chunks() {
    replay("chunks", laws::chunks);
}

#[test]
fn frames() {
    replay("frames", laws::frames);
}

#[test]
fn handshakes() {
    replay("handshake", laws::handshake);
}

#[test]
fn traces() {
    replay("trace", laws::trace);
}

#[test]
fn replies() {
    replay("replies", laws::replies);
}

#[test]
fn answers() {
    replay("answers", laws::answers);
}

#[test]
fn values() {
    replay("json", laws::json);
}
