//! Who a request came from, as proxies tell it: X-Forwarded-For, or Forwarded (RFC 7239).
//!
//! Theory: each proxy adds the address that it was asked from at the right. So what is said is as
//! good as who said it: from the right, every address that is itself a trusted proxy may be looked
//! behind, and the first that is not is the client. What a client has written itself lies to the
//! left of that, and is never reached.
use std::net::{IpAddr, SocketAddr};

/// Which field the proxies write; the other one is the client's, so nobody reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Told {
    /// X-Forwarded-For and X-Forwarded-Proto.
    #[default]
    ByX,
    /// Forwarded.
    ByForwarded,
}

/// What the proxies say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The client's address; its port is 0 where nobody says it.
    pub client: Option<SocketAddr>,
    /// Whether it came by https; `None` where nobody says it.
    pub secure: Option<bool>,
}

/// An address range: `10.0.0.0/8`, `::1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: u128,
    mask: u128,
    v4: bool,
}

impl Network {
    /// `None` for what is none, or has bits behind its prefix.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let (base, width, v4) = bits(address.parse().ok()?);
        let length = length.unwrap_or(width);
        let mask = match width.checked_sub(length)? {
            128 => 0,
            shift => u128::MAX << shift,
        };
        (base & !mask == 0).then_some(Network { base, mask, v4 })
    }

    /// Whether the address is in it; one of IPv4 in an IPv6 spelling counts as IPv4.
    pub fn holds(&self, address: IpAddr) -> bool {
        let (bits, _, v4) = bits(address.to_canonical());
        v4 == self.v4 && bits & self.mask == self.base
    }
}

fn bits(address: IpAddr) -> (u128, u32, bool) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32, true),
        IpAddr::V6(address) => (u128::from(address), 128, false),
    }
}

/// What the header fields say to someone who trusts these networks, of which the peer is one.
pub fn origin<'a>(
    told: Told,
    trusted: &[Network],
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Origin {
    let (mut elements, mut scheme) = (vec![], None);
    for (name, value) in fields {
        match told {
            Told::ByX if name.eq_ignore_ascii_case(b"x-forwarded-for") => {
                split(value, &mut elements);
            }
            Told::ByX if name.eq_ignore_ascii_case(b"x-forwarded-proto") => scheme = Some(value),
            Told::ByForwarded if name.eq_ignore_ascii_case(b"forwarded") => {
                split(value, &mut elements);
            }
            _ => {}
        }
    }
    let mut found = Origin { client: None, secure: scheme.and_then(last_scheme) };
    for element in elements.into_iter().rev() {
        let (node, scheme) = match told {
            Told::ByX => (element, None),
            Told::ByForwarded => (pair(element, b"for"), Some(pair(element, b"proto"))),
        };
        let Some(client) = address(node) else { return found };
        found.client = Some(client);
        found.secure = scheme.map_or(found.secure, is_secure);
        if !trusted.iter().any(|network| network.holds(client.ip())) {
            return found;
        }
    }
    found
}

/// At commas outside of quotes.
fn split<'a>(value: &'a [u8], into: &mut Vec<&'a [u8]>) {
    let (mut quoted, mut escaped) = (false, false);
    let parts = value.split(|&byte| {
        let comma = byte == b',' && !quoted;
        quoted ^= byte == b'"' && !escaped;
        escaped = byte == b'\\' && quoted && !escaped;
        comma
    });
    into.extend(parts.map(<[u8]>::trim_ascii));
}

fn last_scheme(value: &[u8]) -> Option<bool> {
    is_secure(value.rsplit(|&byte| byte == b',').next()?.trim_ascii())
}

fn is_secure(scheme: &[u8]) -> Option<bool> {
    match scheme.to_ascii_lowercase().as_slice() {
        b"https" | b"wss" => Some(true),
        b"http" | b"ws" => Some(false),
        _ => None,
    }
}

