//! Fuzzes the header `DPoP`: any bytes, and any header and payload behind a valid signature.
//!
//! The input has a line each for the method, the path, and the header and the payload of a proof. In the last two, `\x01`
//! stands for the client's key, `\x02` for a nonce that was just issued, `\x03` for one that is soon over, `\x04` for the
//! hash of the access token, and `\x05` for the time.
#![no_main]

mod site;

use std::{sync::LazyLock, time::Duration};

use aws_lc_rs::{
    digest,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use jwtauth::{
    Claims, DPOP_NONCE_LIFETIME, DpopError, Generation, Head, IdentifyError, Identity, MAX_DPOP_AGE,
    MAX_DPOP_AGE_WITHOUT_NONCE, Refused, Sid, Thumbprint, TokenKind,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use site::{NOW, SITE};

const MINUTE: Duration = Duration::from_secs(60);

/// A client, its access token, and what its proofs say.
struct Client {
    key: Ed25519KeyPair,
    jwk: String,
    x: String,
    thumbprint: Thumbprint,
    authorization: String,
    hash: String,
    nonces: [String; 2],
}

static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("the seed has 32 bytes");
    let x = BASE64URL.encode(key.public_key());
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    let thumbprint = Thumbprint::parse(&hash(&jwk)).expect("a hash has the length of a thumbprint");
    let claims = Claims::new("ada", Sid::from_bytes([1; 20]), Generation::FIRST, NOW, NOW + MINUTE);
    let claims = claims.with_confirmation(Some(thumbprint));
    let token = SITE.tokens().issue(TokenKind::Access, &claims).expect("a short token can be issued");
    let nonces = [NOW, NOW - (DPOP_NONCE_LIFETIME - MINUTE)]
        .map(|time| SITE.tokens().issue_dpop_nonce(time).expect("a nonce can be signed"));
    Client { key, jwk, x, thumbprint, hash: hash(&token), authorization: format!("DPoP {token}"), nonces }
});

fn hash(text: &str) -> String {
    BASE64URL.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

impl Client {
    fn fill(&self, part: &[u8]) -> Vec<u8> {
        let time = NOW.as_secs().to_string();
        let fill = |byte: &u8| match byte {
            1 => self.jwk.as_bytes().to_vec(),
            2 => self.nonces[0].as_bytes().to_vec(),
            3 => self.nonces[1].as_bytes().to_vec(),
            4 => self.hash.as_bytes().to_vec(),
            5 => time.as_bytes().to_vec(),
            byte => vec![*byte],
        };
        part.iter().flat_map(fill).collect()
    }

    fn sign(&self, header: &[u8], payload: &[u8]) -> String {
        let message = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(payload));
        let signature = self.key.sign(message.as_bytes());
        format!("{message}.{}", BASE64URL.encode(signature))
    }
}

fuzz_target!(|data: &[u8]| {
    let client = &*CLIENT;
    let mut lines = data.splitn(4, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (method, path) = (String::from_utf8_lossy(line()), String::from_utf8_lossy(line()));
    let (header, payload) = (client.fill(line()), client.fill(line()));

    let mut head = Head::new(&method);
    head.path = &path;
    head.authorization = Some(&client.authorization);
    let unsigned = String::from_utf8_lossy(data);
    head.dpop = Some(&unsigned);
    for asked in ask(&head) {
        assert!(asked.is_err(), "no nonce of this site is in the seeds");
    }

    let proof = client.sign(&header, &payload);
    head.dpop = Some(&proof);
    let [site, service, start] = ask(&head);
    for asked in [&site, &service, &start] {
        let (identity, is_accepted) = match asked {
            Ok(identity) => (identity, true),
            Err(refused) => (&refused.identity, false),
        };
        assert_eq!(identity.client(), is_accepted.then_some(client.thumbprint));
        assert!(is_accepted || identity.is_anonymous());
    }
    assert!(start.is_ok() || site.is_err(), "a resource asks for more");
    assert!(start.is_err() || says(&proof, &head, MAX_DPOP_AGE));
    assert!(site.is_err() || has(&proof, "ath", &[&client.hash]) && has(&proof, "nonce", &nonces(client)));
    assert!(start.is_err() || has(&proof, "nonce", &nonces(client)));
    assert!(service.is_err() || has(&proof, "ath", &[&client.hash]) && says(&proof, &head, MAX_DPOP_AGE_WITHOUT_NONCE));
    let needs_nonce = match &site {
        Ok(_) => has(&proof, "nonce", &[&client.nonces[1]]),
        Err(refused) => matches!(refused.error, IdentifyError::Dpop(DpopError::Nonce)),
    };
    let identity = site.unwrap_or_else(|refused| refused.identity);
    assert_eq!(identity.needs_dpop_nonce(), needs_nonce);
});

/// Send the request to the site, to a service without nonces, and to a token endpoint.
fn ask(head: &Head<'_>) -> [Result<Identity, Box<Refused>>; 3] {
    let own = || "https://own.example".parse().ok();
    [
        SITE.identify(head, own, NOW),
        SITE.transport().identify(SITE.tokens().verifier(), head, own, NOW),
        SITE.identify_client(head, own, NOW),
    ]
}

fn nonces(client: &Client) -> [&str; 2] {
    [&client.nonces[0], &client.nonces[1]]
}

fn part(proof: &str, index: usize) -> Value {
    let part = BASE64URL.decode(proof.split('.').nth(index).unwrap_or_default()).unwrap_or_default();
    serde_json::from_slice(&part).expect("an accepted proof is JSON")
}

/// Return whether a claim of an accepted proof is one of these texts.
fn has(proof: &str, name: &str, texts: &[&str]) -> bool {
    part(proof, 1)[name].as_str().is_some_and(|text| texts.contains(&text))
}

/// Return whether an accepted proof is of the client's key, for this request, and of this time.
fn says(proof: &str, head: &Head<'_>, age: Duration) -> bool {
    let (header, claims) = (part(proof, 0), part(proof, 1));
    let is_of_key = header["typ"] == "dpop+jwt" && header["jwk"]["x"] == CLIENT.x && header["jwk"].get("d").is_none();
    let is_signed = header["alg"] == "EdDSA" || header["alg"] == "Ed25519";
    let uri = claims["htu"].as_str().unwrap_or_default().to_ascii_lowercase();
    let is_sent_here = uri.starts_with("https://own.example");
    let time = claims["iat"].as_f64().unwrap_or(f64::NAN);
    let (now, age) = (NOW.as_secs() as f64, age.as_secs() as f64 + 1.0);
    let is_fresh = (now - age..now + age).contains(&time);
    let has_id = claims["jti"].as_str().is_some_and(|id| !id.is_empty());
    is_of_key && is_signed && is_sent_here && is_fresh && has_id && claims["htm"] == head.method
}
