//! Settings from code, TOML and environment variables.

#![cfg(feature = "toml")]
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

/// Check that a report of the error and its sources repeats nothing.
fn assert_says_each_thing_once(error: &dyn std::error::Error) {
    let said = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        assert!(!said.contains(&error.to_string()), "{said}: {error}");
        source = error.source();
    }
}

#[test]
fn toml_uses_django_s_names() {
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
fn render_server_secret_is_a_string_or_a_list() {
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
fn none_in_a_list_of_fallbacks_is_a_token_without_the_claim() {
    let lists = "ISSUER_FALLBACKS = [\"none\", \"https://old.example\"]\nAUDIENCE_FALLBACKS = [\"none\"]\n";
    let settings = read(&format!("SECRET_KEY = \"{SECRET}\"\n{lists}")).unwrap();
    let expected = Settings::new(SECRET)
        .with_issuer_fallbacks([None, Some("https://old.example".to_owned())])
        .with_audience_fallbacks([None]);
    assert_eq!(settings, expected);
    assert!(settings.build().is_ok());
    let json = format!(
        r#"{{"SECRET_KEY": "{SECRET}", "ISSUER_FALLBACKS": [null, "https://old.example"], "AUDIENCE_FALLBACKS": ["none"]}}"#
    );
    assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), expected);
}

