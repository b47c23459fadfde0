//! Builds what the layers need from the settings, and validates them.

use std::time::Duration;

use jwtauth::{
    Algorithm, AuthHasher, CookiePolicy, Keyring, Lifetimes, OriginPolicy, Profile, Recorded, RenderSecrets,
    RotationPolicy, SigningKey, Site, Tokens, Transport, VerifyingKey,
};

use super::{MAX_DURATION, Secret, Settings, SettingsError, VerifyingKeySetting};
use crate::{
    Config, LimitPolicy,
    device::{DeviceBound, DevicePaths},
};

impl Config {
    /// Build the default settings with this secret of at least 32 bytes.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Key`] if the secret is too short.
    pub fn new(secret: &str) -> Result<Self, SettingsError> {
        Settings::new(secret).build()
    }
}

impl Settings {
    /// Build the configuration of a layer.
    ///
    /// # Errors
    ///
    /// The first [`SettingsError`] found.
    pub fn build(&self) -> Result<Config, SettingsError> {
        let access = whole("ACCESS_TOKEN_LIFETIME", self.access_token_lifetime)?;
        let refresh = whole("REFRESH_TOKEN_LIFETIME", self.refresh_token_lifetime)?;
        let session = self.session_lifetime.map(|session| whole("SESSION_LIFETIME", session)).transpose()?;
        let grace = whole("REFRESH_TOKEN_GRACE_PERIOD", self.refresh_token_grace_period)?;
        whole("LEEWAY", self.leeway)?;
        let interval = self.session_check_interval;
        interval.map(|interval| whole("SESSION_CHECK_INTERVAL", interval)).transpose()?;
        self.check_texts()?;
        let policy = RotationPolicy::new(Lifetimes::new(access, refresh, session)?, grace);
        let lock = positive("LOCK_AFTER", self.lock_after)?;
        if lock.is_some_and(|lock| lock < access || lock >= refresh) {
            let expected = "ACCESS_TOKEN_LIFETIME <= LOCK_AFTER < REFRESH_TOKEN_LIFETIME, or \"none\"";
            return Err(SettingsError::Value { setting: "LOCK_AFTER", expected });
        }
        let tokens = Tokens::new(self.keyring()?, self.profile())?;
        Ok(Config {
            site: Site::new(tokens, policy.with_lock_after(lock), self.transport()?),
            check_interval: interval,
            sensitive_max_age: positive("SENSITIVE_MAX_AGE", self.sensitive_max_age)?,
            act_as_lifetime: whole("ACT_AS_LIFETIME", self.act_as_lifetime)?,
            record_ip_address: recorded("RECORD_IP_ADDRESS", &self.record_ip_address)?,
            record_user_agent: recorded("RECORD_USER_AGENT", &self.record_user_agent)?,
            reuse_ends_all: self.reuse_ends_all_sessions,
            device_bound: self.device_bound()?,
            device_paths: DevicePaths::default(),
            limit: self.limit()?,
        })
    }

    /// Build the transport rules of tokens for [`ResourceLayer::new`](crate::ResourceLayer::new).
    ///
    /// # Errors
    ///
    /// [`SettingsError`] about the settings of cookies, `CSRF_TRUSTED_ORIGINS`, `DPOP_ORIGINS` or `RENDER_SERVER_SECRET`.
    pub fn transport(&self) -> Result<Transport, SettingsError> {
        let cookies = self.cookies()?;
        if let Some(problem) = cookies.problems().into_iter().next() {
            return Err(SettingsError::Cookies(problem));
        }
        let origins = OriginPolicy::new(self.csrf_trusted_origins.iter().map(String::as_str));
        let own = self.dpop_origins.iter().map(|own| own.parse()).collect::<Result<_, _>>();
        let secrets = RenderSecrets::new(self.render_server_secret.iter().map(Secret::expose_secret));
        Ok(Transport::new(cookies, origins.map_err(SettingsError::Origins)?, self.bearer_tokens)
            .with_dpop_origins(Some(own.map_err(SettingsError::OwnOrigins)?))
            .with_render_secrets(secrets.map_err(SettingsError::RenderSecret)?))
    }

