//! Keys in forms that are not read here, told apart so that none is taken for the secret of HMAC: whoever has the public
//! half of a key pair could sign with it (RFC 8725 §2.1).

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use pkcs1::der::{Decode as _, SliceReader, Tag, Tagged as _, asn1::AnyRef};
use zeroize::Zeroizing;

use super::armor::unescape;

/// What a key is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    Pem,
    Jwk,
    JwkSet,
    Der,
    Ssh,
    /// In base64 or hexadecimal digits.
    Encoded(&'static str),
}

/// How often base64 is looked into: secret stores put it around what is base64 already.
const DEPTH: usize = 3;

impl Form {
    /// The form of a key pair's half, or of several keys, that bytes have; `None` where they may be a secret.
    pub(super) fn of(key: &[u8]) -> Option<Self> {
        Self::at_depth(key, DEPTH)
    }

    fn at_depth(key: &[u8], depth: usize) -> Option<Self> {
        if is_der(key) {
            return Some(Self::Der);
        }
        let text = unescape(key);
        let compact: Zeroizing<Vec<u8>> =
            Zeroizing::new(text.iter().copied().filter(|&byte| is_content(byte)).collect());
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
        if let Some(Self::Der) = hex(&digits).and_then(|bytes| Self::at_depth(&bytes, 0)) {
            return Some(Self::Encoded("DER in hexadecimal digits"));
        }
        let inner = base64_of(&digits).and_then(|bytes| Self::at_depth(&bytes, depth))?;
        Some(match inner {
            Self::Pem => Self::Encoded("the base64 of a PEM"),
            Self::Der => Self::Encoded("the base64 of DER"),
            Self::Jwk => Self::Encoded("the base64 of a JWK"),
            Self::JwkSet => Self::Encoded("the base64 of a JWK Set"),
            other => other,
        })
    }

    /// A JWK or a JWK Set, also one that is not quite JSON: cut off, with a name twice, or as Python writes a dict.
    fn of_json(compact: &[u8]) -> Option<Self> {
        let text = compact.strip_prefix("\u{feff}".as_bytes()).unwrap_or(compact);
        let start = text.iter().find(|byte| !b"\"'`".contains(byte))?;
        let has =
            |name: &str| [format!("\"{name}\""), format!("'{name}'")].iter().any(|name| holds(text, name.as_bytes()));
        match start {
            b'{' | b'[' if has("keys") => Some(Self::JwkSet),
            b'[' if has("kty") => Some(Self::JwkSet),
            b'{' if has("kty") => Some(Self::Jwk),
            _ => None,
        }
    }

    /// What it is called in an error.
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

/// Whether a text without space has lines of a PEM, or what an editor made of their dashes.
fn is_pem(compact: &[u8]) -> bool {
    const KINDS: [&[u8]; 3] = [b"PUBLICKEY", b"PRIVATEKEY", b"CERTIFICATE"];
    let upper = Zeroizing::new(compact.to_ascii_uppercase());
    let names_key = |line: &[u8]| {
        let label = line.strip_prefix(b"BEGIN").or_else(|| line.strip_prefix(b"END"));
        label.is_some_and(|label| KINDS.iter().any(|kind| holds(label, kind)))
    };
    // The longest label of a key is that of an encrypted one.
    holds(&upper, b"----BEGIN") || holds(&upper, b"----END") || upper.windows(24).any(names_key)
}

/// Whether bytes begin with a structure of DER that holds a key: SPKI and PKCS#8, also encrypted; PKCS#1, SEC1, X.509,
/// PKCS#7 and PKCS#12. Random bytes are none of them.
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

/// Whether a text is an SSH key (RFC 4253 §6.6, as in `authorized_keys`), or the blob that it holds.
fn is_ssh(text: &[u8]) -> bool {
    const KINDS: [&[u8]; 4] = [b"ssh-", b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-"];
    let is_kind = |bytes: &[u8]| KINDS.iter().any(|kind| bytes.starts_with(kind));
    let is_blob =
        |bytes: &[u8]| bytes.strip_prefix(&[0, 0, 0]).and_then(<[u8]>::split_first).is_some_and(|it| is_kind(it.1));
    let is_quote = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`".contains(byte);
    let mut words = text.split(is_quote).filter(|word| !word.is_empty());
    is_blob(text)
        || words.clone().next().is_some_and(is_kind)
        || words.any(|word| base64_of(word).is_some_and(|bytes| is_blob(&bytes)))
}

/// Space, and the zeros between the letters of UTF-16.
fn is_content(byte: u8) -> bool {
    !byte.is_ascii_whitespace() && byte != 0
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The bytes of a text that is base64 of either alphabet (RFC 4648 §4, §5).
fn base64_of(digits: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let is_standard = !digits.iter().any(|byte| b"-_".contains(byte));
    let alphabet = if is_standard { alphabet::STANDARD } else { alphabet::URL_SAFE };
    GeneralPurpose::new(&alphabet, config).decode(digits).ok().filter(|bytes| !bytes.is_empty()).map(Zeroizing::new)
}

fn hex(digits: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(value(*high)? << 4 | value(*low)?),
        _ => None,
    };
    digits.chunks(2).map(byte).collect::<Option<Vec<u8>>>().map(Zeroizing::new)
}
