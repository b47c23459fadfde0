//! Tokens with the right claims but a wrong signature, kind or form, and the verifier that must refuse them.

use std::time::Duration;

use jwtauth::{Algorithm, Claims, Generation, Keyring, Profile, Sid, SigningKey, TokenKind, Tokens};

use crate::world::{NEWEST, NOW};

pub(crate) struct Forgeries {
    tokens: Tokens,
    forged: Vec<String>,
}

impl Forgeries {
    pub(crate) fn new() -> Self {
        let ring = |secret| {
            let key = SigningKey::read(Algorithm::Hs256, secret).unwrap();
            Tokens::new(Keyring::new(key, []).unwrap(), Profile::default()).unwrap()
        };
        let (tokens, others) = (ring(b"the server's own key of 32 bytes"), ring(b"a key of another server, 32 byte"));
        let (generation, end) = (Generation::new(NEWEST.get() - 5), NOW + Duration::from_secs(1000));
        let claims = Claims::new("1", Sid::from_bytes([7; 20]), generation, NOW, end);
        let good = tokens.issue(TokenKind::Refresh, &claims).unwrap();
        assert!(tokens.verify(TokenKind::Refresh, &good, NOW).is_ok(), "the token is valid before it is forged");
        let forged = vec![
            others.issue(TokenKind::Refresh, &claims).unwrap(),
            tokens.issue(TokenKind::Access, &claims).unwrap(),
            good[..good.len() - 1].to_owned(),
            good.replacen('.', "", 1),
        ];
        Self { tokens, forged }
    }

    pub(crate) fn any_accepted(&self) -> bool {
        self.forged.iter().any(|token| self.tokens.verify(TokenKind::Refresh, token, NOW).is_ok())
    }
}
