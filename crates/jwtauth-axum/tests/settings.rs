//! Settings, from code, TOML and the environment.

#![cfg(feature = "figment")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use jwtauth_axum::{Settings, SettingsError};

const SECRET: &str = "a secret of the tests, long enough for SHA-256";

fn read(toml: &str) -> Result<Settings, SettingsError> {
    let path = std::env::temp_dir().join(format!("jwtauth-{}-{:p}.toml", std::process::id(), toml));
    std::fs::write(&path, toml).unwrap();
    let read = Settings::read(&path);
    std::fs::remove_file(path).unwrap();
    read
}

/// Reports print an error and then its sources.
fn assert_says_each_thing_once(error: &dyn std::error::Error) {
    let said = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        assert!(!said.contains(&error.to_string()), "{said}: {error}");
        source = error.source();
    }
}

#[test]
fn toml_has_django_s_names() {
    let settings = read(&format!(
        "SECRET_KEY = \"{SECRET}\"\nACCESS_TOKEN_LIFETIME = 600\nSESSION_LIFETIME = \"none\"\nAUDIENCE = \"one\"\n\
         SESSION_CHECK_INTERVAL = 2.5\nVERIFYING_KEYS = [\"{SECRET}\", [\"HS512\", \"{SECRET}{SECRET}\"]]\n"
    ))
    .unwrap();
    let keys = settings.verifying_keys.clone().unwrap();
    assert_eq!(keys.len(), 2);
    let expected = Settings::new(SECRET)
        .with_access_token_lifetime(Duration::from_secs(600))
        .with_session_lifetime(None)
        .with_audience(["one"])
        .with_session_check_interval(Duration::from_millis(2500))
        .with_verifying_keys(keys);
    assert_eq!(settings, expected);
    assert!(settings.build().is_ok());
}

#[test]
fn a_render_secret_is_one_or_several() {
    let expected = |secrets: &[&str]| Settings::new(SECRET).with_render_server_secret(secrets.iter().copied());
    let (one, other) = ("r".repeat(32), "s".repeat(32));
    let toml = |value| read(&format!("SECRET_KEY = \"{SECRET}\"\nRENDER_SERVER_SECRET = {value}\n")).unwrap();
    assert_eq!(toml(format!("\"{one}\"")), expected(&[&one]));
    let both = toml(format!("[\"{one}\", \"{other}\"]"));
    assert_eq!(both, expected(&[&one, &other]));
    assert!(both.build().is_ok());
    assert!(!format!("{both:?} {:?}", both.build()).contains(&one));
}

#[test]
fn what_is_unknown_or_wrong_is_named_with_its_file() {
    for (line, name) in [
        ("ACCESS_TOKEN_LIFETIM = 600", "ACCESS_TOKEN_LIFETIM"),
        ("ACCESS_TOKEN_LIFETIME = \"long\"", "ACCESS_TOKEN_LIFETIME"),
        ("SESSION_LIFETIME = \"never\"", "SESSION_LIFETIME"),
        ("SESSION_CHECK_INTERVAL = -1", "SESSION_CHECK_INTERVAL"),
        ("SESSION_CHECK_INTERVAL = nan", "SESSION_CHECK_INTERVAL"),
        ("COOKIE_SECURE = 1", "COOKIE_SECURE"),
    ] {
        let said = read(line).unwrap_err().to_string();
        assert!(said.contains(name) && said.contains(".toml"), "{said}");
        assert_says_each_thing_once(&read(line).unwrap_err());
    }
    assert!(Settings::read("/nowhere/at/all.toml").is_err());
}

#[test]
fn what_is_wrong_with_a_key_does_not_show_it() {
    for line in [
        "SECRET_KEY = 86421357",
        "SECRET_KEY = [\"86421357\"]",
        "SECRET_KEY_FALLBACKS = \"86421357\"",
        "SECRET_KEY_FALLBACKS = [86421357]",
        "SIGNING_KEY = 86421357",
        "SIGNING_KEY = { k = \"86421357\" }",
        "VERIFYING_KEYS = \"86421357\"",
        "VERIFYING_KEYS = [[\"HS256\", 86421357]]",
        "VERIFYING_KEYS = [[\"86421357\", \"HS256\", \"\"]]",
        "RENDER_SERVER_SECRET = 86421357",
        "RENDER_SERVER_SECRET = [86421357]",
    ] {
        let wrong = read(line).unwrap_err();
        let said = format!("{wrong} {wrong:?}");
        assert!(said.contains(line.split(' ').next().unwrap()) && !said.contains("86421357"), "{said}");
    }
}

#[test]
fn what_contradicts_itself_names_the_setting() {
    let good = || Settings::new(SECRET);
    let cases = [
        (Settings::new("brief"), "SECRET_KEY"),
        (good().with_signing_key("brief"), "SIGNING_KEY"),
        (good().with_algorithm("none"), "ALGORITHM"),
        (good().with_access_token_lifetime(Duration::ZERO), "ACCESS_TOKEN_LIFETIME"),
        (good().with_cookie_samesite("Loose"), "COOKIE_SAMESITE"),
        (good().with_csrf_trusted_origins(["app.example.com"]), "CSRF_TRUSTED_ORIGINS: \"app.example.com\""),
        (good().with_access_token_cookie_name("refresh_token"), "COOKIE_NAME"),
        (good().with_user_id_claim("exp"), "USER_ID_CLAIM"),
        (good().with_render_server_secret(["brief"]), "RENDER_SERVER_SECRET"),
        (good().with_max_sessions_policy("dance"), "MAX_SESSIONS_POLICY"),
        (good().with_max_sessions_per_user(0), "MAX_SESSIONS_PER_USER"),
    ];
    for (settings, name) in cases {
        let wrong = settings.build().unwrap_err();
        let said = wrong.to_string();
        assert!(said.contains(name) && !said.contains("brief"), "{said}");
        assert_says_each_thing_once(&wrong);
    }
    assert!(good().build().is_ok());
}
