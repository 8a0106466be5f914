//! What has been asked and not been answered, in order, with the octets that ask it.
//!
//! # Theory
//! Redis answers in the order of the questions, and nothing in a reply says whose it is. So each
//! question stays in the line until all of its replies have come, whether or not anybody still
//! waits for them: a waiter that leaves takes nothing with it (CVE-2023-28858 is the client that
//! did). The octets of a question stay as long; when the connection is lost, those that may be
//! asked again on the next one are at hand.
//!
//! # Rules
//! - Asked again is what did not leave whole, since the server can have done nothing of it, and
//!   what was told to be repeatable, unless some of its replies have come.
use std::collections::VecDeque;

/// A question.
#[derive(Debug)]
pub struct Asked<W> {
    /// Who waits.
    pub waiter: W,
    /// Replies still to come.
    pub replies: u32,
    /// Whether asking twice does no harm.
    pub repeat: bool,
    /// When its waiter gives up, on the caller's clock.
    pub due: u64,
    began: bool,
    end: u64,
    len: usize,
}

/// The line of one connection after the other.
#[derive(Debug)]
pub struct Line<W> {
    asked: VecDeque<Asked<W>>,
    octets: Vec<u8>,
    /// Where `octets` begin, of all that were ever written.
    base: u64,
    /// How many of those have left.
    sent: u64,
}

impl<W> Default for Line<W> {
    fn default() -> Self {
        Line { asked: VecDeque::new(), octets: vec![], base: 0, sent: 0 }
    }
}

/// Octets of what has been answered that may lie about, so that not every reply moves the rest.
const SLACK: usize = 64 * 1024;

impl<W> Line<W> {
    /// Puts a question at the end; what fails to be written is not asked.
    ///
    /// # Errors
    /// What `write` says.
    pub fn ask<E>(
        &mut self,
        (waiter, replies): (W, u32),
        (repeat, due): (bool, u64),
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let len = self.say(write)?;
        let end = self.base + self.octets.len() as u64;
        self.asked.push_back(Asked { waiter, replies, repeat, due, began: false, end, len });
        Ok(())
    }

