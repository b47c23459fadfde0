//! Fuzzes the `Cookie` fields and the headers that give the length of a body.
#![no_main]

use jwtauth::{Head, HttpVersion, cookie_pairs};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for (name, value) in cookie_pairs(data) {
        assert!(!name.contains(&b';') && !name.contains(&b'=') && !value.contains(&b';'));
        assert!(!matches!(name, [b' ' | b'\t', ..] | [.., b' ' | b'\t']));
        assert!(name.is_empty() || data.windows(name.len()).any(|window| window == name));
    }
    let (first, second) = data.split_at(data.len() / 2);
    let joined = [first, second].join(&b"; "[..]);
    assert!(
        cookie_pairs(first).chain(cookie_pairs(second)).eq(cookie_pairs(&joined)),
        "two fields must be read as one list"
    );

    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let (method, length, encoding) = (lines.next().unwrap_or_default(), lines.next(), lines.next());
    for version in [HttpVersion::Http1, HttpVersion::Http2, HttpVersion::Http3] {
        let mut head = Head::new(method);
        (head.version, head.content_length, head.transfer_encoding) = (version, length, encoding);
        let carries_content = ["POST", "PUT", "PATCH"].contains(&method);
        assert!(carries_content || !head.is_upload());
        head.transfer_encoding = None;
        let digits = length.filter(|length| !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some(digits) = digits {
            let is_long = digits.parse().map_or(true, |length: u64| length > 65_536);
            assert_eq!(head.is_upload(), carries_content && is_long);
        }
        head.content_length = None;
        assert_eq!(head.is_upload(), carries_content && version != HttpVersion::Http1);
    }
    HttpVersion::parse(&text);
});
