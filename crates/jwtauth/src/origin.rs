//! Protection against cross-site request forgery: decides whether a request may use cookies, by Fetch Metadata, or by
//! `Origin` (RFC 6454) in requests without it.
//!
//! The rules follow Go 1.25's `net/http.CrossOriginProtection` and tower-http's `csrf`. In addition, the scheme counts,
//! and the origin of WebSocket handshakes is checked. No CSRF token is needed.

use std::str::FromStr;

use http::uri::{Authority, Scheme};

use crate::Head;

/// Scheme, host and port (RFC 6454 §4). A missing port is the default port of the scheme.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

/// The text is not a valid [`Origin`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an origin must be a scheme and a host, such as \"https://example.com\" or \"http://localhost:8000\"")]
#[non_exhaustive]
pub struct InvalidOrigin;

impl FromStr for Origin {
    type Err = InvalidOrigin;

    /// Parse `scheme://host[:port]` and nothing more: a path, a user name and `null` are refused.
    fn from_str(origin: &str) -> Result<Self, InvalidOrigin> {
        let (scheme, authority) = origin.split_once("://").ok_or(InvalidOrigin)?;
        let scheme: Scheme = scheme.to_ascii_lowercase().parse().map_err(|_| InvalidOrigin)?;
        let authority: Authority = authority.parse().map_err(|_| InvalidOrigin)?;
        if scheme.as_str().is_empty() || authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(InvalidOrigin);
        }
        let port = match authority.port() {
            Some(port) => Some(port.as_u16()),
            // The parser accepts "host:" and ports over 65535 as an authority, but returns no port.
            None if authority.as_str().len() != authority.host().len() => return Err(InvalidOrigin),
            None => match scheme.as_str() {
                "http" => Some(80),
                "https" => Some(443),
                _ => None,
            },
        };
        Ok(Self { scheme: scheme.as_str().to_owned(), host: authority.host().to_ascii_lowercase(), port })
    }
}

/// An entry in the list of trusted origins: `https://example.com`, or `https://*.example.com` for that host and all of
/// its subdomains, as in Django's `CSRF_TRUSTED_ORIGINS`.
#[derive(Clone, Debug, Eq, PartialEq)]
struct TrustedOrigin {
    origin: Origin,
    subdomains: bool,
}

impl TrustedOrigin {
    fn parse(entry: &str) -> Option<Self> {
        let (origin, subdomains) = match entry.split_once("://*.") {
            Some((scheme, rest)) => (format!("{scheme}://{rest}").parse::<Origin>().ok()?, true),
            None => (entry.parse::<Origin>().ok()?, false),
        };
        // The parser accepts these as an authority, but no browser sends them in `Origin`: an asterisk elsewhere, an
        // empty label, port 0, and the schemes of WebSockets, whose handshakes send http or https (RFC 6455 §4.1).
        let host = origin.host.strip_suffix('.').unwrap_or(&origin.host);
        let is_sent = !host.contains('*')
            && host.split('.').all(|label| !label.is_empty())
            && origin.port != Some(0)
            && !matches!(origin.scheme.as_str(), "ws" | "wss");
        is_sent.then_some(Self { origin, subdomains })
    }

    fn covers(&self, origin: &Origin) -> bool {
        if self.origin.scheme != origin.scheme || self.origin.port != origin.port {
            return false;
        }
        self.origin.host == origin.host
            || (self.subdomains
                && origin.host.strip_suffix(&self.origin.host).is_some_and(|below| below.ends_with('.')))
    }
}

/// The origins, besides the site's own, that may make requests with cookies.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OriginPolicy {
    trusted: Vec<TrustedOrigin>,
}

