//! Tests with PEM text as it arrives from environment variables, secret stores, and copy and paste.

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use proptest::{prelude::*, test_runner::RngSeed};

use super::*;

fn text(name: &str) -> String {
    String::from_utf8(file(name)).unwrap()
}

/// Return the label, and the base64 in one line.
fn parts(pem: &str) -> (String, String) {
    let (label, rest) = pem.split_once("-----BEGIN ").unwrap().1.split_once("-----").unwrap();
    (label.to_owned(), rest.split_once("-----END").unwrap().0.split_whitespace().collect())
}

#[test]
fn pem_with_changed_line_breaks_quotes_or_escapes_is_read() {
    let pem = text("rsa-2048.pkcs8");
    let one_line = pem.trim_end();
    let (label, body) = parts(&pem);
    let lines = |width: usize| -> String {
        let lines = body.as_bytes().chunks(width).map(|line| format!("{}\n", std::str::from_utf8(line).unwrap()));
        format!("-----BEGIN {label}-----\n{}-----END {label}-----\n", lines.collect::<Vec<_>>().concat())
    };
    for text in [
        one_line.to_owned(),
        format!("\n\n{pem}\n\n"),
        pem.replace('\n', "\r\n"),
        pem.replace('\n', "\r"),
        format!("\u{feff}{pem}"),
        one_line.replace('\n', "\\n"),
        one_line.replace('\n', "\\\\n"),
        one_line.replace('\n', "\\r\\n"),
        one_line.replace('\n', "\\n\n"),
        format!("\"{}\"", one_line.replace('\n', "\\n")),
        format!("'{one_line}'"),
        format!("\"{one_line}\\n\""),
        one_line.replace('\n', " "),
        one_line.replace('\n', "  "),
        one_line.replace('\n', ""),
        one_line.replace('\n', "\u{a0}"),
        pem.split_whitespace().collect(),
        pem.lines().map(|line| format!("    {line}\n")).collect::<Vec<_>>().concat(),
        pem.lines().map(|line| format!("\t{line} \t\n")).collect::<Vec<_>>().concat(),
        pem.lines().map(|line| format!("\"{line}\",\n")).collect::<Vec<_>>().concat(),
        pem.lines().map(|line| format!("{line}\\\n")).collect::<Vec<_>>().concat(),
        pem.replace('\n', "\n\n"),
        pem.replace('/', "\\/"),
        pem.replace('\n', "\\n").replace('+', "\\u002B").replace('=', "\\u003d"),
        pem.replace('\n', "\\\\u000a"),
        serde_json::json!({"type": "service_account", "private_key": pem}).to_string(),
        lines(100_000),
        lines(76),
        lines(48),
        lines(1),
        format!("Bag Attributes\n    friendlyName: a\nKey Attributes: <No Attributes>\n{pem}"),
        format!("# made by hand\n{pem}# the end\n"),
        format!("PRIVATE_KEY=\"{}\"\nOTHER=1\n", one_line.replace('\n', "\\n")),
        format!("{}{pem}", text("p-256.certificate")),
        format!("{pem}{}{}", text("rsa-2048.certificate"), text("p-256.certificate")),
        format!("{pem}{}", text("rsa-2048.spki")),
    ] {
        let key = SigningKey::read(Algorithm::Rs256, text.as_bytes());
        assert_eq!(key.unwrap().id(), sign(Algorithm::Rs256, "rsa-2048.pkcs8").unwrap().id(), "{text}");
    }
    let latin_1 = [b"friendlyName: \xe9\n".as_slice(), pem.as_bytes()].concat();
    assert_eq!(signing_code(Algorithm::Rs256, latin_1), "ok");
}

