//! Clients that send a request by TCP and hang up.

use std::net::SocketAddr;

use axum::{Router, body::Body};
use http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    leaving::{PATIENCE, ensure, idle},
    places::Place,
    requests::{Operation, World},
};

/// What is written.
pub const ALL: [Operation; 6] = [
    Operation::Logout,
    Operation::EndOthers,
    Operation::LoginOverLogin,
    Operation::LoginEndsOldest,
    Operation::Refresh,
    Operation::ReuseEndsAll,
];

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

/// Send a request, and hang up at once or, where there is one, at this step of the store. Returns whether the request had
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
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(written(&request).as_bytes()).await.unwrap();
    if let Some(step) = step {
        // An operation may have fewer steps.
        tokio::select! {
            () = world.store.steps.reached(step) => {}
            _ = client.readable() => {}
        }
    }
    drop(client);
    // Connections are accepted one after the other: once this one is answered, so was the other.
    let mut next = TcpStream::connect(address).await.unwrap();
    next.write_all(b"GET /open HTTP/1.1\r\nHost: own.example\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let answered = tokio::time::timeout(PATIENCE, next.read_to_string(&mut answer)).await;
    ensure(answered.is_ok() && answer.ends_with("open"), || format!("the next client: {answer:?}"))?;
    idle(tasks + 1).await?;
    serving.abort();
    idle(tasks).await?;
    place.whole().await?;
    if world.store.steps.count() == 0 {
        return Ok(false);
    }
    let check = tokio::time::timeout(PATIENCE, operation.check(&world, scene, true));
    check.await.map_err(|_| "the next requests wait".to_owned())??;
    Ok(true)
}
