//! `cargo run --release --manifest-path benches/engine/Cargo.toml [ROUNDS]`: prints nanoseconds as JSON.
//!
//! The contenders of a group take turns in every round, so changes in the machine's load affect all of them. All sign
//! or verify the same claims with the same key. To add a group, add a function to [`groups`].

use std::{
    collections::BTreeMap,
    env,
    hint::black_box,
    time::{Duration, Instant, SystemTime},
};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, ParsedPublicKey, RsaKeyPair},
};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use jwt_simple::prelude::{Claims as SimpleClaims, HS256Key, MACLike};
use jwtauth::{
    Algorithm, Claims, DeviceKey, DeviceProof, Generation, Keyring, Lifetimes, Presented, Profile, RotationPolicy, Sid,
    SigningKey, TokenKind, Tokens, UnixTime,
};
use serde::{Deserialize, Serialize};

const SECRET: &[u8; 64] = b"sixty-four bytes are what the longest of the three hashes needs.";
const TURN: Duration = Duration::from_millis(10);

type Contender = (&'static str, Box<dyn Fn()>);
type Group = (String, Vec<Contender>);

fn main() {
    let rounds = env::args().nth(1).map_or(15, |rounds| rounds.parse().expect("a number of rounds"));
    let mut results: BTreeMap<String, Vec<(&str, Vec<f64>)>> = BTreeMap::new();
    for (group, contenders) in groups() {
        let mut turns: Vec<(&str, Vec<f64>)> = contenders.iter().map(|(name, _)| (*name, Vec::new())).collect();
        for _ in 0..rounds {
            for ((_, call), (_, taken)) in contenders.iter().zip(&mut turns) {
                taken.push(nanoseconds(call));
            }
        }
        results.insert(group, turns);
    }
    println!("{}", serde_json::to_string(&results).expect("names and numbers are JSON"));
}

fn nanoseconds(call: &dyn Fn()) -> f64 {
    let start = Instant::now();
    let mut calls = 0u32;
    while start.elapsed() < TURN {
        for _ in 0..8 {
            call();
        }
        calls += 8;
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}

fn groups() -> Vec<Group> {
    let mut groups = Vec::new();
    // Ed25519 is another name of EdDSA.
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| *algorithm != Algorithm::Ed25519) {
        groups.push((format!("verify {algorithm}"), verify(algorithm)));
        groups.push((format!("sign {algorithm}"), sign(algorithm)));
    }
    for (algorithm, device) in [(Algorithm::Es256, "ec"), (Algorithm::Rs256, "rsa")] {
        groups.push((format!("device proof {algorithm}"), proof(algorithm, device)));
    }
    groups.push(("rules".to_owned(), rules()));
    groups
}

#[derive(Deserialize, Serialize)]
struct Said {
    sub: String,
    sid: String,
    #[serde(rename = "gen")]
    generation: u64,
    iat: u64,
    exp: u64,
}

#[derive(Deserialize, Serialize)]
struct Custom {
    sid: String,
    #[serde(rename = "gen")]
    generation: u64,
}

struct Issued {
    tokens: Tokens,
    claims: Claims,
    token: String,
    now: UnixTime,
}

/// Return the private key in PEM, or the secret.
fn key(algorithm: Algorithm) -> &'static [u8] {
    match algorithm.as_str().get(..2).expect("a name has a family") {
        "HS" => SECRET,
        "RS" | "PS" => include_bytes!("../../../testdata/keys/rsa-2048.pkcs8.pem"),
        "ES" if algorithm == Algorithm::Es256 => include_bytes!("../../../testdata/keys/p-256.pkcs8.pem"),
        "ES" => include_bytes!("../../../testdata/keys/p-384.pkcs8.pem"),
        _ => include_bytes!("../../../testdata/keys/ed25519.pkcs8.pem"),
    }
}

