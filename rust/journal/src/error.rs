//! What can go wrong, by what the caller can do about it.
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a journal could not be opened or read.
#[derive(Debug)]
pub enum Error {
    /// Another process, or another part of this one, has the directory open.
    Held(PathBuf),
    /// Acknowledged records are damaged or missing; a person has to decide.
    Corrupt {
        /// The file in which it was found.
        file: PathBuf,
        /// The offset of the first frame that cannot be trusted.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A segment of a version that this build does not know.
    Version {
        /// The file.
        file: PathBuf,
        /// The version it says.
        found: u32,
    },
    /// The operating system refused.
    Io {
        /// What it was asked to do, and to which path.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(path) => write!(out, "{} is in use by another process", path.display()),
            Self::Corrupt { file, offset, reason } => {
                write!(out, "{} at offset {offset}: {reason}", file.display())
            }
            Self::Version { file, found } => write!(
                out,
                "{} has format version {found}, this build reads up to {}",
                file.display(),
                crate::frame::VERSION
            ),
            Self::Io { action, path, source } => {
                write!(out, "cannot {action} {}: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for Error {}

/// Why a record was not taken; nothing of it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// As many records or bytes wait for their consumer as the options allow.
    Full,
    /// Empty, or longer than the options allow.
    Size(usize),
    /// A sync failed, or the journal was closed: it takes nothing more.
    Stopped(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => write!(out, "the journal is full"),
            Self::Size(bytes) => write!(out, "a record of {bytes} bytes is not allowed"),
            Self::Stopped(why) => write!(out, "the journal has stopped: {why}"),
        }
    }
}

impl std::error::Error for Refusal {}
