//! A relayed body whose octets stay in the kernel: both ends are plain HTTP/1.1, and enough of it is
//! to come.
use super::ClientPool;
use poll::Spliced;
use poll::link::LinkKey;
use pyo3::prelude::*;

/// Octets still to come from which on splice(2) costs less than two copies: by 12 % at
/// 128 KiB, by a third at 1 MiB, by nothing at 64 KiB (2026-11-22, loopback, a relay of that alone).
const WORTH: u64 = 128 * 1024;

impl ClientPool {
    /// Moves what has come for a relay to its peer; whether there is nothing to be read then.
    pub(super) fn splice(&mut self, py: Python<'_>, key: LinkKey) -> bool {
        let left = self.connection(key).map_or(0, |its| its.reader.left());
        if left < WORTH {
            return false;
        }
        let Some(ticket) = self.relay_on(key) else { return false };
        let links = self.links.clone_ref(py);
        let links = links.borrow(py);
        let Some(from) = links.poll.plain(key) else { return false };
        let Some(outlet) = self.outlet(ticket) else { return false };
        let (moved, why) = outlet.splice(py, from, usize::try_from(left).unwrap_or(usize::MAX));
        self.counters.bytes_in += moved as u64;
        if let Some(connection) = self.connection(key) {
            connection.reader.pass(moved);
        }
        // Who takes nothing any more is read until the engine has said so.
        !matches!(why, Spliced::Read | Spliced::Gone)
    }
}
