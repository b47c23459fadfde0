//! Fuzzes the headers that tell the origin of a request.
#![no_main]

use jwtauth::{Head, Origin, OriginPolicy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let (origin, site, trusted) = (lines.next(), lines.next(), lines.next());
    let own = || "https://own.example".parse::<Origin>().ok();
    let policy =
        OriginPolicy::new(["https://trusted.example", "https://*.wild.example"]).expect("both entries are valid");
    for upgrade in [None, Some("websocket")] {
        let mut head = Head::new("POST");
        (head.origin, head.sec_fetch_site, head.upgrade) = (origin, site, upgrade);
        if policy.check(&head, own).is_ok() && (upgrade.is_some() || site.is_none()) {
            let passed = origin.is_none() && upgrade.is_none();
            let known = origin.is_some_and(|origin| origin.parse().ok() == own());
            let listed = origin.is_some_and(|origin| {
                let origin = origin.to_ascii_lowercase();
                origin.starts_with("https://")
                    && (origin.contains("trusted.example") || origin.contains("wild.example"))
            });
            assert!(passed || known || listed, "{head:?}");
        }
    }
    // An entry is refused, or matches the host that it names.
    if let Some((entry, Ok(policy))) = trusted.map(|entry| (entry, OriginPolicy::new([entry]))) {
        let host = entry.replacen("://*.", "://", 1);
        let mut head = Head::new("POST");
        (head.origin, head.sec_fetch_site) = (Some(host.as_str()), Some("cross-site"));
        assert_eq!(policy.check(&head, || None), Ok(()), "{entry}");
    }
});
