//! Tests of proofs, nonces, and what a request with them is.

use std::time::Duration;

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::*;
use crate::{
    Algorithm, Claims, CookiePolicy, Decision, DeviceBinding, GeneratedKey, Generation, Head, Identity, Keyring,
    Lifetimes, OriginPolicy, Outcome, Profile, Refusal, Refused, RotationPolicy, Sid, SigningKey, Site, TokenKind,
    Tokens, Transport, UnixTime, VerifyError, base64url::BASE64URL, token::Type,
};

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const URL: &str = "https://own.example/api/me/";

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn tokens() -> Tokens {
    let key = SigningKey::read(Algorithm::Hs256, &[7; 32]).unwrap();
    Tokens::new(Keyring::new(key, []).unwrap(), Profile::default()).unwrap()
}

fn site() -> Site {
    let policy = RotationPolicy::new(Lifetimes::new(secs(300), secs(86_400), None).unwrap(), secs(30));
    let transport = Transport::new(CookiePolicy::default(), OriginPolicy::default(), true);
    Site::new(tokens(), policy, transport.with_dpop_origins(Some(vec![own().unwrap()])))
}

/// A client with a key.
struct Client {
    algorithm: Algorithm,
    key: SigningKey,
    jwk: Value,
}

impl Client {
    fn new(algorithm: Algorithm) -> Self {
        let made = GeneratedKey::new(algorithm, None).unwrap();
        let jwk = serde_json::from_str(made.public_jwk().unwrap()).unwrap();
        Self { algorithm, key: SigningKey::read(algorithm, made.expose_jwk().as_bytes()).unwrap(), jwk }
    }

    fn sign(&self, header: &Value, payload: &Value) -> String {
        let [header, payload] = [header, payload].map(|part| BASE64URL.encode(part.to_string()));
        let message = format!("{header}.{payload}");
        let signature = self.key.sign(message.as_bytes(), |signature| BASE64URL.encode(signature)).unwrap();
        format!("{message}.{signature}")
    }

    fn header(&self) -> Value {
        json!({ "alg": self.algorithm.as_str(), "typ": "dpop+jwt", "jwk": self.jwk })
    }

    fn thumbprint(&self) -> Thumbprint {
        Thumbprint::parse(self.key.verifying_key().id()).unwrap()
    }

    /// Return a proof for `GET` of [`URL`] at [`NOW`] with this token, with other claims in place of some.
    fn proof(&self, token: &str, other: Value) -> String {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
        let mut claims = json!({
            "jti": "a", "htm": "GET", "htu": URL, "iat": NOW.as_secs(), "ath": BASE64URL.encode(hash),
            "nonce": tokens().issue_dpop_nonce(NOW).unwrap(),
        });
        let Value::Object(other) = other else { panic!("claims are an object") };
        claims.as_object_mut().unwrap().extend(other);
        let kept: Map<_, _> = claims.as_object().unwrap().clone().into_iter().filter(|(_, it)| !it.is_null()).collect();
        self.sign(&self.header(), &kept.into())
    }

    fn token(&self) -> String {
        token(Some(self.thumbprint()))
    }
}

fn token(confirmation: Option<Thumbprint>) -> String {
    let claims = Claims::new("42", Sid::from_bytes([7; 20]), Generation::FIRST, NOW, NOW + secs(300));
    tokens().issue(TokenKind::Access, &claims.with_confirmation(confirmation)).unwrap()
}

fn head<'a>(authorization: &'a str, proof: Option<&'a str>) -> Head<'a> {
    Head { path: "/api/me/", authorization: Some(authorization), dpop: proof, ..Head::new("GET") }
}

fn own() -> Option<crate::Origin> {
    "https://own.example".parse().ok()
}

fn ask(authorization: &str, proof: Option<&str>, now: UnixTime) -> Result<Identity, Box<Refused>> {
    site().identify(&head(authorization, proof), own, now)
}

fn code(asked: &Result<Identity, Box<Refused>>) -> &'static str {
    match asked {
        Ok(identity) if identity.access().is_some() => "ok",
        Ok(_) => "anonymous",
        Err(refused) => refused.error.code(),
    }
}

/// Send the token of a client with a proof in which some claims differ.
fn sent(client: &Client, other: Value, now: UnixTime) -> &'static str {
    let token = client.token();
    code(&ask(&format!("DPoP {token}"), Some(&client.proof(&token, other)), now))
}