    /// Says what nothing is replied to; gives how many octets that took.
    ///
    /// # Errors
    /// What `write` says.
    pub fn say<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let before = self.octets.len();
        if let Err(error) = write(&mut self.octets) {
            self.octets.truncate(before);
            return Err(error);
        }
        Ok(self.octets.len() - before)
    }

    /// Questions without all of their replies.
    pub fn len(&self) -> usize {
        self.asked.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    /// Octets that are held.
    pub fn held(&self) -> usize {
        self.octets.len()
    }

    /// What has not left yet.
    pub fn unsent(&self) -> &[u8] {
        &self.octets[(self.sent - self.base) as usize..]
    }

    /// So much of it has left.
    pub fn sent(&mut self, count: usize) {
        self.sent += count as u64;
        self.forget();
    }

    /// Whether any octet of a question has left.
    pub fn has_begun_to_leave(&self, asked: &Asked<W>) -> bool {
        asked.end - (asked.len as u64) < self.sent
    }

    /// Takes out questions that nobody waits for any more and of which nothing has left: whoever
    /// gave up was told that nothing was asked, and nothing must be, later.
    pub fn take_back(&mut self, gone: impl Fn(&W) -> bool) {
        let (sent, base) = (self.sent, self.base);
        let starts = |asked: &Asked<W>| asked.end - asked.len as u64;
        if !self.asked.iter().any(|asked| starts(asked) >= sent && gone(&asked.waiter)) {
            return;
        }
        let octets = std::mem::take(&mut self.octets);
        let (mut copied, mut taken) = (0, 0);
        self.asked.retain_mut(|asked| {
            if starts(asked) < sent || !gone(&asked.waiter) {
                asked.end -= taken;
                return true;
            }
            let end = (asked.end - base) as usize;
            self.octets.extend_from_slice(&octets[copied..end - asked.len]);
            copied = end;
            taken += asked.len as u64;
            false
        });
        self.octets.extend_from_slice(&octets[copied..]);
    }

    /// The question that the next reply belongs to.
    pub fn next(&self) -> Option<&Asked<W>> {
        self.asked.front()
    }

    /// All of them, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Asked<W>> {
        self.asked.iter()
    }

    /// A reply has come: the question, once that was its last.
    pub fn replied(&mut self) -> Option<Asked<W>> {
        let first = self.asked.front_mut()?;
        first.began = true;
        first.replies -= 1;
        if first.replies > 0 {
            return None;
        }
        let first = self.asked.pop_front();
        self.forget();
        first
    }

    /// The connection is lost: gives those that will not be asked again.
    pub fn lose(&mut self) -> Vec<Asked<W>> {
        let (sent, base) = (self.sent, self.base);
        let octets = std::mem::take(&mut self.octets);
        let (kept, lost): (Vec<_>, Vec<_>) = std::mem::take(&mut self.asked)
            .into_iter()
            .partition(|asked| asked.end > sent || (asked.repeat && !asked.began));
        (self.base, self.sent) = (0, 0);
        for mut asked in kept {
            let end = (asked.end - base) as usize;
            self.octets.extend_from_slice(&octets[end - asked.len..end]);
            asked.end = self.octets.len() as u64;
            self.asked.push_back(asked);
        }
        lost
    }

    /// Empties the line; whether each question had left whole.
    pub fn clear(&mut self) -> Vec<(Asked<W>, bool)> {
        let sent = self.sent;
        let all = std::mem::take(self).asked;
        all.into_iter().map(|asked| (asked.end <= sent, asked)).map(|(left, a)| (a, left)).collect()
    }

    /// Gives up the octets that nobody can need again.
    fn forget(&mut self) {
        let answered = match self.asked.front() {
            None => self.sent,
            Some(first) => self.sent.min(first.end - first.len as u64),
        };
        let idle = (answered - self.base) as usize;
        if idle == self.octets.len() {
            self.octets.clear();
            if self.octets.capacity() > SLACK {
                self.octets = Vec::new();
            }
        } else if idle > SLACK && idle > self.octets.len() / 2 {
            self.octets.drain(..idle);
        } else {
            return;
        }
        self.base += idle as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(line: &mut Line<char>, name: char, replies: u32, repeat: bool) {
        let write = |out: &mut Vec<u8>| -> Result<(), ()> {
            out.extend_from_slice(&[name as u8; 4]);
            Ok(())
        };
        line.ask((name, replies), (repeat, 0), write).unwrap();
    }

    fn names(asked: impl IntoIterator<Item = Asked<char>>) -> String {
        asked.into_iter().map(|asked| asked.waiter).collect()
    }

    #[test]
    fn replies_belong_to_questions_in_order() {
        let mut line = Line::default();
        ask(&mut line, 'a', 1, false);
        ask(&mut line, 'b', 2, false);
        line.sent(8);
        assert_eq!(line.replied().map(|asked| asked.waiter), Some('a'));
        assert!(line.replied().is_none());
        assert_eq!(line.replied().map(|asked| asked.waiter), Some('b'));
        assert!(line.replied().is_none() && line.is_empty() && line.held() == 0);
    }

    #[test]
    fn what_cannot_be_written_is_not_asked() {
        let mut line: Line<char> = Line::default();
        ask(&mut line, 'a', 1, false);
        let refused = line.ask(('b', 1), (true, 0), |out| {
            out.push(b'b');
            Err("no")
        });
        assert_eq!((refused, line.unsent(), line.len()), (Err("no"), &b"aaaa"[..], 1));
    }

    #[test]
    fn a_lost_connection_loses_what_may_have_been_done() {
        let mut line = Line::default();
        for (name, repeat) in [('w', false), ('r', true), ('x', false), ('y', false)] {
            ask(&mut line, name, 1, repeat);
        }
        line.sent(10);
        assert_eq!(names(line.lose()), "w");
        assert_eq!(line.unsent(), b"rrrrxxxxyyyy");
        line.sent(12);
        assert_eq!(names(line.lose()), "xy");
        assert_eq!(line.unsent(), b"rrrr");
        assert_eq!(names(line.clear().into_iter().map(|(asked, _)| asked)), "r");
        assert!(line.is_empty() && line.held() == 0);
    }

    #[test]
    fn half_a_pipeline_is_not_asked_again() {
        let mut line = Line::default();
        ask(&mut line, 'p', 3, true);
        line.sent(4);
        assert!(line.replied().is_none());
        assert_eq!(names(line.lose()), "p");
    }

    #[test]
    fn who_gives_up_before_anything_has_left_asks_nothing() {
        let mut line = Line::default();
        for name in ['a', 'b', 'c', 'd', 'e'] {
            ask(&mut line, name, 1, false);
        }
        line.sent(6);
        line.take_back(|waiter| !matches!(waiter, 'c' | 'e'));
        assert_eq!(line.unsent(), b"bbcccceeee");
        line.sent(10);
        let replied: Vec<_> = std::iter::from_fn(|| line.replied()).collect();
        assert_eq!(names(replied), "abce");
        assert_eq!(line.held(), 0);
        line.take_back(|_| true);
        assert!(line.is_empty());
    }

    #[test]
    fn what_nothing_is_replied_to_goes_once() {
        let mut line: Line<char> = Line::default();
        let said = line.say(|out| -> Result<(), ()> {
            out.extend_from_slice(b"ssss");
            Ok(())
        });
        ask(&mut line, 'a', 1, true);
        assert_eq!((said, line.unsent()), (Ok(4), &b"ssssaaaa"[..]));
        line.sent(8);
        assert!(line.lose().is_empty());
        assert_eq!(line.unsent(), b"aaaa");
    }

    #[test]
    fn a_long_line_keeps_only_what_is_not_answered() {
        let mut line = Line::default();
        for _ in 0..100_000 {
            ask(&mut line, 'a', 1, false);
            ask(&mut line, 'b', 1, false);
            line.sent(line.unsent().len());
            line.replied();
            if line.len() > 10 {
                line.replied();
            }
        }
        assert!(line.len() <= 11 && line.held() < 3 * SLACK);
    }
}
