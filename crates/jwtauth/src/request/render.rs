//! The secret by which a server that renders pages proves that it stores no cookies.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroizing;

/// The request header that holds one of the [`RenderSecrets`].
pub const RENDER_SECRET_HEADER: &str = "x-jwtauth-render-secret";

/// The minimum length of a [render secret](RenderSecrets), in characters.
pub const MIN_RENDER_SECRET: usize = 32;

/// The secrets that the site shares with its render server. A render server fetches with the cookies of a browser to
/// render pages, and drops the cookies that responses set.
///
/// A request with one of the secrets [is rendering](crate::Identity::is_rendering). If no secret is configured, the
/// header is ignored. Several secrets are accepted, so that a secret can be replaced while both are in use. `Debug`
/// does not show them.
///
/// ```
/// use jwtauth::{CookiePolicy, OriginPolicy, RenderSecrets, Transport};
///
/// let secrets = RenderSecrets::new(["zO3Jq0vN6dXbWl9sT1yUeKp4RfHgCmAx"])?;
/// let transport = Transport::new(CookiePolicy::default(), OriginPolicy::default(), true).with_render_secrets(secrets);
/// # Ok::<(), jwtauth::RenderSecretError>(())
/// ```
#[derive(Clone, Default)]
pub struct RenderSecrets(Vec<Zeroizing<Vec<u8>>>);

impl RenderSecrets {
    /// Accept each of these secrets.
    ///
    /// # Errors
    ///
    /// A [`RenderSecretError`]: a secret is too short, or cannot be sent in a header.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Result<Self, RenderSecretError> {
        let read = |secret: &'a str| {
            if !secret.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',') {
                return Err(RenderSecretError::Malformed);
            }
            if secret.len() < MIN_RENDER_SECRET {
                return Err(RenderSecretError::TooShort(secret.len()));
            }
            Ok(Zeroizing::new(secret.as_bytes().to_vec()))
        };
        secrets.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Return whether the list of secrets is empty. The header is then ignored.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Return whether this header value is one of the secrets; `None` without a header or without secrets.
    ///
    /// The values of a repeated header are joined by commas, which no secret contains.
    pub(super) fn compare(&self, header: Option<&str>) -> Option<bool> {
        let given = header.filter(|_| !self.is_empty())?.as_bytes();
        // Every secret is compared, in constant time, so that the duration reveals only a length.
        let equal = self.0.iter().filter(|secret| verify_slices_are_equal(secret, given).is_ok());
        Some(equal.count() > 0)
    }
}

impl fmt::Debug for RenderSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenderSecrets").field("len", &self.0.len()).finish_non_exhaustive()
    }
}

/// Why a text cannot be one of the [`RenderSecrets`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RenderSecretError {
    /// The secret is short enough to be guessed. Holds its length.
    #[error("secret of {0} characters is too short: it needs at least {MIN_RENDER_SECRET}")]
    TooShort(usize),
    /// The secret contains a space, a comma, or a character beyond ASCII.
    #[error("a secret must consist of visible ASCII characters without commas")]
    Malformed,
}

impl RenderSecretError {
    /// Return the stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooShort(_) => "render_secret_too_short",
            Self::Malformed => "render_secret_malformed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "an-old-secret-of-the-render-server";
    const NEW: &str = "the-secret-of-the-render-server-now";

    #[test]
    fn header_is_compared_with_each_secret() {
        let both = RenderSecrets::new([NEW, OLD]).unwrap();
        assert_eq!([NEW, OLD].map(|given| both.compare(Some(given))), [Some(true); 2]);
        let twice = format!("{NEW},{NEW}");
        for wrong in ["", "x", &NEW[1..], &NEW.to_uppercase(), &twice, &format!("{NEW}, {OLD}"), "\u{fffd}"] {
            assert_eq!(both.compare(Some(wrong)), Some(false), "{wrong}");
        }
        assert_eq!(both.compare(None), None);
        assert_eq!(RenderSecrets::default().compare(Some(NEW)), None);
        assert_eq!(RenderSecrets::default().compare(Some("")), None);
    }

    #[test]
    fn short_secrets_and_secrets_unfit_for_a_header_are_refused() {
        assert!(RenderSecrets::new([&"~".repeat(32)[..]]).is_ok());
        for (secret, code) in [
            ("!".repeat(31), "render_secret_too_short"),
            (String::new(), "render_secret_too_short"),
            (format!("{NEW} "), "render_secret_malformed"),
            (format!("{NEW},"), "render_secret_malformed"),
            (format!("{NEW}\n"), "render_secret_malformed"),
            (format!("{NEW}é"), "render_secret_malformed"),
        ] {
            assert_eq!(RenderSecrets::new([NEW, &secret]).unwrap_err().code(), code, "{secret:?}");
        }
    }

    #[test]
    fn debug_and_errors_show_no_secret() {
        let short = "a-short-secret";
        let shown = format!("{:?} {}", RenderSecrets::new([NEW]).unwrap(), RenderSecrets::new([short]).unwrap_err());
        assert!(!shown.contains(NEW) && !shown.contains(short), "{shown}");
    }
}
