//! Settings from TOML and environment variables.

use std::{env, ffi::OsString, fs, path::Path};

use toml::{Table, Value};

use super::{DAY, Settings, SettingsError};

/// The prefix of environment variables.
const PREFIX: &str = "JWTAUTH_";

/// How an environment variable is parsed.
#[derive(Clone, Copy)]
enum Kind {
    /// Taken literally: quotes, spaces and line ends are kept, and a number is a string.
    Text,
    /// A number, or `none`.
    Number,
    /// `true` or `false`.
    Flag,
    /// A JSON or TOML array if it starts with `[`; otherwise one string, taken literally.
    List,
}

/// Each setting: its name, its kind, and what it accepts.
const KNOWN: [(&str, Kind, &str); 36] = [
    ("SECRET_KEY", Kind::Text, "a string"),
    ("SECRET_KEY_FALLBACKS", Kind::List, "a list of strings"),
    ("CSRF_TRUSTED_ORIGINS", Kind::List, "a list of origins, for example [\"https://app.example.com\"]"),
    ("DPOP_ORIGINS", Kind::List, "a list of origins, for example [\"https://api.example.com\"]"),
    ("ACCESS_TOKEN_LIFETIME", Kind::Number, SECONDS),
    ("REFRESH_TOKEN_LIFETIME", Kind::Number, SECONDS),
    ("SESSION_LIFETIME", Kind::Number, SECONDS_OR_NONE),
    ("LOCK_AFTER", Kind::Number, SECONDS_OR_NONE),
    ("SENSITIVE_MAX_AGE", Kind::Number, SECONDS_OR_NONE),
    ("ACT_AS_LIFETIME", Kind::Number, SECONDS),
    ("RECORD_IP_ADDRESS", Kind::Text, RECORD),
    ("RECORD_USER_AGENT", Kind::Text, RECORD),
    ("ACCESS_TOKEN_COOKIE_NAME", Kind::Text, "a string"),
    ("REFRESH_TOKEN_COOKIE_NAME", Kind::Text, "a string"),
    ("COOKIE_SECURE", Kind::Flag, "true or false"),
    ("COOKIE_SAMESITE", Kind::Text, "\"Strict\", \"Lax\" or \"None\""),
    ("COOKIE_DOMAIN", Kind::Text, "a string, or \"none\""),
    ("COOKIE_PATH", Kind::Text, "a string"),
    ("COOKIE_PARTITIONED", Kind::Flag, "true or false"),
    ("ALGORITHM", Kind::Text, "a string, for example \"HS256\""),
    ("SIGNING_KEY", Kind::Text, "a string"),
    ("VERIFYING_KEYS", Kind::List, "a list of strings, and of pairs of an algorithm and a key"),
    ("ISSUER", Kind::Text, "a string, or \"none\""),
    ("ISSUER_FALLBACKS", Kind::List, FALLBACKS),
    ("AUDIENCE", Kind::List, "a string, a list of strings, or \"none\""),
    ("AUDIENCE_FALLBACKS", Kind::List, FALLBACKS),
    ("LEEWAY", Kind::Number, SECONDS),
    ("USER_ID_CLAIM", Kind::Text, "a string"),
    ("SESSION_CHECK_INTERVAL", Kind::Number, SECONDS_OR_NONE),
    ("REFRESH_TOKEN_GRACE_PERIOD", Kind::Number, SECONDS),
    ("REUSE_ENDS_ALL_SESSIONS", Kind::Flag, "true or false"),
    ("BEARER_TOKENS", Kind::Flag, "true or false"),
    ("DEVICE_BOUND_SESSIONS", Kind::Text, "\"off\", \"offer\" or \"require\""),
    ("RENDER_SERVER_SECRET", Kind::List, "a string, a list of strings, or \"none\""),
    ("MAX_SESSIONS_PER_USER", Kind::Number, "1 or more, or \"none\""),
    ("MAX_SESSIONS_POLICY", Kind::Text, "\"end_oldest\" or \"refuse\""),
];
const RECORD: &str = "\"full\", \"truncated\" or \"off\"";
const SECONDS: &str = "0 or more seconds, at most 100000000000";
const FALLBACKS: &str = "a list of strings, with \"none\" for tokens without the claim";
const SECONDS_OR_NONE: &str = "0 or more seconds, at most 100000000000, or \"none\"";