#[test]
fn certificate_chain_is_the_key_of_its_first_certificate() {
    let (leaf, issuer, root) = (text("chain.leaf"), text("chain.issuer"), text("chain.root"));
    let key = |text: &str| VerifyingKey::read(Algorithm::Es256, text.as_bytes()).map(|key| key.id().to_owned());
    let expected = key(&leaf).unwrap();
    let with_its_key = format!("{}{leaf}", text("chain.leaf-spki"));
    for chain in [
        format!("{leaf}{issuer}{root}"),
        format!("{leaf}{issuer}"),
        format!("{leaf}{leaf}"),
        format!("subject=CN = a\n{leaf}\nissuer=CN = b\n{issuer}").replace('\n', "\r\n"),
        format!("{with_its_key}{issuer}{root}"),
        format!("{leaf}{}", text("chain.leaf-spki")),
    ] {
        assert_eq!(key(&chain).as_ref(), Ok(&expected), "{chain}");
    }
    let several = KeyError::SeveralKeys { found: "public keys" };
    for other in [
        format!("{issuer}{leaf}"),
        format!("{leaf}{root}"),
        format!("{leaf}{}", text("p-256.certificate")),
        format!("{leaf}{}", text("p-256.spki")),
        format!("{}{}", text("p-256.spki"), text("chain.leaf-spki")),
    ] {
        assert_eq!(key(&other).as_ref(), Err(&several), "{other}");
    }
    assert_eq!(several.to_string(), "the PEM contains several public keys; give only one");
    assert_eq!(verifying_code(Algorithm::Es256, text("p-256.certificate-1")), "ok", "a certificate of X.509 version 1");
}

#[test]
fn error_names_what_is_wrong_with_a_key() {
    let pem = text("p-256.pkcs8");
    let one_line = pem.trim_end();
    let (_, body) = parts(&pem);
    let utf_16: Vec<u8> = pem.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let der = BASE64_STANDARD.decode(&body).unwrap();
    let cut: String = pem.lines().take(2).collect::<Vec<_>>().join("\n");
    let ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJpwNBhB7l0JFwqjBKyzZ6SJmTJdMSV9fT7kHMJSlA0p me@example";
    let public = verify(Algorithm::Es256, "p-256.spki").unwrap().public_jwk().unwrap();
    for (key, code, message) in [
        (cut.into_bytes(), "key_pem_lines", "BEGIN line and a matching END line"),
        (b"-----BEGIN PRIVATE KEY-----".to_vec(), "key_pem_lines", "five dashes"),
        (pem.replace("-----END", "----END").into_bytes(), "key_pem_lines", "END line"),
        (pem.replace("-----BEGIN", "----BEGIN").into_bytes(), "key_pem_lines", "BEGIN"),
        (pem.replace("-----BEGIN", "\u{2014}BEGIN").into_bytes(), "key_pem_lines", "BEGIN"),
        (pem.replace("-----", "\u{2014}").into_bytes(), "key_pem_lines", "BEGIN"),
        (pem.replace("END PRIVATE", "END PUBLIC").into_bytes(), "key_pem_lines", "matching END line"),
        (pem.replacen('+', "%2B", 1).into_bytes(), "key_pem_base64", "complete base64"),
        (pem.replacen("MIG", "MIG\nComment: a\n", 1).into_bytes(), "key_pem_base64", "complete base64"),
        (pem.replacen("MIG", "MI", 1).into_bytes(), "key_pem_base64", "complete base64"),
        (pem.replacen("MIG", "M=G", 1).into_bytes(), "key_pem_base64", "complete base64"),
        (format!("{pem}{pem}").into_bytes(), "key_several", "several private keys"),
        (format!("{pem}{}", text("ed25519.pkcs8")).into_bytes(), "key_several", "several private keys"),
        (format!("{pem}{}", text("rsa-2048.encrypted")).into_bytes(), "key_several", "several private keys"),
        (text("rsa-2048.encrypted").replace('\n', " ").into_bytes(), "key_encrypted", "encrypted"),
        (text("rsa-2048.encrypted-pkcs1").replace('\n', " ").into_bytes(), "key_encrypted", "encrypted"),
        (text("rsa-2048.encrypted-pkcs1").replace('\n', "\\n").into_bytes(), "key_encrypted", "encrypted"),
        (body.clone().into_bytes(), "key_form", "not the base64 of DER"),
        (format!("\"{body}\"").into_bytes(), "key_form", "not the base64 of DER"),
        (der, "key_form", "not DER"),
        (BASE64_STANDARD.encode(&pem).into_bytes(), "key_form", "not the base64 of a PEM"),
        (BASE64_STANDARD.encode(BASE64_STANDARD.encode(&pem)).into_bytes(), "key_form", "not the base64 of a PEM"),
        (BASE64_URL_SAFE.encode(&public).into_bytes(), "key_form", "not the base64 of a JWK"),
        (utf_16, "key_form", "UTF-16"),
        (ssh.into(), "key_form", "not an SSH key"),
        (one_line.replace("PRIVATE KEY", "OPENSSH PRIVATE KEY").into(), "key_form", "OpenSSH"),
        (one_line.replace("PRIVATE KEY", "CERTIFICATE REQUEST").into(), "key_form", "certificate request"),
        (one_line.replace("PRIVATE KEY", "DH PARAMETERS").into(), "key_form", "parameters without a key"),
        (format!("{{\"keys\":[{public}]}}").into(), "key_form", "not a JWK Set"),
        (format!("[{public}]").into(), "key_form", "not a JWK Set"),
        (public.replace('"', "'").into(), "key_jwk", "not a valid key"),
    ] {
        let error = SigningKey::read(Algorithm::Es256, &key).unwrap_err();
        let shown = String::from_utf8_lossy(&key).into_owned();
        assert_eq!(error.code(), code, "{shown}");
        assert!(error.to_string().contains(message), "{error}: {shown}");
        assert!(VerifyingKey::read(Algorithm::Es256, &key).is_err(), "{shown}");
    }
}

