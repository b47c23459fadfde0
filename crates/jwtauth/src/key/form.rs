//! Recognises keys in forms that this crate does not read, so that they are not mistaken for an HMAC secret. With a
//! public key as the secret, every holder of that key could sign (RFC 8725 §2.1).

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use pkcs1::der::{Decode as _, SliceReader, Tag, Tagged as _, asn1::AnyRef};
use zeroize::Zeroizing;

use super::armor::{is_invisible, unescape};

/// The form of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    Pem,
    Jwk,
    JwkSet,
    Der,
    Ssh,
    /// Encoded in base64 or hexadecimal digits.
    Encoded(&'static str),
}

/// How many layers of base64 to decode: secret stores encode text that is already base64.
const DEPTH: usize = 3;

impl Form {
    /// Return the form in which `key` holds half of a key pair or several keys; `None` if it may be a secret.
    pub(super) fn of(key: &[u8]) -> Option<Self> {
        Self::at_depth(key, DEPTH)
    }

    fn at_depth(key: &[u8], depth: usize) -> Option<Self> {
        let key = without_mark(key);
        if is_der(key) {
            return Some(Self::Der);
        }
        let text = unescape(key);
        let compact = compact(&text);
        if is_pem(&compact) {
            return Some(Self::Pem);
        }
        if is_ssh(&text) {
            return Some(Self::Ssh);
        }
        if let Some(json) = Self::of_json(&compact) {
            return Some(json);
        }
        let digits: Zeroizing<Vec<u8>> =
            Zeroizing::new(compact.iter().copied().filter(|byte| !b"\"'`,".contains(byte)).collect());
        let depth = depth.checked_sub(1)?;
        match hex(&digits).and_then(|bytes| Self::at_depth(&bytes, depth)) {
            Some(Self::Der) => return Some(Self::Encoded("DER in hexadecimal digits")),
            Some(_) => return Some(Self::Encoded("a key in hexadecimal digits")),
            None => {}
        }
        let inner = base64_of(&digits).and_then(|bytes| Self::at_depth(&bytes, depth)).or_else(|| {
            // The base64 may follow a name, as in `KEY=` or `base64:`.
            compact.split(|&byte| !is_digit(byte)).find_map(|word| Self::at_depth(&base64_of(word)?, 0))
        })?;
        Some(match inner {
            Self::Pem => Self::Encoded("the base64 of a PEM"),
            Self::Der => Self::Encoded("the base64 of DER"),
            Self::Jwk => Self::Encoded("the base64 of a JWK"),
            Self::JwkSet => Self::Encoded("the base64 of a JWK Set"),
            other => other,
        })
    }

    /// Recognise a JWK or a JWK Set, even if it is not valid JSON: truncated, with a duplicate name, after a name such
    /// as `KEY=`, or written as a Python dict.
    fn of_json(compact: &[u8]) -> Option<Self> {
        let start = compact.iter().find(|byte| !b"\"'`".contains(byte));
        let has = |name: &str| {
            [format!("\"{name}\""), format!("'{name}'")].iter().any(|name| holds(compact, name.as_bytes()))
        };
        match start {
            Some(b'{' | b'[') if has("keys") => Some(Self::JwkSet),
            Some(b'[') if has("kty") => Some(Self::JwkSet),
            Some(b'{') if has("kty") => Some(Self::Jwk),
            _ if holds(compact, b"\"kty\":") || holds(compact, b"'kty':") => Some(Self::Jwk),
            _ => None,
        }
    }

    /// Return the name of this form, for error messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pem => "a PEM",
            Self::Jwk => "a JWK",
            Self::JwkSet => "a JWK Set",
            Self::Der => "DER",
            Self::Ssh => "an SSH key",
            Self::Encoded(name) => name,
        }
    }
}

/// Return whether a text without white space has the lines of a PEM, even if an editor changed their dashes.
fn is_pem(compact: &[u8]) -> bool {
    const KINDS: [&[u8]; 3] = [b"PUBLICKEY", b"PRIVATEKEY", b"CERTIFICATE"];
    let upper = Zeroizing::new(compact.to_ascii_uppercase());
    let names_key = |line: &[u8]| {
        let label = line.strip_prefix(b"BEGIN").or_else(|| line.strip_prefix(b"END"));
        label.is_some_and(|label| KINDS.iter().any(|kind| holds(label, kind)))
    };
    // 24 bytes hold the longest label, that of an encrypted key. Without dashes, lower-case letters may be words of a
    // passphrase.
    holds(&upper, b"----BEGIN") || holds(&upper, b"----END") || compact.windows(24).any(names_key)
}

