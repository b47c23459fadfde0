//! What a request's head says.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts, uri::Authority};
use jwtauth::{Kind, Origin, OriginError, RequestHeaders};

use crate::{config::Transport, cookies, event, shared::AddressOf};

const MAX_USER_AGENT: usize = 512;
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What is needed of it after the handler has taken the request. Most requests need little of it, so it is read when it is.
pub(crate) struct Head {
    user_agent: Option<HeaderValue>,
    pub(crate) address: Option<IpAddr>,
    /// The method changes nothing (RFC 9110 §9.2.1).
    pub(crate) is_safe: bool,
    pub(crate) is_upload: bool,
    /// The `Cookie` headers: none where there is a bearer, for then they are not looked at.
    cookies: Vec<HeaderValue>,
    pub(crate) bearer: Option<String>,
}

impl Head {
    pub(crate) fn read(
        parts: &Parts,
        length: Option<String>,
        transport: &Transport,
        address: Option<&AddressOf>,
    ) -> Self {
        let bearer = if transport.bearer { bearer(&parts.headers) } else { None };
        let cookies = match bearer {
            Some(_) => Vec::new(),
            None => parts.headers.get_all(header::COOKIE).iter().cloned().collect(),
        };
        Self {
            user_agent: parts.headers.get(header::USER_AGENT).cloned(),
            address: address.and_then(|address| address(parts)),
            is_safe: parts.method.is_safe(),
            is_upload: jwtauth::is_upload(
                joined(&parts.headers, &header::CONTENT_LENGTH).or(length).as_deref(),
                joined(&parts.headers, &header::TRANSFER_ENCODING).as_deref(),
            ),
            cookies,
            bearer,
        }
    }

    /// The values of every cookie of this kind.
    pub(crate) fn tokens<'h>(&'h self, kind: Kind, transport: &'h Transport) -> impl Iterator<Item = &'h str> + Clone {
        cookies::values(&self.cookies, &transport.cookies, kind)
    }

    /// Whether the request brought a cookie of either name.
    pub(crate) fn has_cookies(&self, transport: &Transport) -> bool {
        [Kind::Access, Kind::Refresh].into_iter().any(|kind| self.tokens(kind, transport).next().is_some())
    }

    /// `User-Agent`, as far as it can be shown.
    pub(crate) fn user_agent(&self) -> String {
        let text = self.user_agent.as_ref().map(|value| String::from_utf8_lossy(value.as_bytes()));
        text.iter().flat_map(|text| text.chars()).take(MAX_USER_AGENT).filter(|found| !found.is_control()).collect()
    }
}

/// Whether the request may use cookies, by the engine's table.
pub(crate) fn check_origin(parts: &Parts, transport: &Transport) -> Result<(), OriginError> {
    let sec_fetch_site = joined(&parts.headers, &SEC_FETCH_SITE);
    let origin = joined(&parts.headers, &header::ORIGIN);
    let upgrade = joined(&parts.headers, &header::UPGRADE).unwrap_or_default();
    // HTTP/2 has a method of its own for handshakes (RFC 8441).
    let websocket = upgrade.to_ascii_lowercase().contains("websocket") || parts.method == http::Method::CONNECT;
    let request = RequestHeaders {
        method: parts.method.as_str(),
        websocket,
        sec_fetch_site: sec_fetch_site.as_deref(),
        origin: origin.as_deref(),
    };
    transport.origins.check(request, || own_origin(parts, transport)).inspect_err(|error| event::cross_origin(*error))
}

/// The origin that the request was sent to. What is behind a proxy does not see its scheme: cookies that are `Secure` are
/// sent to `https` alone.
fn own_origin(parts: &Parts, transport: &Transport) -> Option<Origin> {
    let host = match parts.headers.get(header::HOST) {
        Some(host) => host.to_str().ok()?,
        None => parts.uri.authority().map(Authority::as_str)?,
    };
    let scheme = if transport.cookies.secure { "https" } else { "http" };
    Origin::parse(&format!("{scheme}://{host}"))
}

/// The token that `Authorization` names (RFC 6750 §2.1). The scheme's case does not matter.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = joined(headers, &header::AUTHORIZATION)?;
    let (scheme, token) = value.split_once(' ').unwrap_or((&value, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' ').to_owned())
}

/// The values of this header, joined by commas (RFC 9110 §5.2), so that what is repeated is no value of ours. What is no
/// text is none of ours either.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let first = values.next()?.into_owned();
    Some(values.fold(first, |joined, value| joined + "," + &value))
}
