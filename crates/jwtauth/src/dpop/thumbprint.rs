//! The name of a client's key.

use std::fmt;

use base64::Engine as _;

use crate::base64url::BASE64URL;

/// The SHA-256 thumbprint of a client's public key (RFC 7638), which tokens name in `cnf.jkt` (RFC 9449 §6.1). It is not
/// secret.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Thumbprint([u8; 32]);

/// What the stored text of a thumbprint begins with, to tell it from other kinds of key that a session may have.
const PREFIX: &str = "dpop:";

impl Thumbprint {
    /// Parse the 43 characters of base64url that [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self(BASE64URL.decode(text).ok()?.try_into().ok()?))
    }

    /// Return the text to store as the key of a session: `dpop:` and the thumbprint.
    pub fn to_stored(&self) -> String {
        format!("{PREFIX}{self}")
    }

    pub(crate) fn from_stored(text: &str) -> Option<Self> {
        Self::parse(text.strip_prefix(PREFIX)?)
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL.encode(self.0))
    }
}
