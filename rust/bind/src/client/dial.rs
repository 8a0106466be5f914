//! New connections: the addresses of a place, tried beside each other (RFC 8305).
use super::ClientPool;
use super::connection::{Connection, Stage};
use crate::links::now;
use crate::reply::Reply;
use poll::link::{Address, LinkKey};
use pyo3::prelude::*;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// Before the next address is tried beside those that have not answered (RFC 8305 section 5).
const APART: u64 = 250_000_000;

/// One connection that is wanted, by whichever address answers first.
pub struct Dial {
    pub place: usize,
    rest: VecDeque<SocketAddr>,
    attempts: Vec<LinkKey>,
    /// When the next address has its turn, and when there is no more patience.
    pub next: u64,
    pub due: u64,
    /// What the last one that failed said.
    why: String,
}

impl ClientPool {
    /// Asks for the connections that a place lacks.
    pub(super) fn want(slf: &Bound<'_, Self>, place: usize) -> PyResult<()> {
        let (wanted, need) = {
            let pool = &mut *slf.borrow_mut();
            if pool.closed || pool.is_settling(place) {
                return Ok(());
            }
            let most = pool.settings.connections;
            (pool.places[place].want(most), pool.hooks.need.clone_ref(slf.py()))
        };
        for _ in 0..wanted {
            need.call1(slf.py(), (place,))?;
        }
        Ok(())
    }

    pub(super) fn begin_dial(
        slf: &Bound<'_, Self>,
        place: usize,
        addresses: &[(String, u16)],
    ) -> PyResult<()> {
        let parse = |(host, port): &(String, u16)| {
            host.parse::<IpAddr>().ok().map(|host| SocketAddr::new(host, *port))
        };
        let rest = interleaved(addresses.iter().filter_map(parse).collect());
        let (number, due) = {
            let pool = &mut *slf.borrow_mut();
            if pool.closed {
                return Ok(());
            }
            pool.serial += 1;
            let due = now().saturating_add(pool.settings.connect);
            let why = "it has no address".into();
            let dial = Dial { place, rest, attempts: vec![], next: u64::MAX, due, why };
            pool.dials.insert(pool.serial, dial);
            (pool.serial, due)
        };
        Self::remind(slf, due)?;
        Self::attempt(slf, number)
    }

    /// Tries the next address.
    pub(super) fn attempt(slf: &Bound<'_, Self>, number: u64) -> PyResult<()> {
        let outcome = {
            let pool = &mut *slf.borrow_mut();
            pool.try_next(slf, number)
        };
        match outcome {
            Ok(next) => Self::remind(slf, next),
            Err(Some((place, why))) => Self::dial_failed(slf, place, &why),
            Err(None) => Ok(()),
        }
    }

    /// When the one after is to be tried; an error: whose dial has failed, and why.
    fn try_next(
        &mut self,
        slf: &Bound<'_, Self>,
        number: u64,
    ) -> Result<u64, Option<(usize, String)>> {
        let dial = self.dials.get_mut(&number).ok_or(None)?;
        let place = &self.places[dial.place];
        while let Some(address) = dial.rest.pop_front() {
            let peer = place.peer.as_ref().filter(|_| place.tunnel.is_none());
            let mut links = self.links.borrow_mut(slf.py());
            match links.dial(Self::owner(slf), &Address::Tcp(address), peer) {
                Ok(key) => {
                    dial.attempts.push(key);
                    dial.next = if dial.rest.is_empty() { u64::MAX } else { now() + APART };
                    let stage = Stage::Dialling(number);
                    let connection = Box::new(Connection::new(key, dial.place, stage));
                    let index = key.index as usize;
                    if self.connections.len() <= index {
                        self.connections.resize_with(index + 1, || None);
                    }
                    self.connections[index] = Some(connection);
                    return Ok(dial.next);
                }
                Err(loss) => dial.why = loss.to_string(),
            }
        }
        dial.next = u64::MAX;
        if !dial.attempts.is_empty() {
            return Ok(u64::MAX);
        }
        let dial = self.dials.remove(&number).ok_or(None)?;
        Err(Some((dial.place, dial.why)))
    }

    /// One address is none.
    pub(super) fn attempt_failed(slf: &Bound<'_, Self>, key: LinkKey, why: &str) -> PyResult<()> {
        let number = {
            let pool = &mut *slf.borrow_mut();
            let Some(connection) = pool.shut(slf.py(), key) else { return Ok(()) };
            let (Stage::Dialling(number) | Stage::Tunnelling(number, _)) = connection.stage else {
                return Ok(());
            };
            if let Some(dial) = pool.dials.get_mut(&number) {
                dial.attempts.retain(|&known| known != key);
                dial.why = why.into();
            }
            number
        };
        Self::attempt(slf, number)
    }

    /// No address answered in time.
    pub(super) fn dial_late(slf: &Bound<'_, Self>, number: u64) -> PyResult<()> {
        let (place, why) = {
            let pool = &mut *slf.borrow_mut();
            let Some(dial) = pool.dials.remove(&number) else { return Ok(()) };
            for &key in &dial.attempts {
                drop(pool.shut(slf.py(), key));
            }
            let seconds = pool.settings.connect as f64 / 1e9;
            (dial.place, format!("no connection within {seconds} s"))
        };
        Self::dial_failed(slf, place, &why)
    }