impl Settings {
    /// Read a TOML file and environment variables (`JWTAUTH_ACCESS_TOKEN_LIFETIME=600`), which take precedence. For the
    /// format of variables, see [`from_env`](Self::from_env).
    ///
    /// # Errors
    ///
    /// [`SettingsError::Text`] names the file or the variable, and the setting that is unknown or has the wrong type.
    pub fn read(toml: impl AsRef<Path>) -> Result<Self, SettingsError> {
        let path = toml.as_ref();
        let found = parse(path)?;
        Self::of(found, &path.display().to_string(), env::vars_os())
    }

    /// Read the environment variables (`JWTAUTH_SECRET_KEY=…`).
    ///
    /// Strings, keys and secrets are taken literally, as Django reads `os.environ`: with quotes, spaces and line ends.
    /// A list (`SECRET_KEY_FALLBACKS`, `CSRF_TRUSTED_ORIGINS`, `DPOP_ORIGINS`, `VERIFYING_KEYS`, `ISSUER_FALLBACKS`, `AUDIENCE`,
    /// `AUDIENCE_FALLBACKS`, `RENDER_SERVER_SECRET`) is a JSON or TOML array such as `["one", "other"]`, or a single
    /// string that does not start with `[`. Numbers are seconds or `none`; flags are `true` or `false`.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Text`] names the variable that is unknown or has the wrong type.
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::of(Table::new(), "", env::vars_os())
    }

    /// Merge the settings of a file with those of variables, which take precedence.
    fn of(
        mut found: Table,
        file: &str,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        for (name, value) in &found {
            check(name, value).map_err(|problem| SettingsError::Text(format!("{problem} ({file})")))?;
        }
        for (variable, text) in variables {
            let Some(name) = variable.to_str().and_then(|variable| variable.strip_prefix(PREFIX)) else { continue };
            let value = of_variable(name, text).and_then(|value| check(name, &value).map(|()| value));
            let of_environment =
                |problem| SettingsError::Text(format!("{problem} ({PREFIX}{name} in the environment)"));
            found.insert(name.to_owned(), value.map_err(of_environment)?);
        }
        let has_lifetime = found.contains_key("SESSION_LIFETIME");
        let unread = |_| SettingsError::Text("the settings cannot be read".to_owned());
        let mut settings: Self = found.try_into().map_err(unread)?;
        if !has_lifetime {
            // A project that set REFRESH_TOKEN_LIFETIME above 30 days keeps those sessions.
            settings.session_lifetime = Some(settings.refresh_token_lifetime.max(30 * DAY));
        }
        Ok(settings)
    }
}

/// Parse a TOML file. Errors name only the line, because the text may be a key.
fn parse(path: &Path) -> Result<Table, SettingsError> {
    let problem = |problem: String| SettingsError::Text(format!("{}: {problem}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| problem(error.to_string()))?;
    text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        problem(format!("line {line} is not TOML"))
    })
}

fn known(name: &str) -> Result<(Kind, &'static str), String> {
    let known = KNOWN.iter().find(|(known, ..)| *known == name);
    known.map(|(_, kind, expected)| (*kind, *expected)).ok_or_else(|| format!("{name}: unknown setting"))
}

/// Check the setting's name and value by itself. The error does not contain the value.
fn check(name: &str, value: &Value) -> Result<(), String> {
    let (_, expected) = known(name)?;
    let alone = Table::from_iter([(name.to_owned(), value.clone())]);
    alone.try_into::<Settings>().map(drop).map_err(|_| format!("{name}: use {expected}"))
}

/// Parse the value of an environment variable.
fn of_variable(name: &str, text: OsString) -> Result<Value, String> {
    let (kind, expected) = known(name)?;
    let text = text.into_string().map_err(|_| format!("{name}: use {expected}, in UTF-8"))?;
    let value = match kind {
        Kind::Text => Some(Value::String(text)),
        Kind::Number => number(text.trim()),
        Kind::Flag => text.trim().to_ascii_lowercase().parse().ok().map(Value::Boolean),
        Kind::List if text.trim_start().starts_with('[') => array(text.trim()),
        Kind::List if text.is_empty() => None,
        // The list's type decides whether it accepts "none".
        Kind::List if text == "none" => Some(Value::String(text)),
        Kind::List => Some(Value::Array(vec![Value::String(text)])),
    };
    value.ok_or_else(|| format!("{name}: use {expected}"))
}

/// Parse a JSON or TOML array. JSON has escapes that TOML does not have.
fn array(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().or_else(|| text.parse().ok()).filter(Value::is_array)
}

