//! Tests with the attack corpus of `testdata/dpop-attacks.json`.

use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::{
    Algorithm, CookiePolicy, Head, IdentifyError, Identity, Keyring, Lifetimes, Origin, OriginPolicy, Profile, Refused,
    RotationPolicy, SigningKey, Site, Tokens, Transport, UnixTime,
};

/// The corpus, and the site that its tokens are of.
struct Corpus {
    json: Value,
    site: Site,
}

/// What the request of a case gives, read as the case says or in another way.
type Asked = Result<Identity, Box<Refused>>;

impl Corpus {
    fn read() -> Self {
        let json: Value = serde_json::from_str(include_str!("../../testdata/dpop-attacks.json")).unwrap();
        let key = SigningKey::read(Algorithm::Hs256, json["secret"].as_str().unwrap().as_bytes()).unwrap();
        let tokens = Tokens::new(Keyring::new(key, []).unwrap(), Profile::default()).unwrap();
        let seconds = Duration::from_secs;
        let policy = RotationPolicy::new(Lifetimes::new(seconds(300), seconds(86_400), None).unwrap(), seconds(30));
        let transport = Transport::new(CookiePolicy::default(), OriginPolicy::default(), true).with_dpop_origins(None);
        Self { json, site: Site::new(tokens, policy, transport) }
    }

    fn cases(&self, list: &str) -> &[Value] {
        self.json[list].as_array().unwrap()
    }

    /// Return a member of the case's request, or that of every request.
    fn part<'v>(&'v self, case: &'v Value, name: &str) -> Option<&'v str> {
        case.get(name).unwrap_or(&self.json["request"][name]).as_str()
    }

    fn proof(case: &Value) -> Option<String> {
        match &case["proof"] {
            Value::Null => None,
            Value::String(proof) => Some(proof.clone()),
            text => {
                let count = text["count"].as_u64().unwrap().try_into().unwrap();
                Some(text["repeat"].as_str().unwrap().repeat(count))
            }
        }
    }

    /// Send the request of a case to the site, to a service without nonces, or to a token endpoint.
    fn ask(&self, case: &Value, by: &str) -> Asked {
        let token = self.json["tokens"][self.part(case, "client").unwrap()].as_str().unwrap();
        let authorization = case["authorization"].as_str().map_or_else(|| format!("DPoP {token}"), str::to_owned);
        let proof = Self::proof(case);
        let mut head = Head::new(self.part(case, "method").unwrap());
        head.path = self.part(case, "path").unwrap();
        (head.authorization, head.dpop) = (Some(&*authorization), proof.as_deref());
        let own = || self.part(case, "own").and_then(|own| own.parse::<Origin>().ok());
        let now = self.json["now"].as_u64().unwrap() + case["at"].as_u64().unwrap_or(0);
        let (site, now) = (&self.site, UnixTime::from_secs(now));
        match by {
            "site" => site.identify(&head, own, now),
            "service" => site.transport().identify(site.tokens().verifier(), &head, own, now),
            "client" => site.identify_client(&head, own, now),
            _ => panic!("{by}"),
        }
    }
}

/// Return which check refuses a request.
fn error(asked: &Asked) -> &'static str {
    match asked {
        Ok(identity) if identity.access().is_some() || identity.client().is_some() => "accepted",
        Ok(_) => "anonymous",
        Err(refused) => match &refused.error {
            IdentifyError::InvalidToken(_) => "bearer",
            IdentifyError::CrossOrigin(_) => "origin",
            IdentifyError::Dpop(error) => match error {
                DpopError::Token(_) => "token",
                DpopError::Missing => "missing",
                DpopError::Jws(error) => error.code(),
                DpopError::Claims => "claims",
                DpopError::Method => "method",
                DpopError::Uri => "uri",
                DpopError::Time => "time",
                DpopError::AccessToken => "ath",
                DpopError::Key => "key",
                DpopError::Nonce => "nonce",
            },
        },
    }
}

#[test]
fn every_attack_is_refused_by_its_check() {
    let corpus = Corpus::read();
    let cases = corpus.cases("refused");
    assert!(cases.len() > 900);
    for case in cases {
        let what = format!("check {}: {}", case["check"], case["what"]);
        let asked = corpus.ask(case, corpus.part(case, "by").unwrap());
        let expected = case["error"].as_str().unwrap();
        assert_eq!(error(&asked), expected, "{what}");
        let identity = match &asked {
            Ok(identity) => identity,
            Err(refused) => {
                assert_eq!(refused.error.code(), case["code"], "{what}");
                &refused.identity
            }
        };
        assert!(identity.is_anonymous() && identity.client().is_none(), "{what}");
        assert_eq!(identity.needs_dpop_nonce(), expected == "nonce", "{what}: only a good proof gets a nonce");
    }
}

#[test]
fn proof_itself_is_refused_alike_at_services_and_token_endpoints() {
    let corpus = Corpus::read();
    let mut count = 0;
    for case in corpus.cases("refused") {
        let expected = case["error"].as_str().unwrap();
        let is_of_proof = expected.starts_with("device_proof") || matches!(expected, "claims" | "method" | "uri");
        for by in ["service", "client"].into_iter().filter(|_| is_of_proof) {
            assert_eq!(error(&corpus.ask(case, by)), expected, "check {} by {by}: {}", case["check"], case["what"]);
            count += 1;
        }
    }
    assert!(count > 1200);
}

#[test]
fn valid_proofs_of_the_corpus_are_accepted_and_name_their_key() {
    let corpus = Corpus::read();
    for case in corpus.cases("accepted") {
        let asked = corpus.ask(case, corpus.part(case, "by").unwrap());
        assert_eq!(error(&asked), "accepted", "{}", case["what"]);
        let key = &corpus.json["keys"][corpus.part(case, "client").unwrap()];
        assert_eq!(asked.unwrap().client().unwrap().to_string(), *key, "{}", case["what"]);
    }
}

#[test]
fn no_client_can_use_the_token_of_another() {
    let corpus = Corpus::read();
    for case in corpus.cases("accepted").iter().filter(|case| case["by"] != "client") {
        for (client, token) in corpus.json["tokens"].as_object().unwrap() {
            let mut stolen = case.clone();
            stolen["authorization"] = format!("DPoP {}", token.as_str().unwrap()).into();
            let is_own = corpus.part(case, "client") == Some(client);
            let by = corpus.part(case, "by").unwrap();
            assert_eq!(error(&corpus.ask(&stolen, by)), if is_own { "accepted" } else { "ath" }, "{}", case["what"]);
        }
    }
}