    /// A connection is open: the first of its dial is the one.
    pub(super) fn opened(slf: &Bound<'_, Self>, key: LinkKey) -> PyResult<()> {
        let py = slf.py();
        let opened_at;
        {
            let pool = &mut *slf.borrow_mut();
            let Some(connection) = pool.connection(key) else { return Ok(()) };
            let (number, plain) = match connection.stage {
                Stage::Dialling(number) => (number, true),
                Stage::Tunnelling(number, _) => (number, false),
                _ => return Ok(()),
            };
            let place = connection.place;
            if let Some(dial) = pool.dials.get_mut(&number) {
                dial.rest.clear();
                dial.next = u64::MAX;
                let others = std::mem::replace(&mut dial.attempts, vec![key]);
                for other in others.into_iter().filter(|&other| other != key) {
                    drop(pool.shut(py, other));
                }
            }
            let tunnel = pool.places[place].tunnel.clone().filter(|_| plain);
            if let Some(tunnel) = tunnel {
                pool.ask_for_tunnel(py, key, number, &tunnel);
                return Ok(());
            }
            pool.dials.remove(&number);
            pool.counters.dialled += 1;
            let its = &mut pool.places[place];
            its.dialling = its.dialling.saturating_sub(1);
            its.open += 1;
            its.warming = its.warming.saturating_sub(1);
            opened_at = place;
            let stage = pool.spoken(py, key, place);
            let Some(connection) = pool.connection(key) else { return Ok(()) };
            (connection.stage, connection.born, connection.rested) = (stage, now(), now());
        }
        Self::settle(slf, key)?;
        Self::want(slf, opened_at)?;
        Self::warmed(slf, opened_at, Ok(()))
    }

    /// Tells who waits for a place to be warm, once it is or cannot be.
    pub(super) fn warmed(
        slf: &Bound<'_, Self>,
        place: usize,
        outcome: Result<(), &str>,
    ) -> PyResult<()> {
        let warmers = {
            let its = &mut slf.borrow_mut().places[place];
            if its.warming > 0 {
                return Ok(());
            }
            std::mem::take(&mut its.warmers)
        };
        for reply in warmers {
            match outcome {
                Ok(()) => Reply::complete(reply.bind(slf.py()), Ok(slf.py().None()), false)?,
                Err(why) => Self::fail(slf, Some(&reply), ("connect", why), false)?,
            }
        }
        Ok(())
    }

    fn ask_for_tunnel(&mut self, py: Python<'_>, key: LinkKey, number: u64, tunnel: &[u8]) {
        // A new connection takes so little at once; what it does not take, its end tells.
        let _ = self.links.borrow_mut(py).poll.send(key, tunnel);
        if let Some(connection) = self.connection(key) {
            connection.stage = Stage::Tunnelling(number, Box::default());
        }
    }

    /// The proxy has answered.
    pub(super) fn tunnelled(
        slf: &Bound<'_, Self>,
        key: LinkKey,
        answer: Result<(), String>,
    ) -> PyResult<()> {
        let secured = answer.and_then(|()| {
            let pool = &*slf.borrow();
            let place = pool.connections[key.index as usize].as_ref().map(|its| its.place);
            let peer = place.and_then(|place| pool.places[place].peer.as_ref());
            let peer = peer.ok_or_else(|| "a tunnel for nobody".to_owned())?;
            let mut links = pool.links.borrow_mut(slf.py());
            links.poll.secure(key, peer).map_err(|loss| loss.to_string())
        });
        secured.or_else(|why| Self::attempt_failed(slf, key, &why))
    }

    /// A connection that was wanted will not be: who waits for it is told, and all of them where
    /// there is no other.
    pub(super) fn dial_failed(slf: &Bound<'_, Self>, place: usize, why: &str) -> PyResult<()> {
        let failed: Vec<_> = {
            let pool = &mut *slf.borrow_mut();
            let its = &mut pool.places[place];
            its.dialling = its.dialling.saturating_sub(1);
            its.warming = 0;
            let many = if its.open == 0 { usize::MAX } else { 1 };
            std::iter::from_fn(|| its.next(slf.py(), true)).take(many).collect()
        };
        let why = format!("{}: {why}", slf.borrow().places[place].name());
        for request in failed {
            Self::fail(slf, request.reply.as_ref(), ("connect", &why), false)?;
        }
        Self::warmed(slf, place, Err(&why))?;
        Self::want(slf, place)
    }
}

/// The families by turns, the first one's first (RFC 8305 section 4).
fn interleaved(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (ours, others): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first);
    let (mut ours, mut others) = (ours.into_iter(), others.into_iter());
    let mut all = VecDeque::new();
    loop {
        let pair = (ours.next(), others.next());
        if pair == (None, None) {
            return all;
        }
        all.extend(pair.0.into_iter().chain(pair.1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let all = ["[::1]:1", "[::2]:1", "1.1.1.1:1", "[::3]:1", "2.2.2.2:1"];
        let turns = interleaved(all.iter().map(|text| text.parse().unwrap()).collect());
        let told: Vec<_> = turns.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert!(interleaved(vec![]).is_empty());
    }
}