#[test]
fn unknown_or_invalid_setting_is_reported_with_its_file() {
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
fn error_about_a_key_does_not_show_it() {
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

/// serde's own errors quote the unexpected value.
#[test]
fn error_of_any_format_shows_no_secret() {
    for (name, value) in [
        ("SECRET_KEY", "86421357"),
        ("SECRET_KEY", "[\"86421357\"]"),
        ("SECRET_KEY_FALLBACKS", "\"86421357\""),
        ("SECRET_KEY_FALLBACKS", "[86421357]"),
        ("SIGNING_KEY", "86421357"),
        ("SIGNING_KEY", "true"),
        ("VERIFYING_KEYS", "\"86421357\""),
        ("VERIFYING_KEYS", "[[86421357, \"86421357\"]]"),
        ("RENDER_SERVER_SECRET", "86421357"),
        ("RENDER_SERVER_SECRET", "[86421357]"),
    ] {
        let said = serde_json::from_str::<Settings>(&format!("{{\"{name}\": {value}}}")).unwrap_err().to_string();
        assert!(!said.contains("86421357"), "{name}: {said}");
    }
    let whole = format!(r#"{{"SECRET_KEY": "{SECRET}", "SECRET_KEY_FALLBACKS": ["one"], "SIGNING_KEY": null}}"#);
    let settings = serde_json::from_str::<Settings>(&whole).unwrap();
    assert_eq!(settings, Settings::new(SECRET).with_secret_key_fallbacks(["one"]));
}

#[test]
fn none_as_text_means_django_s_none() {
    for (name, is_none) in [
        ("COOKIE_DOMAIN", (|it| it.cookie_domain.is_none()) as fn(&Settings) -> bool),
        ("ISSUER", |it| it.issuer.is_none()),
        ("AUDIENCE", |it| it.audience.is_empty()),
        ("RENDER_SERVER_SECRET", |it| it.render_server_secret.is_empty()),
        ("SESSION_LIFETIME", |it| it.session_lifetime.is_none()),
        ("LOCK_AFTER", |it| it.lock_after.is_none()),
        ("SENSITIVE_MAX_AGE", |it| it.sensitive_max_age.is_none()),
        ("SESSION_CHECK_INTERVAL", |it| it.session_check_interval.is_none()),
        ("MAX_SESSIONS_PER_USER", |it| it.max_sessions_per_user.is_none()),
    ] {
        let settings = read(&format!("SECRET_KEY = \"{SECRET}\"\n{name} = \"none\"\n")).unwrap();
        assert!(is_none(&settings) && settings.build().is_ok(), "{name}");
    }
    // A setting that cannot be None in Django takes "none" as an ordinary string.
    let settings = read(&format!("SECRET_KEY = \"{SECRET}\"\nUSER_ID_CLAIM = \"none\"\n")).unwrap();
    assert_eq!(settings.user_id_claim, "none");
    for line in ["SIGNING_KEY = \"none\"", "ALGORITHM = \"none\"", "COOKIE_PATH = \"none\"", "COOKIE_SAMESITE = \"\""] {
        let settings = read(&format!("SECRET_KEY = \"{SECRET}\"\n{line}\n")).unwrap();
        let said = settings.build().unwrap_err().to_string();
        assert!(said.contains(line.split(' ').next().unwrap()), "{said}");
    }
}

#[test]
fn empty_string_is_an_error_that_names_the_setting() {
    for name in [
        "SECRET_KEY",
        "SIGNING_KEY",
        "ALGORITHM",
        "COOKIE_DOMAIN",
        "COOKIE_PATH",
        "COOKIE_SAMESITE",
        "ACCESS_TOKEN_COOKIE_NAME",
        "REFRESH_TOKEN_COOKIE_NAME",
        "ISSUER",
        "AUDIENCE",
        "USER_ID_CLAIM",
        "RENDER_SERVER_SECRET",
        "MAX_SESSIONS_POLICY",
        "RECORD_IP_ADDRESS",
        "RECORD_USER_AGENT",
    ] {
        let secret = if name == "SECRET_KEY" { String::new() } else { format!("SECRET_KEY = \"{SECRET}\"\n") };
        let said = read(&format!("{secret}{name} = \"\"\n")).unwrap().build().unwrap_err().to_string();
        assert!(said.starts_with(name), "{said}");
    }
}

#[test]
fn durations_are_bounded_as_in_django() {
    let most = 100_000_000_000_u64;
    for name in
        ["ACCESS_TOKEN_LIFETIME", "REFRESH_TOKEN_LIFETIME", "SESSION_LIFETIME", "LEEWAY", "SESSION_CHECK_INTERVAL"]
    {
        for value in
            ["-1", "-0.5", "1e300", "inf", "nan", "100000000001", "9223372036854775807", "true", "[1]", "\"1\""]
        {
            let said = read(&format!("{name} = {value}")).unwrap_err().to_string();
            assert!(said.contains(name) && said.contains("seconds") && !said.contains("922337"), "{said}");
        }
        for value in ["1", "1.9", "100000000000"] {
            assert!(read(&format!("{name} = {value}")).is_ok(), "{name} = {value}");
        }
    }
    let good = || Settings::new(SECRET);
    let (most, more) = (Duration::from_secs(most), Duration::from_secs(most + 1));
    for (name, settings) in [
        ("ACCESS_TOKEN_LIFETIME", good().with_access_token_lifetime(more)),
        ("REFRESH_TOKEN_LIFETIME", good().with_refresh_token_lifetime(Duration::MAX)),
        ("SESSION_LIFETIME", good().with_session_lifetime(more)),
        ("LEEWAY", good().with_leeway(more)),
        ("SESSION_CHECK_INTERVAL", good().with_session_check_interval(Duration::MAX)),
        ("REFRESH_TOKEN_GRACE_PERIOD", good().with_refresh_token_grace_period(more)),
        ("ACCESS_TOKEN_LIFETIME", good().with_access_token_lifetime(Duration::from_millis(999))),
        ("REFRESH_TOKEN_LIFETIME", good().with_refresh_token_lifetime(Duration::from_secs(299))),
        ("SESSION_LIFETIME", good().with_session_lifetime(Duration::from_secs(86_399))),
        ("LOCK_AFTER", good().with_lock_after(Duration::from_secs(299))),
        ("LOCK_AFTER", good().with_lock_after(Duration::from_secs(86_400))),
        ("LOCK_AFTER", good().with_lock_after(more)),
        ("SENSITIVE_MAX_AGE", good().with_sensitive_max_age(Duration::from_millis(999))),
        ("SENSITIVE_MAX_AGE", good().with_sensitive_max_age(more)),
    ] {
        let said = settings.build().unwrap_err().to_string();
        assert!(said.contains(name), "{said}");
    }
    assert!(good().with_session_lifetime(most).with_refresh_token_grace_period(most).with_leeway(most).build().is_ok());
}

#[test]
fn refresh_token_lifetime_over_30_days_extends_the_session_lifetime_as_in_django() {
    let settings = read(&format!("SECRET_KEY = \"{SECRET}\"\nREFRESH_TOKEN_LIFETIME = 5184000\n")).unwrap();
    assert_eq!(settings.session_lifetime, Some(Duration::from_secs(5_184_000)));
    assert!(settings.build().is_ok());
    let both = format!("SECRET_KEY = \"{SECRET}\"\nREFRESH_TOKEN_LIFETIME = 5184000\nSESSION_LIFETIME = 2592000\n");
    assert!(read(&both).unwrap().build().unwrap_err().to_string().contains("SESSION_LIFETIME"));
}

#[test]
fn toml_error_names_only_the_line() {
    for (text, line) in [
        (format!("SECRET_KEY = \"{SECRET}\"\nISSUER = {SECRET}\n"), 2),
        (format!("SECRET_KEY = \"{SECRET}"), 1),
        (format!("ISSUER = \"a\"\n\nSECRET_KEY {SECRET}"), 3),
        (format!("SECRET_KEY = \"{SECRET}\"\nSECRET_KEY = \"{SECRET}\"\n"), 2),
    ] {
        let wrong = read(&text).unwrap_err();
        let said = format!("{wrong} {wrong:?}");
        assert!(said.contains(&format!("line {line} ")) && said.contains(".toml"), "{said}");
        assert!(!said.contains("a secret") && !said.contains("long enough"), "{said}");
    }
}

/// The test runs itself in a process with environment variables.
#[test]
fn environment_takes_precedence_over_the_file() {
    const TEST: &str = "environment_takes_precedence_over_the_file";
    const KEY: &str = "  \"1 secret, with quotes and a line end\" \n";
    if std::env::var_os("JWTAUTH_SECRET_KEY").is_some() {
        let expected = Settings::new(KEY).with_audience(["one", "other"]).with_bearer_tokens(false);
        assert_eq!(Settings::from_env().unwrap(), expected);
        let settings = read("SECRET_KEY = \"x\"\nBEARER_TOKENS = true\nISSUER = \"a\"\n").unwrap();
        assert_eq!(settings, expected.with_issuer("a"));
        return;
    }
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", TEST])
        .env("JWTAUTH_SECRET_KEY", KEY)
        .env("JWTAUTH_AUDIENCE", "[\"one\", \"other\"]")
        .env("JWTAUTH_BEARER_TOKENS", "false")
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn contradictory_settings_are_reported_by_name() {
    let good = || Settings::new(SECRET);
    let cases = vec![
        (Settings::new("brief"), "SECRET_KEY"),
        (good().with_signing_key("brief"), "SIGNING_KEY"),
        (good().with_algorithm("none"), "ALGORITHM"),
        (good().with_access_token_lifetime(Duration::ZERO), "ACCESS_TOKEN_LIFETIME"),
        (good().with_cookie_samesite("Loose"), "COOKIE_SAMESITE"),
        (good().with_csrf_trusted_origins(["app.example.com"]), "CSRF_TRUSTED_ORIGINS: \"app.example.com\""),
        (good().with_dpop_origins(["api.example.com"]), "DPOP_ORIGINS: an origin must be a scheme and a host"),
        (good().with_dpop_origins(["https://api.example.com/"]), "DPOP_ORIGINS: an origin must be"),
        (good().with_access_token_cookie_name("refresh_token"), "COOKIE_NAME"),
        (good().with_user_id_claim("exp"), "USER_ID_CLAIM"),
        (good().with_render_server_secret(["brief"]), "RENDER_SERVER_SECRET"),
        (good().with_max_sessions_policy("dance"), "MAX_SESSIONS_POLICY"),
        (good().with_record_ip_address("half"), "RECORD_IP_ADDRESS: use \"full\", \"truncated\" or \"off\""),
        (good().with_record_user_agent("none"), "RECORD_USER_AGENT"),
        (good().with_act_as_lifetime(Duration::MAX), "ACT_AS_LIFETIME"),
        (good().with_max_sessions_per_user(0), "MAX_SESSIONS_PER_USER"),
        (good().with_cookie_domain("https://example.com"), "COOKIE_DOMAIN"),
        (good().with_cookie_domain("."), "COOKIE_DOMAIN"),
        (good().with_cookie_path("api"), "COOKIE_PATH"),
        (good().with_access_token_cookie_name("Path"), "ACCESS_TOKEN_COOKIE_NAME"),
        (good().with_refresh_token_cookie_name("max-age"), "REFRESH_TOKEN_COOKIE_NAME"),
        (good().with_audience(["one", ""]), "AUDIENCE"),
        (good().with_issuer_fallbacks([None, Some(String::new())]), "ISSUER_FALLBACKS"),
        (good().with_audience_fallbacks([Some(String::new())]), "AUDIENCE_FALLBACKS"),
    ];
    for (settings, name) in cases {
        let wrong = settings.build().unwrap_err();
        let said = wrong.to_string();
        assert!(said.contains(name) && !said.contains("brief"), "{said}");
        assert_says_each_thing_once(&wrong);
    }
    assert!(good().build().is_ok());
}

/// Values that Django accepts or rejects: `tests/test_settings_corpus.py` replays the same corpus.
#[test]
fn value_is_accepted_or_rejected_as_in_django() {
    let corpus: serde_json::Value = serde_json::from_str(include_str!("../../../testdata/settings.json")).unwrap();
    let secret = "a secret of the tests, long enough for each of the hashes that JWS has in RFC 7518";
    let settings = corpus["settings"].as_object().unwrap();
    assert_eq!(settings.len(), 32);
    for (name, values) in settings {
        for kind in ["good", "bad"] {
            for value in values[kind].as_array().unwrap() {
                let text = value.to_string().replace("null", "\"none\"");
                let built = read(&format!("SECRET_KEY = \"{secret}\"\n{name} = {text}\n")).and_then(|it| it.build());
                assert_eq!(built.is_ok(), kind == "good", "{name} = {text}: {built:?}");
                if let Err(error) = built {
                    let said = error.to_string();
                    // A key that does not fit the algorithm is reported by the key's setting.
                    let is_named = said.contains(name.as_str()) || (name == "ALGORITHM" && said.contains("SECRET_KEY"));
                    assert!(is_named, "{name} = {text}: {said}");
                }
            }
        }
    }
}
