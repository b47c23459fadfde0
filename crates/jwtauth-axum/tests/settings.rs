//! Settings, from code, TOML and the environment.

#![cfg(feature = "figment")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

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
    let expected = Settings {
        access_token_lifetime: 600,
        session_lifetime: None,
        audience: vec!["one".to_owned()],
        session_check_interval: Some(2.5),
        ..Settings::default()
    };
    assert_eq!(Settings { secret_key: "".into(), verifying_keys: None, ..settings.clone() }, expected);
    assert_eq!(settings.verifying_keys.as_ref().map(Vec::len), Some(2));
    assert!(settings.build().is_ok());
}

#[test]
fn what_is_unknown_or_wrong_is_named_with_its_file() {
    for (line, name) in [
        ("ACCESS_TOKEN_LIFETIM = 600", "ACCESS_TOKEN_LIFETIM"),
        ("ACCESS_TOKEN_LIFETIME = \"long\"", "ACCESS_TOKEN_LIFETIME"),
        ("SESSION_LIFETIME = \"never\"", "SESSION_LIFETIME"),
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
    ] {
        let wrong = read(line).unwrap_err();
        let said = format!("{wrong} {wrong:?}");
        assert!(said.contains(line.split(' ').next().unwrap()) && !said.contains("86421357"), "{said}");
    }
}

#[test]
fn what_contradicts_itself_names_the_setting() {
    let good = Settings { secret_key: SECRET.into(), ..Settings::default() };
    let cases: [(Settings, &str); 9] = [
        (Settings { secret_key: "brief".into(), ..good.clone() }, "SECRET_KEY"),
        (Settings { signing_key: Some("brief".into()), ..good.clone() }, "SIGNING_KEY"),
        (Settings { algorithm: "none".to_owned(), ..good.clone() }, "ALGORITHM"),
        (Settings { access_token_lifetime: 0, ..good.clone() }, "ACCESS_TOKEN_LIFETIME"),
        (Settings { cookie_samesite: "Loose".to_owned(), ..good.clone() }, "COOKIE_SAMESITE"),
        (Settings { access_token_cookie_name: "refresh_token".to_owned(), ..good.clone() }, "COOKIE_NAME"),
        (Settings { user_id_claim: "exp".to_owned(), ..good.clone() }, "USER_ID_CLAIM"),
        (Settings { max_sessions_policy: "dance".to_owned(), ..good.clone() }, "MAX_SESSIONS_POLICY"),
        (Settings { session_check_interval: Some(-1.0), ..good.clone() }, "SESSION_CHECK_INTERVAL"),
    ];
    for (settings, name) in cases {
        let wrong = settings.build().unwrap_err();
        let said = wrong.to_string();
        assert!(said.contains(name) && !said.contains("brief"), "{said}");
        assert_says_each_thing_once(&wrong);
    }
    assert!(good.build().is_ok());
}
