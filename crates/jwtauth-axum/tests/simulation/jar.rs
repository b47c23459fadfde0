//! Tokens, and the jars in which browsers and thieves keep them.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderValue, header};
use jwtauth_axum::jwtauth::Sid;
use uuid::Uuid;

use crate::common::Answer;

/// A token, as decoded by the test.
#[derive(Debug)]
pub struct Token {
    pub text: String,
    pub user: String,
    pub session: Uuid,
    pub generation: u64,
    /// In seconds.
    pub issued_at: u64,
    /// In seconds.
    pub expires_at: u64,
}

impl Token {
    fn read(text: &str) -> Self {
        let claims = BASE64_URL_SAFE_NO_PAD.decode(text.split('.').nth(1).unwrap()).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        let sid = BASE64_URL_SAFE_NO_PAD.decode(claims["sid"].as_str().unwrap()).unwrap();
        let number = |name: &str| claims[name].as_u64().unwrap();
        Self {
            text: text.to_owned(),
            user: claims["sub"].as_str().unwrap().to_owned(),
            session: Sid::from_bytes(sid.try_into().unwrap()).session_id(),
            generation: number("gen"),
            issued_at: number("iat"),
            expires_at: number("exp"),
        }
    }

    /// Return whether the token has expired at this time.
    pub fn has_expired(&self, now: u64) -> bool {
        now / 1000 >= self.expires_at
    }
}

/// The tokens of a request.
#[derive(Clone, Debug, Default)]
pub struct Brought {
    pub access: Option<Arc<Token>>,
    pub refresh: Option<Arc<Token>>,
    /// Whether the access token is sent in `Authorization`.
    pub by_header: bool,
}

impl Brought {
    pub fn tokens(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.access.iter().chain(&self.refresh)
    }

    pub fn names_two_users(&self) -> bool {
        self.access.iter().zip(&self.refresh).any(|(access, refresh)| access.user != refresh.user)
    }

    pub fn headers(&self, mut request: http::request::Builder) -> http::request::Builder {
        if let Some(access) = self.access.as_ref().filter(|_| self.by_header) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", access.text));
        }
        let access = self.access.as_ref().filter(|_| !self.by_header).map(|it| format!("access_token={}", it.text));
        let refresh = self.refresh.as_ref().map(|it| format!("refresh_token={}", it.text));
        let cookies: Vec<_> = access.into_iter().chain(refresh).collect();
        if cookies.is_empty() {
            return request;
        }
        request.header(header::COOKIE, HeaderValue::from_str(&cookies.join("; ")).unwrap())
    }
}

/// The effect of a response on a cookie.
#[derive(Clone, Debug)]
pub struct SetCookie {
    pub is_refresh: bool,
    /// `None` if the cookie is cleared.
    pub token: Option<Arc<Token>>,
    /// In seconds.
    pub max_age: Option<u64>,
}

impl SetCookie {
    pub fn all_of(answer: &Answer) -> Vec<Self> {
        let read = |cookie: &str| {
            let mut parts = cookie.split("; ");
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            let max_age = parts.find_map(|attribute| attribute.strip_prefix("Max-Age="));
            Self {
                is_refresh: name == "refresh_token",
                token: (!value.is_empty()).then(|| Arc::new(Token::read(value))),
                max_age: max_age.map(|seconds| seconds.parse().unwrap()),
            }
        };
        answer.set_cookies().into_iter().map(read).collect()
    }
}

#[derive(Clone, Debug)]
struct Cookie {
    token: Arc<Token>,
    /// In milliseconds; `None` for a cookie that lasts as long as the browser runs.
    until: Option<u64>,
}

/// A browser's jar, which keeps cookies for their `Max-Age`.
#[derive(Clone, Debug, Default)]
pub struct Jar {
    access: Option<Cookie>,
    refresh: Option<Cookie>,
}

impl Jar {
    pub fn sends(&self, now: u64) -> Brought {
        let live = |cookie: &Option<Cookie>| {
            let cookie = cookie.as_ref().filter(|cookie| cookie.until.is_none_or(|until| now < until));
            cookie.map(|cookie| Arc::clone(&cookie.token))
        };
        Brought { access: live(&self.access), refresh: live(&self.refresh), by_header: false }
    }

    pub fn keep(&mut self, set: &[SetCookie], now: u64) {
        for SetCookie { is_refresh, token, max_age } in set {
            let until = max_age.map(|seconds| now + seconds * 1000);
            let cookie = token.as_ref().map(|token| Cookie { token: Arc::clone(token), until });
            *(if *is_refresh { &mut self.refresh } else { &mut self.access }) = cookie;
        }
    }

    pub fn forget_access(&mut self) {
        self.access = None;
    }
}
