//! JSON text (RFC 8259): [`write`]s values, and [`read`]s those that are expected.

mod read;
mod special;
mod write;

pub use read::{Cursor, Key, Text};
pub use write::{Lead, float, integer, text};
