//! The ring of keys: one signs, all of them verify.

use crate::{Key, KeyError};

/// The most keys in a ring, which bounds what a token without `kid` can cost.
pub const MAX_KEYS: usize = 16;

/// One signing key and the older keys whose signatures are still accepted.
///
/// Tokens carry a `kid` where the ring has several keys, so that no key is found by trial; a token without one (made
/// while the ring had a single key) is tried against each.
#[derive(Clone, Debug)]
pub struct Keyring {
    signing: Key,
    /// Each key once, and never the signing key.
    older: Vec<Key>,
}

impl Keyring {
    /// A ring that signs with `signing` and accepts the signatures of `verifying` besides.
    ///
    /// # Errors
    ///
    /// [`KeyError::TooMany`]: more than [`MAX_KEYS`] different keys.
    pub fn new(signing: Key, verifying: impl IntoIterator<Item = Key>) -> Result<Self, KeyError> {
        let mut ring = Self { signing, older: Vec::new() };
        for key in verifying {
            if !ring.keys().any(|known| known.id() == key.id() && known.algorithm() == key.algorithm()) {
                ring.older.push(key);
            }
        }
        let count = ring.keys().count();
        if count > MAX_KEYS { Err(KeyError::TooMany(count)) } else { Ok(ring) }
    }

    /// The key that signs.
    pub fn signing_key(&self) -> &Key {
        &self.signing
    }

    /// Every key that verifies, the signing key first.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.signing).chain(&self.older)
    }

    /// The `kid` to put into a header: none while there is nothing to choose from.
    pub(crate) fn header_key_id(&self) -> Option<&str> {
        (!self.older.is_empty()).then(|| self.signing.id())
    }

    /// The keys that a token with this `kid` may be signed with; all of them when it names none.
    pub(crate) fn candidates(&self, key_id: Option<&str>) -> impl Iterator<Item = &Key> {
        self.keys().filter(move |key| key_id.is_none_or(|id| key.id() == id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;

    fn key(byte: u8) -> Key {
        Key::from_secret(Algorithm::Hs256, &[byte; 32]).unwrap()
    }

    #[test]
    fn a_key_given_twice_is_one_key() {
        let ring = Keyring::new(key(1), [key(1), key(1)]).unwrap();
        assert_eq!(ring.header_key_id(), None);
        assert_eq!(ring.candidates(None).count(), 1);
    }

    #[test]
    fn a_ring_of_several_names_the_signing_key() {
        let ring = Keyring::new(key(1), [key(2)]).unwrap();
        assert_eq!(ring.header_key_id(), Some(key(1).id()));
        assert_eq!(ring.candidates(Some(key(2).id())).count(), 1);
        assert_eq!(ring.candidates(Some("other")).count(), 0);
    }

    #[test]
    fn a_ring_is_bounded() {
        let error = Keyring::new(key(0), (1..=16).map(key)).unwrap_err();
        assert_eq!(error, KeyError::TooMany(17));
        assert_eq!(error.code(), "too_many_keys");
        assert!(Keyring::new(key(0), (1..=15).map(key)).is_ok());
    }
}
