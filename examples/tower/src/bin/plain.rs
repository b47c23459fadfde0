//! `plain [ADDRESS]`: logs users in without a framework. The layer puts an `Auth` into each request's extensions.

use std::{convert::Infallible, env};

use axum_core::{body::Body, response::IntoResponse};
use http::{Method, Request, Response, StatusCode};
use jwtauth_axum::{Auth, AuthError, AuthLayer, Config, MemoryStore};
use tower::{Layer, service_fn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    jwtauth_tower::serve(listener, layer()?.layer(service_fn(answer))).await?;
    Ok(())
}

fn layer() -> Result<AuthLayer, Box<dyn std::error::Error>> {
    let config = Config::new("a secret of at least thirty-two bytes, from the environment")?;
    Ok(AuthLayer::new(config, MemoryStore::default()))
}

async fn answer<B>(request: Request<B>) -> Result<Response<Body>, Infallible> {
    let Some(auth) = request.extensions().get::<Auth>() else {
        return Ok(AuthError::MissingLayer.into_response());
    };
    Ok(match (request.method(), request.uri().path()) {
        // Check the password here first.
        (&Method::POST, "/login") => auth.login(42).await.into_response(),
        (&Method::POST, "/logout") => auth.logout().await.into_response(),
        (&Method::GET, "/me") => match auth.session().await {
            Ok(Some(session)) => session.user_id.into_response(),
            Ok(None) => StatusCode::FORBIDDEN.into_response(),
            Err(error) => error.into_response(),
        },
        _ => StatusCode::NOT_FOUND.into_response(),
    })
}

#[cfg(test)]
mod tests {
    use http::header;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    /// Return status, body and the cookies that a browser has after this request.
    async fn send(layer: &AuthLayer, method: &str, path: &str, cookies: &str) -> (StatusCode, String, String) {
        let request = Request::builder().method(method).uri(path).header(header::COOKIE, cookies);
        let request = request.body(String::new()).unwrap();
        let response = layer.layer(service_fn(answer)).oneshot(request).await.unwrap();
        let set = response.headers().get_all(header::SET_COOKIE).iter();
        let pairs = set.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap().to_owned());
        let (status, cookies) = (response.status(), pairs.collect::<Vec<_>>().join("; "));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.into()).unwrap(), cookies)
    }

    #[tokio::test]
    async fn user_signs_in_and_out() {
        let layer = layer().unwrap();
        assert_eq!(send(&layer, "GET", "/me", "").await.0, StatusCode::FORBIDDEN);
        let (status, _, cookies) = send(&layer, "POST", "/login", "").await;
        assert_eq!((status, cookies.matches('=').count()), (StatusCode::OK, 2), "{cookies}");
        let (status, body, _) = send(&layer, "GET", "/me", &cookies).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "42"));
        assert_eq!(send(&layer, "POST", "/logout", &cookies).await.2, "access_token=; refresh_token=");
        assert_eq!(send(&layer, "GET", "/me", &cookies).await.0, StatusCode::FORBIDDEN, "the session has ended");
    }
}