/// The value of a pair in an element of Forwarded, without its quotes; empty where there is none.
fn pair<'a>(element: &'a [u8], name: &[u8]) -> &'a [u8] {
    for item in element.split(|&byte| byte == b';') {
        let mut halves = item.trim_ascii().splitn(2, |&byte| byte == b'=');
        if halves.next().is_some_and(|known| known.eq_ignore_ascii_case(name)) {
            let value = halves.next().unwrap_or_default();
            let inner = value.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\""));
            return inner.unwrap_or(value);
        }
    }
    b""
}

/// `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]`, `[::1]:80`; `None` for `unknown` and hidden names.
fn address(node: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(node).ok()?;
    if let Ok(both) = text.parse::<SocketAddr>() {
        return Some(both);
    }
    let bare = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text);
    Some(SocketAddr::new(bare.parse().ok()?, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(told: Told, fields: &[(&str, &str)]) -> (Option<String>, Option<bool>) {
        let trusted = ["10.0.0.0/8", "::1"].map(|text| Network::parse(text).unwrap());
        let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let origin = origin(told, &trusted, fields);
        (origin.client.map(|client| client.to_string()), origin.secure)
    }

    fn by_x(value: &str) -> Option<String> {
        told(Told::ByX, &[("X-Forwarded-For", value), ("forwarded", "for=6.6.6.6")]).0
    }

    fn by_forwarded(value: &str) -> Option<String> {
        told(Told::ByForwarded, &[("Forwarded", value), ("x-forwarded-for", "6.6.6.6")]).0
    }

    #[test]
    fn the_last_that_is_no_proxy_of_ours_is_the_client() {
        assert_eq!(by_x("1.2.3.4").unwrap(), "1.2.3.4:0");
        assert_eq!(by_x("6.6.6.6, 1.2.3.4, 10.0.0.9,::1").unwrap(), "1.2.3.4:0");
        assert_eq!(by_x("10.0.0.1, 10.0.0.2").unwrap(), "10.0.0.1:0");
        assert_eq!(by_x("1.2.3.4:99, [::1]:4").unwrap(), "1.2.3.4:99");
        assert_eq!(by_x("2001:db8::7").unwrap(), "[2001:db8::7]:0");
    }

    #[test]
    fn what_is_no_address_ends_the_search() {
        assert_eq!(by_x("6.6.6.6, unknown, 10.0.0.9").unwrap(), "10.0.0.9:0");
        assert_eq!(by_x("6.6.6.6, "), None);
        assert_eq!(by_x(""), None);
        assert_eq!(by_forwarded("for=6.6.6.6, for=_hidden"), None);
    }

    #[test]
    fn forwarded_has_quotes_ports_and_schemes() {
        let value = "for=6.6.6.6, For=\"[2001:db8::7]:4711\";by=\"a,b\";proto=HTTPS, for=10.1.1.1";
        assert_eq!(by_forwarded(value).unwrap(), "[2001:db8::7]:4711");
        let fields = [("forwarded", "for=1.1.1.1;proto=https"), ("forwarded", "for=10.0.0.1")];
        assert_eq!(told(Told::ByForwarded, &fields), (Some("1.1.1.1:0".into()), Some(true)));
    }

    #[test]
    fn the_scheme_is_the_last_proxys() {
        let scheme = |value| told(Told::ByX, &[("X-Forwarded-Proto", value)]).1;
        assert_eq!(scheme("https"), Some(true));
        assert_eq!(scheme("https, http"), Some(false));
        assert_eq!(scheme("gopher"), None);
    }

    #[test]
    fn networks() {
        let holds = |network: &str, address: &str| {
            Network::parse(network).unwrap().holds(address.parse().unwrap())
        };
        assert!(holds("10.0.0.0/8", "10.255.0.1"));
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("::/0", "2001:db8::1"));
        assert!(!holds("::/0", "1.2.3.4"));
        assert!(holds("192.168.1.7", "192.168.1.7"));
        for wrong in ["10.0.0.1/8", "10.0.0.0/33", "a", "10.0.0.0/-1", "/8", ""] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }
}
