//! What a string cannot have as it is: what is less than a space, a quote, a backslash.

const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each octet of a word.
pub const HIGH: u64 = ONES << 7;

/// 1 for an octet that needs an escape. A number, since vectors are made of those.
pub fn special(octet: u8) -> u8 {
    u8::from(octet < 0x20) | u8::from(octet == b'"') | u8::from(octet == b'\\')
}

/// The highest bit of the first of eight octets that needs an escape, and perhaps of others behind
/// it (Mycroft's test of words for zero octets).
pub fn specials(word: u64) -> u64 {
    let less = |word: u64, than: u64| word.wrapping_sub(ONES * than) & !word;
    let same = |octet: u8| less(word ^ (ONES * u64::from(octet)), 1);
    (less(word, 0x20) | same(b'"') | same(b'\\')) & HIGH
}

/// How many octets come before the first chunk with one of which the function gives no 0; the
/// compiler makes vectors of chunks.
pub fn before<const CHUNK: usize>(octets: &[u8], special: impl Fn(u8) -> u8) -> usize {
    let is_plain = |chunk: &&[u8]| chunk.iter().fold(0, |any, &octet| any | special(octet)) == 0;
    CHUNK * octets.chunks_exact(CHUNK).take_while(is_plain).count()
}
