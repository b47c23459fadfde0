//! reqwest with its jar, by the protocol of `talk.py`.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{collections::HashMap, io, sync::Arc};

use reqwest::{
    Client, Method, Url,
    cookie::{CookieStore as _, Jar},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() {
    let jar = Arc::new(Jar::default());
    let client = Client::builder().cookie_provider(jar.clone()).build().unwrap();
    println!("reqwest {}", version());
    for line in io::stdin().lines().map(Result::unwrap) {
        let [method, url, count]: [&str; 3] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let (method, url): (Method, Url) = (method.parse().unwrap(), url.parse().unwrap());
        let requests = (0..count.parse::<usize>().unwrap()).map(|_| {
            let request = client.request(method.clone(), url.clone()).send();
            async {
                let answer = request.await.unwrap();
                json!({"status": answer.status().as_u16(), "body": answer.text().await.unwrap()})
            }
        });
        let answers: Vec<Value> = requests.collect::<JoinSet<_>>().join_all().await;
        let header = jar.cookies(&url);
        let pairs = header.iter().flat_map(|header| header.to_str().unwrap().split("; "));
        let cookies: HashMap<&str, &str> = pairs.filter_map(|pair| pair.split_once('=')).collect();
        println!("{}", json!({"answers": answers, "cookies": cookies}));
    }
}

/// Return the version that is built in; reqwest does not export it.
fn version() -> &'static str {
    let (_, after) = include_str!("../../../../Cargo.lock").split_once("name = \"reqwest\"\nversion = \"").unwrap();
    after.split('"').next().unwrap()
}
