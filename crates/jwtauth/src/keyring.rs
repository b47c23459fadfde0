//! The ring of keys: one signs, all of them verify.

use crate::{Algorithm, KeyError, SigningKey, VerifyingKey, key};

/// The most keys in a ring of the settings, and the most that a token without `kid` is tried against.
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
            match ring.iter().find(|known| has_name_of(known, &key)) {
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
    /// Keys that cannot verify tokens are passed over: those for other uses, those of unknown types and algorithms, and
    /// what must not be in a published set, secrets and private keys. Different keys of one algorithm and one `kid` are
    /// all passed over, since it names none of them. A set may so be empty: by it, no token is valid. It may hold more
    /// than [`MAX_KEYS`]; a token without `kid` is tried against the first of them.
    ///
    /// An RSA key without `alg`, which is optional (RFC 7517 §4.4), is for `default` if that is an algorithm of RSA, and
    /// else is passed over. A key of another type can only be for one algorithm.
    ///
    /// ```
    /// use jwtauth::{Algorithm, VerifyingKeys};
    ///
    /// let set = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    /// let keys = VerifyingKeys::from_jwk_set(set, None)?;
    /// assert_eq!(keys.iter().next().map(|key| key.algorithm()), Some(Algorithm::EdDsa));
    /// # Ok::<(), jwtauth::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::Jwk`]: not a JWK Set, which is a JSON object with an array `keys`.
    pub fn from_jwk_set(set: &[u8], default: Option<Algorithm>) -> Result<Self, KeyError> {
        let keys = key::read_set(set, default)?;
        let mut ring: Vec<VerifyingKey> = Vec::new();
        for key in &keys {
            let is_ambiguous = keys.iter().any(|other| has_name_of(other, key) && !other.is_same(key));
            if !is_ambiguous && !ring.iter().any(|known| has_name_of(known, key)) {
                ring.push(key.clone());
            }
        }
        Ok(Self(ring))
    }

    /// Write the public keys as a JWK Set, for others to verify with. Secrets are not among them.
    pub fn to_jwk_set(&self) -> String {
        let keys: Vec<_> = self.0.iter().filter_map(VerifyingKey::public_jwk).collect();
        format!(r#"{{"keys":[{}]}}"#, keys.join(","))
    }

    /// Return whether there is no key, as in an empty JWK Set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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

    /// The keys that a token with this `kid` may be signed with; when it names none, all of them, up to [`MAX_KEYS`].
    pub(crate) fn candidates(&self, key_id: Option<&str>) -> impl Iterator<Item = &VerifyingKey> {
        self.0.iter().filter(move |key| key_id.is_none_or(|id| key.id() == id)).take(MAX_KEYS)
    }
}

/// Whether tokens of the one name the other as well.
fn has_name_of(key: &VerifyingKey, other: &VerifyingKey) -> bool {
    key.id() == other.id() && key.algorithm().answers_to(other.algorithm().as_str())
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
