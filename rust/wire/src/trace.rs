//! Which trace a request belongs to: W3C trace context, or B3 in one field or several.
//!
//! Theory: what a client says of its trace is a claim that costs it nothing, so it is read by the
//! letter. A `traceparent` that is malformed in any way, or there twice, is none, and a new trace
//! begins (W3C Trace Context section 3.2.4); B3 is then not asked either. A `tracestate` with one
//! wrong member is dropped whole (section 3.3.1), and the trace goes on without it.
//!
//! B3: github.com/openzipkin/b3-propagation. A sampling state may come without ids.

/// Members of a `tracestate` (W3C Trace Context section 3.3.1.1).
const MOST_MEMBERS: usize = 32;
/// Octets of `baggage` (W3C Baggage section 3.3.2: at least 8,192).
const MOST_BAGGAGE: usize = 8192;

/// Who asked: the caller's span, and what it has decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parent {
    /// Never 0.
    pub trace: u128,
    /// Never 0.
    pub span: u64,
    /// `None`: it left the decision to us (B3).
    pub sampled: Option<bool>,
    /// Its trace id is as random as ours (W3C Trace Context Level 2, section 3.2.2.5.2).
    pub random: bool,
}

/// What a request carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// `None`: a new trace begins.
    pub parent: Option<Parent>,
    /// A decision without a parent (`b3: 0`).
    pub sampled: Option<bool>,
    /// Checked, its lines joined; empty where there is none.
    pub state: String,
    /// Joined, cut at a member where it is too long; empty where there is none.
    pub baggage: String,
}

/// The fields of B3, as they come.
#[derive(Default)]
struct B3<'a> {
    single: Option<&'a [u8]>,
    trace: Option<&'a [u8]>,
    span: Option<&'a [u8]>,
    sampled: Option<&'a [u8]>,
    flags: Option<&'a [u8]>,
}

/// Whether a field of that name says anything of a trace; to be asked of every field, so the
/// length comes first.
pub fn is_ours(name: &[u8]) -> bool {
    let among = |known: &[&[u8]]| known.iter().any(|known| name.eq_ignore_ascii_case(known));
    match name.len() {
        2 => among(&[b"b3"]),
        7 => among(&[b"baggage"]),
        10 => among(&[b"tracestate", b"x-b3-flags"]),
        11 => among(&[b"traceparent", b"x-b3-spanid"]),
        12 => among(&[b"x-b3-traceid", b"x-b3-sampled"]),
        _ => false,
    }
}

/// Reads the fields of a head, names in any case.
pub fn read<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Carried {
    let (mut parents, mut parent) = (0, None);
    let (mut states, mut baggage, mut b3, mut any_b3) = (vec![], vec![], B3::default(), false);
    for (name, value) in fields {
        let value = value.trim_ascii();
        // Most fields are none of these: their length alone says so.
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            2 if is(b"b3") => (b3.single, any_b3) = (Some(value), true),
            7 if is(b"baggage") => baggage.push(value),
            10 if is(b"tracestate") => states.push(value),
            10 if is(b"x-b3-flags") => (b3.flags, any_b3) = (Some(value), true),
            11 if is(b"traceparent") => (parents, parent) = (parents + 1, Some(value)),
            11 if is(b"x-b3-spanid") => (b3.span, any_b3) = (Some(value), true),
            12 if is(b"x-b3-traceid") => (b3.trace, any_b3) = (Some(value), true),
            12 if is(b"x-b3-sampled") => (b3.sampled, any_b3) = (Some(value), true),
            _ => {}
        }
    }
    let mut found = Carried { baggage: joined(&baggage), ..Carried::default() };
    if let (Some(value), 1) = (parent, parents) {
        found.parent = traceparent(value);
    } else if parents == 0 && any_b3 {
        (found.parent, found.sampled) = b3.read();
    }
    if found.parent.is_some() && parents == 1 && !states.is_empty() {
        found.state = tracestate(&states).unwrap_or_default();
    }
    found
}

