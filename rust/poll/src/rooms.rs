//! Rooms: named sets of sockets of this worker, who get the same messages.
use crate::reactor::Reactor;
use crate::socket::Frame;
use crate::token::Token;
use std::collections::HashMap;

/// Every room that has a member.
#[derive(Default)]
pub(crate) struct Rooms {
    names: HashMap<Box<str>, u32>,
    all: Vec<Room>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Room {
    name: Box<str>,
    members: Vec<Token>,
}

impl Rooms {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.names.get(name) {
            return number;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.all.push(Room::default());
            self.all.len() as u32 - 1
        });
        self.all[number as usize].name = name.into();
        self.names.insert(name.into(), number);
        number
    }
}

impl Reactor {
    /// Puts a socket into a room; false when it is there already, or has gone.
    pub fn join(&mut self, token: Token, name: &str) -> bool {
        if self.open(token).is_none_or(|conn| conn.socket.is_none()) {
            return false;
        }
        let number = self.rooms.number(name);
        let place = self.rooms.all[number as usize].members.len() as u32;
        let conn = &mut self.conns[token.index as usize];
        let Some(socket) = &mut conn.socket else { return false };
        if socket.rooms.iter().any(|&(known, _)| known == number) {
            return false;
        }
        socket.rooms.reserve_exact(1);
        socket.rooms.push((number, place));
        self.rooms.all[number as usize].members.push(token);
        true
    }

    /// Takes a socket out of a room; false when it was not there.
    pub fn leave(&mut self, token: Token, name: &str) -> bool {
        let Some(&number) = self.rooms.names.get(name) else { return false };
        let Some(socket) = self.conn(token).and_then(|conn| conn.socket.as_mut()) else {
            return false;
        };
        let Some(at) = socket.rooms.iter().position(|&(known, _)| known == number) else {
            return false;
        };
        let (_, place) = socket.rooms.swap_remove(at);
        self.take_out(number, place);
        true
    }

    /// Sends one message to everybody in a room, but for `except`; gives how many took it.
    pub fn broadcast(
        &mut self,
        name: &str,
        text: bool,
        data: &[u8],
        except: Option<Token>,
    ) -> usize {
        let Some(&number) = self.rooms.names.get(name) else { return 0 };
        let (mut frame, mut taken, mut at) = (Frame::new(text, data), 0, 0);
        while let Some(&member) = self.rooms.all[number as usize].members.get(at) {
            at += 1;
            if Some(member) != except {
                let sent = self.send_frame(member, &mut frame, true);
                taken += usize::from(sent == crate::socket::Sent::Taken);
            }
        }
        taken
    }

    /// Sockets in a room.
    pub fn members(&self, name: &str) -> usize {
        let number = self.rooms.names.get(name);
        number.map_or(0, |&number| self.rooms.all[number as usize].members.len())
    }

    pub(crate) fn leave_all(&mut self, gone: Token, rooms: &[(u32, u32)]) {
        for &(number, place) in rooms {
            debug_assert!(self.rooms.all[number as usize].members[place as usize] == gone);
            self.take_out(number, place);
        }
    }

