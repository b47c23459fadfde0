//! Clients that send a request over TCP and disconnect.

use std::net::SocketAddr;

use axum::{Router, body::Body};
use http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    leaving::{PATIENCE, Steps, ensure, idle},
    places::Place,
    requests::{Operation, World},
};

/// The requests to send.
pub const ALL: [Operation; 6] = [
    Operation::Logout,
    Operation::EndOthers,
    Operation::LoginOverLogin,
    Operation::LoginEndsOldest,
    Operation::Refresh,
    Operation::ReuseEndsAll,
];

/// The requests that many clients send at once.
pub const CROWDED: [Operation; 4] =
    [Operation::LoginEndsOldest, Operation::LoginOverLogin, Operation::Refresh, Operation::Logout];

async fn serve(app: &Router) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, app) = (listener.local_addr().unwrap(), app.clone());
    let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, serving)
}

fn written(request: &Request<Body>) -> String {
    let headers = request.headers().iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
    format!("{} {} HTTP/1.1\r\n{}\r\n", request.method(), request.uri(), headers.collect::<String>())
}

/// Send this request, and disconnect immediately or, if given, at this step of the store.
async fn hang_up(address: SocketAddr, request: &str, step: Option<usize>, steps: &Steps) {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    if let Some(step) = step {
        // An operation may have fewer steps.
        tokio::select! {
            () = steps.reached(step) => {}
            _ = client.readable() => {}
        }
    }
}

/// Wait until this server has finished the work of its clients, and stop it.
async fn stop(address: SocketAddr, serving: tokio::task::JoinHandle<()>, tasks: usize) -> Result<(), String> {
    // Connections are accepted in order: once this one is answered, the earlier ones have been accepted.
    let mut next = TcpStream::connect(address).await.unwrap();
    next.write_all(b"GET /open HTTP/1.1\r\nHost: own.example\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let answered = tokio::time::timeout(PATIENCE, next.read_to_string(&mut answer)).await;
    ensure(answered.is_ok() && answer.ends_with("open"), || format!("the next client: {answer:?}"))?;
    idle(tasks + 1).await?;
    serving.abort();
    idle(tasks).await
}

/// Send a request, and disconnect immediately or, if given, at this step of the store. Returns whether the request had
/// reached the store.
pub async fn try_hanging_up(
    place: &impl Place,
    operation: Operation,
    step: Option<usize>,
    tasks: usize,
) -> Result<bool, String> {
    let world = World::new(place, &operation.settings()).await;
    let scene = operation.prepare(&world).await;
    let request = operation.request(&world, &scene);
    let (address, serving) = serve(&world.app).await;
    world.store.steps.restart();
    hang_up(address, &written(&request), step, &world.store.steps).await;
    stop(address, serving, tasks).await?;
    place.whole().await?;
    if world.store.steps.count() == 0 {
        return Ok(false);
    }
    let check = tokio::time::timeout(PATIENCE, operation.check(&world, scene, true));
    check.await.map_err(|_| "the next requests hang".to_owned())??;
    Ok(true)
}

/// The number of simultaneous clients.
pub const CROWD: usize = 24;

/// Let many clients send the same request at once and disconnect, some immediately, some at a step of the store.
pub async fn try_crowd(place: &impl Place, operation: Operation, tasks: usize) -> Result<(), String> {
    let world = World::new(place, &operation.settings()).await;
    let scene = operation.prepare(&world).await;
    let request = written(&operation.request(&world, &scene));
    let (address, serving) = serve(&world.app).await;
    world.store.steps.restart();
    let clients = (0..CROWD).map(|number| {
        let (request, steps) = (request.clone(), world.store.steps.clone());
        let step = number.checked_sub(CROWD / 3);
        tokio::spawn(async move { hang_up(address, &request, step, &steps).await })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    stop(address, serving, tasks).await?;
    place.whole().await?;
    let check = tokio::time::timeout(PATIENCE, operation.check_crowd(&world, scene));
    check.await.map_err(|_| "the next requests hang".to_owned())?
}