/// `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01` (section 3.2.2).
pub fn traceparent(value: &[u8]) -> Option<Parent> {
    const LENGTH: usize = 55;
    let (head, rest) = value.split_at_checked(LENGTH)?;
    let version = hex(&head[..2])?;
    // A later version may have more behind another dash; of this one that is all (3.2.4).
    let is_whole = match version {
        0 => rest.is_empty(),
        0xff => false,
        _ => rest.first().is_none_or(|&octet| octet == b'-'),
    };
    if !is_whole || [2, 35, 52].iter().any(|&at| head[at] != b'-') {
        return None;
    }
    let flags = hex(&head[53..])?;
    made(hex(&head[3..35])?, hex(&head[36..52])?, Some(flags & 1 != 0), flags & 2 != 0)
}

fn made(trace: u128, span: u128, sampled: Option<bool>, random: bool) -> Option<Parent> {
    let span = u64::try_from(span).ok()?;
    (trace != 0 && span != 0).then_some(Parent { trace, span, sampled, random })
}

/// Lower case alone: another spelling is malformed (section 3.2.2.3, B3: "lower-hex").
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |sum, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(sum << 4 | u128::from(value))
    })
}

impl B3<'_> {
    /// The parent, or else a decision without one.
    fn read(&self) -> (Option<Parent>, Option<bool>) {
        if let Some(value) = self.single {
            return single(value);
        }
        let debug = self.flags == Some(b"1");
        let sampled = match self.sampled {
            _ if debug => Some(true),
            // Early tracers wrote words (b3-propagation, "Sampling State").
            Some(b"1" | b"true") => Some(true),
            Some(b"0" | b"false") => Some(false),
            _ => None,
        };
        match (self.trace, self.span) {
            (None, None) => (None, sampled),
            (Some(trace), Some(span)) => (ids(trace, span, sampled), None),
            _ => (None, None),
        }
    }
}

/// `{trace}-{span}`, `-{state}` and `-{parent}` behind it if need be; or the state alone.
fn single(value: &[u8]) -> (Option<Parent>, Option<bool>) {
    if let Some(decision) = decision(value) {
        return (None, Some(decision));
    }
    let mut parts = value.split(|&octet| octet == b'-');
    let (Some(trace), Some(span)) = (parts.next(), parts.next()) else { return (None, None) };
    let (state, above, more) = (parts.next(), parts.next(), parts.next());
    let sampled = match state.map(decision) {
        Some(None) => return (None, None),
        Some(decided) => decided,
        None => None,
    };
    let is_above = above.is_none_or(|above| above.len() == 16 && hex(above).is_some());
    let parent = ids(trace, span, sampled).filter(|_| is_above && more.is_none());
    (parent, None)
}

fn decision(state: &[u8]) -> Option<bool> {
    match state {
        b"1" | b"d" => Some(true),
        b"0" => Some(false),
        _ => None,
    }
}

/// A trace id of 64 bits is the lower half of ours.
fn ids(trace: &[u8], span: &[u8], sampled: Option<bool>) -> Option<Parent> {
    let fits = matches!(trace.len(), 16 | 32) && span.len() == 16;
    if !fits {
        return None;
    }
    made(hex(trace)?, hex(span)?, sampled, false)
}

/// The members of all lines; `None` where one of them is wrong, or too much.
fn tracestate(lines: &[&[u8]]) -> Option<String> {
    let mut members: Vec<(&[u8], &[u8])> = vec![];
    for member in lines.iter().flat_map(|line| line.split(|&octet| octet == b',')) {
        let member = member.trim_ascii();
        if member.is_empty() {
            continue; // Section 3.3.1.1 allows it.
        }
        let at = member.iter().position(|&octet| octet == b'=')?;
        let (key, value) = (&member[..at], &member[at + 1..]);
        if members.len() == MOST_MEMBERS || !is_key(key) || !is_value(value) {
            return None;
        }
        // The leftmost is the newest (section 3.3.1.3).
        if !members.iter().any(|(known, _)| *known == key) {
            members.push((key, value));
        }
    }
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let pairs = members.iter().map(|(key, value)| format!("{}={}", text(key), text(value)));
    Some(pairs.collect::<Vec<_>>().join(","))
}

/// Level 2, section 3.3.1.3.1; Level 1 allowed a subset.
fn is_key(key: &[u8]) -> bool {
    let is_in = |octet: &u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9');
    let goes_on = |octet: &u8| is_in(octet) || b"_-*/@".contains(octet);
    key.len() <= 256 && key.first().is_some_and(is_in) && key.iter().all(goes_on)
}