#[test]
fn token_with_a_proof_of_its_key_is_accepted_with_each_asymmetric_algorithm() {
    for algorithm in Algorithm::ALL.into_iter().filter(|it| !it.is_symmetric()) {
        let client = Client::new(algorithm);
        let token = client.token();
        let identity = ask(&format!("DPoP {token}"), Some(&client.proof(&token, json!({}))), NOW).unwrap();
        assert_eq!(identity.access().unwrap().confirmation, Some(client.thumbprint()), "{algorithm}");
        assert_eq!(identity.client(), Some(client.thumbprint()));
        assert!(identity.is_bearer() && !identity.needs_dpop_nonce());
    }
}

#[test]
fn bound_token_is_refused_by_every_other_way() {
    let client = Client::new(Algorithm::Es256);
    let (token, unbound) = (client.token(), token(None));
    let proof = client.proof(&token, json!({}));
    let of_unbound = client.proof(&unbound, json!({}));
    for (authorization, proof, expected) in [
        (format!("DPoP {token}"), Some(&*proof), "ok"),
        (format!("Bearer {token}"), None, "token_not_valid"),
        (format!("Bearer {token}"), Some(&*proof), "token_not_valid"),
        (format!("Bearer {unbound}"), None, "ok"),
        (format!("DPoP {unbound}"), Some(&*of_unbound), "token_not_valid"),
        (format!("DPoP {token}"), None, "invalid_dpop_proof"),
        ("DPoP".to_owned(), Some(&*proof), "token_not_valid"),
        ("DPoP x".to_owned(), Some(&*proof), "token_not_valid"),
    ] {
        assert_eq!(code(&ask(&authorization, proof, NOW)), expected, "{authorization}");
    }
    assert_eq!(
        code(&ask(&format!("DPoP {token}"), Some(&proof), NOW + secs(300))),
        "token_not_valid",
        "it has expired"
    );
    // As a cookie, it is ignored.
    let cookie = format!("access_token={token}");
    let fields = [cookie.as_bytes()];
    let cookies = Head { cookies: &fields, dpop: Some(&proof), path: "/api/me/", ..Head::new("GET") };
    assert!(site().identify(&cookies, own, NOW).unwrap().is_anonymous());
    assert_eq!(tokens().verify(TokenKind::Access, &token, NOW), Err(VerifyError::WrongScheme));
}

#[test]
fn site_without_bearer_tokens_reads_no_proof() {
    let transport = Transport { bearer: false, ..site().transport().clone() };
    let client = Client::new(Algorithm::Es256);
    let (token, verifier) = (client.token(), tokens());
    let (authorization, proof) = (format!("DPoP {token}"), client.proof(&token, json!({})));
    let asked = transport.identify(verifier.verifier(), &head(&authorization, Some(&proof)), own, NOW);
    assert_eq!(code(&asked), "anonymous");
}