fn public_key(algorithm: Algorithm) -> &'static [u8] {
    match algorithm.as_str().get(..2).expect("a name has a family") {
        "HS" => SECRET,
        "RS" | "PS" => include_bytes!("../../../testdata/keys/rsa-2048.spki.pem"),
        "ES" if algorithm == Algorithm::Es256 => include_bytes!("../../../testdata/keys/p-256.spki.pem"),
        "ES" => include_bytes!("../../../testdata/keys/p-384.spki.pem"),
        _ => include_bytes!("../../../testdata/keys/ed25519.spki.pem"),
    }
}

fn issued(algorithm: Algorithm) -> Issued {
    let now = UnixTime::from(SystemTime::now());
    let ring = Keyring::new(SigningKey::read(algorithm, key(algorithm)).expect("a key of the test data"), []);
    let tokens = Tokens::new(ring.expect("one key is not too many"), Profile::default()).expect("the default holds");
    let claims = Claims::new("42", Sid::from_bytes([7; 20]), Generation::new(3), now, now + Duration::from_hours(24));
    let token = tokens.issue(TokenKind::Access, &claims).expect("it is short");
    Issued { tokens, claims, token, now }
}

fn der(pem: &[u8]) -> Vec<u8> {
    pem::parse(pem).expect("a key of the test data").into_contents()
}

/// Return a call of the raw primitive: the same library, with a parsed key, over the same bytes. It signs, or verifies
/// its own signature.
fn primitive(algorithm: Algorithm, message: Vec<u8>, verifies: bool) -> Box<dyn Fn()> {
    use signature as s;
    let random = SystemRandom::new();
    let rsa = |verify: &'static s::RsaParameters, sign: &'static s::RsaSignatureEncoding, message: Vec<u8>| {
        let pair = RsaKeyPair::from_pkcs8(&der(key(algorithm))).expect("a key of the test data");
        let public = ParsedPublicKey::new(verify, pair.public_key()).expect("a key of the test data");
        let signed = move |message: &[u8]| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(sign, &SystemRandom::new(), message, &mut signature).expect("it signs");
            signature
        };
        boxed(message, signed, move |message, signature| public.verify_sig(message, signature).is_ok(), verifies)
    };
    let ecdsa = |verify: &'static s::EcdsaVerificationAlgorithm, sign: &'static s::EcdsaSigningAlgorithm, message| {
        let pair = EcdsaKeyPair::from_pkcs8(sign, &der(key(algorithm))).expect("a key of the test data");
        let public = ParsedPublicKey::new(verify, pair.public_key()).expect("a key of the test data");
        let signed = move |message: &[u8]| pair.sign(&random, message).expect("it signs").as_ref().to_vec();
        boxed(message, signed, move |message, signature| public.verify_sig(message, signature).is_ok(), verifies)
    };
    let mac = |hash, message| {
        let key = hmac::Key::new(hash, SECRET);
        let other = key.clone();
        let signed = move |message: &[u8]| hmac::sign(&key, message).as_ref().to_vec();
        boxed(message, signed, move |message, signature| hmac::verify(&other, message, signature).is_ok(), verifies)
    };
    match algorithm {
        Algorithm::Hs256 => mac(hmac::HMAC_SHA256, message),
        Algorithm::Hs384 => mac(hmac::HMAC_SHA384, message),
        Algorithm::Hs512 => mac(hmac::HMAC_SHA512, message),
        Algorithm::Rs256 => rsa(&s::RSA_PKCS1_2048_8192_SHA256, &s::RSA_PKCS1_SHA256, message),
        Algorithm::Rs384 => rsa(&s::RSA_PKCS1_2048_8192_SHA384, &s::RSA_PKCS1_SHA384, message),
        Algorithm::Rs512 => rsa(&s::RSA_PKCS1_2048_8192_SHA512, &s::RSA_PKCS1_SHA512, message),
        Algorithm::Ps256 => rsa(&s::RSA_PSS_2048_8192_SHA256, &s::RSA_PSS_SHA256, message),
        Algorithm::Ps384 => rsa(&s::RSA_PSS_2048_8192_SHA384, &s::RSA_PSS_SHA384, message),
        Algorithm::Ps512 => rsa(&s::RSA_PSS_2048_8192_SHA512, &s::RSA_PSS_SHA512, message),
        Algorithm::Es256 => ecdsa(&s::ECDSA_P256_SHA256_FIXED, &s::ECDSA_P256_SHA256_FIXED_SIGNING, message),
        Algorithm::Es384 => ecdsa(&s::ECDSA_P384_SHA384_FIXED, &s::ECDSA_P384_SHA384_FIXED_SIGNING, message),
        _ => {
            let pair = Ed25519KeyPair::from_pkcs8(&der(key(algorithm))).expect("a key of the test data");
            let public = ParsedPublicKey::new(&s::ED25519, pair.public_key()).expect("a key of the test data");
            let signed = move |message: &[u8]| pair.sign(message).as_ref().to_vec();
            boxed(message, signed, move |message, signature| public.verify_sig(message, signature).is_ok(), verifies)
        }
    }
}

