//! Commands: an array of strings each.

/// Begins a command of so many words.
pub fn command(out: &mut Vec<u8>, words: usize) {
    head(out, b'*', words);
}

/// One word of it.
pub fn bulk(out: &mut Vec<u8>, octets: &[u8]) {
    head(out, b'$', octets.len());
    out.extend_from_slice(octets);
    out.extend_from_slice(b"\r\n");
}

/// One word that is a whole number.
pub fn number(out: &mut Vec<u8>, value: i64) {
    bulk(out, itoa::Buffer::new().format(value).as_bytes());
}

fn head(out: &mut Vec<u8>, kind: u8, count: usize) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_array_of_strings() {
        let mut out = vec![];
        command(&mut out, 3);
        bulk(&mut out, b"SET");
        bulk(&mut out, b"");
        number(&mut out, -12);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$3\r\n-12\r\n");
    }
}