#[test]
fn proof_is_for_one_request_and_one_token() {
    let client = Client::new(Algorithm::Es256);
    for (claims, expected) in [
        (json!({}), "ok"),
        (json!({ "extra": [1] }), "ok"),
        (json!({ "htu": "HTTPS://OWN.example:443/api/me/?page=2#top" }), "ok"),
        (json!({ "htu": "https://own.example/%61pi/m%65/" }), "ok"),
        (json!({ "htu": "https://own.example/api/me" }), "invalid_dpop_proof"),
        (json!({ "htu": "https://own.example/API/me/" }), "invalid_dpop_proof"),
        (json!({ "htu": "https://own.example/api/me/x" }), "invalid_dpop_proof"),
        (json!({ "htu": "https://own.example" }), "invalid_dpop_proof"),
        (json!({ "htu": "http://own.example/api/me/" }), "invalid_dpop_proof"),
        (json!({ "htu": "https://own.example:8443/api/me/" }), "invalid_dpop_proof"),
        (json!({ "htu": "https://other.example/api/me/" }), "invalid_dpop_proof"),
        (json!({ "htu": "https://u@own.example/api/me/" }), "invalid_dpop_proof"),
        (json!({ "htu": "/api/me/" }), "invalid_dpop_proof"),
        (json!({ "htu": "" }), "invalid_dpop_proof"),
        (json!({ "htm": "POST" }), "invalid_dpop_proof"),
        (json!({ "htm": "get" }), "invalid_dpop_proof"),
        (json!({ "ath": "x" }), "invalid_dpop_proof"),
        (json!({ "ath": null }), "invalid_dpop_proof"),
        (json!({ "jti": null }), "invalid_dpop_proof"),
        (json!({ "jti": "" }), "invalid_dpop_proof"),
        (json!({ "jti": 1 }), "invalid_dpop_proof"),
        (json!({ "htm": null }), "invalid_dpop_proof"),
        (json!({ "htu": null }), "invalid_dpop_proof"),
        (json!({ "iat": null }), "invalid_dpop_proof"),
        (json!({ "iat": "1800000000" }), "invalid_dpop_proof"),
        (json!({ "iat": -1 }), "invalid_dpop_proof"),
        (json!({ "iat": 1e300 }), "invalid_dpop_proof"),
        (json!({ "iat": 1_800_000_000.75 }), "ok"),
        (json!({ "iat": NOW.as_secs() - 300 }), "ok"),
        (json!({ "iat": NOW.as_secs() + 300 }), "ok"),
        (json!({ "iat": NOW.as_secs() - 301 }), "invalid_dpop_proof"),
        (json!({ "iat": NOW.as_secs() + 301 }), "invalid_dpop_proof"),
        (json!({ "nonce": null }), "use_dpop_nonce"),
        (json!({ "nonce": "" }), "use_dpop_nonce"),
        (json!({ "nonce": "x" }), "use_dpop_nonce"),
        (json!({ "nonce": 1 }), "use_dpop_nonce"),
        (json!({ "nonce": client.token() }), "use_dpop_nonce"),
    ] {
        assert_eq!(sent(&client, claims.clone(), NOW), expected, "{claims}");
    }
    // The same proof with another token of the same key.
    let other = tokens().issue(
        TokenKind::Access,
        &Claims::new("42", Sid::from_bytes([8; 20]), Generation::FIRST, NOW, NOW + secs(300))
            .with_confirmation(Some(client.thumbprint())),
    );
    let proof = client.proof(&client.token(), json!({}));
    assert_eq!(code(&ask(&format!("DPoP {}", other.unwrap()), Some(&proof), NOW)), "invalid_dpop_proof");
}

#[test]
fn proof_for_another_name_of_the_server_is_refused_whatever_the_host() {
    let client = Client::new(Algorithm::Es256);
    let token = client.token();
    let (authorization, proof) =
        (format!("DPoP {token}"), client.proof(&token, json!({ "htu": "https://evil.example/api/me/" })));
    let evil = || "https://evil.example".parse().ok();
    for (origins, expected) in [
        (Some(vec![own().unwrap()]), "invalid_dpop_proof"),
        (Some(Vec::new()), "invalid_dpop_proof"),
        (Some(vec![own().unwrap(), evil().unwrap()]), "ok"),
        (None, "ok"),
    ] {
        let transport = site().transport().clone().with_dpop_origins(origins.clone());
        let site = Site::new(tokens(), *site().policy(), transport);
        let asked = site.identify(&head(&authorization, Some(&proof)), evil, NOW);
        assert_eq!(code(&asked), expected, "{origins:?}");
    }
}

#[test]
fn responses_to_clients_depend_on_the_proof() {
    let client = Client::new(Algorithm::Es256);
    let token = client.token();
    let vary = |asked: Result<Identity, Box<Refused>>| {
        let identity = asked.unwrap_or_else(|refused| refused.identity);
        site().respond(&identity, &Outcome::Unchanged, true, NOW).unwrap().vary
    };
    let proof = client.proof(&token, json!({}));
    for proof in [Some(&*proof), None] {
        assert_eq!(vary(ask(&format!("DPoP {token}"), proof, NOW)), ["Authorization", "DPoP"]);
    }
    assert_eq!(vary(ask(&format!("Bearer {token}"), Some(&proof), NOW)), ["Authorization"]);
}

#[test]
fn server_that_does_not_know_its_origin_accepts_no_proof() {
    let client = Client::new(Algorithm::Es256);
    let token = client.token();
    let (authorization, proof) = (format!("DPoP {token}"), client.proof(&token, json!({ "htu": "x://" })));
    let refused = site().identify(&head(&authorization, Some(&proof)), || None, NOW);
    assert_eq!(refused.unwrap_err().error, DpopError::Uri.into());
}

