//! What a reactor counts.

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Counters since the start; gauges are the caller's to add.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Statistics { $($(#[$doc])* pub $name: u64),+ }

        impl Statistics {
            /// Every counter by its name.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),+].into_iter()
            }
        }
    };
}

counters! {
    /// Connections accepted.
    accepted,
    /// Connections closed, for whatever reason.
    closed,
    /// Requests handed over.
    requests,
    /// Answers written by the caller.
    answers,
    /// Requests refused before any handler.
    refused,
    /// Connections turned away because there were too many.
    full,
    /// Times that accepting paused for want of file descriptors.
    exhausted,
    /// Peers that left while their request was being answered.
    gone,
    /// Idle connections closed.
    idled,
    /// Connections closed because the peer stopped reading.
    stalled,
    /// Deadlines that passed.
    expired,
    /// WebSockets opened.
    sockets,
    /// Messages received on them.
    messages,
    /// Messages dropped because their receiver did not read.
    dropped,
    /// WebSockets ended because the peer broke the protocol.
    faults,
    /// WebSockets ended because the peer answered no ping, or no close.
    silent,
    /// Bytes read.
    bytes_in,
    /// Bytes written.
    bytes_out,
}