impl OriginPolicy {
    /// Trust these origins: `https://example.com`, or `https://*.example.com` for that host and all of its subdomains.
    ///
    /// # Errors
    ///
    /// [`OriginPolicyError`]: an entry can never match, for example because it lacks a scheme or has a path.
    pub fn new<'a>(trusted: impl IntoIterator<Item = &'a str>) -> Result<Self, OriginPolicyError> {
        let parse = |entry| TrustedOrigin::parse(entry).ok_or_else(|| OriginPolicyError { entry: entry.to_owned() });
        Ok(Self { trusted: trusted.into_iter().map(parse).collect::<Result<_, _>>()? })
    }

    /// Decide whether a request may use cookies.
    ///
    /// `own` returns the origin that the request was sent to, if known. It is called only if the answer depends on it.
    ///
    /// | request | answer |
    /// | --- | --- |
    /// | WebSocket handshake | pass if `Origin` is the site's own or trusted |
    /// | `GET`, `HEAD`, `OPTIONS` | pass |
    /// | `Sec-Fetch-Site: same-origin` | pass, even with `Origin: null` |
    /// | `Sec-Fetch-Site: none` | pass if `Origin` is the site's own or trusted |
    /// | any other `Sec-Fetch-Site` | pass if `Origin` is trusted |
    /// | `Origin` without `Sec-Fetch-Site` | pass if `Origin` is the site's own or trusted |
    /// | neither header | pass: the client is not a browser |
    ///
    /// ```
    /// use jwtauth::{Head, OriginError, OriginPolicy};
    ///
    /// let policy = OriginPolicy::new(["https://*.example.com"])?;
    /// let own = || "https://example.org".parse().ok();
    /// let mut head = Head::new("POST");
    /// head.sec_fetch_site = Some("cross-site");
    /// head.origin = Some("https://app.example.com");
    /// assert_eq!(policy.check(&head, own), Ok(()));
    /// head.origin = Some("https://evil.example");
    /// assert_eq!(policy.check(&head, own), Err(OriginError::CrossSite));
    /// # Ok::<(), jwtauth::OriginPolicyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// An [`OriginError`] that names the row of the table.
    pub fn check(&self, head: &Head<'_>, own: impl FnOnce() -> Option<Origin>) -> Result<(), OriginError> {
        if head.is_websocket() {
            return allow(self.is_own_or_trusted(head.origin, own), OriginError::WebSocket);
        }
        if head.is_safe() {
            return Ok(());
        }
        match (head.sec_fetch_site, head.origin) {
            (Some("same-origin"), _) | (None, None) => Ok(()),
            // Firefox sends "none" with a POST from another site after a redirect without a referrer.
            (Some("none") | None, origin) => allow(self.is_own_or_trusted(origin, own), OriginError::ForeignOrigin),
            (Some(_), origin) => {
                let origin = origin.and_then(|origin| origin.parse().ok());
                allow(origin.is_some_and(|origin| self.is_trusted(&origin)), OriginError::CrossSite)
            }
        }
    }

    fn is_trusted(&self, origin: &Origin) -> bool {
        self.trusted.iter().any(|trusted| trusted.covers(origin))
    }

    fn is_own_or_trusted(&self, origin: Option<&str>, own: impl FnOnce() -> Option<Origin>) -> bool {
        origin
            .and_then(|origin| origin.parse().ok())
            .is_some_and(|origin| self.is_trusted(&origin) || own().as_ref() == Some(&origin))
    }
}

/// Why a request may not use cookies.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// A WebSocket handshake without an `Origin`, or with one that is neither the site's own nor trusted.
    #[error("WebSocket handshake from an origin that is not trusted")]
    WebSocket,
    /// `Sec-Fetch-Site` names another site or a sibling, and `Origin` is not trusted.
    #[error("request from another site")]
    CrossSite,
    /// `Sec-Fetch-Site` is absent or `none`, and `Origin` is neither the site's own nor trusted.
    #[error("origin does not match")]
    ForeignOrigin,
}

impl OriginError {
    /// Return the stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::WebSocket => "websocket_origin",
            Self::CrossSite => "cross_site",
            Self::ForeignOrigin => "foreign_origin",
        }
    }
}

/// A trusted origin that can never match.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{entry:?} can never match an origin: use a scheme and a host, such as \"https://example.com\" or \
     \"https://*.example.com\""
)]
pub struct OriginPolicyError {
    entry: String,
}

impl OriginPolicyError {
    /// Return the entry.
    pub fn entry(&self) -> &str {
        &self.entry
    }