#[test]
fn proof_must_be_signed_by_the_key_in_its_header_and_of_the_token() {
    let (client, thief) = (Client::new(Algorithm::Es256), Client::new(Algorithm::Es256));
    let token = client.token();
    let authorization = format!("DPoP {token}");
    let refused = |proof: &str| match ask(&authorization, Some(proof), NOW) {
        Err(refused) => refused.error,
        Ok(_) => panic!("accepted"),
    };
    assert_eq!(refused(&thief.proof(&token, json!({}))), DpopError::Key.into());

    let good = client.proof(&token, json!({}));
    let payload: Value = serde_json::from_slice(&BASE64URL.decode(good.split('.').nth(1).unwrap()).unwrap()).unwrap();
    let with = |name: &str, value: Value| {
        let mut header = client.header();
        header[name] = value;
        client.sign(&header, &payload)
    };
    let mut private = client.jwk.clone();
    private["d"] = json!("AAAA");
    let mut no_key = client.header();
    no_key.as_object_mut().unwrap().remove("jwk");
    for (what, proof) in [
        ("the key of another", with("jwk", thief.jwk.clone())),
        ("a private key", with("jwk", private)),
        ("a shared secret", with("jwk", json!({ "kty": "oct", "k": "AAAA" }))),
        ("no key", client.sign(&no_key, &payload)),
        ("no type", with("typ", json!(null))),
        ("the type of tokens", with("typ", json!("at+jwt"))),
        ("the type of device proofs", with("typ", json!("dbsc+jwt"))),
        ("no algorithm", with("alg", json!("none"))),
        ("a symmetric algorithm", with("alg", json!("HS256"))),
        ("another algorithm", with("alg", json!("RS256"))),
        ("a key id", with("kid", json!("1"))),
        ("a critical extension", with("crit", json!(["b64"]))),
        ("two proofs", format!("{good},{good}")),
        ("two proofs, apart", format!("{good}, {good}")),
        ("in quotes", format!("\"{good}\"")),
        ("without its signature", good.rsplit_once('.').unwrap().0.to_owned() + "."),
        ("cut", good[..good.len() - 2].to_owned()),
        ("nothing", String::new()),
    ] {
        assert!(matches!(refused(&proof), crate::IdentifyError::Dpop(DpopError::Jws(_))), "{what}");
    }
}