#[test]
fn jwk_in_quotes_or_after_a_byte_order_mark_is_read() {
    let made = GeneratedKey::new(Algorithm::Es256, Some("a")).unwrap();
    for text in ["'%'", "\"%\"", "\u{feff}%", " % \n"] {
        let text = text.replace('%', made.expose_jwk());
        assert_eq!(SigningKey::read(Algorithm::Es256, text.as_bytes()).unwrap().id(), "a", "{text}");
    }
}

/// Run the same cases every time; `PROPTEST_CASES` sets their number.
fn config() -> ProptestConfig {
    ProptestConfig { rng_seed: RngSeed::Fixed(7468), failure_persistence: None, ..ProptestConfig::default() }
}

const FILES: [(Algorithm, &str, &str); 7] = [
    (Algorithm::Rs256, "rsa-2048.pkcs8", "rsa-2048.certificate"),
    (Algorithm::Ps512, "rsa-2048.pkcs1", "rsa-2048.spki"),
    (Algorithm::Es256, "p-256.pkcs8", "p-256.spki"),
    (Algorithm::Es256, "p-256.sec1", "p-256.certificate"),
    (Algorithm::Es384, "p-384.sec1", "p-384.spki"),
    (Algorithm::EdDsa, "ed25519.pkcs8", "ed25519.spki"),
    (Algorithm::EdDsa, "ed25519.pkcs8", "ed25519.certificate"),
];

/// One of many ways in which a PEM text gets changed in transit.
#[derive(Debug)]
struct Mangling {
    width: usize,
    end: &'static str,
    indent: String,
    trail: String,
    quote: &'static str,
    mark: &'static str,
    before: String,
    after: String,
    is_slash_escaped: bool,
}

impl Mangling {
    fn of(&self, pem: &str) -> String {
        let mut lines = Vec::new();
        let mut rest = pem;
        while let Some((_, block)) = rest.split_once("-----BEGIN ") {
            let (block, after) = block.split_once("-----END").unwrap();
            let (label, body) = block.split_once("-----").unwrap();
            let body: String = body.split_whitespace().collect();
            lines.push(format!("-----BEGIN {label}-----"));
            lines.extend(body.as_bytes().chunks(self.width).map(|line| String::from_utf8(line.to_vec()).unwrap()));
            lines.push(format!("-----END {label}-----"));
            rest = after;
        }
        let Self { indent, trail, quote, mark, before, after, .. } = self;
        let lines: Vec<_> = lines.iter().map(|line| format!("{indent}{line}{trail}")).collect();
        let text = format!("{mark}{before}{quote}{}{quote}{after}", lines.join(self.end));
        if self.is_slash_escaped { text.replace('/', "\\/") } else { text }
    }
}

