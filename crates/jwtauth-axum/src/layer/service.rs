use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use axum_core::{BoxError, body::Body};
use bytes::Bytes;
use http::{Extensions, Method, Request, Response};
use jwtauth::Refused;
use tower_service::Service;
use tracing::Instrument as _;

use super::ResponseFuture;
use crate::{Auth, Rejection, event, request::RequestAuth, resource_server::Recognised, response, shared::Shared};

/// [`AuthLayer`](super::AuthLayer) applied to a service.
#[derive(Clone, Debug)]
pub struct AuthService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> AuthService<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// Return this layer's own view of the request if an outer clone of the layer has already processed it. Then only
    /// the outer one sets cookies; otherwise it would overwrite those of a login inside.
    fn outer<B>(&self, request: &Request<B>) -> Option<Auth> {
        request.extensions().get::<Auth>()?.0.within(&self.shared).map(Auth)
    }
}

impl<S, B, R> Service<Request<B>> for AuthService<S>
where
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

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // Call the service that is ready; its clone may not be.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        if let Some(outer) = self.outer(&request) {
            attach(request.extensions_mut(), outer);
            return ResponseFuture::new(async move { Ok(inner.call(request).await?.map(Body::new)) });
        }
        let (mut parts, body) = request.into_parts();
        let method = parts.method.clone();
        let shared = Arc::clone(&self.shared);
        let span = event::span();
        let identified = span.in_scope(|| RequestAuth::identify(Arc::clone(&shared), &parts, span.clone()));
        let answer = async move {
            let mut auth = match identified {
                Ok(auth) => auth,
                Err(refused) => return Ok(refuse(&shared, *refused, &method)),
            };
            let settled = RequestAuth::settle(&mut auth).await;
            let _unless_sent = Abandon(&auth);
            let admitted = match settled {
                Ok(()) => admit(&auth).await,
                refused => refused,
            };
            let response = match admitted {
                Ok(()) => {
                    attach(&mut parts.extensions, Auth(Arc::clone(&auth)));
                    inner.call(Request::from_parts(parts, body)).await?.map(Body::new)
                }
                Err(rejection) => rejection.logged().response_to(&method),
            };
            Ok(finish(&auth, response, &method))
        };
        ResponseFuture::new(answer.instrument(span))
    }
}

/// Make this the `Auth` that extractors find.
fn attach(extensions: &mut Extensions, auth: Auth) {
    extensions.remove::<Recognised>();
    extensions.insert(auth);
}

/// Records that there will be no response if the future is dropped early.
struct Abandon<'a>(&'a RequestAuth);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// Do the work before the handler: the refresh and, for a bearer token, the strict check.
async fn admit(auth: &Arc<RequestAuth>) -> Result<(), Rejection> {
    auth.refresh().await?;
    if auth.is_bearer() && auth.live().await?.is_none() {
        return Err(auth.over());
    }
    Ok(())
}

/// Return the response with its cookies, or an error if a token cannot be issued.
fn finish(auth: &RequestAuth, mut response: Response<Body>, method: &Method) -> Response<Body> {
    if let Err(error) = auth.finish(response.headers_mut()) {
        response = Rejection::from(error).logged().response_to(method);
        auth.finish_unchanged(response.headers_mut());
    }
    response
}

/// Return the response to a request that was rejected because of its head.
fn refuse(shared: &Shared, refused: Refused, method: &Method) -> Response<Body> {
    let mut response = Rejection::from(refused.error).response_to(method);
    let (site, now) = (&shared.config.site, shared.clock.now());
    if let Ok(answer) = site.respond(&refused.identity, &jwtauth::Outcome::Unchanged, false, now) {
        response::write(&answer, &site.transport().cookies, response.headers_mut());
    }
    response
}