fn number(text: &str) -> Option<Value> {
    if text == "none" {
        return Some(Value::String(text.to_owned()));
    }
    let whole = text.parse().ok().map(Value::Integer);
    whole.or_else(|| text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    const KEY: &str = "a secret of the tests, long enough for SHA-256";

    fn from<const N: usize>(variables: [(&str, &str); N]) -> Result<Settings, SettingsError> {
        let variables = variables.map(|(name, text)| (format!("JWTAUTH_{name}").into(), text.into()));
        Settings::of(Table::new(), "", variables)
    }

    #[test]
    fn every_setting_is_known() {
        let names: Vec<&str> = KNOWN.iter().map(|(name, ..)| *name).collect();
        let source = include_str!("mod.rs");
        let (fields, _) = source.split_once("pub struct Settings {").unwrap().1.split_once("\n}\n").unwrap();
        let fields = fields.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(':'));
        let fields: Vec<String> = fields.map(|(name, _)| name.to_uppercase()).collect();
        assert_eq!(names, fields);
    }

    #[test]
    fn environment_strings_are_taken_literally() {
        for text in [
            "  spaces around, and a line end, of more than 32 octets \n",
            "\"quoted, as docker's env files keep it, of 32 octets\"",
            "'quoted in another way, also of more than 32 octets'",
            "12345678901234567890123456789012345",
            "0x1234567890123456789012345678901234567890",
            "[a list that is none, of more than 32 octets, as it was]",
            "[\"a list that is one\", \"of more than 32 octets\"]",
            "{ a = 1, table = 2, as = 3, long = 4, as = 5, others = 6 }",
            "true true true true true true true true true",
            "1e999999999999999999999999999999999999999999",
            "\t\u{feff}\u{a0}tabs, a mark and a space of no break\u{2028}",
            "a=b # and no comment, of more than 32 octets \\n \\u0041",
            "${HOME} $(id) `id` %s {0} of more than 32 octets",
            "none none none none none none none none none",
        ] {
            let settings = from([("SECRET_KEY", text), ("SIGNING_KEY", text)]).unwrap();
            assert_eq!(settings.secret_key, Secret::from(text));
            assert_eq!(settings.signing_key, Some(Secret::from(text)));
            let settings =
                from([("SECRET_KEY", KEY), ("USER_ID_CLAIM", text), ("ISSUER", text), ("COOKIE_PATH", text)]);
            let settings = settings.unwrap();
            assert_eq!(
                (&*settings.user_id_claim, settings.issuer.as_deref(), &*settings.cookie_path),
                (text, Some(text), text)
            );
        }
    }

    #[test]
    fn environment_lists_are_arrays_or_one_string() {
        for (text, expected) in [
            (r#"["one", "other"]"#, &["one", "other"][..]),
            (" ['one',\n 'other',] \n", &["one", "other"]),
            (r#"["a \"quote\", a \n line"]"#, &["a \"quote\", a \n line"]),
            ("[]", &[]),
            (r#"["https:\/\/app.example", "\ud83d\udd11"]"#, &["https://app.example", "\u{1f511}"]),
            ("one", &["one"]),
            (" one, other ", &[" one, other "]),
            ("\"quoted\"", &["\"quoted\""]),
            ("123456", &["123456"]),
        ] {
            for name in [
                "SECRET_KEY_FALLBACKS",
                "VERIFYING_KEYS",
                "RENDER_SERVER_SECRET",
                "AUDIENCE",
                "CSRF_TRUSTED_ORIGINS",
                "DPOP_ORIGINS",
            ] {
                let settings = from([(name, text)]).unwrap();
                let keys = |secrets: &[Secret]| secrets.iter().map(|it| it.expose_secret().to_owned()).collect();
                let found: Vec<String> = match name {
                    "SECRET_KEY_FALLBACKS" => keys(&settings.secret_key_fallbacks),
                    "RENDER_SERVER_SECRET" => keys(&settings.render_server_secret),
                    "AUDIENCE" => settings.audience,
                    "CSRF_TRUSTED_ORIGINS" => settings.csrf_trusted_origins,
                    "DPOP_ORIGINS" => settings.dpop_origins,
                    _ => continue,
                };
                assert_eq!(found, expected, "{name}={text}");
            }
        }
        for name in ["ISSUER_FALLBACKS", "AUDIENCE_FALLBACKS"] {
            for (text, expected) in [
                (r#"["one", "none"]"#, vec![Some("one".to_owned()), None]),
                ("['none']", vec![None]),
                ("one", vec![Some("one".to_owned())]),
                ("[]", vec![]),
            ] {
                let settings = from([(name, text)]).unwrap();
                let found =
                    if name == "ISSUER_FALLBACKS" { settings.issuer_fallbacks } else { settings.audience_fallbacks };
                assert_eq!(found, expected, "{name}={text}");
            }
        }
        let settings = from([("VERIFYING_KEYS", r#"["a key", ["HS512", "another"]]"#)]).unwrap();
        assert_eq!(settings.verifying_keys.unwrap().len(), 2);
        for name in ["AUDIENCE", "RENDER_SERVER_SECRET"] {
            let settings = from([(name, "none")]).unwrap();
            assert!(settings.audience.is_empty() && settings.render_server_secret.is_empty(), "{name}");
        }
    }

    #[test]
    fn error_names_the_variable_and_hides_the_value() {
        for (name, text) in [
            ("SECRET_KEY_FALLBACKS", "[86421357]"),
            ("SECRET_KEY_FALLBACKS", "[86421357"),
            ("SECRET_KEY_FALLBACKS", ""),
            ("SECRET_KEY_FALLBACKS", "none"),
            ("VERIFYING_KEYS", "[a 86421357]"),
            ("RENDER_SERVER_SECRET", "[\"86421357\"] SECRET_KEY"),
            ("ISSUER_FALLBACKS", "none"),
            ("ISSUER_FALLBACKS", "[86421357]"),
            ("AUDIENCE", ""),
            ("AUDIENCE_FALLBACKS", ""),
            ("CSRF_TRUSTED_ORIGINS", "[86421357]"),
            ("DPOP_ORIGINS", "[86421357]"),
            ("ACCESS_TOKEN_LIFETIME", "86421357 s"),
            ("ACCESS_TOKEN_LIFETIME", "-1"),
            ("ACCESS_TOKEN_LIFETIME", "none"),
            ("ACCESS_TOKEN_LIFETIME", "100000000001"),
            ("REFRESH_TOKEN_LIFETIME", ""),
            ("SESSION_LIFETIME", "99999999999999999999"),
            ("SESSION_CHECK_INTERVAL", "inf"),
            ("SESSION_CHECK_INTERVAL", "nan"),
            ("LEEWAY", "None"),
            ("MAX_SESSIONS_PER_USER", "1.5"),
            ("MAX_SESSIONS_PER_USER", "-1"),
            ("COOKIE_SECURE", "1"),
            ("BEARER_TOKENS", ""),
            ("NO_SETTING", "86421357"),
            ("", "86421357"),
        ] {
            let error = from([(name, text)]).unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(said.contains(&format!("JWTAUTH_{name} in the environment")), "{said}");
            assert!(!said.contains("86421357"), "{said}");
        }
    }

    #[test]
    fn numbers_and_flags_are_parsed_as_in_python() {
        let settings = from([
            ("ACCESS_TOKEN_LIFETIME", " 600\n"),
            ("REFRESH_TOKEN_LIFETIME", "3e6"),
            ("LEEWAY", "1.9"),
            ("SESSION_CHECK_INTERVAL", "0.25"),
            ("MAX_SESSIONS_PER_USER", "none"),
            ("COOKIE_SECURE", "False"),
            ("COOKIE_DOMAIN", "none"),
        ])
        .unwrap();
        assert_eq!(settings.access_token_lifetime.as_secs(), 600);
        assert_eq!(settings.session_lifetime, Some(settings.refresh_token_lifetime), "as in Django when it is not set");
        assert_eq!((settings.leeway.as_millis(), settings.cookie_secure), (1000, false));
        assert_eq!(settings.session_check_interval.unwrap().as_millis(), 250);
        assert_eq!((settings.max_sessions_per_user, settings.cookie_domain), (None, None));
    }

    #[cfg(unix)]
    #[test]
    fn invalid_utf_8_is_an_error() {
        use std::os::unix::ffi::OsStringExt as _;
        let variables = [("JWTAUTH_SECRET_KEY".into(), OsString::from_vec(b"86421357\xff".to_vec()))];
        let said = format!("{:?}", Settings::of(Table::new(), "", variables).unwrap_err());
        assert!(said.contains("SECRET_KEY") && said.contains("UTF-8") && !said.contains("86421357"), "{said}");
    }

    #[test]
    fn unrelated_variables_are_ignored() {
        let others = [("PATH".into(), "/bin".into()), ("jwtauth_secret_key".into(), "x".into())];
        assert_eq!(Settings::of(Table::new(), "", others).unwrap(), Settings::default());
    }
}
