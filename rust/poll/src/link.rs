//! Outgoing connections: dialled, spoken through and watched without waiting, for any protocol.
//!
//! # Theory
//! A set of its own beside the server's, for programs that serve nothing: the caller watches
//! [`Links::fd`] with its loop, takes a [`Links::turn`] when it turns readable, and gets a list of
//! what happened. What is to be sent stays with the caller, who alone knows what may be sent again
//! on another connection; [`Links::send`] says how much of it the kernel has taken.
//!
//! # Rules
//! - Level-triggered, unlike the server's: a few connections that are nearly always read to their
//!   end, where a forgotten rest would cost more than a system call does.
//! - Asked about writing only while connecting, or after the kernel took less than all.
//! - A connection is told open once its handshake is through as well: no octet goes out before.
//! - Names are resolved by the caller (getaddrinfo waits), and so are times: an address that does
//!   not answer is closed by who has the patience.
mod connection;
mod http2;
mod tls;

pub use http2::{Http2, Trouble, What};
pub use tls::{ClientTls, Peer};

use connection::{Connection, Stage};
use rustix::event::epoll::{self, CreateFlags, Event as Ready, EventData, EventFlags};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use std::fmt;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Events a turn; more wait for the next one.
const BATCH: usize = 64;

/// Where to connect to.
#[derive(Clone, Debug)]
pub enum Address {
    /// A resolved one.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// One connection; of one that has been closed it names nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkKey {
    /// Its place.
    pub index: u32,
    epoch: u32,
}

/// What has happened to a connection.
#[derive(Debug)]
pub enum Notice {
    /// It can be spoken through.
    Open(LinkKey),
    /// There is something to receive, the end perhaps.
    Input(LinkKey),
    /// The kernel takes octets again.
    Room(LinkKey),
    /// It never opened, or broke; its key is dead.
    Lost(LinkKey, Loss),
}

impl Notice {
    /// Whom it is about.
    pub fn key(&self) -> LinkKey {
        match self {
            Notice::Open(key) | Notice::Input(key) | Notice::Room(key) | Notice::Lost(key, _) => {
                *key
            }
        }
    }
}

/// Why a connection is none any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The kernel's word.
    Errno(Errno),
    /// The peer said that it has said all.
    Ended,
    /// The two did not agree on TLS.
    Tls(String),
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loss::Errno(errno) => write!(f, "{}", std::io::Error::from(*errno)),
            Loss::Ended => f.write_str("the server closed the connection"),
            Loss::Tls(why) => write!(f, "TLS: {why}"),
        }
    }
}

/// The connections of one loop.
pub struct Links {
    set: OwnedFd,
    places: Vec<(u32, Option<Connection>)>,
    free: Vec<u32>,
}

