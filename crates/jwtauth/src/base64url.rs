//! base64url (RFC 7515 §2) in its canonical form only: no padding, no stray bits, no other characters.

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;

/// The codec, which uses the vector instructions of the processor if available.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) static BASE64URL: std::sync::LazyLock<base64::engine::Simd> =
    std::sync::LazyLock::new(|| base64::engine::Simd::url_safe(base64::engine::general_purpose::NO_PAD));
