//! A client that keeps its tokens itself, and proves with each request that it has a key (DPoP, RFC 9449).

use std::time::Duration;

use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jwtauth_axum::jwtauth::{Claims, Generation, Sid, Thumbprint, UnixTime};
use serde_json::{Value, json};

/// The name of the client's session, and of its row.
pub fn sid() -> Sid {
    Sid::from_bytes([7; 20])
}

/// Return the claims of user 42 that are bound to this key, if any, and expire after 300 seconds.
pub fn claims(now: UnixTime, key: Option<Thumbprint>) -> Claims {
    Claims::new("42", sid(), Generation::FIRST, now, now + Duration::from_secs(300)).with_confirmation(key)
}

pub struct Client {
    key: EcdsaKeyPair,
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn hash(text: &str) -> String {
    encoded(digest::digest(&digest::SHA256, text.as_bytes()))
}

impl Default for Client {
    fn default() -> Self {
        Self { key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap() }
    }
}

impl Client {
    fn point(&self) -> [String; 2] {
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        [encoded(x), encoded(y)]
    }

    /// Return the thumbprint of the key (RFC 7638).
    pub fn thumbprint(&self) -> Thumbprint {
        let [x, y] = self.point();
        Thumbprint::parse(&hash(&format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#))).unwrap()
    }

    /// Return the proof for a request with this token, with `other` claims in place of the usual ones; `null` removes one.
    pub fn proof(&self, method: &str, url: &str, token: &str, now: u64, other: &Value) -> String {
        let mut claims = json!({"jti": "a", "htm": method, "htu": url, "iat": now, "ath": hash(token)});
        let members = claims.as_object_mut().unwrap();
        members.extend(other.as_object().unwrap().clone());
        members.retain(|_, value| !value.is_null());
        let [x, y] = self.point();
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
        let head = json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk});
        let message = format!("{}.{}", encoded(head.to_string()), encoded(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", encoded(signature))
    }
}
