//! Where a reply ends.
use super::{Bounds, Fault, Item, item};

/// Finds the ends of replies in a buffer that grows at its end.
#[derive(Debug, Default)]
pub struct Scanner {
    at: usize,
    /// How many items are still to come, of the outermost array first.
    open: Vec<usize>,
}

impl Scanner {
    /// The end of the reply that `data` begins with, once it is whole.
    ///
    /// `data` may only grow between two calls that found none; after one that found an end, the
    /// next call's data begins there.
    pub fn step(&mut self, data: &[u8], bounds: &Bounds) -> Result<Option<usize>, Fault> {
        while let Some((found, next)) = item(data, self.at, bounds)? {
            self.at = next;
            let inside = match found {
                Item::Array(count) | Item::Set(count) | Item::Push(count) => count,
                Item::Map(pairs) => pairs * 2,
                // The item that they are about ends with them.
                Item::Attribute(pairs) => pairs * 2 + 1,
                _ => 0,
            };
            if inside > 0 {
                if self.open.len() == bounds.depth {
                    return Err(Fault::TooDeep);
                }
                self.open.push(inside);
            } else if self.close() {
                return Ok(Some(std::mem::take(&mut self.at)));
            }
        }
        Ok(None)
    }

    /// An item has ended; whether the reply has with it.
    fn close(&mut self) -> bool {
        while let Some(left) = self.open.last_mut() {
            *left -= 1;
            if *left > 0 {
                return false;
            }
            self.open.pop();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { bulk: 100, count: 100, depth: 3 };

    #[test]
    fn replies_end_where_they_end_however_they_come() {
        let replies: [&[u8]; 7] = [
            b"+OK\r\n",
            b"*0\r\n",
            b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
            b"%1\r\n+a\r\n~1\r\n_\r\n",
            b"|1\r\n+ttl\r\n:9\r\n$1\r\na\r\n",
            b"*2\r\n|0\r\n:1\r\n:2\r\n",
            b">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n",
        ];
        let all = replies.concat();
        let (mut scanner, mut from) = (Scanner::default(), 0);
        for reply in replies {
            for end in from..from + reply.len() {
                assert_eq!(scanner.step(&all[from..end], &BOUNDS), Ok(None));
            }
            assert_eq!(scanner.step(&all[from..], &BOUNDS), Ok(Some(reply.len())));
            from += reply.len();
        }
    }

    #[test]
    fn depth_is_bounded() {
        let mut scanner = Scanner::default();
        assert_eq!(scanner.step(b"*1\r\n*1\r\n*1\r\n*1\r\n", &BOUNDS), Err(Fault::TooDeep));
    }
}
