//! One session from login to theft, through the public API only.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use jwtauth::{
    Algorithm, Claims, Decision, Keyring, Lifetimes, Presented, Profile, RotationPolicy, Sid, SigningKey, TokenKind,
    Tokens, UnixTime,
};

const LOGIN: UnixTime = UnixTime::from_secs(1_700_000_000);

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn session_is_started_refreshed_and_ended_by_a_copied_token() -> Result<(), Box<dyn std::error::Error>> {
    let key = SigningKey::read(Algorithm::Hs256, &[7; 32])?;
    let tokens = Tokens::new(Keyring::new(key, [])?, Profile::default())?;
    let policy = RotationPolicy::new(Lifetimes::new(secs(300), secs(86_400), Some(secs(30 * 86_400)))?, secs(30));

    let sid = Sid::generate(&SystemRandom::new(), LOGIN)?;
    let mut row = policy.start(LOGIN);
    let refresh_token = |row: &jwtauth::Session| {
        let claims = Claims::new("42", sid, row.generation, row.rotated_at, row.expires_at);
        tokens.issue(TokenKind::Refresh, &claims).unwrap()
    };
    let first = refresh_token(&row);

    let decide = |row: &jwtauth::Session, token: &str, now: UnixTime| {
        let claims = tokens.verify(TokenKind::Refresh, token, now).unwrap();
        assert_eq!(claims.sid.session_id(), sid.session_id());
        policy.decide(row, Presented::new(claims.generation), now)
    };
    let later = LOGIN + secs(301);
    let Decision::Rotate(next) = decide(&row, &first, later) else { panic!("the access token has expired") };
    row = Decision::Rotate(next).next(&row).expect("a rotation writes the row");
    let second = refresh_token(&row);

    assert_eq!(decide(&row, &first, later + secs(5)), Decision::Reissue);
    assert_eq!(decide(&row, &second, later + secs(10)), Decision::RenewAccess { acknowledge: true });
    row.acknowledged_at = Some(later + secs(10));
    assert_eq!(decide(&row, &first, later + secs(39)), Decision::Reissue);
    assert_eq!(decide(&row, &first, later + secs(40)), Decision::Reuse);
    Ok(())
}