/// Section 3.3.1.3.2.
fn is_value(value: &[u8]) -> bool {
    let is_in = |octet: &u8| matches!(octet, b' '..=b'~') && !matches!(octet, b',' | b'=');
    (1..=256).contains(&value.len()) && value.iter().all(is_in)
}

/// Baggage is carried as it is, in visible octets and up to its limit.
fn joined(lines: &[&[u8]]) -> String {
    let mut all = String::new();
    for member in lines.iter().flat_map(|line| line.split(|&octet| octet == b',')) {
        let member = member.trim_ascii();
        let is_plain = member.iter().all(|octet| matches!(octet, b' '..=b'~'));
        if member.is_empty() || !is_plain {
            continue;
        }
        if all.len() + member.len() + 1 > MOST_BAGGAGE {
            break;
        }
        if !all.is_empty() {
            all.push(',');
        }
        all.push_str(&String::from_utf8_lossy(member));
    }
    all
}

/// Ids that nobody else has: xoshiro256++ (Blackman and Vigna, prng.di.unimi.it), whose state is
/// as wide as two ids are, so that the streams of many workers do not meet.
#[derive(Clone, Debug)]
pub struct Ids([u64; 4]);

impl Ids {
    /// From a seed that is different in each process.
    pub fn new(seed: [u64; 4]) -> Self {
        let is_zero = seed == [0; 4];
        Ids(if is_zero { [1, 2, 3, 4] } else { seed })
    }

    fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Of a span; never 0.
    pub fn span(&mut self) -> u64 {
        self.next().max(1)
    }

    /// Of a trace; never 0.
    pub fn trace(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.span())
    }
}

/// Whether a trace that nobody has decided on is recorded: as `TraceIdRatioBased` of OpenTelemetry
/// does, so that every service with the same ratio, or a larger one, decides alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio(u128);

impl Ratio {
    /// From 0 to 1.
    pub fn new(share: f64) -> Self {
        // 2^64 is exact in a double, and so is the product.
        Ratio((share.clamp(0.0, 1.0) * 18_446_744_073_709_551_616.0) as u128)
    }