fn boxed(
    message: Vec<u8>,
    sign: impl Fn(&[u8]) -> Vec<u8> + 'static,
    verify: impl Fn(&[u8], &[u8]) -> bool + 'static,
    verifies: bool,
) -> Box<dyn Fn()> {
    let signature = sign(&message);
    if verifies {
        return Box::new(move || assert!(verify(black_box(&message), black_box(&signature))));
    }
    Box::new(move || drop(black_box(sign(black_box(&message)))))
}

fn in_jsonwebtoken(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    algorithm.as_str().parse().expect("jsonwebtoken has all of them")
}

fn verify(algorithm: Algorithm) -> Vec<Contender> {
    let Issued { tokens, token, now, .. } = issued(algorithm);
    let message = token.rsplit_once('.').expect("a token has dots").0.as_bytes().to_vec();
    let (pem, other) = (public_key(algorithm), token.clone());
    let key = match algorithm.as_str().get(..2) {
        Some("HS") => DecodingKey::from_secret(pem),
        Some("RS" | "PS") => DecodingKey::from_rsa_pem(pem).expect("a key of the test data"),
        Some("ES") => DecodingKey::from_ec_pem(pem).expect("a key of the test data"),
        _ => DecodingKey::from_ed_pem(pem).expect("a key of the test data"),
    };
    let validation = Validation::new(in_jsonwebtoken(algorithm));
    let simple = (algorithm == Algorithm::Hs256).then(|| (HS256Key::from_bytes(SECRET), token.clone()));
    let mut contenders: Vec<Contender> = vec![
        ("raw primitive", primitive(algorithm, message, true)),
        (
            "jwtauth",
            Box::new(move || drop(black_box(tokens.verify(TokenKind::Access, black_box(&token), now).expect("good")))),
        ),
        (
            "jsonwebtoken",
            Box::new(move || {
                drop(black_box(jsonwebtoken::decode::<Said>(black_box(&other), &key, &validation).expect("good")));
            }),
        ),
    ];
    if let Some((key, token)) = simple {
        let call = move || drop(black_box(key.verify_token::<Custom>(black_box(&token), None).expect("good")));
        contenders.push(("jwt-simple", Box::new(call)));
    }
    contenders
}

