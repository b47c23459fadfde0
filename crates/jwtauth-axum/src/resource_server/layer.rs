use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderValue, Request, Response, header, request::Parts};
use http_body::Body;
use jwtauth::{Claims, Kind, VerifyError};
use tower_layer::Layer;
use tower_service::Service;

use super::{Recognised, VerifierSource};
use crate::{
    Rejection, ResponseFuture, Settings, SettingsError,
    clock::Clock,
    config::Transport,
    head::{Head, check_origin},
};

/// Recognises people by their access token, in cookie or bearer, and asks nobody whether the session lasts: it may have been
/// ended for as long as access tokens live. The extractor is [`AccessClaims`](crate::AccessClaims).
///
/// Nothing is refreshed here: the browser's next request to the site does that. The cross-origin table applies.
#[derive(Debug)]
#[must_use]
pub struct ResourceLayer<K> {
    shared: Arc<Shared<K>>,
}

#[derive(Debug)]
struct Shared<K> {
    keys: K,
    transport: Transport,
    clock: Clock,
}

impl<K> Clone for ResourceLayer<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K: VerifierSource> ResourceLayer<K> {
    /// A layer that reads tokens as these settings say, and verifies them by these keys.
    ///
    /// # Errors
    ///
    /// [`SettingsError`], of the settings of cookies.
    pub fn new(settings: &Settings, keys: K) -> Result<Self, SettingsError> {
        let transport = settings.transport()?;
        Ok(Self { shared: Arc::new(Shared { keys, transport, clock: Clock::default() }) })
    }
}

impl<K, S> Layer<S> for ResourceLayer<K> {
    type Service = ResourceService<K, S>;

    fn layer(&self, inner: S) -> Self::Service {
        ResourceService { inner, shared: Arc::clone(&self.shared) }
    }
}

/// [`ResourceLayer`] around a service.
#[derive(Debug)]
pub struct ResourceService<K, S> {
    inner: S,
    shared: Arc<Shared<K>>,
}

impl<K, S: Clone> Clone for ResourceService<K, S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: Arc::clone(&self.shared) }
    }
}

impl<K, S, B, R> Service<Request<B>> for ResourceService<K, S>
where
    K: VerifierSource,
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Body + Send + 'static,
    R: From<String> + Send,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<R, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let shared = Arc::clone(&self.shared);
        ResponseFuture::new(async move {
            let (mut parts, body) = request.into_parts();
            let head = Head::read(&parts, None, &shared.transport, None);
            let mut response = match shared.recognise(&parts, &head).await {
                Ok(claims) => {
                    parts.extensions.insert(Recognised(claims));
                    inner.call(Request::from_parts(parts, body)).await?
                }
                Err(rejection) => rejection.logged().response(),
            };
            vary(response.headers_mut(), &head, &shared.transport);
            Ok(response)
        })
    }
}

impl<K: VerifierSource> Shared<K> {
    async fn recognise(&self, parts: &Parts, head: &Head) -> Result<Option<Claims>, Rejection> {
        if let Some(token) = &head.bearer {
            let claims = self.verify([token.as_str()].into_iter()).await?;
            return claims.map(Some).map_err(|_| Rejection::InvalidToken);
        }
        let mut tokens = head.tokens(Kind::Access, &self.transport).peekable();
        if tokens.peek().is_none() {
            return Ok(None);
        }
        let claims = self.verify(tokens).await?.ok();
        if claims.is_some() {
            check_origin(parts, &self.transport)?;
        }
        Ok(claims)
    }

    /// A key that nobody here knows may be a new one.
    async fn verify<'t>(
        &self,
        tokens: impl Iterator<Item = &'t str> + Clone + Send,
    ) -> Result<Result<Claims, VerifyError>, Rejection> {
        let now = self.clock.now();
        let verifier = self.keys.verifier(None).await?;
        match verifier.verify_newest(Kind::Access, tokens.clone(), now) {
            Err(VerifyError::UnknownKey) => {
                let newer = self.keys.verifier(Some(&verifier)).await?;
                Ok(newer.verify_newest(Kind::Access, tokens, now))
            }
            done => Ok(done),
        }
    }
}

fn vary(headers: &mut HeaderMap, head: &Head, transport: &Transport) {
    if head.has_cookies(transport) {
        headers.append(header::VARY, HeaderValue::from_static("Cookie"));
    }
    if head.bearer.is_some() {
        headers.append(header::VARY, HeaderValue::from_static("Authorization"));
    }
}
