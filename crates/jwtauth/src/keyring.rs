//! The ring of keys: one signs, all of them verify.

use crate::{KeyError, SigningKey, VerifyingKey, key};

/// The most keys in a ring, which bounds what a token without `kid` can cost.
pub const MAX_KEYS: usize = 16;

/// Keys that verify, chosen by `kid`. A token without one is tried against each.
#[derive(Clone, Debug)]
pub struct VerifyingKeys(Vec<VerifyingKey>);

impl VerifyingKeys {
    /// Make a ring of at least one key; a key that is given twice counts once.
    ///
    /// # Errors
    ///
    /// [`KeyError::TooMany`]: more than [`MAX_KEYS`] different keys. [`KeyError::NoKeys`]: none.
    /// [`KeyError::DuplicateId`]: two keys of one algorithm have one `kid`, so that it names neither.
    pub fn new(keys: impl IntoIterator<Item = VerifyingKey>) -> Result<Self, KeyError> {
        let mut ring: Vec<VerifyingKey> = Vec::new();
        for key in keys {
            let name = key.algorithm().as_str();
            match ring.iter().find(|known| known.id() == key.id() && known.algorithm().answers_to(name)) {
                Some(known) if known.is_same(&key) => {}
                Some(_) => return Err(KeyError::DuplicateId),
                None => ring.push(key),
            }
        }
        match ring.len() {
            0 => Err(KeyError::NoKeys),
            1..=MAX_KEYS => Ok(Self(ring)),
            count => Err(KeyError::TooMany(count)),
        }
    }

    /// Read the keys of a JWK Set (RFC 7517 §5), for a service that recognises users and signs none in.
    ///
    /// Keys that cannot verify tokens are passed over: those for other uses, or of unknown kinds and algorithms, an RSA key without `alg`, and what must not be in a published set: secrets and private keys.
    ///
    /// # Errors
    ///
    /// [`KeyError::Jwk`]: not a JWK Set, which is a JSON object. Besides, those of [`new`](Self::new).
    pub fn from_jwk_set(set: &[u8]) -> Result<Self, KeyError> {
        Self::new(key::read_set(set)?)
    }

    /// Write the public keys as a JWK Set, for others to verify with. Secrets are not among them.
    pub fn to_jwk_set(&self) -> String {
        let keys: Vec<_> = self.0.iter().filter_map(VerifyingKey::public_jwk).collect();
        format!(r#"{{"keys":[{}]}}"#, keys.join(","))
    }

    /// Iterate over the keys.
    pub fn iter(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.0.iter()
    }

    /// The `kid` that a token signed with this key of the ring carries: none where there is nothing to choose from, but
    /// for public keys, which others look up by it.
    pub(crate) fn header_key_id<'k>(&self, key: &'k VerifyingKey) -> Option<&'k str> {
        (self.0.len() > 1 || !key.algorithm().is_symmetric()).then(|| key.id())
    }

    /// The keys that a token with this `kid` may be signed with; all of them when it names none.
    pub(crate) fn candidates(&self, key_id: Option<&str>) -> impl Iterator<Item = &VerifyingKey> {
        self.0.iter().filter(move |key| key_id.is_none_or(|id| key.id() == id))
    }
}

/// One signing key and the keys whose signatures are accepted besides: older ones, and those to come.
#[derive(Clone, Debug)]
pub struct Keyring {
    signing: SigningKey,
    verifying: VerifyingKeys,
}

impl Keyring {
    /// Make a ring that signs with `signing` and also accepts the signatures of `verifying`.
    ///
    /// ```
    /// use jwtauth::{Algorithm, Keyring, SigningKey, VerifyingKey};
    ///
    /// let key = SigningKey::read(Algorithm::Hs256, b"a secret of thirty-two bytes ...")?;
    /// let previous = VerifyingKey::read(Algorithm::Hs256, b"the one before, of as many bytes")?;
    /// let ring = Keyring::new(key, [previous])?;
    /// assert_eq!(ring.verifying_keys().iter().count(), 2);
    /// # Ok::<(), jwtauth::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`VerifyingKeys::new`].
    pub fn new(signing: SigningKey, verifying: impl IntoIterator<Item = VerifyingKey>) -> Result<Self, KeyError> {
        let verifying = VerifyingKeys::new(std::iter::once(signing.verifying_key().clone()).chain(verifying))?;
        Ok(Self { signing, verifying })
    }

    /// Return the key that signs.
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing
    }

    /// Return every key that verifies, that of the signing key first.
    pub fn verifying_keys(&self) -> &VerifyingKeys {
        &self.verifying
    }

    pub(crate) fn into_verifying_keys(self) -> VerifyingKeys {
        self.verifying
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;

    fn key(byte: u8) -> SigningKey {
        SigningKey::read(Algorithm::Hs256, &[byte; 32]).unwrap()
    }

    fn verifying(byte: u8) -> VerifyingKey {
        key(byte).verifying_key().clone()
    }

    #[test]
    fn a_key_given_twice_is_one_key() {
        let ring = Keyring::new(key(1), [verifying(1), verifying(1)]).unwrap();
        assert_eq!(ring.verifying.header_key_id(&verifying(1)), None);
        assert_eq!(ring.verifying.candidates(None).count(), 1);
    }

    #[test]
    fn a_ring_of_several_names_the_signing_key() {
        let ring = Keyring::new(key(1), [verifying(2)]).unwrap();
        assert_eq!(ring.verifying.header_key_id(&verifying(1)), Some(key(1).id()));
        assert_eq!(ring.verifying.candidates(Some(key(2).id())).count(), 1);
        assert_eq!(ring.verifying.candidates(Some("other")).count(), 0);
    }

    #[test]
    fn a_ring_is_bounded_and_not_empty() {
        let error = Keyring::new(key(0), (1..=16).map(verifying)).unwrap_err();
        assert_eq!(error, KeyError::TooMany(17));
        assert_eq!(error.code(), "too_many_keys");
        assert!(Keyring::new(key(0), (1..=15).map(verifying)).is_ok());
        assert_eq!(VerifyingKeys::new([]).unwrap_err().code(), "no_keys");
    }

    #[test]
    fn one_id_is_not_of_two_keys() {
        let named = |k: &str| format!(r#"{{"kty":"oct","kid":"a","k":"{}"}}"#, k.repeat(43));
        let read = |k| VerifyingKey::read(Algorithm::Hs256, named(k).as_bytes()).unwrap();
        assert!(VerifyingKeys::new([read("A"), read("A")]).is_ok());
        assert_eq!(VerifyingKeys::new([read("A"), read("E")]).unwrap_err().code(), "duplicate_key_id");
    }
}
