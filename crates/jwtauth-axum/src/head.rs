//! The request head, read once before the handler runs.

use std::{borrow::Cow, net::IpAddr};

use http::{HeaderMap, HeaderName, HeaderValue, Version, header, request::Parts, uri::Authority};
use jwtauth::{Head, HttpVersion, Origin, OriginError, Transport};
use percent_encoding::percent_decode_str;

use crate::{event, shared::AddressOf};

const DPOP: HeaderName = HeaderName::from_static("dpop");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const RENDER_SECRET: HeaderName = HeaderName::from_static(jwtauth::RENDER_SECRET_HEADER);
const ACTIVITY: HeaderName = HeaderName::from_static(jwtauth::ACTIVITY_HEADER);

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
    /// Read the fields of a request.
    pub(crate) fn read(parts: &'h Parts) -> Self {
        let value = |name: &HeaderName| joined(&parts.headers, name);
        let dpop = value(&DPOP);
        let path = dpop.as_ref().map(|_| percent_decode_str(parts.uri.path()).decode_utf8_lossy());
        Self {
            parts,
            cookies: parts.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect(),
            authorization: value(&header::AUTHORIZATION),
            dpop,
            path: path.unwrap_or_default(),
            origin: value(&header::ORIGIN),
            sec_fetch_site: value(&SEC_FETCH_SITE),
            upgrade: value(&header::UPGRADE),
            content_length: value(&header::CONTENT_LENGTH),
            transfer_encoding: value(&header::TRANSFER_ENCODING),
            render_secret: value(&RENDER_SECRET),
            activity: value(&ACTIVITY),
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
    pub(crate) fn own_origin(&self, transport: &Transport) -> Option<Origin> {
        let host = host(self.parts)?;
        let scheme = if transport.cookies.secure { "https" } else { "http" };
        format!("{scheme}://{host}").parse().ok()
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

    /// Return the `User-Agent`. Invalid UTF-8 is replaced.
    pub(crate) fn user_agent(&self) -> Cow<'_, str> {
        self.user_agent.as_ref().map_or(Cow::Borrowed(""), |value| String::from_utf8_lossy(value.as_bytes()))
    }
}

/// Return the host to which the request was sent.
pub(crate) fn host(parts: &Parts) -> Option<&str> {
    match parts.headers.get(header::HOST) {
        Some(host) => host.to_str().ok(),
        None => parts.uri.authority().map(Authority::as_str),
    }
}

/// Join the values of this header with commas (RFC 9110 §5.2), so that a repeated header is not mistaken for a single
/// value. Invalid UTF-8 is replaced.
pub(crate) fn joined<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Cow<'h, str>> {
    let mut values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let first = values.next()?;
    Some(values.fold(first, |joined, value| joined + "," + value))
}
