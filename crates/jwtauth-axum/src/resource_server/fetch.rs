//! Fetches and validates a key set.

use std::{fmt, time::Duration};

use http::StatusCode;
use jwtauth::{Algorithm, KeyError, Profile, Verifier, VerifyingKeys};
use reqwest::{Client, Response, Url};

use crate::{Settings, SettingsError};

/// The longest accepted key set in bytes: about 70 RSA keys of 4096 bits.
const MAX_LENGTH: usize = 64 * 1024;

/// The timeout of a fetch, including the response body.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The address of a key set, and the tokens that its keys verify.
pub(super) struct Source {
    client: Client,
    url: Url,
    /// The algorithm of keys that do not name one.
    algorithm: Algorithm,
    profile: Profile,
}

/// Why the key set could not be fetched. No variant shows the URL, whose query or password may be secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the key set cannot be fetched")]
    Request(#[from] reqwest::Error),
    #[error("the site redirects to another address: configure the final URL of the key set")]
    Redirected,
    #[error("the site returned {0} instead of a key set")]
    Status(StatusCode),
    #[error("the key set is longer than {MAX_LENGTH} bytes")]
    TooLong,
    #[error("the response is not a key set: {0}")]
    NotASet(KeyError),
    #[error(transparent)]
    Profile(#[from] jwtauth::ProfileError),
}

impl Source {
    pub(super) fn new(client: Client, url: Url, settings: &Settings) -> Result<Self, SettingsError> {
        let error = |error| SettingsError::Key { setting: "ALGORITHM", error };
        let algorithm = settings.algorithm.parse().map_err(error)?;
        Ok(Self { client, url, algorithm, profile: settings.profile() })
    }

    /// Return a verifier for the time before any key is known.
    pub(super) fn without_keys(&self) -> Result<Verifier, SettingsError> {
        let keys = VerifyingKeys::from_jwk_set(br#"{"keys":[]}"#, None);
        let keys = keys.map_err(|error| SettingsError::Key { setting: URL, error })?;
        Ok(Verifier::new(keys, self.profile.clone())?)
    }

    /// Fetch the set. Only a 200 with a JWK Set is accepted, even an empty one; everything else is a failure.
    pub(super) async fn fetch(&self) -> Result<Verifier, FetchError> {
        let request = self.client.get(self.url.clone()).timeout(TIMEOUT);
        let mut response = request.send().await.map_err(|error| match error.without_url() {
            error if error.is_redirect() => FetchError::Redirected,
            error => error.into(),
        })?;
        self.check(&response)?;
        let mut set = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
            if set.len() + chunk.len() > MAX_LENGTH {
                return Err(FetchError::TooLong);
            }
            set.extend_from_slice(&chunk);
        }
        let keys = VerifyingKeys::from_jwk_set(&set, Some(self.algorithm)).map_err(FetchError::NotASet)?;
        Ok(Verifier::new(keys, self.profile.clone())?)
    }

    /// Reject a redirect, even if the client followed it, and any status but 200.
    fn check(&self, response: &Response) -> Result<(), FetchError> {
        let status = response.status();
        if status.is_redirection() || without_credentials(response.url()) != without_credentials(&self.url) {
            return Err(FetchError::Redirected);
        }
        if status == StatusCode::OK { Ok(()) } else { Err(FetchError::Status(status)) }
    }
}

/// Hide the query and password of the URL.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("host", &self.url.host_str())
            .field("path", &self.url.path())
            .finish_non_exhaustive()
    }
}

/// The name of the URL in errors.
const URL: &str = "the key set's URL";

/// Parse the URL of a key set. Over plain HTTP, an attacker on the network path could insert a key.
pub(super) fn parse_url(text: &str, is_plain_http_allowed: bool) -> Result<Url, SettingsError> {
    let expected = "https://, or http:// on a loopback address; for other hosts, see RemoteKeys::insecure_http";
    let wrong = SettingsError::Value { setting: URL, expected };
    let Ok(url) = Url::parse(text) else { return Err(wrong) };
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_plain_http_allowed || is_loopback(&url) => Ok(url),
        _ => Err(wrong),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Return the URL without credentials, as the client requests it.
fn without_credentials(url: &Url) -> Option<Url> {
    let mut url = url.clone();
    url.set_fragment(None);
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some(url)
}
