//! The name of a connection.

/// A connection and its epoch: its slot may serve another one later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Token {
    /// The slot.
    pub index: u32,
    /// Which connection of that slot.
    pub epoch: u32,
}
