//! The `Cookie` header, and the headers that say how long a body is.
#![no_main]

use jwtauth::{cookie_values, is_upload};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (name, header) = text.split_once('\n').unwrap_or(("access_token", &text));
    let values: Vec<_> = cookie_values(header, name).collect();
    assert!(values.iter().all(|value| header.contains(value) && !value.contains(';')));
    assert!(values.is_empty() || header.contains(name));
    let length = header.trim().parse::<u64>();
    if length.is_ok_and(|length| length <= 64 * 1024) && header.bytes().all(|byte| byte.is_ascii_digit()) {
        assert!(!is_upload(Some(header), None));
    }
    is_upload(Some(header), Some(name));
});
