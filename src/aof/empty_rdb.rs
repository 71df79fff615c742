//! Recognises an RDB file without a key: the base that Redis writes when it starts on nothing.
//!
//! ```text
//! "REDIS" version (4 digits) │ FA name value … │ FF │ checksum (8)
//! ```
//! Each name and value is a string: its length in one or two bytes, or an integer of one, two
//! or four bytes behind a head byte. Whatever else stands there means data, or something that
//! only the RDB room will understand.

/// Whether the bytes are a whole RDB file that holds nothing.
pub fn is_empty_rdb(bytes: &[u8]) -> bool {
    let Some(version) = bytes
        .strip_prefix(b"REDIS")
        .and_then(|b| b.first_chunk::<4>())
    else {
        return false;
    };
    let mut rest = &bytes[9..];
    while version.iter().all(u8::is_ascii_digit) {
        match rest.split_first() {
            Some((0xfa, strings)) => match skip_string(strings).and_then(skip_string) {
                Some(after) => rest = after,
                None => return false,
            },
            Some((0xff, checksum)) => return checksum.len() == 8,
            _ => return false,
        }
    }
    false
}

fn skip_string(bytes: &[u8]) -> Option<&[u8]> {
    let (head, rest) = bytes.split_first()?;
    let (len, rest) = match (head >> 6, head & 0x3f) {
        (0, low) => (usize::from(low), rest),
        (1, low) => {
            let (next, rest) = rest.split_first()?;
            (usize::from(low) << 8 | usize::from(*next), rest)
        }
        (3, low @ 0..=2) => (1 << low, rest),
        _ => return None,
    };
    rest.get(len..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_file_without_data_is_empty() {
        let head = b"REDIS0012\xfa\x09redis-ver\x058.2.3\xfa\x0aredis-bits\xc0\x40\
                     \xfa\x05ctime\xc2\x01\x02\x03\x04";
        let empty = [&head[..], b"\xff12345678"].concat();
        assert!(is_empty_rdb(&empty));
        for cut in 0..empty.len() {
            assert!(!is_empty_rdb(&empty[..cut]), "{cut}");
        }
        let full = [&head[..], b"\xfe\x00\xfb\x01\x00\x00\x01a\x01b\xff12345678"].concat();
        assert!(!is_empty_rdb(&full));
        assert!(!is_empty_rdb(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"));
    }
}
