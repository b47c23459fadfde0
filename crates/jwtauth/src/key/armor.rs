//! PEM text (RFC 7468) as it arrives from environment variables, secret stores, and copy and paste.
//!
//! As RFC 7468 §2 asks, white space does not matter, and text around the blocks is ignored. Quotes and the escapes of
//! JSON and shells are decoded. Incomplete text has its own error.

use zeroize::Zeroizing;

use crate::KeyError;

const BEGIN: &str = "-----BEGIN";
const DASHES: &str = "-----";

/// One block of a text. Only the block that is needed is decoded.
pub(super) struct Block<'a> {
    pub(super) label: Label,
    body: &'a str,
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Label {
    Pkcs8,
    Pkcs1,
    Sec1,
    Spki,
    Pkcs1Public,
    Certificate,
    EncryptedPkcs8,
    /// A private key in a form that this crate does not read.
    OtherPrivate,
    /// The curve parameters that OpenSSL writes before a SEC1 key.
    Parameters,
    Request,
    Other,
}

/// Decode escapes, however often they are nested: `\n` becomes a line break, `\/` a slash, `\u003d` an equals sign.
pub(super) fn unescape(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut plain = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut after_backslash = false;
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'\\' => {}
            b'n' | b'r' | b't' if after_backslash => plain.push(b'\n'),
            b'u' if after_backslash => {
                let meant = after.split_at_checked(4).and_then(|(digits, after)| Some((ascii(digits)?, after)));
                let (meant, after) = meant.unwrap_or((byte, after));
                plain.push(meant);
                rest = after;
            }
            _ => plain.push(byte),
        }
        after_backslash = byte == b'\\';
    }
    plain
}

/// Return the ASCII character with this code of four hexadecimal digits.
fn ascii(digits: &[u8]) -> Option<u8> {
    let &[b'0', b'0', high, low] = digits else { return None };
    let value = char::from(high).to_digit(16)? << 4 | char::from(low).to_digit(16)?;
    u8::try_from(value).ok().filter(u8::is_ascii)
}

/// Split a text without escapes into its blocks.
///
/// # Errors
///
/// [`KeyError::PemLines`]: a block has no END line, or one with a different label.
pub(super) fn blocks(text: &str) -> Result<Vec<Block<'_>>, KeyError> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, begun)) = rest.split_once(BEGIN) {
        let block = begun.split_once(DASHES).and_then(|(label, after)| {
            let (body, after) = after.split_once(DASHES)?;
            let (end, after) = after.strip_prefix("END")?.split_once(DASHES)?;
            (without_space(end) == without_space(label)).then_some((label, body, after))
        });
        let (label, body, after) = block.ok_or(KeyError::PemLines)?;
        blocks.push(Block { label: Label::of(&without_space(label)), body });
        rest = after;
    }
    Ok(blocks)
}

impl Label {
    fn of(label: &str) -> Self {
        match label {
            "PRIVATEKEY" => Self::Pkcs8,
            "RSAPRIVATEKEY" => Self::Pkcs1,
            "ECPRIVATEKEY" => Self::Sec1,
            "PUBLICKEY" => Self::Spki,
            "RSAPUBLICKEY" => Self::Pkcs1Public,
            "CERTIFICATE" | "X509CERTIFICATE" => Self::Certificate,
            "ENCRYPTEDPRIVATEKEY" => Self::EncryptedPkcs8,
            "CERTIFICATEREQUEST" | "NEWCERTIFICATEREQUEST" => Self::Request,
            label if label.ends_with("PARAMETERS") => Self::Parameters,
            label if label.contains("PRIVATEKEY") => Self::OtherPrivate,
            _ => Self::Other,
        }
    }

    pub(super) fn is_private(self) -> bool {
        matches!(self, Self::Pkcs8 | Self::Pkcs1 | Self::Sec1 | Self::EncryptedPkcs8 | Self::OtherPrivate)
    }

    pub(super) fn is_public(self) -> bool {
        matches!(self, Self::Spki | Self::Pkcs1Public | Self::Certificate)
    }

    /// Return the name of a block without a usable key, for error messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Request => "a certificate request",
            Self::Parameters => "parameters without a key",
            Self::OtherPrivate => "a private key in another form, such as OpenSSH's or PGP's",
            _ => "a PEM with other content",
        }
    }
}

impl Block<'_> {
    /// Decode the block to DER.
    ///
    /// # Errors
    ///
    /// [`KeyError::Encrypted`]; or [`KeyError::PemBase64`] if characters are missing or invalid.
    pub(super) fn der(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        // The headers of RFC 1421 §4.6.1 mark encrypted keys of older versions of OpenSSL.
        if self.label == Label::EncryptedPkcs8 || self.body.contains("Proc-Type:") || self.body.contains("DEK-Info:") {
            return Err(KeyError::Encrypted);
        }
        let body = Zeroizing::new(without_space(self.body));
        if !body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)) {
            return Err(KeyError::PemBase64);
        }
        let mut pem = Zeroizing::new(String::with_capacity(body.len() + body.len() / 64 + 64));
        pem.push_str("-----BEGIN KEY-----\n");
        for (index, digit) in body.chars().enumerate() {
            if index > 0 && index % 64 == 0 {
                pem.push('\n');
            }
            pem.push(digit);
        }
        pem.push_str("\n-----END KEY-----\n");
        let (_, der) = pem_rfc7468::decode_vec(pem.as_bytes()).map_err(|_| KeyError::PemBase64)?;
        Ok(Zeroizing::new(der))
    }
}

/// Remove invisible characters, and characters that separate or quote lines.
fn without_space(text: &str) -> String {
    text.chars().filter(|&c| !is_invisible(c) && !matches!(c, '"' | '\'' | '`' | ',')).collect()
}

pub(super) fn is_invisible(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}')
}