#[test]
fn nonce_expires_and_is_renewed_in_time() {
    let client = Client::new(Algorithm::Es256);
    let token = client.token();
    let authorization = format!("DPoP {token}");
    let with = |nonce: &str| client.proof(&token, json!({ "nonce": nonce }));
    let issued_at = |before| tokens().issue_dpop_nonce(NOW - secs(before)).unwrap();
    for (age, needs) in [(0, false), (149, false), (150, true), (299, true)] {
        let identity = ask(&authorization, Some(&with(&issued_at(age))), NOW).unwrap();
        assert_eq!(identity.needs_dpop_nonce(), needs, "{age}");
        let answer = site().respond(&identity, &Outcome::Unchanged, true, NOW).unwrap();
        assert_eq!((answer.dpop_nonce.is_some(), answer.is_private), (needs, needs));
    }
    let refused = ask(&authorization, Some(&with(&issued_at(300))), NOW).unwrap_err();
    assert_eq!(refused.error, DpopError::Nonce.into());
    let nonce = site().respond(&refused.identity, &Outcome::Unchanged, true, NOW).unwrap().dpop_nonce.unwrap();
    assert_eq!(code(&ask(&authorization, Some(&with(&nonce)), NOW)), "ok");

    let other = SigningKey::read(Algorithm::Hs256, &[8; 32]).unwrap();
    let other = Tokens::new(Keyring::new(other, []).unwrap(), Profile::default()).unwrap();
    for nonce in [
        other.issue_dpop_nonce(NOW).unwrap(),
        tokens().sign(Type::Nonce, b"{}").unwrap(),
        tokens().sign(Type::Challenge, br#"{"exp":1900000000}"#).unwrap(),
    ] {
        assert_eq!(code(&ask(&authorization, Some(&with(&nonce)), NOW)), "use_dpop_nonce", "{nonce}");
    }
}

#[test]
fn nonce_is_given_only_to_who_has_a_token_and_a_proof_of_its_key() {
    let (client, thief) = (Client::new(Algorithm::Es256), Client::new(Algorithm::Es256));
    let token = client.token();
    let no_nonce = json!({ "nonce": null });
    for (authorization, proof, needs) in [
        (format!("DPoP {token}"), client.proof(&token, no_nonce.clone()), true),
        (format!("DPoP {token}"), thief.proof(&token, no_nonce.clone()), false),
        (format!("DPoP {token}"), "x".to_owned(), false),
        ("DPoP x".to_owned(), client.proof("x", no_nonce), false),
    ] {
        let refused = ask(&authorization, Some(&proof), NOW).unwrap_err();
        assert_eq!(refused.identity.needs_dpop_nonce(), needs);
    }
}

#[test]
fn service_with_public_keys_takes_a_proof_of_the_last_minute_without_a_nonce() {
    let client = Client::new(Algorithm::Es256);
    let (token, tokens, site) = (client.token(), tokens(), site());
    let authorization = format!("DPoP {token}");
    for (claims, expected) in [
        (json!({ "nonce": null }), "ok"),
        (json!({ "nonce": "of another server" }), "ok"),
        (json!({ "nonce": null, "iat": NOW.as_secs() - 60 }), "ok"),
        (json!({ "nonce": null, "iat": NOW.as_secs() + 60 }), "ok"),
        (json!({ "nonce": null, "iat": NOW.as_secs() - 61 }), "invalid_dpop_proof"),
        (json!({ "nonce": null, "iat": NOW.as_secs() + 61 }), "invalid_dpop_proof"),
        (json!({ "nonce": null, "ath": null }), "invalid_dpop_proof"),
    ] {
        let proof = client.proof(&token, claims.clone());
        let asked = site.transport().identify(tokens.verifier(), &head(&authorization, Some(&proof)), own, NOW);
        assert_eq!(code(&asked), expected, "{claims}");
    }
}

#[test]
fn client_is_identified_at_a_token_endpoint() {
    let client = Client::new(Algorithm::EdDsa);
    let at_endpoint = |proof: Option<&str>| {
        let head = Head { path: "/token/", dpop: proof, ..Head::new("POST") };
        site().identify_client(&head, own, NOW)
    };
    let claims = json!({ "htm": "POST", "htu": "https://own.example/token/", "ath": null });
    let identity = at_endpoint(Some(&client.proof("", claims.clone()))).unwrap();
    assert_eq!((identity.client(), identity.is_anonymous()), (Some(client.thumbprint()), true));
    assert_eq!(at_endpoint(None).unwrap().client(), None);
    let mut without = claims.clone();
    without["nonce"] = json!(null);
    let refused = at_endpoint(Some(&client.proof("", without))).unwrap_err();
    assert_eq!((refused.error.code(), refused.identity.needs_dpop_nonce()), ("use_dpop_nonce", true));
    let mut elsewhere = claims;
    elsewhere["htu"] = json!(URL);
    let refused = at_endpoint(Some(&client.proof("", elsewhere))).unwrap_err();
    assert_eq!((refused.error, refused.identity.client()), (DpopError::Uri.into(), None));
}

#[test]
fn session_of_a_client_is_refreshed_by_its_key_only_and_ends_as_any_other() {
    let (client, thief) = (Client::new(Algorithm::Es256), Client::new(Algorithm::Es256));
    let site = site();
    let device = DeviceBinding::from_stored(Some(&client.thumbprint().to_stored()));
    assert_eq!(device, DeviceBinding::Dpop(client.thumbprint()));
    let row = site.policy().start(NOW).with_device(device).with_generation(Generation::new(4), NOW);
    let decide = |generation: u64, key: Option<Thumbprint>| {
        let claims = Claims::new("42", Sid::from_bytes([7; 20]), Generation::new(generation), NOW, NOW + secs(86_400));
        let identity =
            key.map_or_else(Identity::default, |key| Identity::default().with_proof(Ok((key, false))).unwrap());
        site.refresh(&identity, &claims, &row, NOW + secs(300)).code()
    };
    for generation in [1, 3, 4, 5, 99] {
        for key in [None, Some(thief.thumbprint())] {
            assert_eq!(decide(generation, key), Decision::Refuse(Refusal::Unproven).code(), "{generation}");
        }
    }
    let owner = |generation| decide(generation, Some(client.thumbprint()));
    let unbound = site.policy().start(NOW).with_generation(Generation::new(4), NOW);
    for generation in [1, 3, 4, 5, 99] {
        let presented = crate::Presented::new(Generation::new(generation));
        assert_eq!(owner(generation), site.policy().decide(&unbound, presented, NOW + secs(300)).code());
    }
}

#[test]
fn only_access_tokens_name_the_key_and_end_as_those_of_other_sessions() {
    let client = Client::new(Algorithm::Es256);
    let site = site();
    let row = site.policy().start(NOW).with_device(DeviceBinding::Dpop(client.thumbprint()));
    let later = NOW + secs(1000);
    let grant = site.grant(crate::Grantee::new(Sid::from_bytes([7; 20]), "42"), &row, &[], later);
    assert_eq!(grant.access().confirmation, Some(client.thumbprint()));
    assert_eq!(grant.refresh().confirmation, None);
    assert_eq!(grant.access().expires_at, later + secs(300));
}

#[test]
fn token_of_another_key_than_the_session_has_is_over() {
    let client = Client::new(Algorithm::Es256);
    let site = site();
    let claims = Claims::new("42", Sid::from_bytes([7; 20]), Generation::FIRST, NOW, NOW + secs(300));
    let live = |device, confirmation| {
        let row = site.policy().start(NOW).with_device(device);
        let claims = claims.clone().with_confirmation(confirmation);
        site.check(&Identity::default(), &claims, Some(crate::FoundRow::new(&row, None, NOW)), NOW)
            != crate::Check::Over
    };
    let (own, other) = (client.thumbprint(), Client::new(Algorithm::Es256).thumbprint());
    assert!(live(DeviceBinding::Dpop(own), Some(own)));
    assert!(live(DeviceBinding::Unbound, None));
    for (device, confirmation) in [
        (DeviceBinding::Dpop(own), None),
        (DeviceBinding::Dpop(own), Some(other)),
        (DeviceBinding::Unbound, Some(own)),
        (DeviceBinding::Bound, Some(own)),
    ] {
        assert!(!live(device, confirmation), "{device:?} {confirmation:?}");
    }
}

#[test]
fn challenges_name_the_scheme_the_error_and_the_algorithms() {
    let algorithms = "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA Ed25519";
    for (error, name) in [
        (DpopError::Token(VerifyError::WrongScheme), "invalid_token"),
        (DpopError::Uri, "invalid_dpop_proof"),
        (DpopError::Nonce, "use_dpop_nonce"),
    ] {
        let expected = format!(r#"DPoP error="{name}", error_description="{error}", algs="{algorithms}""#);
        assert_eq!(crate::IdentifyError::from(error).challenge().unwrap(), expected);
    }
}

#[test]
fn refusal_tells_whether_another_scheme_could_accept_the_token() {
    let client = Client::new(Algorithm::Es256);
    let (token, unbound) = (client.token(), token(None));
    let is_own = |token: &str, now| match ask(&format!("DPoP {token}"), None, now).unwrap_err().error {
        crate::IdentifyError::Dpop(error) => error.is_about_own_token(),
        other => panic!("{other}"),
    };
    for (token, now) in [(&token, NOW), (&token, NOW + secs(300)), (&unbound, NOW), (&unbound, NOW + secs(300))] {
        assert!(is_own(token, now));
    }
    let last = if token.ends_with('A') { 'Q' } else { 'A' };
    let forged = format!("{}{last}", &token[..token.len() - 1]);
    for other in ["", "x", "a.b.c", &forged] {
        assert!(!is_own(other, NOW), "{other}");
    }
}

#[test]
fn thumbprint_is_stored_and_read() {
    let key = Client::new(Algorithm::Es256).thumbprint();
    assert_eq!(Thumbprint::from_stored(&key.to_stored()), Some(key));
    for other in
        [key.to_string(), format!("dpop:{key}="), format!("dbsc:{key}"), "dpop:".to_owned(), format!("dpop:{key}A")]
    {
        assert_eq!(Thumbprint::from_stored(&other), None, "{other}");
        assert_ne!(DeviceBinding::from_stored(Some(&other)), DeviceBinding::Unbound);
    }
}
