//! RESP2 and RESP3, what Redis speaks: octets to items, commands to octets; no socket, no Python.
//!
//! # Theory
//! A reply is a tree of items, each a line that says its type and, for strings, as many octets as
//! the line says. [`Scanner`] finds where the next reply ends, resuming where it stopped when more
//! octets come; [`item`] then reads a whole reply item by item, and the caller builds whatever it
//! wants of them, without a tree in between. What the scan has passed cannot fail to be read.
//!
//! # Rules
//! - A reply is linear in its octets, however they are split: nothing is scanned twice but the
//!   header of the item that is not whole yet, and a line is bounded.
//! - Depth, lengths and counts are bounded before anything is allocated for them.
//!
//! # Rejected
//! The crates `redis-protocol` and `redis`: each gives a tree of its own frames, an allocation an
//! item, that would be walked once more to make Python objects of it.
//!
//! Source: the Redis serialization protocol specification (redis.io, "RESP protocol description").
mod command;
mod item;
mod line;
mod scan;

pub use command::{bulk, command, number};
pub use item::{Fault, Item, item};
pub use line::{Asked, Line};
pub use scan::Scanner;

/// The most that one reply may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Octets of a string.
    pub bulk: usize,
    /// Items of one array, pairs of one map.
    pub count: usize,
    /// Arrays within arrays.
    pub depth: usize,
}

impl Default for Bounds {
    /// Redis itself refuses strings above 512 MiB (proto-max-bulk-len) and commands of more than
    /// 1,048,576 arguments (server.h, multibulklen), but a reply may have as many items as a key:
    /// 2^24 is 384 MiB of pointers and empty strings. hiredis grows its stack with the reply;
    /// a module's reply is seldom 10 deep, and a script's can be made by hand.
    fn default() -> Bounds {
        Bounds { bulk: 512 << 20, count: 1 << 24, depth: 64 }
    }
}

/// Octets of a line: errors carry a client's own words (Redis cuts those at some hundreds), and
/// hiredis looks for the end of a line without any bound.
pub(crate) const LINE: usize = 64 * 1024;
