//! The bytes of a segment, version 1; all numbers are little-endian.
//!
//! ```text
//! header  magic 8 | version u32 | zero u32 | index u64 | base u64 | persisted u64 | salt u64
//!         | zero 12 | crc u32                                                      64 bytes
//! record  length u32 | crc u32 | sequence u64 | payload
//! mark    1<<31 | 8  | crc u32 | next u64     | persisted u64                      24 bytes
//! ```
//! The checksum of a frame is CRC-32C over its length, its number and its payload, seeded with the
//! segment's salt and index. An all-zero frame header is the end of what was written.

/// The newest version that this build reads; it writes this one.
pub(crate) const VERSION: u32 = 1;
pub(crate) const HEADER: usize = 64;
pub(crate) const FRAME: usize = 16;
pub(crate) const MARK: usize = FRAME + 8;
/// The longest record of any version: Kafka's default is 1 MiB, etcd's 1.5 MiB.
pub(crate) const LONGEST: usize = 16 << 20;

const MAGIC: &[u8; 8] = b"MHZJRNL\n";
const MARKED: u32 = 1 << 31;

/// The head of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub version: u32,
    pub index: u64,
    /// The sequence number of its first record.
    pub base: u64,
    pub persisted: u64,
    pub salt: u64,
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.index.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.base.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.persisted.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header, or None where these bytes are not one.
    pub fn decode(bytes: &[u8; HEADER]) -> Option<Self> {
        let intact = &bytes[..8] == MAGIC && crc32c::crc32c(&bytes[..60]) == word(bytes, 60);
        intact.then(|| Self {
            version: word(bytes, 8),
            index: number(bytes, 16),
            base: number(bytes, 24),
            persisted: number(bytes, 32),
            salt: number(bytes, 40),
        })
    }

    /// Where the checksum of each frame starts.
    pub fn seed(&self) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.salt.to_le_bytes()), &self.index.to_le_bytes())
    }
}

/// One frame, its payload still in the reader's buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Record { sequence: u64, payload: &'a [u8] },
    Mark { next: u64, persisted: u64 },
}

/// The whole length of the frame that these 16 bytes begin; None where they cannot.
pub(crate) fn length(head: &[u8]) -> Option<usize> {
    let length = word(head, 0);
    let payload = (length & !MARKED) as usize;
    let sound = if length & MARKED == 0 { (1..=LONGEST).contains(&payload) } else { payload == 8 };
    sound.then_some(FRAME + payload)
}

/// The frame in `bytes`, which are as long as `length` says; None where the checksum differs.
pub(crate) fn decode(bytes: &[u8], seed: u32) -> Option<Frame<'_>> {
    if checksum(bytes, seed) != word(bytes, 4) {
        return None;
    }
    let sequence = number(bytes, 8);
    Some(if word(bytes, 0) & MARKED == 0 {
        Frame::Record { sequence, payload: &bytes[FRAME..] }
    } else {
        Frame::Mark { next: sequence, persisted: number(bytes, FRAME) }
    })
}

/// Appends a record without its checksum; `seal` adds it, on the thread that writes.
pub(crate) fn push_record(out: &mut Vec<u8>, sequence: u64, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(payload);
}

/// The number of the first frame in `batch`.
pub(crate) fn first_sequence(batch: &[u8]) -> u64 {
    number(batch, 8)
}

/// Fills in the checksum of every frame in `batch`.
pub(crate) fn seal(batch: &mut [u8], seed: u32) {
    let mut rest = batch;
    while !rest.is_empty() {
        let whole = length(rest).expect("push_record wrote it");
        let (frame, behind) = rest.split_at_mut(whole);
        let crc = checksum(frame, seed);
        frame[4..8].copy_from_slice(&crc.to_le_bytes());
        rest = behind;
    }
}

/// A mark, checksum included.
pub(crate) fn mark(next: u64, persisted: u64, seed: u32) -> [u8; MARK] {
    let mut bytes = [0; MARK];
    bytes[..4].copy_from_slice(&(MARKED | 8).to_le_bytes());
    bytes[8..16].copy_from_slice(&next.to_le_bytes());
    bytes[16..].copy_from_slice(&persisted.to_le_bytes());
    let crc = checksum(&bytes, seed);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn checksum(frame: &[u8], seed: u32) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &frame[..4]), &frame[8..])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Header = Header { version: 1, index: 3, base: 77, persisted: 70, salt: 0xfeed };

    #[test]
    fn a_header_survives_its_bytes_and_no_flipped_bit() {
        let bytes = HEAD.encode();
        assert_eq!(Some(HEAD), Header::decode(&bytes));
        for bit in 0..HEADER * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(None, Header::decode(&damaged), "bit {bit}");
        }
    }

    #[test]
    fn a_record_survives_its_bytes_and_no_flipped_bit() {
        let mut bytes = Vec::new();
        push_record(&mut bytes, 9, b"an order");
        seal(&mut bytes, 5);
        assert_eq!(Some(24), length(&bytes));
        assert_eq!(Some(Frame::Record { sequence: 9, payload: b"an order" }), decode(&bytes, 5));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let whole = length(&damaged).filter(|whole| *whole <= damaged.len());
            let read = whole.and_then(|whole| decode(&damaged[..whole], 5));
            assert_eq!(None, read, "bit {bit}");
        }
    }

    #[test]
    fn a_frame_of_another_segment_is_no_frame() {
        let bytes = mark(9, 4, HEAD.seed());
        assert_eq!(Some(Frame::Mark { next: 9, persisted: 4 }), decode(&bytes, HEAD.seed()));
        assert_eq!(None, decode(&bytes, Header { salt: 0xbeef, ..HEAD }.seed()));
    }
}
