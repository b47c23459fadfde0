//! The request head, read once before the handler runs.

use std::{borrow::Cow, net::IpAddr};

use http::{HeaderMap, HeaderName, HeaderValue, Version, header, request::Parts, uri::Authority};
use jwtauth::{Head, HttpVersion, IdentifyError, Origin, OriginError, Scheme, Transport};
use percent_encoding::percent_decode_str;

use crate::{event, shared::AddressOf};

/// The header fields that the engine reads, each joined into one value.
pub(crate) struct Fields<'h> {
    parts: &'h Parts,
    cookies: Vec<&'h [u8]>,
    authorization: Option<Cow<'h, str>>,
    dpop: Option<Cow<'h, str>>,
    path: Cow<'h, str>,
    origin: Option<Cow<'h, str>>,
    sec_fetch_site: Option<Cow<'h, str>>,
    upgrade: Option<Cow<'h, str>>,
    content_length: Option<Cow<'h, str>>,
    transfer_encoding: Option<Cow<'h, str>>,
    render_secret: Option<Cow<'h, str>>,
    activity: Option<Cow<'h, str>>,
}

impl<'h> Fields<'h> {
    /// Read the fields of a request. Clients see this [prefix](dpop_prefix) before its path.
    pub(crate) fn read(parts: &'h Parts, dpop_prefix: &str) -> Self {
        let mut fields = Self::none(parts);
        // One pass over the few headers of a request costs less than looking up each field.
        for (name, value) in &parts.headers {
            let field = match name.as_str() {
                "cookie" => {
                    fields.cookies.push(value.as_bytes());
                    continue;
                }
                "authorization" => &mut fields.authorization,
                "dpop" => &mut fields.dpop,
                "origin" => &mut fields.origin,
                "sec-fetch-site" => &mut fields.sec_fetch_site,
                "upgrade" => &mut fields.upgrade,
                "content-length" => &mut fields.content_length,
                "transfer-encoding" => &mut fields.transfer_encoding,
                jwtauth::RENDER_SECRET_HEADER => &mut fields.render_secret,
                jwtauth::ACTIVITY_HEADER => &mut fields.activity,
                _ => continue,
            };
            join(field, value);
        }
        if fields.dpop.is_some() {
            let path = decoded(parts.uri.path());
            fields.path = if dpop_prefix.is_empty() { path } else { Cow::Owned(format!("{dpop_prefix}{path}")) };
        }
        fields
    }

    fn none(parts: &'h Parts) -> Self {
        Self {
            parts,
            cookies: Vec::new(),
            authorization: None,
            dpop: None,
            path: Cow::Borrowed(""),
            origin: None,
            sec_fetch_site: None,
            upgrade: None,
            content_length: None,
            transfer_encoding: None,
            render_secret: None,
            activity: None,
        }
    }