prop_compose! {
    fn mangling()(
        width in prop_oneof![Just(64usize), Just(76), Just(100_000), 1..100usize],
        end in prop::sample::select(vec![
            "\n", "\r\n", "\r", " ", "", "\\n", "\\\\n", "\\r\\n", "\t", " \n\n", "\\\n", "\u{a0}",
        ]),
        indent in "[ \t]{0,3}", trail in "[ \t]{0,3}",
        quote in prop::sample::select(vec!["", "\"", "'", "`", "\\\""]),
        mark in prop::sample::select(vec!["", "\u{feff}"]),
        before in "([A-Za-z #:=_]{0,12}\n?){0,2}", after in "(\n[A-Za-z #:=_-]{0,12}){0,2}",
        is_slash_escaped: bool,
    ) -> Mangling {
        Mangling { width, end, indent, trail, quote, mark, before, after, is_slash_escaped }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn mangled_pem_is_the_same_key(
        mangling in mangling(), (algorithm, private, public) in prop::sample::select(&FILES), bundled: bool,
    ) {
        let (private_pem, public_pem) = (text(private), text(public));
        let bundle = if bundled { format!("{public_pem}{private_pem}") } else { private_pem };
        let mangled = mangling.of(&bundle);
        let key = SigningKey::read(algorithm, mangled.as_bytes());
        prop_assert!(key.is_ok(), "{:?}: {}", key, mangled);
        prop_assert!(key.unwrap().verifying_key().is_same(sign(algorithm, private).unwrap().verifying_key()));
        let mangled = mangling.of(&public_pem);
        let key = VerifyingKey::read(algorithm, mangled.as_bytes());
        prop_assert!(key.is_ok(), "{:?}: {}", key, mangled);
        prop_assert!(key.unwrap().is_same(&verify(algorithm, public).unwrap()));
    }

    #[test]
    fn mangled_pem_is_refused_as_a_secret(
        mangling in mangling(), (_, private, public) in prop::sample::select(&FILES), is_encoded: bool,
    ) {
        for name in [private, public] {
            let pem = mangling.of(&text(name));
            let pem = if is_encoded { BASE64_STANDARD.encode(&pem) } else { pem };
            prop_assert_eq!(signing_code(Algorithm::Hs256, &pem), "key_not_a_secret", "{}", pem);
        }
    }

    #[test]
    fn random_secret_is_accepted_in_any_encoding(
        bytes in prop::collection::vec(any::<u8>(), 64..100), chars in "[a-z0-9!@#$%^&*(=_+)-]{64}", text in "[ -~]{64,90}",
    ) {
        let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        for secret in [BASE64_STANDARD.encode(&bytes), BASE64_URL_SAFE.encode(&bytes), hex, chars, text] {
            prop_assert_eq!(signing_code(Algorithm::Hs512, &secret), "ok", "{}", secret);
        }
        prop_assert_eq!(signing_code(Algorithm::Hs512, &bytes), "ok", "{:?}", bytes);
    }

    #[test]
    fn arbitrary_text_is_refused_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        pieces in prop::collection::vec(prop::sample::select(vec![
            "-----BEGIN", "-----END", "-----", " PRIVATE KEY", " PUBLIC KEY", " CERTIFICATE", "MIGH", "AA==", "=", "\\n", "\\",
            "\n", "\"", "{", "}", "[", "\"kty\"", "\"keys\"", ":", "Proc-Type: 4,ENCRYPTED", "ssh-rsa ", "AAAA", "\u{feff}", "é",
        ]), 0..24),
    ) {
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
            for text in [bytes.clone(), pieces.concat().into_bytes(), BASE64_STANDARD.encode(pieces.concat()).into_bytes()] {
                prop_assert!(SigningKey::read(algorithm, &text).is_err());
                prop_assert!(VerifyingKey::read(algorithm, &text).is_err());
                let _ = SigningKey::read(Algorithm::Hs256, &text);
            }
        }
    }
}
