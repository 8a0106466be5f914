//! Session tickets that every worker of a server can open (RFC 8446 section 2.2, RFC 5077).
//!
//! # Theory
//! All workers begin with one secret. Time is cut into slots; each slot has a key of its own, and
//! the secret of the next slot is a hash of this one's, which is then forgotten: what is in memory
//! tomorrow opens no ticket of today (a ratchet). Nobody has to tell anybody when a key changes.
//! A ticket is `slot (8) | nonce (12) | AES-256-GCM of the state`.
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use rustls::server::ProducesTickets;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds that a ticket is good for, at least: the reports' 4 h. A slot is as long, and the keys
/// of this and the last one are kept.
const LIFETIME: u32 = 4 * 3600;
/// Bytes of a secret.
pub const SECRET_BYTES: usize = 32;
const SLOT_BYTES: usize = 8;

/// What the workers share: the secret of one slot.
#[derive(Clone)]
pub struct Secret {
    slot: u64,
    bytes: [u8; SECRET_BYTES],
}

impl Secret {
    /// The secret of the slot that is now.
    pub fn new(bytes: [u8; SECRET_BYTES]) -> Secret {
        Secret { slot: slot_now(), bytes }
    }

    /// As [`Secret::to_bytes`] wrote it.
    pub fn from_bytes(bytes: &[u8]) -> Option<Secret> {
        let (slot, bytes) = bytes.split_at_checked(SLOT_BYTES)?;
        let slot = u64::from_be_bytes(slot.try_into().ok()?);
        Some(Secret { slot, bytes: bytes.try_into().ok()? })
    }

    /// For another process of the same server.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.slot.to_be_bytes()[..], &self.bytes].concat()
    }

    /// This secret as it is by now; what came before is lost in it.
    pub fn ratchet(&mut self) {
        self.advance(slot_now());
    }

    fn advance(&mut self, slot: u64) {
        // A clock that jumps ahead by years must not hang a worker: the keys are then new ones.
        self.slot = self.slot.max(slot.saturating_sub(10_000));
        while self.slot < slot {
            self.bytes = self.derive(b"next");
            self.slot += 1;
        }
    }

    fn derive(&self, purpose: &[u8]) -> [u8; SECRET_BYTES] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.bytes);
        let mut bytes = [0; SECRET_BYTES];
        bytes.copy_from_slice(hmac::sign(&key, purpose).as_ref());
        bytes
    }

    fn key(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, &self.derive(b"key")).ok().map(LessSafeKey::new)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret(of slot {})", self.slot)
    }
}

fn slot_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs()) / u64::from(LIFETIME)
}

struct Keys {
    secret: Secret,
    now: Option<LessSafeKey>,
    last: Option<LessSafeKey>,
}

/// Makes and opens tickets.
pub struct Tickets {
    keys: Mutex<Keys>,
    clock: fn() -> u64,
}

impl Tickets {
    /// With the secret that the workers share.
    pub fn new(secret: Secret) -> Tickets {
        Tickets::with_clock(secret, slot_now)
    }

    fn with_clock(secret: Secret, clock: fn() -> u64) -> Tickets {
        let keys = Keys { now: secret.key(), last: None, secret };
        Tickets { keys: Mutex::new(keys), clock }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Keys) -> T) -> T {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = (self.clock)();
        if keys.secret.slot < slot {
            let next = keys.secret.slot + 1 == slot;
            let last = keys.now.take();
            if next {
                keys.last = last;
            } else {
                keys.secret.advance(slot - 1);
                keys.last = keys.secret.key();
            }
            keys.secret.advance(slot);
            keys.now = keys.secret.key();
        }
        act(&mut keys)
    }
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tickets")
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.with(|keys| {
            let mut nonce = [0; NONCE_LEN];
            SystemRandom::new().fill(&mut nonce).ok()?;
            let mut ticket = keys.secret.slot.to_be_bytes().to_vec();
            ticket.extend_from_slice(&nonce);
            let mut sealed = plain.to_vec();
            let (aad, nonce) =
                (Aad::from(&ticket[..SLOT_BYTES]), Nonce::assume_unique_for_key(nonce));
            keys.now.as_ref()?.seal_in_place_append_tag(nonce, aad, &mut sealed).ok()?;
            ticket.extend_from_slice(&sealed);
            Some(ticket)
        })
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (slot, rest) = ticket.split_at_checked(SLOT_BYTES)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let number = u64::from_be_bytes(slot.try_into().ok()?);
        self.with(|keys| {
            let key = match keys.secret.slot.checked_sub(number)? {
                0 => keys.now.as_ref()?,
                1 => keys.last.as_ref()?,
                _ => return None,
            };
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let mut sealed = sealed.to_vec();
            let plain = key.open_in_place(nonce, Aad::from(slot), &mut sealed).ok()?;
            Some(plain.to_vec())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    fn secret() -> Secret {
        Secret { slot: 100, bytes: [7; SECRET_BYTES] }
    }

    #[test]
    fn what_one_worker_seals_another_opens() {
        let one = Tickets::with_clock(secret(), || 100);
        let copy = Secret::from_bytes(&secret().to_bytes()).unwrap();
        let other = Tickets::with_clock(copy, || 100);
        let ticket = one.encrypt(b"state").unwrap();
        assert_eq!(other.decrypt(&ticket).unwrap(), b"state");
        assert_ne!(one.encrypt(b"state").unwrap(), ticket);
    }

    #[test]
    fn a_ticket_lives_this_slot_and_the_next() {
        static NOW: AtomicU64 = AtomicU64::new(100);
        let tickets = Tickets::with_clock(secret(), || NOW.load(Relaxed));
        let late = Tickets::with_clock(secret(), || NOW.load(Relaxed));
        let ticket = tickets.encrypt(b"state").unwrap();
        NOW.store(101, Relaxed);
        assert_eq!(tickets.decrypt(&ticket).unwrap(), b"state");
        NOW.store(102, Relaxed);
        assert_eq!(tickets.decrypt(&ticket), None);
        // A worker that was idle for two slots has the same keys as one that was not.
        let ticket = tickets.encrypt(b"state").unwrap();
        assert_eq!(late.decrypt(&ticket).unwrap(), b"state");
        NOW.store(103, Relaxed);
        assert_eq!(late.decrypt(&ticket).unwrap(), b"state");
    }

    #[test]
    fn the_secret_of_a_slot_says_nothing_of_the_one_before() {
        let mut later = secret();
        later.advance(101);
        let old = Tickets::with_clock(secret(), || 100).encrypt(b"state").unwrap();
        assert_eq!(Tickets::with_clock(later, || 101).decrypt(&old), None);
    }

    #[test]
    fn what_was_touched_does_not_open() {
        let tickets = Tickets::with_clock(secret(), || 100);
        let ticket = tickets.encrypt(b"state").unwrap();
        for at in 0..ticket.len() {
            let mut touched = ticket.clone();
            touched[at] ^= 1;
            assert_eq!(tickets.decrypt(&touched), None, "{at}");
            assert_eq!(tickets.decrypt(&ticket[..at]), None, "{at}");
        }
    }

    #[test]
    fn a_clock_that_jumps_costs_no_more_than_the_tickets() {
        let mut far = secret();
        far.advance(u64::MAX);
        assert_eq!(far.slot, u64::MAX);
    }
}
