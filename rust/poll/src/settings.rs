//! What one reactor accepts; the defaults and their precedents are `megahertz.settings.Limits`.

/// Limits in bytes, counts and nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Of a request's head.
    pub bounds: wire::Bounds,
    /// Bytes of a body.
    pub body: usize,
    /// From the first byte of a head to its last.
    pub head_timeout: u64,
    /// Of a connection without a request.
    pub idle_timeout: u64,
    /// Before the rate of a body counts.
    pub body_grace: u64,
    /// Bytes a second that a body must arrive with; 0: any.
    pub body_rate: u64,
    /// Without the peer taking a byte of its answer.
    pub write_timeout: u64,
    /// Unsent bytes above which a connection is not read.
    pub unsent: usize,
    /// Requests a connection; 0: any number.
    pub requests: u32,
    /// Connections at once.
    pub connections: usize,
}

#[cfg(test)]
impl Settings {
    /// So many connections, and as little of everything else as there is.
    pub fn least(connections: usize) -> Settings {
        Settings {
            bounds: wire::Bounds { head: 1024, fields: 8, target: 256 },
            body: 0,
            head_timeout: 0,
            idle_timeout: 0,
            body_grace: 0,
            body_rate: 0,
            write_timeout: 0,
            unsent: 1024,
            requests: 0,
            connections,
        }
    }
}
