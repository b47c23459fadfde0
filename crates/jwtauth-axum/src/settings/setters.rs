//! A builder method for each setting.

use std::time::Duration;

use super::{Secret, Settings, VerifyingKeySetting};

macro_rules! setters {
    ($($method:ident($setting:ident: $type:ty) => $value:expr;)*) => {
        impl Settings {
            $(
                #[doc = concat!("Set [`", stringify!($setting), "`](Self::", stringify!($setting), ").")]
                #[must_use]
                pub fn $method(mut self, $setting: $type) -> Self {
                    self.$setting = $value;
                    self
                }
            )*
        }
    };
}

setters! {
    with_secret_key_fallbacks(secret_key_fallbacks: impl IntoIterator<Item: Into<Secret>>) =>
        secret_key_fallbacks.into_iter().map(Into::into).collect();
    with_csrf_trusted_origins(csrf_trusted_origins: impl IntoIterator<Item: Into<String>>) =>
        csrf_trusted_origins.into_iter().map(Into::into).collect();
    with_dpop_origins(dpop_origins: impl IntoIterator<Item: Into<String>>) =>
        dpop_origins.into_iter().map(Into::into).collect();
    with_access_token_lifetime(access_token_lifetime: Duration) => access_token_lifetime;
    with_refresh_token_lifetime(refresh_token_lifetime: Duration) => refresh_token_lifetime;
    with_session_lifetime(session_lifetime: impl Into<Option<Duration>>) => session_lifetime.into();
    with_lock_after(lock_after: impl Into<Option<Duration>>) => lock_after.into();
    with_sensitive_max_age(sensitive_max_age: impl Into<Option<Duration>>) => sensitive_max_age.into();
    with_act_as_lifetime(act_as_lifetime: Duration) => act_as_lifetime;
    with_record_ip_address(record_ip_address: impl Into<String>) => record_ip_address.into();
    with_record_user_agent(record_user_agent: impl Into<String>) => record_user_agent.into();
    with_access_token_cookie_name(access_token_cookie_name: impl Into<String>) => access_token_cookie_name.into();
    with_refresh_token_cookie_name(refresh_token_cookie_name: impl Into<String>) => refresh_token_cookie_name.into();
    with_cookie_secure(cookie_secure: bool) => cookie_secure;
    with_cookie_samesite(cookie_samesite: impl Into<String>) => cookie_samesite.into();
    with_cookie_domain(cookie_domain: impl Into<String>) => Some(cookie_domain.into());
    with_cookie_path(cookie_path: impl Into<String>) => cookie_path.into();
    with_cookie_partitioned(cookie_partitioned: bool) => cookie_partitioned;
    with_algorithm(algorithm: impl Into<String>) => algorithm.into();
    with_signing_key(signing_key: impl Into<Secret>) => Some(signing_key.into());
    with_verifying_keys(verifying_keys: impl IntoIterator<Item = VerifyingKeySetting>) =>
        Some(verifying_keys.into_iter().collect());
    with_issuer(issuer: impl Into<String>) => Some(issuer.into());
    with_issuer_fallbacks(issuer_fallbacks: impl IntoIterator<Item = Option<String>>) =>
        issuer_fallbacks.into_iter().collect();
    with_audience(audience: impl IntoIterator<Item: Into<String>>) => audience.into_iter().map(Into::into).collect();
    with_audience_fallbacks(audience_fallbacks: impl IntoIterator<Item = Option<String>>) =>
        audience_fallbacks.into_iter().collect();
    with_leeway(leeway: Duration) => leeway;
    with_user_id_claim(user_id_claim: impl Into<String>) => user_id_claim.into();
    with_session_check_interval(session_check_interval: impl Into<Option<Duration>>) => session_check_interval.into();
    with_refresh_token_grace_period(refresh_token_grace_period: Duration) => refresh_token_grace_period;
    with_reuse_ends_all_sessions(reuse_ends_all_sessions: bool) => reuse_ends_all_sessions;
    with_bearer_tokens(bearer_tokens: bool) => bearer_tokens;
    with_device_bound_sessions(device_bound_sessions: impl Into<String>) => device_bound_sessions.into();
    with_render_server_secret(render_server_secret: impl IntoIterator<Item: Into<Secret>>) =>
        render_server_secret.into_iter().map(Into::into).collect();
    with_max_sessions_per_user(max_sessions_per_user: impl Into<Option<usize>>) => max_sessions_per_user.into();
    with_max_sessions_policy(max_sessions_policy: impl Into<String>) => max_sessions_policy.into();
}