    /// Return the head as the engine reads it.
    pub(crate) fn head(&self) -> Head<'_> {
        let mut head = Head::new(self.parts.method.as_str());
        head.version = match self.parts.version {
            Version::HTTP_2 => HttpVersion::Http2,
            Version::HTTP_3 => HttpVersion::Http3,
            _ => HttpVersion::Http1,
        };
        head.cookies = &self.cookies;
        head.authorization = self.authorization.as_deref();
        head.dpop = self.dpop.as_deref();
        head.path = &self.path;
        head.origin = self.origin.as_deref();
        head.sec_fetch_site = self.sec_fetch_site.as_deref();
        head.upgrade = self.upgrade.as_deref();
        head.content_length = self.content_length.as_deref();
        head.transfer_encoding = self.transfer_encoding.as_deref();
        head.render_secret = self.render_secret.as_deref();
        head.activity = self.activity.as_deref();
        head
    }

    /// Return the origin to which the request was sent. Behind a proxy, the service does not see the scheme; browsers
    /// send `Secure` cookies over `https` only, so `Secure` implies `https`.
    ///
    /// That of a request with a proof is the one of `DPOP_ORIGINS` with the request's host: a client may well reach by
    /// `http` a service of which no cookie is read.
    pub(crate) fn own_origin(&self, transport: &Transport) -> Option<Origin> {
        let has_proof = transport.bearer && matches!(self.head().token(), Some((Scheme::Dpop, _)));
        match transport.dpop_origins.as_deref().filter(|_| has_proof) {
            Some(known) => ["https", "http"].iter().filter_map(|it| self.origin_by(it)).find(|it| known.contains(it)),
            None => self.origin_by(if transport.cookies.secure { "https" } else { "http" }),
        }
    }

    fn origin_by(&self, scheme: &str) -> Option<Origin> {
        let host = host(self.parts)?;
        format!("{scheme}://{host}").parse().ok()
    }

    /// Log the refusal of this request if it may be an attack.
    pub(crate) fn log_refusal(&self, error: &IdentifyError) {
        match error {
            IdentifyError::CrossOrigin(error) => event::cross_origin(&self.foreign(*error)),
            IdentifyError::Dpop(error) if error.code() == "invalid_dpop_proof" => {
                event::invalid_dpop_proof(self.parts.uri.path(), error);
            }
            _ => {}
        }
    }

    /// Return the details to log if this request may not use cookies.
    pub(crate) fn foreign(&self, error: OriginError) -> Foreign {
        let origin = self.origin.as_deref().unwrap_or_default().to_owned();
        Foreign { error, path: self.parts.uri.path().to_owned(), origin }
    }
}

/// A cross-origin request that may not use cookies.
#[derive(Debug)]
pub(crate) struct Foreign {
    pub(crate) error: OriginError,
    pub(crate) path: String,
    pub(crate) origin: String,
}

impl Foreign {
    /// Log the rejection and return its error.
    pub(crate) fn refuse(&self) -> OriginError {
        event::cross_origin(self);
        self.error
    }
}

/// The client details that a session may record at login.
pub(crate) struct Client {
    user_agent: Option<HeaderValue>,
    pub(crate) address: Option<IpAddr>,
}

impl Client {
    /// Read the client's details. Most requests are not logins, so the user agent is decoded only when needed.
    pub(crate) fn read(parts: &Parts, address: Option<&AddressOf>) -> Self {
        Self {
            user_agent: parts.headers.get(header::USER_AGENT).cloned(),
            address: address.and_then(|address| address(parts)),
        }
    }

    /// Return the `User-Agent` as Django reads it: each byte is a character of ISO-8859-1. A table in that character set,
    /// which older databases have, can store it.
    pub(crate) fn user_agent(&self) -> String {
        self.user_agent.iter().flat_map(HeaderValue::as_bytes).copied().map(char::from).collect()
    }
}

/// Return the prefix of a path as requests are compared: with its escapes decoded, and no slash at its end.
pub(crate) fn dpop_prefix(prefix: &str) -> String {
    let prefix = decoded(prefix.trim_matches('/'));
    if prefix.is_empty() { String::new() } else { format!("/{prefix}") }
}

fn decoded(path: &str) -> Cow<'_, str> {
    percent_decode_str(path).decode_utf8_lossy()
}

/// Return the host to which the request was sent.
pub(crate) fn host(parts: &Parts) -> Option<&str> {
    match parts.headers.get(header::HOST) {
        Some(host) => host.to_str().ok(),
        None => parts.uri.authority().map(Authority::as_str),
    }
}

/// Return the values of this header, joined.
pub(crate) fn joined<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Cow<'h, str>> {
    let mut field = None;
    headers.get_all(name).iter().for_each(|value| join(&mut field, value));
    field
}

/// Join a header's value to its earlier ones with commas (RFC 9110 §5.2), so that a repeated header is not mistaken for a
/// single value. Invalid UTF-8 is replaced.
fn join<'h>(field: &mut Option<Cow<'h, str>>, value: &'h HeaderValue) {
    let value = String::from_utf8_lossy(value.as_bytes());
    *field = Some(match field.take() {
        Some(joined) => joined + "," + value,
        None => value,
    });
}