    /// By the 64 bits on the right of its id.
    pub fn takes(self, trace: u128) -> bool {
        trace & u128::from(u64::MAX) < self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_is_asked_for_by_name() {
        let read_by = |name: &str| {
            let b3 = [("x-b3-traceid", "1234567890123456"), ("x-b3-spanid", "1234567890123456")];
            let fields: Vec<_> = match name {
                "b3" => vec![("b3", "0")],
                "baggage" => vec![("baggage", "a=b")],
                "tracestate" => vec![("traceparent", W3C), ("tracestate", "a=b")],
                "traceparent" => vec![("traceparent", W3C)],
                "x-b3-sampled" | "x-b3-flags" => vec![(name, "1")],
                _ => b3.to_vec(),
            };
            let without: Vec<_> = fields.iter().copied().filter(|it| it.0 != name).collect();
            of(&fields) != of(&without)
        };
        for name in [
            "b3",
            "baggage",
            "tracestate",
            "x-b3-flags",
            "traceparent",
            "x-b3-spanid",
            "x-b3-traceid",
            "x-b3-sampled",
        ] {
            assert!(is_ours(name.as_bytes()) && read_by(name), "{name}");
            assert!(is_ours(name.to_uppercase().as_bytes()), "{name}");
        }
        assert!(!is_ours(b"host") && !is_ours(b"user-agent") && !is_ours(b"connection"));
    }

    const TRACE: u128 = 0x1234_5678_9012_3456_7890_1234_5678_9012;
    const SPAN: u64 = 0x1234_5678_9012_3456;
    const W3C: &str = "00-12345678901234567890123456789012-1234567890123456-01";

    fn of(fields: &[(&str, &str)]) -> Carried {
        read(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
    }

    fn told(sampled: Option<bool>) -> Parent {
        Parent { trace: TRACE, span: SPAN, sampled, random: false }
    }

    #[test]
    fn nothing_is_carried() {
        assert_eq!(of(&[("host", "a"), ("tracestate", "a=1")]), Carried::default());
    }

    #[test]
    fn w3c_wins_over_b3_even_when_it_is_malformed() {
        let b3 = "12345678901234567890123456789012-1234567890123456-0";
        assert_eq!(of(&[("b3", b3), ("TraceParent", W3C)]).parent, Some(told(Some(true))));
        assert_eq!(of(&[("b3", b3), ("traceparent", "00-1")]).parent, None);
        assert_eq!(of(&[("traceparent", W3C), ("traceparent", W3C)]).parent, None);
    }

    #[test]
    fn b3_in_one_field() {
        let ids = "12345678901234567890123456789012-1234567890123456";
        let one = |value: &str| of(&[("b3", value)]);
        assert_eq!(one(ids).parent, Some(told(None)));
        assert_eq!(one(&format!("{ids}-1")).parent, Some(told(Some(true))));
        assert_eq!(one(&format!("{ids}-d-1234567890123456")).parent, Some(told(Some(true))));
        assert_eq!(one(&format!("{ids}-0")).parent, Some(told(Some(false))));
        assert_eq!(one("0").sampled, Some(false));
        assert_eq!(one("d").sampled, Some(true));
        let short = one("1234567890123456-1234567890123456-1").parent.unwrap();
        assert_eq!(short.trace, 0x1234_5678_9012_3456);
        for wrong in ["", "-", "2", &format!("{ids}-"), &format!("{ids}-x"), &ids[1..]] {
            assert_eq!(one(wrong), Carried::default(), "{wrong}");
        }
        for wrong in [format!("{ids}-1-12"), format!("{ids}-1-1234567890123456-1")] {
            assert_eq!(one(&wrong), Carried::default(), "{wrong}");
        }
    }

    #[test]
    fn b3_in_several_fields() {
        let ids = [("X-B3-TraceId", &W3C[3..35]), ("X-B3-SpanId", "1234567890123456")];
        let with = |name, value| of(&[ids[0], ids[1], (name, value)]).parent;
        assert_eq!(of(&ids).parent, Some(told(None)));
        assert_eq!(with("x-b3-sampled", "1"), Some(told(Some(true))));
        assert_eq!(with("x-b3-sampled", "false"), Some(told(Some(false))));
        assert_eq!(with("x-b3-flags", "1"), Some(told(Some(true))));
        assert_eq!(of(&[("x-b3-sampled", "0")]).sampled, Some(false));
        assert_eq!(of(&ids[..1]), Carried::default());
    }

    #[test]
    fn tracestate_only_beside_a_traceparent() {
        let state = |lines: &[&str]| {
            let mut fields = vec![("traceparent", W3C)];
            fields.extend(lines.iter().map(|line| ("tracestate", *line)));
            of(&fields).state
        };
        assert_eq!(state(&["a=1, ,b@c=2 ", "", "0d=x y", "a=2"]), "a=1,b@c=2,0d=x y");
        for wrong in ["A=1", "a", "a=", "=1", "a=b=c", "@a=1", "a =1", "a=\u{1}"] {
            assert_eq!(state(&[wrong]), "", "{wrong}");
        }
        assert_eq!(of(&[("b3", "1"), ("tracestate", "a=1")]).state, "");
    }

    #[test]
    fn baggage_is_cut_at_a_member() {
        let long = "x".repeat(5000);
        assert_eq!(of(&[("baggage", "a=1 , b=2;p"), ("Baggage", "c=3")]).baggage, "a=1,b=2;p,c=3");
        assert_eq!(of(&[("baggage", &long), ("baggage", &long)]).baggage, long);
        assert_eq!(of(&[("baggage", "a=\u{fc},b=2")]).baggage, "b=2");
    }

    #[test]
    fn the_ratio_is_open_telemetrys() {
        assert!(!Ratio::new(0.0).takes(u128::MAX << 64));
        assert!(Ratio::new(1.0).takes(u128::MAX));
        assert!(Ratio::new(0.5).takes(u128::from(u64::MAX >> 1)));
        assert!(!Ratio::new(0.5).takes(1 << 63));
    }

    #[test]
    fn ids_are_never_zero_and_differ() {
        let mut ids = Ids::new([0; 4]);
        let mut seen: Vec<_> = (0..1000).map(|_| ids.trace()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 1000);
        assert!(seen[0] > 0);
    }
}
