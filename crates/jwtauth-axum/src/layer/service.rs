use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Request, Response, header};
use http_body::Body;
use tower_service::Service;
use tracing::Instrument as _;

use super::ResponseFuture;
use crate::{Auth, Rejection, event, request::RequestAuth, shared::Shared};

/// What `Content-Length` would say of a body that has none in its head, as in HTTP/2: for the engine, what is no number is
/// unknown.
fn unannounced_length(body: &impl Body) -> Option<String> {
    let length = body.size_hint().exact().map_or_else(|| "unknown".to_owned(), |length| length.to_string());
    (!body.is_end_stream()).then_some(length)
}

/// [`AuthLayer`](super::AuthLayer) around a service.
#[derive(Clone, Debug)]
pub struct AuthService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> AuthService<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S, B, R> Service<Request<B>> for AuthService<S>
where
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
        let (mut parts, body) = request.into_parts();
        let identified = RequestAuth::identify(Arc::clone(&self.shared), &parts, unannounced_length(&body));
        // The one that is ready; its clone may not be.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        ResponseFuture::new(async move {
            let auth = match identified {
                Ok(auth) => Arc::new(auth),
                Err(rejection) => return Ok(unread(&rejection)),
            };
            if let Err(rejection) = admit(&auth).instrument(event::span()).await {
                let mut response = rejection.logged().response();
                auth.finish(response.headers_mut());
                return Ok(response);
            }
            parts.extensions.insert(Auth(Arc::clone(&auth)));
            let mut response = inner.call(Request::from_parts(parts, body)).await?;
            auth.finish(response.headers_mut());
            Ok(response)
        })
    }
}

/// What comes before the handler: the refresh, and for a bearer, which is an explicit claim, the strict check.
async fn admit(auth: &Arc<RequestAuth>) -> Result<(), Rejection> {
    auth.refresh().await?;
    if auth.is_bearer() && auth.live_claims().await?.is_none() {
        return Err(Rejection::InvalidToken);
    }
    Ok(())
}

/// The answer to a request that goes no further for what is in its head.
fn unread<R: From<String>>(rejection: &Rejection) -> Response<R> {
    let mut response = rejection.response();
    let by = if matches!(rejection, Rejection::InvalidToken) { "Authorization" } else { "Cookie" };
    response.headers_mut().append(header::VARY, HeaderValue::from_static(by));
    response
}
