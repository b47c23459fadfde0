use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;

/// The future of [`AuthService`](super::AuthService).
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<R, E>(Pin<Box<dyn Future<Output = Result<Response<R>, E>> + Send>>);

impl<R, E> ResponseFuture<R, E> {
    pub(crate) fn new(future: impl Future<Output = Result<Response<R>, E>> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }
}

impl<R, E> Future for ResponseFuture<R, E> {
    type Output = Result<Response<R>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

impl<R, E> fmt::Debug for ResponseFuture<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
