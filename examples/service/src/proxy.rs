//! Hands requests to Django, which a web server does in a deployment.

use std::convert::Infallible;

use axum::{
    body::Body,
    extract::Request,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

/// Return a service that passes each request on to this address. The host stays the one that the browser asked for.
pub(crate) fn to(address: String) -> MethodRouter<(), Infallible> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    axum::routing::any(async move |mut request: Request| -> Response {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let Ok(uri) = format!("http://{address}{path}").parse::<Uri>() else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        *request.uri_mut() = uri;
        client
            .request(request)
            .await
            .map_or_else(|_| StatusCode::BAD_GATEWAY.into_response(), IntoResponse::into_response)
    })
}
