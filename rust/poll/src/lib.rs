//! The poll crate.
