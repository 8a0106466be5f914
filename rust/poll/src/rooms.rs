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