    /// Build the profile: the claims of tokens, and the leeway for their times.
    pub(crate) fn profile(&self) -> Profile {
        let mut profile = Profile::default()
            .with_issuer_fallbacks(self.issuer_fallbacks.iter().cloned())
            .with_audience(&self.audience)
            .with_audience_fallbacks(self.audience_fallbacks.iter().cloned())
            .with_leeway(Duration::from_secs(self.leeway.as_secs()))
            .with_subject_claim(&self.user_id_claim);
        profile.issuer.clone_from(&self.issuer);
        profile
    }

    /// Build the hasher that ties sessions to passwords in Django's user table.
    pub fn auth_hasher(&self) -> AuthHasher {
        let fallbacks = self.secret_key_fallbacks.iter().map(Secret::expose_secret);
        AuthHasher::new(self.secret_key.expose_secret().as_bytes(), fallbacks)
    }

    /// Reject empty strings.
    fn check_texts(&self) -> Result<(), SettingsError> {
        let empty = |text: &String| text.is_empty();
        let fallbacks = "names that are not empty, and \"none\"";
        for (setting, is_empty, expected) in [
            ("USER_ID_CLAIM", empty(&self.user_id_claim), "the name of a claim"),
            ("ISSUER", self.issuer.as_ref().is_some_and(empty), "a name, or \"none\""),
            ("ISSUER_FALLBACKS", self.issuer_fallbacks.iter().flatten().any(empty), fallbacks),
            ("AUDIENCE", self.audience.iter().any(empty), "names that are not empty, or \"none\""),
            ("AUDIENCE_FALLBACKS", self.audience_fallbacks.iter().flatten().any(empty), fallbacks),
        ] {
            if is_empty {
                return Err(SettingsError::Value { setting, expected });
            }
        }
        Ok(())
    }

    /// Reject values that no cookie can have, naming the setting.
    fn check_cookies(&self) -> Result<(), SettingsError> {
        let is_name = |name: &str| !name.is_empty() && !ATTRIBUTES.contains(&&*name.to_ascii_lowercase());
        let is_domain = |domain: &str| {
            domain.bytes().any(|byte| byte != b'.')
                && domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        };
        let is_path = |path: &str| path.starts_with('/') && !path.contains(|it: char| it == ';' || it.is_control());
        for (setting, is_wrong, expected) in [
            ("ACCESS_TOKEN_COOKIE_NAME", !is_name(&self.access_token_cookie_name), COOKIE_NAME),
            ("REFRESH_TOKEN_COOKIE_NAME", !is_name(&self.refresh_token_cookie_name), COOKIE_NAME),
            ("COOKIE_DOMAIN", self.cookie_domain.as_deref().is_some_and(|it| !is_domain(it)), "a host, or \"none\""),
            ("COOKIE_PATH", !is_path(&self.cookie_path), "a path that starts with \"/\" and contains no \";\""),
        ] {
            if is_wrong {
                return Err(SettingsError::Value { setting, expected });
            }
        }
        Ok(())
    }

    fn cookies(&self) -> Result<CookiePolicy, SettingsError> {
        self.check_cookies()?;
        let expected = "\"Strict\", \"Lax\" or \"None\"";
        let value = |_| SettingsError::Value { setting: "COOKIE_SAMESITE", expected };
        let mut cookies = CookiePolicy::default()
            .with_names(&self.access_token_cookie_name, &self.refresh_token_cookie_name)
            .with_secure(self.cookie_secure)
            .with_same_site(self.cookie_samesite.parse().map_err(value)?)
            .with_path(&self.cookie_path)
            .with_partitioned(self.cookie_partitioned);
        cookies.domain.clone_from(&self.cookie_domain);
        Ok(cookies)
    }

    pub(crate) fn keyring(&self) -> Result<Keyring, SettingsError> {
        let (setting, secret) = match &self.signing_key {
            Some(key) => ("SIGNING_KEY", key),
            None => ("SECRET_KEY", &self.secret_key),
        };
        let algorithm = algorithm("ALGORITHM", &self.algorithm)?;
        let signing = SigningKey::read(algorithm, secret.expose_secret().as_bytes())
            .map_err(|error| SettingsError::Key { setting, error })?;
        let verifying = match &self.verifying_keys {
            Some(keys) => keys.iter().map(|key| key.read(algorithm)).collect::<Result<Vec<_>, _>>()?,
            None if *secret == self.secret_key => self.fallbacks(algorithm),
            None => Vec::new(),
        };
        Keyring::new(signing, verifying).map_err(|error| SettingsError::Key { setting: "VERIFYING_KEYS", error })
    }

