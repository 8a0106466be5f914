//! The fields of a query string, as the WHATWG URL standard parses
//! `application/x-www-form-urlencoded`: `&` alone separates, `+` is a space.
use crate::percent;
use std::borrow::Cow;

/// The last value of the fields named `name`, decoded; `None` where there is no such field.
///
/// It is looked for in the query as it is: a handler asks for a few names, and a map of all of
/// them would cost more than the fields.
pub fn last<'a>(query: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    let items = query.rsplit(|&byte| byte == b'&').filter(|item| !item.is_empty());
    let mut fields = items.map(|item| {
        let end = item.iter().position(|&byte| byte == b'=').unwrap_or(item.len());
        (&item[..end], item.get(end + 1..).unwrap_or_default())
    });
    let is = |known: &[u8]| {
        if is_plain(known) { known == name.as_bytes() } else { decode(known) == name }
    };
    fields.find(|(known, _)| is(known)).map(|(_, value)| decode(value))
}

fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|&byte| byte != b'%' && byte != b'+' && byte.is_ascii())
}

fn decode(text: &[u8]) -> Cow<'_, str> {
    let lossy = String::from_utf8_lossy(text);
    if is_plain(text) {
        return lossy;
    }
    Cow::Owned(percent::decode(lossy.replace('+', " ").as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::last;

    #[test]
    fn the_last_of_a_name_counts_and_an_empty_value_is_one() {
        assert_eq!(last(b"a=1&b=2&a=3", "a").unwrap(), "3");
        assert_eq!(last(b"a=1&a", "a").unwrap(), "");
        assert_eq!(last(b"&&a=b=c&", "a").unwrap(), "b=c");
        assert_eq!(last(b"=x", "").unwrap(), "x");
        assert_eq!(last(b"a=1", "b"), None);
        assert_eq!(last(b"", ""), None);
        assert_eq!(last(b"&", ""), None);
    }

    #[test]
    fn names_and_values_are_decoded() {
        assert_eq!(last(b"%61=a+b%2Bc", "a").unwrap(), "a b+c");
        assert_eq!(last(b"a+b=%", "a b").unwrap(), "%");
        assert_eq!(last(b"a+b=1", "a+b"), None);
        assert_eq!(last(b"%c3%a9=%ff", "é").unwrap(), "\u{fffd}");
        assert_eq!(last(b"\xc3\xa9=\xff%e9", "é").unwrap(), "\u{fffd}\u{fffd}");
        assert_eq!(last(b"a%26b=1%3D", "a&b").unwrap(), "1=");
    }
}
