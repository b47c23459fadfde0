//! What the engine costs: `cargo bench -p jwtauth`, with one raw HMAC of the same bytes beside it as the floor.

use std::hint::black_box;

use aws_lc_rs::hmac;
use criterion::{Criterion, criterion_group, criterion_main};
use jwtauth::{
    Algorithm, Claims, CustomClaims, Keyring, Kind, Lifetimes, Policy, Presented, Profile, Sid, SigningKey, Tokens,
};

const SECRET: &[u8; 32] = b"thirty-two bytes are the least..";
const NOW: u64 = 1_700_000_000;

fn engine(criterion: &mut Criterion) {
    let key = SigningKey::read(Algorithm::Hs256, SECRET).expect("the secret is long enough");
    let ring = Keyring::new(key, []).expect("one key is not too many");
    let tokens = Tokens::new(ring, Profile::default()).expect("the default profile holds");
    let claims = Claims {
        subject: "42".to_owned(),
        sid: Sid::from_bytes([7; 16]),
        generation: 3,
        issued_at: NOW,
        expires_at: NOW + 300,
        custom: CustomClaims::default(),
    };
    let token = tokens.issue(Kind::Access, &claims).expect("it is short");
    let (message, signature) = token.rsplit_once('.').expect("a token has dots");
    let raw_key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);

    criterion.bench_function("one raw HMAC of the token's bytes", |bencher| {
        bencher.iter(|| hmac::sign(&raw_key, black_box(message).as_bytes()));
    });
    criterion.bench_function("verify", |bencher| {
        bencher.iter(|| tokens.verify(Kind::Access, black_box(&token), NOW));
    });
    criterion.bench_function("reject: signature", |bencher| {
        let other = if signature.starts_with('A') { "B" } else { "A" };
        let forged = format!("{message}.{other}{}", signature.get(1..).unwrap_or_default());
        bencher.iter(|| tokens.verify(Kind::Access, black_box(&forged), NOW));
    });
    criterion.bench_function("issue", |bencher| {
        bencher.iter(|| tokens.issue(Kind::Access, black_box(&claims)));
    });
    criterion.bench_function("decide", |bencher| {
        let lifetimes = Lifetimes::new(300, 86_400, Some(2_592_000)).expect("they are in order");
        let policy = Policy::new(lifetimes, 30);
        let session = policy.start(NOW);
        let presented = Presented { generation: 1, upload: false };
        bencher.iter(|| policy.decide(black_box(&session), presented, NOW + 301));
    });
}

criterion_group!(benches, engine);
criterion_main!(benches);