fn sign(algorithm: Algorithm) -> Vec<Contender> {
    let Issued { tokens, claims, token, now } = issued(algorithm);
    let message = token.rsplit_once('.').expect("a token has dots").0.as_bytes().to_vec();
    let pem = key(algorithm);
    let key = match algorithm.as_str().get(..2) {
        Some("HS") => EncodingKey::from_secret(pem),
        Some("RS" | "PS") => EncodingKey::from_rsa_pem(pem).expect("a key of the test data"),
        Some("ES") => EncodingKey::from_ec_pem(pem).expect("a key of the test data"),
        _ => EncodingKey::from_ed_pem(pem).expect("a key of the test data"),
    };
    let header = Header { typ: Some("at+jwt".to_owned()), ..Header::new(in_jsonwebtoken(algorithm)) };
    let sid = "BwcHBwcHBwcHBwcHBwcHBwcHBwc".to_owned();
    let said = Said {
        sub: "42".to_owned(),
        sid: sid.clone(),
        generation: 3,
        iat: now.as_secs(),
        exp: claims.expires_at.as_secs(),
    };
    let mut contenders: Vec<Contender> = vec![
        ("raw primitive", primitive(algorithm, message, false)),
        ("jwtauth", Box::new(move || drop(black_box(tokens.issue(TokenKind::Access, black_box(&claims)))))),
        (
            "jsonwebtoken",
            Box::new(move || drop(black_box(jsonwebtoken::encode(&header, black_box(&said), &key).expect("good")))),
        ),
    ];
    if algorithm == Algorithm::Hs256 {
        let key = HS256Key::from_bytes(SECRET);
        let call = move || {
            let custom = Custom { sid: sid.clone(), generation: 3 };
            let claims = SimpleClaims::with_custom_claims(custom, jwt_simple::prelude::Duration::from_days(1));
            drop(black_box(key.authenticate(claims.with_subject("42")).expect("good")));
        };
        contenders.push(("jwt-simple", Box::new(call)));
    }
    contenders
}

/// Return the calls that verify the proof of a device of the attack corpus: the primitive, the proof with a key at hand,
/// and the proof with the stored text of the key.
fn proof(algorithm: Algorithm, device: &str) -> Vec<Contender> {
    let corpus = include_str!("../../../testdata/device-attacks.json");
    let corpus: serde_json::Value = serde_json::from_str(corpus).expect("the corpus is JSON");
    let cases = corpus["accepted"].as_array().expect("the corpus has valid proofs");
    let case = cases.iter().find(|case| case["key"] == device).expect("one of them is of this device");
    let proof = case["value"].as_str().expect("a text").to_owned();
    let text = corpus["keys"][device].as_str().expect("a text").to_owned();
    let message = proof.rsplit_once('.').expect("a proof has dots").0.as_bytes().to_vec();
    let (key, other) = (DeviceKey::parse(&text).expect("a stored key"), proof.clone());
    let verify = |proof: &str, key: &DeviceKey| {
        let proof = DeviceProof::parse(black_box(proof.as_bytes())).expect("good");
        black_box(proof.verify(key).expect("good").len());
    };
    vec![
        ("raw primitive", primitive(algorithm, message, true)),
        ("jwtauth", Box::new(move || verify(&proof, &key))),
        (
            "jwtauth, and read the key",
            Box::new(move || verify(&other, &DeviceKey::parse(black_box(&text)).expect("good"))),
        ),
    ]
}

fn rules() -> Vec<Contender> {
    let Issued { tokens, token, now, .. } = issued(Algorithm::Hs256);
    let forged = format!("{}AAAAAA", token.get(..token.len() - 6).expect("a token is ASCII"));
    let (access, idle, absolute) = (Duration::from_mins(5), Duration::from_hours(24), Duration::from_hours(30 * 24));
    let lifetimes = Lifetimes::new(access, idle, Some(absolute)).expect("they are in order");
    let policy = RotationPolicy::new(lifetimes, Duration::from_secs(30));
    let session = policy.start(now);
    let (presented, later) = (Presented::new(Generation::FIRST), now + access + Duration::from_secs(1));
    vec![
        (
            "refuse a forged token",
            Box::new(move || {
                assert!(tokens.verify(TokenKind::Access, black_box(&forged), now).is_err());
            }),
        ),
        (
            "decide on a refresh token",
            Box::new(move || {
                black_box(policy.decide(black_box(&session), presented, later));
            }),
        ),
    ]
}
