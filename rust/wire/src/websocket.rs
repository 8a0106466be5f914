//! WebSocket (RFC 6455) for the server's side, with permessage-deflate (RFC 7692).
//!
//! # Theory
//! [`Reader`] takes the octets of a connection and gives whole messages and control frames;
//! [`frame`] writes them. Both directions are negotiated without context takeover, always: then a
//! message is compressed by itself, so one [`Deflater`] and one [`Inflater`] serve every
//! connection of a worker (zlib keeps 256 KiB and 40 KiB *a connection* otherwise, the best-known
//! complaint about the extension), and a broadcast is compressed once for all who receive it.
//!
//! # Rules
//! - Every MUST of RFC 6455 about what a server may receive fails the connection: a frame without
//!   a mask, a reserved bit or opcode, a length not in its shortest form, a control frame that is
//!   fragmented or longer than 125 octets, a continuation of nothing, a message inside another.
//! - Text fails at its first octet that no UTF-8 can have there, not at the message's end.
//! - A frame that claims more than the limit fails before its payload is awaited; a compressed
//!   message fails once it has inflated beyond it.
//!
//! # Rejected
//! tungstenite (owns the stream and its buffers: every idle connection would hold two) and
//! fastwebsockets (asks for hyper or an async stream). Both leave compression to nobody.
mod deflate;
pub mod frame;
pub mod handshake;
mod reader;

pub use deflate::{Deflater, Inflater};
pub use frame::{Close, Fault, Opcode};
pub use handshake::Handshake;
pub use reader::{Item, Reader, Step};
