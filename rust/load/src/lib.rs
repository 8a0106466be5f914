//! The load crate.
