//! permessage-deflate (RFC 7692) without context takeover: a message at a time, by one coder for
//! all connections.
use super::frame::Fault;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// What a sync flush ends with; left out on the wire (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 255, 255];
/// zlib-ng's fastest level with trees of its own (1 writes static ones): a message is compressed
/// on the loop's thread.
const LEVEL: u32 = 3;
/// The windows that zlib has: 8 would be 9 in a raw stream.
pub const LEAST_BITS: u8 = 9;
/// And the default.
pub const MOST_BITS: u8 = 15;
/// The first guess at an inflated message, in multiples of the compressed one.
const GUESS: usize = 4;

/// Compresses messages, for peers of any window.
#[derive(Default)]
pub struct Deflater {
    /// By window: most peers ask for none, so that one coder is all there ever is.
    coders: [Option<Box<Compress>>; (MOST_BITS - LEAST_BITS + 1) as usize],
}

impl Deflater {
    /// The payload of a compressed message.
    pub fn deflate(&mut self, data: &[u8], bits: u8) -> Vec<u8> {
        let bits = bits.clamp(LEAST_BITS, MOST_BITS);
        let coder = self.coders[(bits - LEAST_BITS) as usize].get_or_insert_with(|| {
            Box::new(Compress::new_with_window_bits(Compression::new(LEVEL), false, bits))
        });
        coder.reset();
        let mut out = Vec::with_capacity(data.len() / 2 + 64);
        loop {
            let read = coder.total_in() as usize;
            // It fails only for a state that a fresh or reset coder is never in.
            let status = coder.compress_vec(&data[read..], &mut out, FlushCompress::Sync);
            if status.is_err()
                || (coder.total_in() as usize == data.len() && out.len() < out.capacity())
            {
                break;
            }
            out.reserve(out.len().max(64));
        }
        if out.ends_with(&TAIL) {
            out.truncate(out.len() - TAIL.len());
        }
        out
    }
}

/// Inflates messages.
pub struct Inflater(Decompress);

impl Default for Inflater {
    fn default() -> Inflater {
        Inflater(Decompress::new(false))
    }
}

impl Inflater {
    /// The message, of at most `most` octets.
    pub fn inflate(&mut self, data: &[u8], most: usize) -> Result<Vec<u8>, Fault> {
        self.0.reset(false);
        let mut out = Vec::with_capacity((data.len() * GUESS).clamp(64, most.max(64)));
        self.run(data, &mut out, most)?;
        self.run(&TAIL, &mut out, most)?;
        Ok(out)
    }

    fn run(&mut self, mut data: &[u8], out: &mut Vec<u8>, most: usize) -> Result<(), Fault> {
        loop {
            let (read, written) = (self.0.total_in(), out.len());
            let status = self.0.decompress_vec(data, out, FlushDecompress::Sync);
            data = &data[(self.0.total_in() - read) as usize..];
            if out.len() > most {
                return Err(Fault::TooBig);
            }
            match status {
                Err(_) => return Err(Fault::Payload),
                // A block marked as the last is allowed, and others may follow (section 7.2.3.4).
                Ok(Status::StreamEnd) => self.0.reset(false),
                Ok(_) if out.len() == out.capacity() => {
                    out.reserve(out.len().min(most + 1 - out.len()).max(64));
                    continue;
                }
                Ok(_) if !data.is_empty() && out.len() == written => return Err(Fault::Payload),
                Ok(_) => {}
            }
            if data.is_empty() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(size: usize, spread: u64) -> Vec<u8> {
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) % spread
        };
        (0..size).map(|_| next() as u8).collect()
    }

    #[test]
    fn what_was_deflated_inflates_for_every_window_and_size() {
        let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
        for bits in LEAST_BITS..=MOST_BITS {
            for size in [0, 1, 63, 64, 65, 1000, 70_000, 300_000] {
                for spread in [2, 256] {
                    let data = sample(size, spread);
                    let packed = deflater.deflate(&data, bits);
                    assert_eq!(inflater.inflate(&packed, size), Ok(data), "{bits} {size} {spread}");
                }
            }
        }
    }

    #[test]
    fn the_examples_of_rfc_7692_inflate() {
        let mut inflater = Inflater::default();
        let hello = Ok(b"Hello".to_vec());
        assert_eq!(inflater.inflate(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], 5), hello);
        // 7.2.3.3: no compression; 7.2.3.4: a block marked as the last; 7.2.3.5: two blocks.
        let stored = [0, 5, 0, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0];
        assert_eq!(inflater.inflate(&stored, 5), hello);
        let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
        assert_eq!(inflater.inflate(&last, 5), hello);
        let two = [0xf2, 0x48, 0x05, 0, 0, 0, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(inflater.inflate(&two, 5), hello);
    }

    #[test]
    fn a_message_inflates_to_its_limit_and_no_further() {
        let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
        for size in [1, 64, 1000, 100_000] {
            let packed = deflater.deflate(&vec![b'a'; size], 15);
            assert!(inflater.inflate(&packed, size).is_ok());
            assert_eq!(inflater.inflate(&packed, size - 1), Err(Fault::TooBig), "{size}");
        }
    }
}
