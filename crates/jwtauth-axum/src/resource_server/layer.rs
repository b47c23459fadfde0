use std::{
    mem, str,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum_core::{BoxError, body::Body};
use bytes::Bytes;
use http::{Request, Response};
use jwtauth::{Answer, Head, IdentifyError, Identity, Refused, TokenKind, Transport, Verifier, VerifyError};
use tower_layer::Layer;
use tower_service::Service;
use tracing::Instrument as _;

use super::{KeysError, Recognised, VerifierSource};
use crate::{
    Rejection, ResponseFuture,
    clock::Clock,
    event,
    head::{Fields, dpop_prefix},
    response,
};

/// Identify users by their access token, in a cookie or in `Authorization`, without a query. A session that has ended
/// stays accepted until its access token expires. The extractor is [`AccessClaims`](crate::AccessClaims).
///
/// This layer refreshes no tokens; the browser's next request to the site does. The cross-origin table applies.
///
/// A token that is bound to a client's key is accepted as `Authorization: DPoP` with a proof of that key (RFC 9449 §7). The
/// layer has no key to sign nonces with. Instead, a proof is valid for [a
/// minute](jwtauth::MAX_DPOP_AGE_WITHOUT_NONCE), in which a copy of the whole request is accepted too.
#[derive(Debug)]
#[must_use]
pub struct ResourceLayer<K> {
    shared: Arc<Shared<K>>,
    dpop_prefix: Arc<str>,
}

#[derive(Debug)]
struct Shared<K> {
    keys: K,
    transport: Transport,
    clock: Clock,
}

impl<K> Clone for ResourceLayer<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), dpop_prefix: Arc::clone(&self.dpop_prefix) }
    }
}

impl<K: VerifierSource> ResourceLayer<K> {
    /// Create a layer that reads tokens as [`Settings::transport`](crate::Settings::transport) specifies, and verifies
    /// them with these keys.
    pub fn new(transport: Transport, keys: K) -> Self {
        Self { shared: Arc::new(Shared { keys, transport, clock: Clock::default() }), dpop_prefix: "".into() }
    }

    /// Set what the layer does not see of the path of a request. See
    /// [`AuthLayer::with_dpop_prefix`](crate::AuthLayer::with_dpop_prefix).
    pub fn with_dpop_prefix(self, prefix: &str) -> Self {
        Self { dpop_prefix: dpop_prefix(prefix).into(), ..self }
    }
}

impl<K, S> Layer<S> for ResourceLayer<K> {
    type Service = ResourceService<K, S>;

    fn layer(&self, inner: S) -> Self::Service {
        ResourceService { inner, shared: Arc::clone(&self.shared), dpop_prefix: Arc::clone(&self.dpop_prefix) }
    }
}

/// [`ResourceLayer`] applied to a service.
#[derive(Debug)]
pub struct ResourceService<K, S> {
    inner: S,
    shared: Arc<Shared<K>>,
    dpop_prefix: Arc<str>,
}

impl<K, S: Clone> Clone for ResourceService<K, S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: Arc::clone(&self.shared), dpop_prefix: Arc::clone(&self.dpop_prefix) }
    }
}

impl<K, S, B, R> Service<Request<B>> for ResourceService<K, S>
where
    K: VerifierSource,
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Send + 'static,
    R: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let (shared, dpop_prefix) = (Arc::clone(&self.shared), Arc::clone(&self.dpop_prefix));
        let span = event::span();
        let known = span.clone();
        let answer = async move {
            let (mut parts, body) = request.into_parts();
            let (identity, refused) = shared.recognise(&Fields::read(&parts, &dpop_prefix)).await;
            let was_asked = Arc::<AtomicBool>::default();
            let mut response = match refused {
                None => {
                    let claims = identity.access().cloned();
                    if let Some(claims) = &claims {
                        event::known(&known, claims.sid.session_id(), &claims.subject);
                    }
                    parts.extensions.insert(Recognised { claims, was_asked: Arc::clone(&was_asked) });
                    inner.call(Request::from_parts(parts, body)).await?.map(Body::new)
                }
                Some(rejection) => rejection.logged().response_to(&parts.method),
            };
            let by_cookies = identity.has_cookies() || (was_asked.load(Ordering::Relaxed) && !identity.is_bearer());
            let vary =
                [(by_cookies, "Cookie"), (identity.is_bearer(), "Authorization"), (identity.is_of_client(), "DPoP")];
            let mut answer = Answer::default();
            answer.vary.extend(vary.into_iter().filter_map(|(depends, name)| depends.then_some(name)));
            response::write(&answer, &shared.transport.cookies, response.headers_mut());
            Ok(response)
        };
        ResponseFuture::new(answer.instrument(span))
    }
}

impl<K: VerifierSource> Shared<K> {
    /// Return the identity of the request, and the rejection, if any.
    async fn recognise(&self, fields: &Fields<'_>) -> (Identity, Option<Rejection>) {
        match self.identify(fields).await {
            Ok(Ok(identity)) => (identity, None),
            Ok(Err(refused)) => {
                fields.log_refusal(&refused.error);
                (refused.identity, Some(refused.error.into()))
            }
            Err(error) => (Identity::default(), Some(error.into())),
        }
    }

    /// Verify the tokens of a request. Keys are requested only if the request has a token. Newer keys are requested
    /// only for a token that they could make valid, and only if no other token is valid.
    async fn identify(&self, fields: &Fields<'_>) -> Result<Result<Identity, Box<Refused>>, KeysError> {
        let (head, now) = (fields.head(), self.clock.now());
        if !self.brings_token(&head) {
            return Ok(Ok(Identity::default()));
        }
        let by =
            |verifier: &Verifier| self.transport.identify(verifier, &head, || fields.own_origin(&self.transport), now);
        let could_be_valid =
            |verifier: &Verifier, token: &str| verifier.is_valid_but_for_key(TokenKind::Access, token, now);
        let access_tokens = || self.transport.access_tokens(&head);
        let outdated = self.keys.outdated();
        let is_hopeless = |known: &&Arc<Verifier>| !access_tokens().any(|token| could_be_valid(known, token));
        if let Some(known) = outdated.as_ref().filter(is_hopeless) {
            return Ok(by(known));
        }
        let verifier = self.keys.verifier(None).await?;
        let is_new = outdated.is_some_and(|outdated| !Arc::ptr_eq(&outdated, &verifier));
        let identified = by(&verifier);
        let is_decided = match &identified {
            Ok(identity) => identity.access().is_some(),
            Err(refused) => matches!(refused.error, IdentifyError::CrossOrigin(_)),
        };
        let lacks_key = |token: &str| {
            verifier.verify(TokenKind::Access, token, now) == Err(VerifyError::UnknownKey)
                && could_be_valid(&verifier, token)
        };
        if is_decided || is_new || !access_tokens().any(lacks_key) {
            return Ok(identified);
        }
        let newer = self.keys.verifier(Some(&verifier)).await?;
        Ok(by(&newer))
    }

    /// Return whether the request has anything to verify: an access token in a cookie or in `Authorization`.
    fn brings_token(&self, head: &Head<'_>) -> bool {
        let access_name = self.transport.cookies.access_name.as_bytes();
        (self.transport.bearer && head.token().is_some())
            || head.cookies.iter().flat_map(|field| jwtauth::cookie_pairs(field)).any(|(name, _)| name == access_name)
    }
}
