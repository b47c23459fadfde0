//! The link between a session and its user's password: Django's `AbstractBaseUser.get_session_auth_hash`.

use std::fmt;

use aws_lc_rs::{digest, hmac};

/// Creates and checks the hash of the user's password that a session's row stores, so that a new password ends the
/// session.
///
/// The hash is an HMAC-SHA-256 of the password field, with a key derived from Django's `SECRET_KEY`. Hashes made with
/// older keys are still accepted, as with `SECRET_KEY_FALLBACKS`. Neither `Debug` nor any method shows a key.
///
/// ```
/// use jwtauth::AuthHasher;
///
/// let before = AuthHasher::new(b"the old secret key", None::<&[u8]>).hash("argon2$...");
/// let now = AuthHasher::new(b"the secret key", [b"the old secret key"]);
/// assert!(now.holds(&before, "argon2$..."));
/// assert!(!now.holds(&before, "argon2$another"), "the password was changed");
/// ```
#[derive(Clone)]
pub struct AuthHasher {
    current: hmac::Key,
    older: Vec<hmac::Key>,
}

/// The salt that Django passes to `salted_hmac` for this hash.
const KEY_SALT: &[u8] = b"django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash";

impl AuthHasher {
    /// Hash with `secret_key`, and also accept hashes made with one of the `fallbacks`.
    pub fn new<K: AsRef<[u8]>>(secret_key: &[u8], fallbacks: impl IntoIterator<Item = K>) -> Self {
        let older = fallbacks.into_iter().map(|key| derive(key.as_ref())).collect();
        Self { current: derive(secret_key), older }
    }

    /// Return the hash of a user's password field, as stored in the database: 64 lower-case hexadecimal digits.
    pub fn hash(&self, password: &str) -> String {
        use fmt::Write;
        let tag = hmac::sign(&self.current, password.as_bytes());
        tag.as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Return whether `hash` belongs to this password field. The comparison takes constant time.
    pub fn holds(&self, hash: &str, password: &str) -> bool {
        let Some(tag) = from_hex(hash) else { return false };
        std::iter::once(&self.current)
            .chain(&self.older)
            .any(|key| hmac::verify(key, password.as_bytes(), &tag).is_ok())
    }
}

impl fmt::Debug for AuthHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthHasher({} [redacted])", self.older.len() + 1)
    }
}

/// Derive the key as Django's `salted_hmac` does: SHA-256 over salt and secret.
fn derive(secret: &[u8]) -> hmac::Key {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(KEY_SALT);
    context.update(secret);
    hmac::Key::new(hmac::HMAC_SHA256, context.finish().as_ref())
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_match_those_of_django() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../testdata/auth-hash.json")).unwrap();
        let text = |vector: &serde_json::Value, name: &str| vector[name].as_str().unwrap().to_owned();
        for vector in vectors.as_array().unwrap() {
            let (password, hash) = (text(vector, "password"), text(vector, "hash"));
            let hasher = AuthHasher::new(text(vector, "secret_key").as_bytes(), None::<&[u8]>);
            assert_eq!(hasher.hash(&password), hash);
            assert!(hasher.holds(&hash, &password));
            assert!(!hasher.holds(&hash, &format!("{password}x")));
        }
        assert!(vectors.as_array().unwrap().len() >= 4);
    }

    #[test]
    fn fallback_keys_check_and_the_current_key_hashes() {
        let old = AuthHasher::new(b"old", None::<&[u8]>);
        let both = AuthHasher::new(b"new", [b"old"]);
        assert!(both.holds(&old.hash("password"), "password"));
        assert!(!old.holds(&both.hash("password"), "password"));
    }

    #[test]
    fn malformed_hashes_are_refused() {
        let hasher = AuthHasher::new(b"key", None::<&[u8]>);
        let hash = hasher.hash("password");
        for other in
            ["", "00", &hash[..62], &format!("{hash}00"), &hash.to_uppercase(), &"g".repeat(64), &"é".repeat(32)]
        {
            assert!(!hasher.holds(other, "password"), "{other}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", AuthHasher::new(b"key", [b"old"])), "AuthHasher(2 [redacted])");
    }
}
