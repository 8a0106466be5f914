//! The journal crate.
