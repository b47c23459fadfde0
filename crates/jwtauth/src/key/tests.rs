//! Tests with keys in every form, from OpenSSL and the RFCs, and with texts that are not keys.

use std::fs;

use serde_json::Value;

use super::*;

fn file(name: &str) -> Vec<u8> {
    fs::read(format!("{}/testdata/keys/{name}.pem", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn sign(algorithm: Algorithm, name: &str) -> Result<SigningKey, KeyError> {
    SigningKey::read(algorithm, &file(name))
}

fn verify(algorithm: Algorithm, name: &str) -> Result<VerifyingKey, KeyError> {
    VerifyingKey::read(algorithm, &file(name))
}

fn signing_code(algorithm: Algorithm, key: impl AsRef<[u8]>) -> &'static str {
    SigningKey::read(algorithm, key.as_ref()).as_ref().map_or_else(KeyError::code, |_| "ok")
}

fn verifying_code(algorithm: Algorithm, key: impl AsRef<[u8]>) -> &'static str {
    VerifyingKey::read(algorithm, key.as_ref()).as_ref().map_or_else(KeyError::code, |_| "ok")
}

/// One algorithm of each family, with the files of its private and public key.
const PAIRS: [(Algorithm, &[&str], &[&str]); 4] = [
    (
        Algorithm::Rs256,
        &["rsa-2048.pkcs8", "rsa-2048.pkcs1"],
        &["rsa-2048.spki", "rsa-2048.pkcs1-public", "rsa-2048.certificate"],
    ),
    (Algorithm::Es256, &["p-256.pkcs8", "p-256.sec1"], &["p-256.spki", "p-256.certificate"]),
    (Algorithm::Es384, &["p-384.pkcs8", "p-384.sec1"], &["p-384.spki"]),
    (Algorithm::EdDsa, &["ed25519.pkcs8"], &["ed25519.spki", "ed25519.certificate"]),
];

mod pems {
    use super::*;

    #[test]
    fn all_forms_of_a_key_pair_are_the_same_key() {
        for (algorithm, private, public) in PAIRS {
            let keys: Vec<_> = private.iter().map(|name| sign(algorithm, name).unwrap()).collect();
            for key in &keys {
                assert_eq!((key.algorithm(), key.id()), (algorithm, keys[0].id()));
                for name in public {
                    let verifying = verify(algorithm, name).unwrap();
                    assert_eq!((verifying.algorithm(), verifying.id()), (algorithm, key.id()), "{name}");
                    let signature = key.sign(b"message", <[u8]>::to_vec).unwrap();
                    assert!(verifying.verifies(b"message", &signature), "{name}");
                    assert!(key.verifying_key().verifies(b"message", &signature), "{name}");
                    assert!(!verifying.verifies(b"another", &signature), "{name}");
                }
            }
        }
    }

    #[test]
    fn each_algorithm_of_a_family_uses_the_same_keys() {
        use Algorithm::{Ed25519, EdDsa, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        for algorithm in [Rs256, Rs384, Rs512, Ps256, Ps384, Ps512] {
            let key = sign(algorithm, "rsa-2048.pkcs8").unwrap();
            let signature = key.sign(b"message", <[u8]>::to_vec).unwrap();
            assert_eq!(signature.len(), 256);
            for other in [Rs256, Rs384, Rs512, Ps256, Ps384, Ps512] {
                let verifies = verify(other, "rsa-2048.spki").unwrap().verifies(b"message", &signature);
                assert_eq!(verifies, other == algorithm, "{algorithm} {other}");
            }
        }
        assert_eq!(sign(EdDsa, "ed25519.pkcs8").unwrap().id(), sign(Ed25519, "ed25519.pkcs8").unwrap().id());
    }

    #[test]
    fn key_of_another_kind_is_refused() {
        for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_symmetric()) {
            for (other, private, public) in PAIRS {
                let same = std::mem::discriminant(&algorithm.family()) == std::mem::discriminant(&other.family())
                    && (algorithm.as_str().starts_with("ES") == (algorithm == other)
                        || !algorithm.as_str().starts_with("ES"));
                let expected = if same { "ok" } else { "key_wrong_kind" };
                for name in private {
                    assert_eq!(signing_code(algorithm, file(name)), expected, "{algorithm} {name}");
                }
                for name in public {
                    assert_eq!(verifying_code(algorithm, file(name)), expected, "{algorithm} {name}");
                }
            }
            for name in ["p-521.pkcs8", "secp256k1.pkcs8", "ed448.pkcs8", "x25519.pkcs8", "rsa-pss.pkcs8"] {
                assert_eq!(signing_code(algorithm, file(name)), "key_wrong_kind", "{algorithm} {name}");
            }
            for name in ["p-521.spki", "secp256k1.spki", "ed448.spki"] {
                assert_eq!(verifying_code(algorithm, file(name)), "key_wrong_kind", "{algorithm} {name}");
            }
        }
    }

    #[test]
    fn wrong_half_of_a_key_pair_is_refused() {
        for (algorithm, private, public) in PAIRS {
            for name in public {
                assert_eq!(signing_code(algorithm, file(name)), "key_not_private", "{name}");
            }
            for name in private {
                assert_eq!(verifying_code(algorithm, file(name)), "key_not_public", "{name}");
            }
        }
    }

    #[test]
    fn rsa_key_below_2048_bits_is_refused() {
        assert_eq!(signing_code(Algorithm::Rs256, file("rsa-1024.pkcs8")), "key_rsa_size");
        let error = verify(Algorithm::Ps256, "rsa-1024.spki").unwrap_err();
        assert_eq!(error, KeyError::RsaSize { bits: 1024 });
        assert_eq!(error.to_string(), "RSA key has 1024 bits; it must have 2048 to 8192");
    }

    #[test]
    fn encrypted_key_is_refused_with_its_own_code() {
        for name in ["rsa-2048.encrypted", "rsa-2048.encrypted-pkcs1"] {
            assert_eq!(signing_code(Algorithm::Rs256, file(name)), "key_encrypted", "{name}");
        }
    }

    #[test]
    fn text_without_a_key_is_malformed() {
        let pem = String::from_utf8(file("rsa-2048.pkcs8")).unwrap();
        let broken = pem.replacen("MII", "MIJ", 1);
        let relabelled = pem.replace("PRIVATE KEY", "EC PRIVATE KEY");
        for text in ["", "secret", "/run/secrets/key.pem", &broken, &relabelled, "{", "\u{e9}"] {
            assert_eq!(signing_code(Algorithm::Rs256, text), "key_malformed", "{text}");
        }
        assert_eq!(signing_code(Algorithm::Rs256, b"\xff\xfe"), "key_malformed");
        assert_eq!(verifying_code(Algorithm::Es256, file("p-256.compressed")), "key_malformed");
    }
}

mod armor;

mod secrets {
    use super::*;

    #[test]
    fn secret_shorter_than_its_hash_is_refused() {
        for (algorithm, minimum) in [(Algorithm::Hs256, 32), (Algorithm::Hs384, 48), (Algorithm::Hs512, 64)] {
            assert!(SigningKey::read(algorithm, &vec![7; minimum]).is_ok());
            let error = SigningKey::read(algorithm, &vec![7; minimum - 1]).unwrap_err();
            assert_eq!(error.code(), "key_too_short");
            assert_eq!(
                error.to_string(),
                format!("key of {} bytes is too short: {algorithm} needs at least {minimum}", minimum - 1)
            );
            let jwk = format!(r#"{{"kty":"oct","k":"{}"}}"#, BASE64URL.encode(vec![7; minimum - 1]));
            assert_eq!(signing_code(algorithm, jwk), "key_too_short");
        }
    }

    #[test]
    fn secret_and_its_jwk_are_the_same_key() {
        let secret = [7; 32];
        let jwk = format!(r#"{{"kty":"oct","k":"{}"}}"#, BASE64URL.encode(secret));
        let (one, other) = (
            SigningKey::read(Algorithm::Hs256, &secret).unwrap(),
            VerifyingKey::read(Algorithm::Hs256, jwk.as_bytes()).unwrap(),
        );
        assert_eq!(one.id(), other.id());
        assert!(other.verifies(b"message", &one.sign(b"message", <[u8]>::to_vec).unwrap()));
    }

    #[test]
    fn half_of_a_key_pair_is_refused_as_a_secret() {
        for (_, private, public) in PAIRS {
            for name in private.iter().chain(public) {
                let pem = String::from_utf8(file(name)).unwrap();
                for text in [pem.clone(), pem.replace('\n', "\r\n"), format!("\u{feff}{pem}"), format!("  {pem}  ")] {
                    assert_eq!(signing_code(Algorithm::Hs256, &text), "key_not_a_secret", "{name}");
                    assert_eq!(verifying_code(Algorithm::Hs256, &text), "key_not_a_secret", "{name}");
                }
            }
        }
        let jwk = verify(Algorithm::Rs256, "rsa-2048.spki").unwrap().public_jwk().unwrap().replace("RS256", "HS256");
        assert_eq!(signing_code(Algorithm::Hs256, jwk), "key_not_a_secret");
        assert_eq!(signing_code(Algorithm::Hs256, format!("ssh-ed25519 {}", "A".repeat(68))), "key_not_a_secret");
    }

    /// Base64, hexadecimal digits and other encodings of a key pair are refused.
    #[test]
    fn half_of_a_key_pair_is_refused_as_a_secret_in_any_encoding() {
        use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE};
        let names = PAIRS.iter().flat_map(|(_, private, public)| private.iter().chain(*public)).copied();
        let others = ["p-521.pkcs8", "p-521.spki", "ed448.spki", "rsa-pss.pkcs8", "rsa-2048.encrypted", "chain.root"];
        for name in names.chain(others) {
            let pem = String::from_utf8(file(name)).unwrap();
            let body: String = pem.lines().filter(|line| !line.contains(['-', ':'])).collect();
            let last = pem.rsplit("-----BEGIN").next().unwrap();
            let body = if pem.matches("-----BEGIN").count() == 1 {
                body
            } else {
                last.lines().filter(|line| !line.contains('-')).collect()
            };
            let der = BASE64_STANDARD.decode(&body).unwrap();
            let hex = der.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().concat();
            for text in [
                der.clone(),
                [der.as_slice(), b"\n"].concat(),
                body.clone().into_bytes(),
                BASE64_STANDARD_NO_PAD.encode(&der).into_bytes(),
                BASE64_URL_SAFE.encode(&der).into_bytes(),
                format!("\"{body}\"\n").into_bytes(),
                body.as_bytes().chunks(64).collect::<Vec<_>>().join(&b"\r\n"[..]),
                body.as_bytes().chunks(64).collect::<Vec<_>>().join(&b"\\n"[..]),
                BASE64_STANDARD.encode(&body).into_bytes(),
                BASE64_STANDARD.encode(&pem).into_bytes(),
                BASE64_STANDARD.encode(BASE64_STANDARD.encode(&pem)).into_bytes(),
                BASE64_URL_SAFE.encode(&pem).into_bytes(),
                BASE64_STANDARD.encode(&der).replacen('+', "-", 1).into_bytes(),
                body.replace('+', "\\u002B").replace('=', "\\u003d").into_bytes(),
                format!("\u{feff}{body}").into_bytes(),
                format!("{body}\u{a0}").into_bytes(),
                format!("b'{body}'").into_bytes(),
                format!("KEY={body}").into_bytes(),
                format!("base64:{body}").into_bytes(),
                format!("data:application/octet-stream;base64,{body}").into_bytes(),
                format!("\u{feff}{body}").encode_utf16().flat_map(u16::to_le_bytes).collect(),
                hex.to_lowercase().into_bytes(),
                format!("0x{hex}").into_bytes(),
                hex.as_bytes().chunks(2).collect::<Vec<_>>().join(&b":"[..]),
                pem.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat().into_bytes(),
                hex.into_bytes(),
                pem.encode_utf16().flat_map(u16::to_be_bytes).collect(),
                pem.to_lowercase().into_bytes(),
                pem.replace("-----", "----").into_bytes(),
                pem.replace("-----", "\u{2014}").into_bytes(),
                pem.replace("-----", "").into_bytes(),
                format!(r#"{{"kty":"oct","k":"{}"}}"#, BASE64URL.encode(&pem)).into_bytes(),
                format!(r#"{{"kty":"oct","k":"{}"}}"#, BASE64URL.encode(&der)).into_bytes(),
            ] {
                assert_eq!(
                    signing_code(Algorithm::Hs256, &text),
                    "key_not_a_secret",
                    "{name}: {}",
                    String::from_utf8_lossy(&text)
                );
                assert_eq!(verifying_code(Algorithm::Hs256, &text), "key_not_a_secret", "{name}");
            }
        }
    }

    #[test]
    fn jwk_sets_and_ssh_keys_are_refused_as_a_secret() {
        use base64::prelude::BASE64_STANDARD;
        let jwk = verify(Algorithm::Es256, "p-256.spki").unwrap().public_jwk().unwrap();
        let oct = GeneratedKey::new(Algorithm::Hs256, None).unwrap().expose_jwk().to_owned();
        let set = format!(r#"{{"keys":[{jwk}]}}"#);
        let blob = "AAAAC3NzaC1lZDI1NTE5AAAAIJpwNBhB7l0JFwqjBKyzZ6SJmTJdMSV9fT7kHMJSlA0p";
        for text in [
            set.clone(),
            format!("\u{feff}{set}"),
            format!(" \n{set}\n"),
            format!("'{set}'"),
            serde_json::to_string(&set).unwrap(),
            set.replace('"', "'"),
            set.replace(':', " : "),
            format!("[{jwk}]"),
            set.replace("keys", "\\u006beys"),
            format!("\u{feff}{set}").chars().flat_map(|c| [c, '\0']).collect(),
            set.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat(),
            format!("{set}{set}"),
            set[..set.len() - 9].to_owned(),
            format!(r#"{{"keys":[{oct}]}}"#),
            r#"{"next":"https://example.com/jwks.json","keys":[]}"#.to_owned(),
            BASE64_STANDARD.encode(&set),
            BASE64_STANDARD.encode(&jwk),
            format!("ssh-ed25519 {blob} me@example.com"),
            format!("  ssh-ed25519 {blob}"),
            format!("\"ssh-ed25519 {blob}\""),
            format!("no-pty,command=\"id\" ssh-ed25519 {blob} me"),
            format!("example.com ssh-ed25519 {blob}"),
            blob.to_owned(),
            format!("ecdsa-sha2-nistp256 {}", "A".repeat(68)),
            format!("sk-ssh-ed25519@openssh.com {}", "A".repeat(68)),
            format!("---- BEGIN SSH2 PUBLIC KEY ----\n{blob}\n---- END SSH2 PUBLIC KEY ----"),
        ] {
            let error = SigningKey::read(Algorithm::Hs256, text.as_bytes()).unwrap_err();
            assert_eq!(error.code(), "key_not_a_secret", "{text}");
            assert!(error.to_string().ends_with(" is not an HMAC secret"), "{error}");
        }
        for text in [
            jwk.replace('"', "'"),
            jwk.replacen('{', r#"{"kty":"EC","#, 1),
            oct[..oct.len() - 1].to_owned(),
            format!("JWK={jwk}"),
            format!("({jwk})"),
        ] {
            assert_eq!(signing_code(Algorithm::Hs256, &text), "key_jwk", "a malformed JWK: {text}");
        }
    }

    #[test]
    fn ordinary_secrets_are_accepted() {
        for secret in [
            "django-insecure-7m&3x!%g^0(a1b2c3d4e5f6g7h8i9j0k-lmnopqrst",
            "3082010a0282010100c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee",
            "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A and more words of a passphrase",
            "{curly {braces} and [brackets] with words in between them}",
            "a secret about a -----dashed line----- and the \"kty of it\"",
            "keys are \"kty\" and \"keys\", says the manual of this passphrase",
            "ssh keys and ssh agents, a passphrase about them; and BEGIN END",
            "the backend private key of a house, and its frontend certificate",
            "ssh-tunnels-and-other-words-of-a-passphrase, which is not an ssh key",
            "0x0000111122223333444455556666777788889999aaaabbbbccccddddeeeeffff",
            "to begin with the key of the house, which is private in the end",
            "\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n",
            "================================================================",
        ] {
            assert_eq!(signing_code(Algorithm::Hs256, secret), "ok", "{secret}");
        }
        assert_eq!(signing_code(Algorithm::Hs256, [0x30; 64]), "ok");
        assert_eq!(signing_code(Algorithm::Hs256, [0; 64]), "ok");
    }

    #[test]
    fn secret_with_braces_is_not_read_as_a_jwk() {
        for secret in ["{this is a secret of forty bytes, no JSON", r#"{"a":"forty bytes of JSON, but without kty"}"#] {
            assert_eq!(signing_code(Algorithm::Hs256, secret), "ok", "{secret}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let key = SigningKey::read(Algorithm::Hs256, &[b'x'; 32]).unwrap();
        assert_eq!(format!("{key:?}"), "SigningKey(HS256 [redacted])");
        assert_eq!(format!("{:?}", key.verifying_key()), "VerifyingKey(HS256 [redacted])");
        let pair = sign(Algorithm::EdDsa, "ed25519.pkcs8").unwrap();
        assert_eq!(
            format!("{pair:?} {:?}", pair.verifying_key()),
            "SigningKey(EdDSA [redacted]) VerifyingKey(EdDSA [redacted])"
        );
    }
}

mod jwks {
    use super::*;

    /// Return the JWK with one member set or removed.
    fn with(jwk: &str, member: &str, value: Option<Value>) -> String {
        let mut jwk: Value = serde_json::from_str(jwk).unwrap();
        match value {
            Some(value) => jwk[member] = value,
            None => drop(jwk.as_object_mut().unwrap().remove(member)),
        }
        jwk.to_string()
    }

    fn generated(algorithm: Algorithm) -> String {
        GeneratedKey::new(algorithm, None).unwrap().expose_jwk().to_owned()
    }

    const ONE_EACH: [Algorithm; 4] = [Algorithm::Hs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa];

    #[test]
    fn generated_key_signs_and_its_public_half_verifies() {
        for algorithm in Algorithm::ALL {
            let made = GeneratedKey::new(algorithm, Some("2026-11")).unwrap();
            let key = SigningKey::read(algorithm, made.expose_jwk().as_bytes()).unwrap();
            let signature = key.sign(b"message", <[u8]>::to_vec).unwrap();
            assert_eq!((key.id(), key.algorithm()), ("2026-11", algorithm));
            let Some(public) = made.public_jwk() else {
                assert!(algorithm.is_symmetric() && made.expose_pem().is_none());
                assert_eq!(key.verifying_key().public_jwk(), None);
                continue;
            };
            let verifying = VerifyingKey::read(algorithm, public.as_bytes()).unwrap();
            assert!(verifying.verifies(b"message", &signature) && verifying.is_same(key.verifying_key()));
            assert_eq!(verifying.public_jwk().as_deref(), Some(public));
            let from_pem = SigningKey::read(algorithm, made.expose_pem().unwrap().as_bytes()).unwrap();
            assert!(from_pem.verifying_key().is_same(&verifying));
            assert_eq!(format!("{made:?}"), "GeneratedKey([redacted])");
        }
        assert_eq!(GeneratedKey::new(Algorithm::Es256, Some("")).unwrap_err(), KeyError::KeyId);
    }

    #[test]
    fn generated_keys_differ() {
        for algorithm in ONE_EACH {
            assert_ne!(generated(algorithm), generated(algorithm));
        }
    }

    #[test]
    fn public_jwk_has_no_private_members() {
        for algorithm in [Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa] {
            let key = SigningKey::read(algorithm, generated(algorithm).as_bytes()).unwrap();
            let public: Value = serde_json::from_str(&key.verifying_key().public_jwk().unwrap()).unwrap();
            let members: Vec<_> = public.as_object().unwrap().keys().map(String::as_str).collect();
            assert!(members.iter().all(|it| ["alg", "crv", "e", "kid", "kty", "n", "use", "x", "y"].contains(it)));
            assert_eq!(public["kid"], key.id());
        }
    }

    #[test]
    fn alg_use_and_key_ops_of_a_jwk_are_enforced() {
        use serde_json::json;
        for algorithm in ONE_EACH {
            let jwk = generated(algorithm);
            let code = |member, value| signing_code(algorithm, with(&jwk, member, Some(value)));
            assert_eq!(code("alg", json!("HS512")), "key_wrong_algorithm");
            assert_eq!(code("alg", json!("none")), "key_wrong_algorithm");
            assert_eq!(code("use", json!("enc")), "key_wrong_use");
            assert_eq!(code("key_ops", json!(["verify"])), "key_wrong_use");
            assert_eq!(code("key_ops", json!([])), "key_wrong_use");
            assert_eq!(code("key_ops", json!(["sign", "verify"])), "ok");
            assert_eq!(signing_code(algorithm, with(&jwk, "alg", None)), "ok");
            assert_eq!(signing_code(algorithm, with(&jwk, "use", None)), "ok");
        }
        let public = verify(Algorithm::Es256, "p-256.spki").unwrap().public_jwk().unwrap();
        assert_eq!(verifying_code(Algorithm::Es256, with(&public, "key_ops", Some(json!(["sign"])))), "key_wrong_use");
        assert_eq!(verifying_code(Algorithm::Es256, with(&public, "key_ops", Some(json!(["verify"])))), "ok");
        assert_eq!(signing_code(Algorithm::Ed25519, generated(Algorithm::EdDsa)), "ok");
    }

    #[test]
    fn key_id_is_kept_up_to_its_maximum_length() {
        let jwk = generated(Algorithm::Es256);
        let key = |id: &str| SigningKey::read(Algorithm::Es256, with(&jwk, "kid", Some(id.into())).as_bytes());
        assert_eq!(key("a b/\u{e9}").unwrap().id(), "a b/\u{e9}");
        assert!(key(&"x".repeat(256)).is_ok());
        assert_eq!(key(&"x".repeat(257)).unwrap_err().code(), "key_id");
        assert_eq!(key("").unwrap_err().code(), "key_id");
    }

    #[test]
    fn jwk_with_missing_or_contradictory_members_is_refused() {
        let members = |algorithm: Algorithm| match algorithm.family() {
            Family::Hmac(_) => vec!["k"],
            Family::Rsa { .. } => vec!["n", "e", "p", "q", "dp", "dq", "qi"],
            Family::Ecdsa(_) => vec!["x", "y"],
            Family::Ed25519 => vec!["x"],
        };
        for algorithm in ONE_EACH {
            let (jwk, other) = (generated(algorithm), generated(algorithm));
            let other: Value = serde_json::from_str(&other).unwrap();
            for member in members(algorithm) {
                assert_eq!(signing_code(algorithm, with(&jwk, member, None)), "key_jwk", "{algorithm} {member}");
                for value in ["", "A", "====", "AAA", "+/"] {
                    let code = signing_code(algorithm, with(&jwk, member, Some(value.into())));
                    assert!(["key_jwk", "key_too_short"].contains(&code), "{algorithm} {member} {value}: {code}");
                }
                for value in [serde_json::json!(1), serde_json::json!(["AA"]), serde_json::json!({})] {
                    let code = signing_code(algorithm, with(&jwk, member, Some(value)));
                    assert_eq!(code, "key_jwk", "{algorithm} {member}");
                }
                if !["k", "e"].contains(&member) {
                    let code = signing_code(algorithm, with(&jwk, member, Some(other[member].clone())));
                    assert_eq!(code, "key_jwk", "{algorithm} {member}");
                }
            }
        }
    }

    #[test]
    fn public_jwk_cannot_sign_and_private_jwk_is_refused_for_verifying() {
        for algorithm in [Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa] {
            let jwk = generated(algorithm);
            assert_eq!(verifying_code(algorithm, &jwk), "key_not_public");
            let key = SigningKey::read(algorithm, jwk.as_bytes()).unwrap();
            assert_eq!(signing_code(algorithm, key.verifying_key().public_jwk().unwrap()), "key_not_private");
            assert_eq!(
                signing_code(algorithm, generated(Algorithm::Hs512).replace("HS512", algorithm.as_str())),
                "key_wrong_kind"
            );
        }
    }

    #[test]
    fn numbers_must_be_canonical_and_points_on_their_curve() {
        use serde_json::json;
        let public = |algorithm, name| verify(algorithm, name).unwrap().public_jwk().unwrap();
        let (rsa, ec) = (public(Algorithm::Rs256, "rsa-2048.spki"), public(Algorithm::Es256, "p-256.spki"));
        let n = BASE64URL.decode(serde_json::from_str::<Value>(&rsa).unwrap()["n"].as_str().unwrap()).unwrap();
        let padded = BASE64URL.encode([&[0], n.as_slice()].concat());
        assert_eq!(verifying_code(Algorithm::Rs256, with(&rsa, "n", Some(padded.into()))), "key_jwk");
        for e in ["AQ", "Ag", "AA", "AAEAAQ"] {
            let code = verifying_code(Algorithm::Rs256, with(&rsa, "e", Some(e.into())));
            assert!(["key_jwk", "key_malformed"].contains(&code), "{e}: {code}");
        }
        let off = BASE64URL.encode([7; 32]);
        assert_eq!(verifying_code(Algorithm::Es256, with(&ec, "y", Some(off.into()))), "key_malformed");
        for curve in ["P-384", "P-521", "secp256k1", "Ed25519", "p-256", ""] {
            let code = verifying_code(Algorithm::Es256, with(&ec, "crv", Some(json!(curve))));
            assert!(["key_jwk", "key_wrong_kind"].contains(&code), "{curve}: {code}");
        }
        for kty in ["RSA", "OKP", "oct", "ec", ""] {
            let code = verifying_code(Algorithm::Es256, with(&ec, "kty", Some(json!(kty))));
            assert!(["key_jwk", "key_wrong_kind"].contains(&code), "{kty}: {code}");
        }
    }

    #[test]
    fn duplicate_member_of_a_jwk_is_refused() {
        let jwk = generated(Algorithm::Es256);
        assert_eq!(signing_code(Algorithm::Es256, jwk.replacen('{', r#"{"kid":"a","#, 1)), "key_jwk");
        let unknown = jwk.replacen('{', r#"{"x5t":"a","ext":true,"#, 1);
        assert_eq!(signing_code(Algorithm::Es256, unknown), "ok");
    }
}

mod sets {
    use super::*;
    use crate::VerifyingKeys;

    fn published() -> Vec<(Algorithm, String)> {
        [
            (Algorithm::Rs256, "rsa-2048.spki"),
            (Algorithm::Es256, "p-256.spki"),
            (Algorithm::Es384, "p-384.spki"),
            (Algorithm::EdDsa, "ed25519.spki"),
        ]
        .map(|(algorithm, name)| (algorithm, verify(algorithm, name).unwrap().public_jwk().unwrap()))
        .to_vec()
    }

    fn set(keys: &[String]) -> String {
        format!(r#"{{"keys":[{}]}}"#, keys.join(","))
    }

    fn read(keys: &[String]) -> VerifyingKeys {
        VerifyingKeys::from_jwk_set(set(keys).as_bytes(), None).unwrap()
    }

    #[test]
    fn published_set_is_read_back() {
        let jwks: Vec<_> = published().into_iter().map(|(_, jwk)| jwk).collect();
        let keys = VerifyingKeys::from_jwk_set(set(&jwks).as_bytes(), None).unwrap();
        let algorithms: Vec<_> = keys.iter().map(VerifyingKey::algorithm).collect();
        assert_eq!(algorithms, [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa]);
        assert_eq!(keys.to_jwk_set(), set(&jwks));
    }

    #[test]
    fn missing_alg_is_inferred_from_the_kind_of_key() {
        let without_alg: Vec<_> = published()
            .into_iter()
            .map(|(algorithm, jwk)| jwk.replace(&format!(r#","alg":"{algorithm}""#), ""))
            .collect();
        let keys = VerifyingKeys::from_jwk_set(set(&without_alg).as_bytes(), None).unwrap();
        let algorithms: Vec<_> = keys.iter().map(VerifyingKey::algorithm).collect();
        assert_eq!(algorithms, [Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa]);
    }

    #[test]
    fn unusable_keys_of_a_set_are_skipped() {
        let good = published().remove(1).1;
        let others = [
            GeneratedKey::new(Algorithm::Hs256, None).unwrap().expose_jwk().to_owned(),
            GeneratedKey::new(Algorithm::EdDsa, None).unwrap().expose_jwk().to_owned(),
            good.replace("\"sig\"", "\"enc\""),
            good.replace("ES256", "ES512"),
            good.replace("ES256", "HS256"),
            r#"{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","alg":"ES256"}"#.to_owned(),
            r#"{"kty":"new"}"#.to_owned(),
            "{}".to_owned(),
            "null".to_owned(),
            "[1]".to_owned(),
        ];
        for other in others {
            assert_eq!(read(&[other.clone(), good.clone()]).iter().count(), 1, "{other}");
            assert!(read(&[other]).is_empty());
        }
    }

    #[test]
    fn texts_other_than_jwk_sets_are_refused() {
        let good = published().remove(1).1;
        let others = [format!("[[{good}]]"), format!("[{good}]"), good, r#"{"keys":null}"#.to_owned()];
        for text in ["", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[]}x"#, r#"{"keys":[],"keys":[]}"#, "null"]
            .into_iter()
            .chain(others.iter().map(String::as_str))
        {
            assert_eq!(VerifyingKeys::from_jwk_set(text.as_bytes(), None).unwrap_err().code(), "key_jwk", "{text}");
        }
    }

    #[test]
    fn empty_set_is_accepted() {
        assert!(read(&[]).is_empty());
        assert_eq!(read(&[]).to_jwk_set(), r#"{"keys":[]}"#);
    }

    #[test]
    fn white_space_and_byte_order_mark_before_a_set_are_ignored() {
        for before in ["\r\n\t ", "\u{feff}", "\u{feff}\n"] {
            let text = format!("{before}{}", set(&[published().remove(1).1]));
            assert_eq!(VerifyingKeys::from_jwk_set(text.as_bytes(), None).unwrap().iter().count(), 1, "{before:?}");
        }
    }

    #[test]
    fn set_may_hold_many_keys_and_duplicates() {
        assert_eq!(read(&vec![published().remove(1).1; 1000]).iter().count(), 1);
        let made = || GeneratedKey::new(Algorithm::EdDsa, None).unwrap().public_jwk().unwrap().to_owned();
        let many: Vec<_> = std::iter::repeat_with(made).take(crate::MAX_KEYS + 4).collect();
        let keys = read(&many);
        assert_eq!(keys.iter().count(), many.len());
        assert!(keys.iter().all(|key| keys.candidates(Some(key.id())).count() == 1));
        assert_eq!(keys.candidates(None).count(), crate::MAX_KEYS);
    }

    #[test]
    fn rsa_key_without_alg_uses_the_default_algorithm() {
        use Algorithm::{Es256, Hs256, Ps384, Rs256};
        let (_, rsa) = published().remove(0);
        let rsa = rsa.replace(r#","alg":"RS256""#, "");
        let text = set(&[rsa.clone(), published().remove(3).1]);
        for (default, expected) in [
            (Some(Rs256), Some(Rs256)),
            (Some(Ps384), Some(Ps384)),
            (Some(Es256), None),
            (Some(Hs256), None),
            (None, None),
        ] {
            let keys = VerifyingKeys::from_jwk_set(text.as_bytes(), default).unwrap();
            let found: Vec<_> = keys.iter().map(VerifyingKey::algorithm).collect();
            assert_eq!(found, expected.into_iter().chain([Algorithm::EdDsa]).collect::<Vec<_>>(), "{default:?}");
        }
        for other in ["RSA-OAEP", "HS256", "none", ""] {
            let named = rsa.replacen('{', &format!(r#"{{"alg":"{other}","#), 1);
            let keys = VerifyingKeys::from_jwk_set(set(&[named]).as_bytes(), Some(Rs256)).unwrap();
            assert!(keys.is_empty(), "the default does not apply to a key that names another algorithm");
        }
    }

    #[test]
    fn different_keys_with_the_same_id_are_skipped() {
        let named = |algorithm, id| {
            let made = GeneratedKey::new(algorithm, Some(id)).unwrap();
            made.public_jwk().unwrap().to_owned()
        };
        let (one, two) = (named(Algorithm::EdDsa, "1"), named(Algorithm::EdDsa, "1"));
        let (newer_name, other) = (named(Algorithm::Ed25519, "1"), named(Algorithm::EdDsa, "2"));
        let of_another_algorithm = named(Algorithm::Es256, "1");
        let unusable = one.replace("sig", "enc");
        for (keys, expected) in [
            (vec![&one, &two, &other], vec!["2"]),
            (vec![&one, &other, &two, &one], vec!["2"]),
            (vec![&one, &newer_name, &other], vec!["2"]),
            (vec![&one, &two], vec![]),
            (vec![&one, &one, &other], vec!["1", "2"]),
            (vec![&one, &of_another_algorithm], vec!["1", "1"]),
            (vec![&unusable, &two], vec!["1"]),
        ] {
            let keys: Vec<_> = keys.into_iter().cloned().collect();
            let keys = read(&keys);
            assert_eq!(keys.iter().map(VerifyingKey::id).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn secrets_are_left_out_of_a_set() {
        let secret = VerifyingKey::read(Algorithm::Hs256, &[7; 32]).unwrap();
        assert_eq!(VerifyingKeys::new([secret]).unwrap().to_jwk_set(), r#"{"keys":[]}"#);
    }
}

mod rfc_examples {
    use super::*;

    fn examples(section: &str) -> Vec<Value> {
        let text = include_str!("../../testdata/rfc-examples.json");
        serde_json::from_str::<Value>(text).unwrap()[section].as_array().unwrap().clone()
    }

    #[test]
    fn signatures_of_the_rfcs_verify_and_are_reproduced() {
        let examples = examples("signatures");
        assert_eq!(examples.len(), 4);
        for example in examples {
            let algorithm: Algorithm = example["algorithm"].as_str().unwrap().parse().unwrap();
            let key = SigningKey::read(algorithm, example["key"].to_string().as_bytes()).unwrap();
            let (message, signature) = example["token"].as_str().unwrap().rsplit_once('.').unwrap();
            let signature = BASE64URL.decode(signature).unwrap();
            assert!(key.verifying_key().verifies(message.as_bytes(), &signature), "{}", example["source"]);
            let made = key.sign(message.as_bytes(), <[u8]>::to_vec).unwrap();
            assert!(key.verifying_key().verifies(message.as_bytes(), &made), "{}", example["source"]);
            assert_eq!(made == signature, example["deterministic"].as_bool().unwrap(), "{}", example["source"]);
        }
    }

    #[test]
    fn thumbprints_match_the_rfcs() {
        let examples = examples("thumbprints");
        assert_eq!(examples.len(), 2);
        for example in examples {
            let algorithm: Algorithm = example["algorithm"].as_str().unwrap().parse().unwrap();
            let key = VerifyingKey::read(algorithm, example["key"].to_string().as_bytes()).unwrap();
            assert_eq!(key.id(), example["thumbprint"], "{}", example["source"]);
        }
        // The secret of RFC 7515 A.1; the thumbprint was computed by Python's hashlib over the canonical JWK.
        let secret = SigningKey::read(Algorithm::Hs256, self::examples("signatures")[0]["key"].to_string().as_bytes());
        assert_eq!(secret.unwrap().id(), "y_x3gCJnL6oKGBBIXScabduwxTVy2Wd2bzRVEUbdUzc");
    }
}
