//! The layers around services with other body types: those of tower-http in any order, hyper and tonic.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use std::{convert::Infallible, fmt, future::ready, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::post,
};
use common::{Answer, settings};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{
    BodyExt, Empty, Full,
    combinators::{BoxBody, UnsyncBoxBody},
};
use jwtauth_axum::{Auth, AuthLayer, FixedKeys, MemoryStore, ResourceLayer};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, util::option_layer};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    limit::RequestBodyLimitLayer,
    set_header::SetResponseHeaderLayer,
    timeout::{RequestBodyTimeoutLayer, ResponseBodyTimeoutLayer, TimeoutLayer},
    trace::TraceLayer,
};

const TIME: Duration = Duration::from_secs(10);

fn auth() -> AuthLayer {
    AuthLayer::new(common::config(), MemoryStore::default())
}

fn resource() -> ResourceLayer<FixedKeys> {
    ResourceLayer::new(settings().transport().unwrap(), FixedKeys::of(&settings()).unwrap())
}

fn handlers() -> Router {
    Router::new()
        .route("/login", post(async |auth: Auth| auth.login(42).await))
        .route("/open", post(async |body: String| format!("{body}!")))
}

fn timeout() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, TIME)
}

fn header_layer() -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"))
}

async fn send<S, B>(service: &S, request: http::request::Builder, body: B) -> Answer
where
    S: Service<Request<B>, Response = Response<Body>, Error: fmt::Debug> + Clone,
{
    Answer::of(service.clone().oneshot(request.body(body).unwrap()).await.unwrap()).await
}

/// Check that a rejected request gets its status, its headers and a JSON body.
async fn refuses<S, B>(service: &S, body: B)
where
    S: Service<Request<B>, Response = Response<Body>, Error: fmt::Debug> + Clone,
{
    let bad = Request::post("/open").header(header::AUTHORIZATION, "Bearer x");
    let answer = send(service, bad, body).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "token_not_valid"));
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer error=\"invalid_token\"");
    assert_eq!(answer.headers[header::VARY], "Authorization");
    assert_eq!(answer.headers[header::CONTENT_LENGTH], answer.body.len().to_string());
}

/// Check that a router with these layers answers, signs in and rejects.
async fn serves(name: &str, app: Router) {
    let answer = send(&app, Request::post("/open"), Body::from("hello")).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "hello!"), "{name}");
    let answer = send(&app, Request::post("/login"), Body::empty()).await;
    assert_eq!((answer.status, common::names(&answer)), (StatusCode::OK, vec!["access_token", "refresh_token"]));
    refuses(&app, Body::empty()).await;
}

/// Put the layer inside, between and outside of other layers, in one `ServiceBuilder`.
macro_rules! orders {
    ($($test:ident: $other:expr;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let builder = ServiceBuilder::new;
                serves("outside", handlers().layer(builder().layer(auth()).layer($other))).await;
                serves("inside", handlers().layer(builder().layer($other).layer(auth()))).await;
                serves("outside two", handlers().layer(builder().layer(auth()).layer(TraceLayer::new_for_http()).layer($other))).await;
                serves("between", handlers().layer(builder().layer(TraceLayer::new_for_http()).layer(auth()).layer($other))).await;
                serves("one by one", handlers().layer($other).layer(auth()).layer($other)).await;
                let app = handlers().layer(builder().layer(resource()).layer($other));
                refuses(&app, Body::empty()).await;
                let app = handlers().layer(builder().layer($other).layer(resource()));
                refuses(&app, Body::empty()).await;
            }
        )*
    };
}

