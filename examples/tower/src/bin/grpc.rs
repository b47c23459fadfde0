//! `grpc [ADDRESS]`: users of a gRPC service, by cookie or by an access token in the `authorization` metadata.
//!
//! `AuthLayer` is around the service as it is around others. Its own answers are HTTP's, which `as_grpc` says in gRPC.
//! Cookies that a login sets are in the response's metadata. The messages are texts here; in a service they come from
//! `.proto` files.

use std::{convert::Infallible, env};

use axum_core::{BoxError, body::Body};
use bytes::{Buf, BufMut, Bytes};
use http::{Request, Response, StatusCode, header};
use jwtauth_axum::{Auth, AuthLayer, Config, MemoryStore};
use tonic::{
    Code, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::Grpc,
};
use tower::{Layer, service_fn, util::MapResponse};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    jwtauth_tower::serve(listener, MapResponse::new(layer()?.layer(service_fn(users)), as_grpc)).await?;
    Ok(())
}

fn layer() -> Result<AuthLayer, Box<dyn std::error::Error>> {
    let config = Config::new("a secret of at least thirty-two bytes, from the environment")?;
    Ok(AuthLayer::new(config, MemoryStore::default()))
}

/// Say in gRPC what the layer refuses: a bad bearer, another origin, a store that fails.
fn as_grpc(response: Response<Body>) -> Response<Body> {
    let code = match response.status() {
        StatusCode::OK => return response,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        _ => Code::Internal,
    };
    let mut answer = Status::new(code, "").into_http();
    for cookie in response.headers().get_all(header::SET_COOKIE) {
        answer.headers_mut().append(header::SET_COOKIE, cookie.clone());
    }
    answer
}

/// The service, as `tonic-build` would write it.
async fn users<B>(request: Request<B>) -> Result<Response<Body>, Infallible>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
{
    let mut grpc = Grpc::new(Text);
    let response = match request.uri().path() {
        "/example.Users/Login" => grpc.unary(service_fn(login), request).await,
        "/example.Users/Me" => grpc.unary(service_fn(me), request).await,
        _ => Status::unimplemented("no such method").into_http(),
    };
    Ok(response.map(Body::new))
}

async fn login(request: tonic::Request<String>) -> Result<tonic::Response<String>, Status> {
    let auth = auth(&request)?;
    // Where a password is checked first.
    auth.login(request.get_ref()).await.map_err(|error| Status::permission_denied(error.to_string()))?;
    Ok(tonic::Response::new("signed in".to_owned()))
}

async fn me(request: tonic::Request<String>) -> Result<tonic::Response<String>, Status> {
    match auth(&request)?.session().await {
        Ok(Some(session)) => Ok(tonic::Response::new(session.user_id)),
        Ok(None) => Err(Status::unauthenticated("sign in first")),
        Err(error) => Err(Status::unavailable(error.to_string())),
    }
}

fn auth(request: &tonic::Request<String>) -> Result<Auth, Status> {
    request.extensions().get().cloned().ok_or_else(|| Status::internal("AuthLayer is not around this service"))
}

/// Messages that are texts.
#[derive(Clone, Copy, Debug)]
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, target: &mut EncodeBuf<'_>) -> Result<(), Status> {
        target.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = source.copy_to_bytes(source.remaining());
        String::from_utf8(bytes.into()).map(Some).map_err(|_| Status::invalid_argument("not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataMap;

    use super::*;

    /// Call a method as a client does, with these metadata.
    async fn call(
        layer: &AuthLayer,
        method: &'static str,
        message: &str,
        metadata: &[(&'static str, &str)],
    ) -> Result<tonic::Response<String>, Status> {
        let mut request = tonic::Request::new(message.to_owned());
        for (name, value) in metadata {
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        let mut client = tonic::client::Grpc::new(MapResponse::new(layer.layer(service_fn(users)), as_grpc));
        client.ready().await.unwrap();
        client.unary(request, method.parse().unwrap(), Text).await
    }

    fn cookies(metadata: &MetadataMap) -> Vec<String> {
        let set = metadata.get_all("set-cookie").iter();
        set.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap().to_owned()).collect()
    }

    #[tokio::test]
    async fn a_user_is_known_by_cookie_and_by_bearer() {
        let layer = layer().unwrap();
        let anonymous = call(&layer, "/example.Users/Me", "", &[]).await.unwrap_err();
        assert_eq!((anonymous.code(), anonymous.message()), (Code::Unauthenticated, "sign in first"));
        let signed_in = call(&layer, "/example.Users/Login", "42", &[]).await.unwrap();
        let cookies = cookies(signed_in.metadata());
        let access = cookies.iter().find_map(|cookie| cookie.strip_prefix("access_token=")).unwrap();
        for metadata in [("cookie", cookies.join("; ")), ("authorization", format!("Bearer {access}"))] {
            let me = call(&layer, "/example.Users/Me", "", &[(metadata.0, &metadata.1)]).await.unwrap();
            assert_eq!(me.into_inner(), "42", "by {}", metadata.0);
        }
    }

    #[tokio::test]
    async fn the_layer_s_refusals_are_statuses_of_grpc() {
        let layer = layer().unwrap();
        let bad = call(&layer, "/example.Users/Me", "", &[("authorization", "Bearer bad")]).await.unwrap_err();
        assert_eq!(bad.code(), Code::Unauthenticated);
        let login = call(&layer, "/example.Users/Login", "42", &[("sec-fetch-site", "cross-site")]).await.unwrap_err();
        assert_eq!(login.code(), Code::PermissionDenied);
        let missing = call(&layer, "/example.Users/No", "", &[]).await.unwrap_err();
        assert_eq!(missing.code(), Code::Unimplemented);
    }
}
