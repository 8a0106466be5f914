//! Why a request is not served, as the status that tells the peer so.

/// A request that ends before any handler sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The bytes are no HTTP/1.1 request (RFC 9112), or one that could be read in two ways.
    Malformed,
    /// Nothing at this path.
    NotFound,
    /// The path knows other methods.
    NotAllowed,
    /// Head or body took longer than allowed.
    TooSlow,
    /// The body is larger than allowed.
    BodyTooLarge,
    /// The target is longer than allowed.
    TargetTooLong,
    /// A WebSocket is spoken here, of version 13.
    UpgradeRequired,
    /// The head is larger than allowed, or has too many fields.
    HeadTooLarge,
    /// A bug of ours: a panic below the handler.
    Broken,
    /// A transfer coding other than chunked (RFC 9112 section 6.1), or CONNECT.
    Unsupported,
    /// No room for another connection.
    Full,
    /// A major version other than 1.
    Version,
}

impl Refusal {
    /// Every refusal, in the order of its status.
    pub const ALL: [Refusal; 12] = [
        Refusal::Malformed,
        Refusal::NotFound,
        Refusal::NotAllowed,
        Refusal::TooSlow,
        Refusal::BodyTooLarge,
        Refusal::TargetTooLong,
        Refusal::UpgradeRequired,
        Refusal::HeadTooLarge,
        Refusal::Broken,
        Refusal::Unsupported,
        Refusal::Full,
        Refusal::Version,
    ];

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Refusal::Malformed => 400,
            Refusal::NotFound => 404,
            Refusal::NotAllowed => 405,
            Refusal::TooSlow => 408,
            Refusal::BodyTooLarge => 413,
            Refusal::TargetTooLong => 414,
            Refusal::UpgradeRequired => 426,
            Refusal::HeadTooLarge => 431,
            Refusal::Broken => 500,
            Refusal::Unsupported => 501,
            Refusal::Full => 503,
            Refusal::Version => 505,
        }
    }

    /// For counters.
    pub const fn name(self) -> &'static str {
        match self {
            Refusal::Malformed => "malformed",
            Refusal::NotFound => "not_found",
            Refusal::NotAllowed => "not_allowed",
            Refusal::TooSlow => "too_slow",
            Refusal::BodyTooLarge => "body_too_large",
            Refusal::TargetTooLong => "target_too_long",
            Refusal::UpgradeRequired => "upgrade_required",
            Refusal::HeadTooLarge => "head_too_large",
            Refusal::Broken => "broken",
            Refusal::Unsupported => "unsupported",
            Refusal::Full => "full",
            Refusal::Version => "version",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_stands_at_its_own_number() {
        for (number, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, number);
        }
    }
}