orders! {
    it_goes_with_trace: TraceLayer::new_for_http();
    it_goes_with_compression: CompressionLayer::new();
    it_goes_with_a_limit_of_request_bodies: RequestBodyLimitLayer::new(1000);
    it_goes_with_a_timeout: timeout();
    it_goes_with_a_timeout_of_request_bodies: RequestBodyTimeoutLayer::new(TIME);
    it_goes_with_a_timeout_of_response_bodies: ResponseBodyTimeoutLayer::new(TIME);
    it_goes_with_catch_panic: CatchPanicLayer::new();
    it_goes_with_set_header: header_layer();
    it_goes_with_boxed_bodies: tower::util::MapResponseLayer::new(|response: Response<_>| response.map(Body::new));
    it_goes_with_nothing: option_layer(None::<AuthLayer>);
    it_goes_with_the_resource_layer: resource();
}

/// A gRPC status, as the error type of tonic's bodies.
#[derive(Debug)]
struct Status;

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("internal")
    }
}

impl std::error::Error for Status {}

/// Define a framework-free tower service that answers with this body.
macro_rules! bodies {
    ($($test:ident: $body:expr => $said:expr;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let inner = tower::service_fn(async |request: Request<Full<Bytes>>| {
                    request.extensions().get::<Auth>().unwrap().login("42").await.unwrap();
                    Ok::<_, Infallible>(Response::new($body))
                });
                let service = auth().layer(inner);
                let answer = send(&service, Request::post("/"), Full::default()).await;
                assert_eq!((answer.body.as_str(), common::names(&answer).len()), ($said, 2));
                refuses(&service, Full::<Bytes>::default()).await;
                let inner = tower::service_fn(async |_: Request<Full<Bytes>>| Ok::<_, Infallible>(Response::new($body)));
                let service = resource().layer(inner);
                assert_eq!(send(&service, Request::post("/"), Full::default()).await.body, $said);
                refuses(&service, Full::<Bytes>::default()).await;
            }
        )*
    };
}

bodies! {
    a_body_may_be_full: Full::<Bytes>::from("full") => "full";
    a_body_may_be_empty: Empty::<Bytes>::new() => "";
    a_body_may_be_text: "text".to_owned() => "text";
    a_body_may_be_hyper_s: BoxBody::<Bytes, Infallible>::new(Full::from("boxed")) => "boxed";
    a_body_may_be_tonic_s: UnsyncBoxBody::<Bytes, Status>::new(Full::from("grpc").map_err(|_| Status)) => "grpc";
    a_body_may_be_axum_s: Body::from("axum") => "axum";
    a_body_may_be_one_of_two: http_body_util::Either::<Full<Bytes>, Empty<Bytes>>::Left(Full::from("one")) => "one";
}

#[tokio::test]
async fn trailers_and_content_length_of_a_body_are_kept() {
    let inner = tower::service_fn(async |request: Request<Empty<Bytes>>| {
        let body = Full::from("data").map_err(|_| Status);
        let trailers = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
        let body = match request.uri().path() {
            "/trailers" => UnsyncBoxBody::<Bytes, Status>::new(body.with_trailers(ready(Some(Ok(trailers))))),
            _ => UnsyncBoxBody::new(body),
        };
        Ok::<_, Infallible>(Response::new(body))
    });
    let service = auth().layer(inner);
    let ask = async |path: &str| {
        service.clone().oneshot(Request::get(path).body(Empty::new()).unwrap()).await.unwrap().into_body()
    };
    let collected = ask("/trailers").await.collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(http_body::Body::size_hint(&ask("/").await).exact(), Some(4));
}

/// hyper's HTTP/2 would send a body if there were one.
#[tokio::test]
async fn response_to_head_has_no_body() {
    let inner = tower::service_fn(async |_: Request<Empty<Bytes>>| Ok::<_, Infallible>(Response::new(Body::empty())));
    let bearer = || Request::head("/").header(header::AUTHORIZATION, "Bearer x");
    for (layer, answer) in [
        ("auth", send(&auth().layer(inner), bearer(), Empty::new()).await),
        ("resource", send(&resource().layer(inner), bearer(), Empty::new()).await),
    ] {
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::UNAUTHORIZED, ""), "{layer}");
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json", "{layer}");
        assert_ne!(answer.headers[header::CONTENT_LENGTH], "0", "{layer}: as for GET");
    }
}