    /// The last member takes the free place, and is told; an empty room is forgotten.
    fn take_out(&mut self, number: u32, place: u32) {
        let room = &mut self.rooms.all[number as usize];
        room.members.swap_remove(place as usize);
        if let Some(&moved) = room.members.get(place as usize) {
            let socket = self.conns[moved.index as usize].socket.as_mut();
            let seats = socket.map(|socket| socket.rooms.iter_mut());
            if let Some(seat) = seats.and_then(|mut all| all.find(|seat| seat.0 == number)) {
                seat.1 = place;
            }
        } else if room.members.is_empty() {
            let name = std::mem::take(&mut self.rooms.all[number as usize]).name;
            self.rooms.names.remove(&name);
            self.rooms.free.push(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::{Conn, Stage};
    use crate::reactor::Event;
    use crate::settings::Settings;
    use crate::socket::{Overflow, Socket, SocketOptions};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::collections::{BTreeMap, BTreeSet};
    use std::os::fd::OwnedFd;
    use std::sync::Arc;

    const OPTIONS: SocketOptions = SocketOptions {
        message: 1024,
        unsent: 1024,
        overflow: Overflow::Drop,
        compress: None,
        ping_interval: 0,
        ping_timeout: 0,
        close_timeout: 0,
    };

    /// Sockets that nobody reads; the far ends keep them open.
    fn reactor(count: u32) -> (Reactor, Vec<OwnedFd>) {
        let mut reactor = Reactor::new(Settings::least(100), plane::Row::own().unwrap()).unwrap();
        let mut far = vec![];
        for _ in 0..count {
            let flags = SocketFlags::NONBLOCK;
            let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
            let socket = Socket::new(Arc::new(OPTIONS), 0, false);
            reactor.conns.push(Conn {
                fd: Some(pair.0),
                stage: Stage::Socket,
                socket: Some(Box::new(socket)),
                ..Conn::default()
            });
            far.push(pair.1);
        }
        (reactor, far)
    }

    /// Every seat is where its socket says, and nobody else sits anywhere.
    fn check(reactor: &Reactor, model: &BTreeMap<String, BTreeSet<u32>>) {
        for (name, expected) in model {
            assert_eq!(reactor.members(name), expected.len(), "{name}");
        }
        let taken: usize = reactor.rooms.all.iter().map(|room| room.members.len()).sum();
        assert_eq!(taken, model.values().map(BTreeSet::len).sum::<usize>());
        for (index, conn) in reactor.conns.iter().enumerate() {
            for &(number, place) in conn.socket.iter().flat_map(|socket| &socket.rooms) {
                let room = &reactor.rooms.all[number as usize];
                assert_eq!(room.members[place as usize].index as usize, index);
                assert!(model[&*room.name].contains(&(index as u32)));
            }
        }
    }

    #[test]
    fn whoever_comes_and_goes_everybody_keeps_their_seat() {
        let (mut reactor, _far) = reactor(12);
        let mut model: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        let mut state = 1_u64;
        let mut below = |end: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((state >> 33) % end) as u32
        };
        for turn in 0..20_000 {
            let token = Token { index: below(12), epoch: 0 };
            let name = format!("room {}", below(5));
            let members = model.entry(name.clone()).or_default();
            match below(if turn > 19_000 { 21 } else { 20 }) {
                0..10 if reactor.is_socket(token) => {
                    assert_eq!(reactor.join(token, &name), members.insert(token.index));
                }
                20 => {
                    reactor.close(token);
                    for members in model.values_mut() {
                        members.remove(&token.index);
                    }
                }
                _ => assert_eq!(reactor.leave(token, &name), members.remove(&token.index)),
            }
            check(&reactor, &model);
        }
        assert!(reactor.rooms.all.len() <= 5, "rooms that are empty are used again");
        let ended = reactor.events.iter().filter(|event| matches!(event, Event::Ended(..)));
        assert_eq!(ended.count(), reactor.free.len());
    }

    #[test]
    fn a_broadcast_is_one_piece_of_memory() {
        let (mut reactor, _far) = reactor(3);
        for index in 0..3 {
            assert!(reactor.join(Token { index, epoch: 0 }, "all"));
        }
        let data = vec![7; 20_000];
        assert_eq!(reactor.broadcast("all", false, &data, None), 3);
        let shared = |index: usize| reactor.conns[index].socket.as_ref().and_then(|s| s.last());
        let (first, last) = (shared(0).unwrap(), shared(2).unwrap());
        assert!(Arc::ptr_eq(&first, &last));
        let skipped = Some(Token { index: 1, epoch: 0 });
        assert_eq!(reactor.broadcast("all", true, b"x", skipped), 2);
        assert_eq!(reactor.broadcast("nobody", true, b"x", None), 0);
    }
}
