//! The headers that say where a request comes from.
#![no_main]

use jwtauth::{Origin, OriginPolicy, RequestHeaders};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let (origin, site, trusted) = (lines.next(), lines.next(), lines.next());
    let own = || Origin::parse("https://own.example");
    let policy = OriginPolicy::new(["https://trusted.example", "https://*.wild.example"]);
    for websocket in [false, true] {
        let request = RequestHeaders { method: "POST", websocket, sec_fetch_site: site, origin };
        if policy.check(request, own).is_ok() && (websocket || site.is_none()) {
            let passed = origin.is_none() && !websocket;
            let known = origin.and_then(Origin::parse).is_some_and(|origin| Some(origin) == own());
            let listed = origin.is_some_and(|origin| {
                let origin = origin.to_ascii_lowercase();
                origin.starts_with("https://") && (origin.contains("trusted.example") || origin.contains("wild.example"))
            });
            assert!(passed || known || listed, "{request:?}");
        }
    }
    let _ = OriginPolicy::new(trusted);
});