    /// Return the fallback keys. A secret that is too short is skipped: it cannot have signed a token.
    fn fallbacks(&self, algorithm: Algorithm) -> Vec<VerifyingKey> {
        let keys = self.secret_key_fallbacks.iter().map(|key| key.expose_secret().as_bytes());
        keys.filter_map(|key| VerifyingKey::read(algorithm, key).ok()).collect()
    }

    fn device_bound(&self) -> Result<DeviceBound, SettingsError> {
        let value = |expected| SettingsError::Value { setting: "DEVICE_BOUND_SESSIONS", expected };
        let found = match self.device_bound_sessions.as_str() {
            "off" => return Ok(DeviceBound::Off),
            "offer" => DeviceBound::Offer,
            "require" => DeviceBound::Require,
            _ => return Err(value("\"off\", \"offer\" or \"require\"")),
        };
        if self.cookie_partitioned {
            return Err(value("\"off\" with COOKIE_PARTITIONED, whose sessions browsers do not bind"));
        }
        if found == DeviceBound::Require && !self.cookie_secure {
            return Err(value(
                "\"off\" or \"offer\" without COOKIE_SECURE, since browsers bind sessions over HTTPS only",
            ));
        }
        Ok(found)
    }

    fn limit(&self) -> Result<Option<(usize, LimitPolicy)>, SettingsError> {
        let policy = match self.max_sessions_policy.as_str() {
            "end_oldest" => LimitPolicy::EndOldest,
            "refuse" => LimitPolicy::Refuse,
            _ => {
                let expected = "\"end_oldest\" or \"refuse\"";
                return Err(SettingsError::Value { setting: "MAX_SESSIONS_POLICY", expected });
            }
        };
        match self.max_sessions_per_user {
            Some(0) => {
                Err(SettingsError::Value { setting: "MAX_SESSIONS_PER_USER", expected: "1 or more, or \"none\"" })
            }
            most => Ok(most.map(|most| (most, policy))),
        }
    }
}

impl VerifyingKeySetting {
    fn read(&self, signing: Algorithm) -> Result<VerifyingKey, SettingsError> {
        let setting = "VERIFYING_KEYS";
        let (algorithm, key) = match self {
            Self::Key(key) => (signing, key),
            Self::Pair(name, key) => (algorithm(setting, name)?, key),
        };
        VerifyingKey::read(algorithm, key.expose_secret().as_bytes())
            .map_err(|error| SettingsError::Key { setting, error })
    }
}

/// Names that a cookie parser takes for attributes (RFC 6265bis §5.6).
const ATTRIBUTES: [&str; 10] =
    ["comment", "domain", "expires", "httponly", "max-age", "partitioned", "path", "samesite", "secure", "version"];
const COOKIE_NAME: &str = "a name that is not a cookie attribute";

/// Return the duration in whole seconds, if it is within bounds.
fn whole(setting: &'static str, duration: Duration) -> Result<Duration, SettingsError> {
    let whole = Duration::from_secs(duration.as_secs());
    let expected = "at most 100000000000 seconds";
    if whole <= MAX_DURATION { Ok(whole) } else { Err(SettingsError::Value { setting, expected }) }
}

/// Return the duration in whole seconds, if it is within bounds and at least one.
fn positive(setting: &'static str, duration: Option<Duration>) -> Result<Option<Duration>, SettingsError> {
    let whole = duration.map(|duration| whole(setting, duration)).transpose()?;
    let expected = "1 or more seconds, or \"none\"";
    if whole.is_some_and(|whole| whole.is_zero()) { Err(SettingsError::Value { setting, expected }) } else { Ok(whole) }
}

fn recorded(setting: &'static str, name: &str) -> Result<Recorded, SettingsError> {
    let expected = "\"full\", \"truncated\" or \"off\"";
    Recorded::from_name(name).ok_or(SettingsError::Value { setting, expected })
}

fn algorithm(setting: &'static str, name: &str) -> Result<Algorithm, SettingsError> {
    name.parse().map_err(|error| SettingsError::Key { setting, error })
}