    /// Return the stable name of this error.
    pub fn code(&self) -> &'static str {
        "trusted_origin"
    }
}

fn allow(allowed: bool, error: OriginError) -> Result<(), OriginError> {
    if allowed { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, test_runner::RngSeed};

    use super::*;

    const POST: Head<'_> = Head::new("POST");

    fn check(head: Head<'_>) -> Result<(), OriginError> {
        OriginPolicy::new(["https://trusted.example", "https://*.wild.example:8443"])
            .unwrap()
            .check(&head, || "https://own.example".parse().ok())
    }

    #[test]
    fn scheme_host_and_port_are_compared() {
        let own: Origin = "https://own.example".parse().unwrap();
        assert_eq!("https://OWN.example:443".parse(), Ok(own.clone()));
        assert_eq!("HTTPS://own.example".parse(), Ok(own.clone()));
        for other in ["http://own.example", "https://own.example:444", "https://a.own.example", "wss://own.example"] {
            assert_ne!(other.parse(), Ok(own.clone()), "{other}");
        }
        assert_eq!("http://own.example".parse::<Origin>(), "http://own.example:80".parse());
        assert_eq!("http://[::1]:8000".parse::<Origin>().unwrap().port, Some(8000));
    }

    #[test]
    fn texts_other_than_origins_are_refused() {
        let none = [
            "",
            "null",
            "own.example",
            "https://",
            "https://own.example/",
            "https://own.example/path",
            "https://user@own.example",
            "https://user@own.example:443",
            "https://:443",
            "https://own.example:",
            "https://own.example:65536",
            "https://own.example:x",
            "https://own.example https://other.example",
            "https://own.example, https://own.example",
            "https://é.example",
            "://own.example",
            "https:own.example",
            "https://own.example?q",
            "https://own.example#f",
        ];
        for text in none {
            assert_eq!(text.parse::<Origin>(), Err(InvalidOrigin), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(6454), failure_persistence: None, ..ProptestConfig::default()
        })]

        #[test]
        fn text_that_is_more_than_an_origin_is_refused(text in "(https?|wss?)://[-a-z0-9.:@\\[\\]/?#%*_ é]{0,12}|.*") {
            if text.parse::<Origin>().is_ok() {
                let (_, authority) = text.split_once("://").unwrap();
                prop_assert!(authority.is_ascii() && !authority.is_empty());
                prop_assert!(!authority.contains(['@', '/', '?', '#', ' ']), "{text}");
            }
        }
    }

    #[test]
    fn safe_methods_pass() {
        for method in ["GET", "HEAD", "OPTIONS"] {
            let foreign =
                Head { method, sec_fetch_site: Some("cross-site"), origin: Some("https://evil.example"), ..POST };
            assert_eq!(check(foreign), Ok(()));
        }
        for method in ["TRACE", "PUT", "DELETE", "PATCH", "get", ""] {
            let foreign = Head { method, sec_fetch_site: Some("cross-site"), ..POST };
            assert_eq!(check(foreign), Err(OriginError::CrossSite), "{method}");
        }
    }

    #[test]
    fn sec_fetch_site_same_origin_passes_with_any_origin() {
        for origin in [None, Some("null"), Some("https://own.example")] {
            assert_eq!(check(Head { sec_fetch_site: Some("same-origin"), origin, ..POST }), Ok(()));
        }
    }

    #[test]
    fn sec_fetch_site_none_passes_only_with_an_own_or_trusted_origin() {
        let from = |origin| check(Head { sec_fetch_site: Some("none"), origin, ..POST });
        for known in ["https://own.example", "https://trusted.example", "https://a.wild.example:8443"] {
            assert_eq!(from(Some(known)), Ok(()), "{known}");
        }
        for other in [None, Some("null"), Some(""), Some("https://evil.example"), Some("http://own.example")] {
            assert_eq!(from(other), Err(OriginError::ForeignOrigin), "{other:?}");
        }
    }

    #[test]
    fn other_sites_pass_only_with_a_trusted_origin() {
        for site in ["same-site", "cross-site", "", "same-origin, same-origin", "same-origin,cross-site", "Same-Origin"]
        {
            let from = |origin| check(Head { sec_fetch_site: Some(site), origin, ..POST });
            for refused in [None, Some("null"), Some("https://own.example"), Some("https://evil.example")] {
                assert_eq!(from(refused), Err(OriginError::CrossSite), "{site} {refused:?}");
            }
            assert_eq!(from(Some("https://trusted.example")), Ok(()));
        }
    }

    #[test]
    fn without_fetch_metadata_the_origin_must_be_own_or_trusted() {
        let from = |origin| check(Head { origin: Some(origin), ..POST });
        for own in ["https://own.example", "https://own.example:443", "https://trusted.example"] {
            assert_eq!(from(own), Ok(()));
        }
        for other in ["null", "http://own.example", "https://own.example:8443", "https://evil.example", ""] {
            assert_eq!(from(other), Err(OriginError::ForeignOrigin), "{other}");
        }
        assert_eq!(check(POST), Ok(()));
    }

    #[test]
    fn wildcards_match_subdomains_with_the_same_scheme_and_port() {
        let from = |origin| check(Head { origin: Some(origin), ..POST });
        for covered in ["https://wild.example:8443", "https://a.wild.example:8443", "https://a.b.wild.example:8443"] {
            assert_eq!(from(covered), Ok(()), "{covered}");
        }
        for other in ["https://a.wild.example", "http://a.wild.example:8443", "https://evilwild.example:8443"] {
            assert_eq!(from(other), Err(OriginError::ForeignOrigin), "{other}");
        }
    }

    #[test]
    fn websocket_handshake_needs_an_own_or_trusted_origin() {
        let from = |origin| {
            check(Head {
                method: "GET",
                upgrade: Some("websocket"),
                sec_fetch_site: Some("same-origin"),
                origin,
                ..POST
            })
        };
        assert_eq!(from(Some("https://own.example")), Ok(()));
        assert_eq!(from(Some("https://trusted.example")), Ok(()));
        for refused in [None, Some("null"), Some("https://evil.example"), Some("http://own.example")] {
            assert_eq!(from(refused), Err(OriginError::WebSocket));
        }
    }

    #[test]
    fn own_origin_is_called_only_if_the_answer_depends_on_it() {
        let policy = OriginPolicy::new(["https://trusted.example"]).unwrap();
        let cases = [
            Head { method: "GET", ..POST },
            POST,
            Head { sec_fetch_site: Some("same-origin"), ..POST },
            Head { origin: Some("https://trusted.example"), ..POST },
        ];
        for case in cases {
            assert_eq!(policy.check(&case, || panic!("called for {case:?}")), Ok(()));
        }
        let unknown = Head { origin: Some("https://own.example"), ..POST };
        assert_eq!(policy.check(&unknown, || None), Err(OriginError::ForeignOrigin));
    }

    #[test]
    fn trusted_origin_that_can_never_match_is_refused_by_name() {
        let never = [
            "app.example.com",
            "https:/app.example.com",
            "https://app.example.com/",
            "https://app.example.com/path",
            "*",
            "https://*",
            "https://app.*.com",
            "https://**.example.com",
            "https://*.",
            "null",
            "",
            "https://user@app.example.com",
            "https://.example.com",
            "https://a..b",
            "wss://app.example.com",
            "https://example.com:0",
        ];
        for entry in never {
            let error = OriginPolicy::new(["https://trusted.example", entry]).unwrap_err();
            assert_eq!((error.entry(), error.code()), (entry, "trusted_origin"));
            assert!(error.to_string().contains(&format!("{entry:?}")));
        }
        assert!(
            OriginPolicy::new([
                "capacitor://localhost",
                "http://localhost:8000",
                "https://*.example.com",
                "https://[::1]:8000"
            ])
            .is_ok()
        );
    }

    #[test]
    fn each_refusal_has_a_code() {
        let codes = [OriginError::WebSocket, OriginError::CrossSite, OriginError::ForeignOrigin].map(|e| e.code());
        assert_eq!(codes, ["websocket_origin", "cross_site", "foreign_origin"]);
    }
}