/// Return whether the bytes begin with a DER structure that holds a key: SPKI, PKCS#8 (also encrypted), PKCS#1, SEC1,
/// X.509, PKCS#7 or PKCS#12. Random bytes do not match.
fn is_der(bytes: &[u8]) -> bool {
    let Ok(mut reader) = SliceReader::new(bytes) else { return false };
    let Ok(members) = Vec::<AnyRef<'_>>::decode(&mut reader) else { return false };
    let is_identifier = |member: &AnyRef<'_>| {
        member.decode_as::<Vec<AnyRef<'_>>>().is_ok_and(|it| it.first().map(AnyRef::tag) == Some(Tag::ObjectIdentifier))
    };
    match members.as_slice() {
        [first, second, ..] => match (first.tag(), second.tag()) {
            (Tag::Sequence, Tag::BitString | Tag::OctetString) => is_identifier(first),
            (Tag::Sequence | Tag::Integer, Tag::Sequence) => is_identifier(second),
            (Tag::Integer, Tag::Integer | Tag::OctetString) => true,
            (Tag::ObjectIdentifier, tag) => tag.is_context_specific(),
            _ => false,
        },
        _ => false,
    }
}

/// Return whether a text is an SSH key (as in `authorized_keys`), or the binary blob inside one (RFC 4253 §6.6).
fn is_ssh(text: &[u8]) -> bool {
    const KINDS: [&[u8]; 4] = [b"ssh-", b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-"];
    let is_kind = |bytes: &[u8]| KINDS.iter().any(|kind| bytes.starts_with(kind));
    let is_blob =
        |bytes: &[u8]| bytes.strip_prefix(&[0, 0, 0]).and_then(<[u8]>::split_first).is_some_and(|it| is_kind(it.1));
    let is_quote = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`".contains(byte);
    let letters: Zeroizing<Vec<u8>> = Zeroizing::new(text.iter().copied().filter(|&byte| byte != 0).collect());
    let mut words = letters.split(is_quote).filter(|word| !word.is_empty());
    is_blob(text)
        || words.clone().next().is_some_and(is_kind) && holds(&letters, b"AAAA")
        || words.any(|word| base64_of(word).is_some_and(|bytes| is_blob(&bytes)))
}

/// Remove a byte order mark, which some editors write before a text.
fn without_mark(key: &[u8]) -> &[u8] {
    let marks: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"];
    marks.iter().find_map(|mark| key.strip_prefix(*mark)).unwrap_or(key)
}

/// Remove invisible characters, and the zero bytes between the letters of UTF-16.
fn compact(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let text = Zeroizing::new(String::from_utf8_lossy(text).into_owned());
    let compact: String = text.chars().filter(|&c| !is_invisible(c) && c != '\0').collect();
    Zeroizing::new(compact.into_bytes())
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte)
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Decode base64 in the standard alphabet, the URL-safe alphabet (RFC 4648 §4, §5), or a mixture of both.
fn base64_of(digits: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let standard = |&digit: &u8| match digit {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    };
    let digits: Zeroizing<Vec<u8>> = Zeroizing::new(digits.iter().map(standard).collect());
    let decoded = GeneralPurpose::new(&alphabet::STANDARD, config).decode(digits.as_slice());
    decoded.ok().filter(|bytes| !bytes.is_empty()).map(Zeroizing::new)
}

/// Decode hexadecimal digits, also with colons between them as OpenSSL writes them.
fn hex(digits: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let digits = digits.strip_prefix(b"0x").unwrap_or(digits);
    let values = digits.iter().filter(|&&digit| digit != b':').map(|&digit| char::from(digit).to_digit(16));
    let values: Zeroizing<Vec<u8>> =
        Zeroizing::new(values.map(|value| u8::try_from(value?).ok()).collect::<Option<Vec<u8>>>()?);
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(high << 4 | low),
        _ => None,
    };
    values.chunks(2).map(byte).collect::<Option<Vec<u8>>>().map(Zeroizing::new)
}
