//! The socket that h2 sees: two buffers.
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Unsent bytes above which h2 has to wait (our sockets': 64 KiB a call).
const MOST_OUT: usize = 64 * 1024;

#[derive(Default)]
struct Ends {
    inbound: Vec<u8>,
    read: usize,
    outbound: Vec<u8>,
    ended: bool,
}

/// Both ends of it; one thread has both, the lock is never waited for.
#[derive(Clone, Default)]
pub struct Pipe(Arc<Mutex<Ends>>);

impl Pipe {
    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn feed(&self, bytes: &[u8]) {
        self.ends().inbound.extend_from_slice(bytes);
    }

    pub fn end(&self) {
        self.ends().ended = true;
    }

    pub fn backlog(&self) -> usize {
        let ends = self.ends();
        ends.inbound.len() - ends.read
    }

    pub fn take(&self, out: &mut Vec<u8>) -> bool {
        let mut ends = self.ends();
        out.extend_from_slice(&ends.outbound);
        let any = !ends.outbound.is_empty();
        ends.outbound.clear();
        // An idle connection holds no buffers.
        if ends.outbound.capacity() > MOST_OUT / 16 {
            ends.outbound = vec![];
        }
        any
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut ends = self.ends();
        let rest = &ends.inbound[ends.read..];
        if rest.is_empty() {
            return if ends.ended { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        let count = rest.len().min(into.remaining());
        into.put_slice(&rest[..count]);
        ends.read += count;
        if ends.read == ends.inbound.len() {
            (ends.inbound, ends.read) = (vec![], 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut ends = self.ends();
        let room = MOST_OUT.saturating_sub(ends.outbound.len());
        if room == 0 {
            return Poll::Pending;
        }
        let count = room.min(bytes.len());
        ends.outbound.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