impl Links {
    /// None yet.
    ///
    /// # Errors
    /// The kernel gave no descriptor.
    pub fn new() -> Result<Links, Errno> {
        let set = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Links { set, places: vec![], free: vec![] })
    }

    /// Readable when a turn would find something.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.set.as_fd()
    }

    /// Begins to connect; a notice tells how that went.
    ///
    /// # Errors
    /// There can be no such connection at all.
    pub fn dial(&mut self, address: &Address, peer: Option<&Peer>) -> Result<LinkKey, Loss> {
        let connection = Connection::dial(address, peer)?;
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push((0, None));
            (self.places.len() - 1) as u32
        });
        let place = &mut self.places[index as usize];
        let key = LinkKey { index, epoch: place.0 };
        let data = EventData::new_u64(u64::from(key.epoch) << 32 | u64::from(index));
        let added = epoll::add(&self.set, &connection.fd, data, connection.interest);
        place.1 = Some(connection);
        if let Err(errno) = added {
            self.close(key);
            return Err(Loss::Errno(errno));
        }
        Ok(key)
    }

    /// Asks the kernel what happened, without waiting.
    pub fn turn(&mut self, notices: &mut Vec<Notice>) {
        let mut space = [const { MaybeUninit::<Ready>::uninit() }; BATCH];
        let zero = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        let found = epoll::wait(&self.set, &mut space[..], Some(&zero));
        for event in found.map_or(&[][..], |(found, _)| &*found) {
            let data = event.data.u64();
            let key = LinkKey { index: data as u32, epoch: (data >> 32) as u32 };
            self.look(key, event.flags, notices);
        }
    }

    fn look(&mut self, key: LinkKey, flags: EventFlags, notices: &mut Vec<Notice>) {
        let Some(connection) = self.connection(key) else { return };
        if connection.stage == Stage::Open {
            if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                notices.push(Notice::Input(key));
            }
            if flags.contains(EventFlags::OUT) {
                connection.blocked = false;
                notices.push(Notice::Room(key));
            }
        } else {
            match connection.advance() {
                // The handshake's last flight may have brought what a server says first.
                Ok(true) => notices.extend([Notice::Open(key), Notice::Input(key)]),
                Ok(false) => {}
                Err(loss) => {
                    self.close(key);
                    return notices.push(Notice::Lost(key, loss));
                }
            }
        }
        self.ask(key);
    }

    /// Sends what the kernel takes, and says how much that was; less than all: a notice follows.
    ///
    /// # Errors
    /// The connection has broken; what came before may still be received.
    pub fn send(&mut self, key: LinkKey, octets: &[u8]) -> Result<usize, Loss> {
        let Some(connection) = self.connection(key) else { return Err(Loss::Ended) };
        let sent = connection.send(octets);
        self.ask(key);
        sent
    }

    /// Appends what has come to `into`; not more than about 256 KiB, so that others have a turn.
    ///
    /// # Errors
    /// The connection has ended or broken, and is closed; what came before that was appended.
    pub fn receive(&mut self, key: LinkKey, into: &mut Vec<u8>) -> Result<(), Loss> {
        let Some(connection) = self.connection(key) else { return Err(Loss::Ended) };
        let received = connection.receive(into);
        if received.is_err() {
            self.close(key);
        } else {
            self.ask(key);
        }
        received
    }

    /// Stops to look for input, or looks again: who does not read makes the peer wait.
    pub fn pause(&mut self, key: LinkKey, paused: bool) {
        if let Some(connection) = self.connection(key) {
            connection.paused = paused;
            self.ask(key);
        }
    }

    /// Speaks TLS from here on, through what was plain so far (a proxy's tunnel); a notice tells
    /// that it is open again, or lost.
    ///
    /// # Errors
    /// Nobody can be spoken with under that name.
    pub fn secure(&mut self, key: LinkKey, peer: &Peer) -> Result<(), Loss> {
        let Some(connection) = self.connection(key) else { return Err(Loss::Ended) };
        connection.secure(peer)?;
        self.ask(key);
        Ok(())
    }

    /// Its descriptor, where what comes by it is what the peer has said.
    pub fn plain(&self, key: LinkKey) -> Option<BorrowedFd<'_>> {
        let (epoch, connection) = self.places.get(key.index as usize)?;
        connection.as_ref().filter(|_| *epoch == key.epoch)?.plain()
    }

    /// The protocol that was agreed on beside TLS (ALPN).
    pub fn protocol(&self, key: LinkKey) -> Option<&[u8]> {
        let (epoch, connection) = self.places.get(key.index as usize)?;
        connection.as_ref().filter(|_| *epoch == key.epoch)?.protocol()
    }

    /// Whether an idle connection can still be asked through, as far as the kernel knows now.
    pub fn is_alive(&mut self, key: LinkKey) -> bool {
        self.connection(key).is_some_and(|connection| connection.is_alive())
    }

    /// Ends it; octets that the kernel has taken still arrive.
    pub fn close(&mut self, key: LinkKey) {
        if self.connection(key).is_none() {
            return;
        }
        let place = &mut self.places[key.index as usize];
        place.0 = place.0.wrapping_add(1);
        // Dropping the descriptor closes it, and epoll forgets it.
        place.1 = None;
        self.free.push(key.index);
    }

    fn connection(&mut self, key: LinkKey) -> Option<&mut Connection> {
        let place = self.places.get_mut(key.index as usize)?;
        if place.0 == key.epoch { place.1.as_mut() } else { None }
    }

    /// Tells the kernel what to look for, where that has changed.
    fn ask(&mut self, key: LinkKey) {
        let Some((_, Some(connection))) = self.places.get_mut(key.index as usize) else { return };
        let interest = connection.wanted();
        if interest == connection.interest {
            return;
        }
        connection.interest = interest;
        let data = EventData::new_u64(u64::from(key.epoch) << 32 | u64::from(key.index));
        // Fails only for descriptors that are not there, and both are ours.
        let _ = epoll::modify(&self.set, &connection.fd, data, interest);
    }
}
