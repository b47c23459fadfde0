//! When and how a user last proved who they are.

use std::fmt;

use crate::{Claims, Session, UnixTime};

/// The most methods that a session records.
pub const MAX_METHODS: usize = 6;

/// The longest name of a method, in bytes.
const MAX_NAME: usize = 16;

/// The methods by which a user has proved who they are in this session: the claim `amr` (OIDC Core 1.0 §2),
/// with the names of RFC 8176 §2, such as `pwd` and `otp`, or names of the site's own.
///
/// ```
/// use jwtauth::Methods;
///
/// let methods = Methods::new(["pwd"])?.union(&Methods::new(["otp"])?)?;
/// assert_eq!(methods.as_str(), "otp pwd");
/// assert!(methods.contains("otp") && !methods.contains("hwk"));
/// # Ok::<(), jwtauth::MethodsError>(())
/// ```
#[derive(Clone, Default, Eq, Hash, PartialEq)]
pub struct Methods(Box<str>);

impl Methods {
    /// Create a set of methods. Their order and repetitions do not matter.
    ///
    /// # Errors
    ///
    /// A [`MethodsError`]: a name is not valid, or there are too many.
    pub fn new<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Result<Self, MethodsError> {
        let names: Vec<N> = names.into_iter().collect();
        let mut names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        if !names.iter().all(|name| is_name(name.as_bytes())) {
            return Err(MethodsError::Name);
        }
        names.sort_unstable();
        names.dedup();
        if names.len() > MAX_METHODS {
            return Err(MethodsError::TooMany);
        }
        Ok(Self(names.join(" ").into()))
    }

    /// Read the names from a column, which separates them by spaces. Anything else in it is ignored.
    pub fn from_stored(stored: &str) -> Self {
        let names = stored.split(' ').filter(|name| is_name(name.as_bytes())).take(MAX_METHODS);
        Self::new(names).unwrap_or_default()
    }

    /// Return the names in alphabetical order, separated by spaces.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Return whether no method is recorded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Return whether the user has used this method.
    pub fn contains(&self, name: &str) -> bool {
        self.iter().any(|method| method == name)
    }

    /// Iterate over the names, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|name| !name.is_empty())
    }

    /// Return these methods and others.
    ///
    /// # Errors
    ///
    /// [`MethodsError::TooMany`].
    pub fn union(&self, others: &Self) -> Result<Self, MethodsError> {
        Self::new(self.iter().chain(others.iter()))
    }

    /// Return as many and as long names as there can be.
    pub(crate) fn longest() -> Self {
        Self::new((0..MAX_METHODS).map(|number| format!("{number:0>MAX_NAME$}"))).unwrap_or_default()
    }

    /// Read the members of a JSON array that this crate has written: names in double quotes, separated by commas.
    pub(crate) fn from_written(members: &[u8]) -> Option<Self> {
        let mut names = Vec::new();
        for member in members.split(|byte| *byte == b',') {
            let name = member.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
            if !is_name(name) {
                return None;
            }
            names.push(std::str::from_utf8(name).ok()?);
        }
        Self::new(names).ok()
    }
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Return whether this can name a method: up to 16 ASCII letters, digits, `-`, `_`, `.`, `:`, `/` and `+`.
fn is_name(name: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+".contains(byte);
    (1..=MAX_NAME).contains(&name.len()) && name.iter().all(is_allowed)
}

/// Why the names of methods are not valid.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MethodsError {
    /// A name is empty, too long, or has characters other than ASCII letters, digits and `-_.:/+`.
    #[error("a method's name must have 1 to {MAX_NAME} ASCII letters, digits or any of -_.:/+")]
    Name,
    /// There are more than [`MAX_METHODS`].
    #[error("a session records at most {MAX_METHODS} methods")]
    TooMany,
}

impl MethodsError {
    /// Return the stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Name => "method_name",
            Self::TooMany => "too_many_methods",
        }
    }
}

/// When and how a user last proved who they are: the claims `auth_time` and `amr` (OIDC Core 1.0 §2).
///
/// It belongs to the tokens that were issued then, and to those that they were refreshed to. An older copy of the
/// session's tokens gets tokens that say the older time, however recently the user has authenticated again.
///
/// ```
/// use std::time::Duration;
/// use jwtauth::{Authentication, Methods, UnixTime};
///
/// let login = UnixTime::from_secs(1_700_000_000);
/// let authentication = Authentication::new(login, Methods::new(["pwd"])?);
/// assert!(authentication.is_recent(Duration::from_secs(300), login + Duration::from_secs(299)));
/// assert!(!authentication.is_recent(Duration::from_secs(300), login + Duration::from_secs(300)));
/// # Ok::<(), jwtauth::MethodsError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Authentication {
    /// `auth_time`.
    pub time: UnixTime,
    /// `amr`: everything that was used in the session so far.
    pub methods: Methods,
}

impl Authentication {
    /// Record an authentication at `time` by these methods.
    pub fn new(time: UnixTime, methods: Methods) -> Self {
        Self { time, methods }
    }

    /// Return what the tokens with these claims say. Tokens without `auth_time` are those of the login.
    ///
    /// Tokens that are issued in return for them say the same: no request without credentials makes the time younger.
    /// If the database has lost a later authentication, the time is that of its row.
    pub fn of(claims: &Claims, session: &Session) -> Self {
        let time = claims.auth_time.unwrap_or(session.created_at).min(session.authenticated_at());
        Self { time, methods: claims.methods.clone() }
    }

    /// Return whether less than `within` has passed since then. A time in the future, by another worker's clock, is
    /// recent.
    pub fn is_recent(&self, within: std::time::Duration, now: UnixTime) -> bool {
        now.saturating_duration_since(self.time) < within
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Generation, Sid};

    fn methods(names: &[&str]) -> Methods {
        Methods::new(names).unwrap()
    }

    #[test]
    fn order_and_repetitions_do_not_matter() {
        assert_eq!(methods(&["pwd", "otp", "pwd"]), methods(&["otp", "pwd"]));
        assert_eq!(methods(&[]), Methods::default());
        assert!(methods(&[]).is_empty());
        assert_eq!(methods(&["pwd", "otp"]).iter().collect::<Vec<_>>(), ["otp", "pwd"]);
    }

    #[test]
    fn names_are_checked() {
        let long = "x".repeat(17);
        for name in ["", " ", "a b", "\"", "é", "a,b", "[", long.as_str()] {
            assert_eq!(Methods::new([name]), Err(MethodsError::Name), "{name:?}");
        }
        assert!(methods(&[&long[1..], "urn:a/b+c.d_e-f0"]).contains("urn:a/b+c.d_e-f0"));
        let seven: Vec<_> = (0..7).map(|number| number.to_string()).collect();
        assert_eq!(Methods::new(&seven), Err(MethodsError::TooMany));
        assert_eq!(methods(&["0"]).union(&Methods::new(&seven[1..]).unwrap()), Err(MethodsError::TooMany));
    }

    #[test]
    fn whole_names_are_compared() {
        assert!(!methods(&["otp"]).contains("op") && !methods(&["otp", "pwd"]).contains("otp pwd"));
        assert!(!methods(&[]).contains(""));
    }

    #[test]
    fn stored_names_are_read_again() {
        assert_eq!(Methods::from_stored(Methods::longest().as_str()).iter().count(), MAX_METHODS);
        let stored = methods(&["pwd", "otp"]);
        assert_eq!(Methods::from_stored(stored.as_str()), stored);
        assert_eq!(Methods::from_stored(""), Methods::default());
        assert_eq!(Methods::from_stored("pwd \"  x\u{0}"), methods(&["pwd"]));
    }

    #[test]
    fn refreshed_tokens_keep_the_time_of_those_presented() {
        let at = UnixTime::from_secs;
        let again = Session { auth_time: Some(at(5000)), ..Session::new(at(1000), at(9000)) };
        let presented = |auth_time: Option<u64>| {
            let claims = Claims::new("1", Sid::from_bytes([0; 20]), Generation::FIRST, at(6000), at(9000));
            Authentication::of(&Claims { auth_time: auth_time.map(at), ..claims }, &again).time
        };
        assert_eq!(presented(None), at(1000), "issued by a version without the claim");
        assert_eq!(presented(Some(1000)), at(1000), "a copy from before");
        assert_eq!(presented(Some(5000)), at(5000));
        assert_eq!(presented(Some(8000)), at(5000), "the row was restored from a backup");
    }

    #[test]
    fn recent_ends_with_the_last_second() {
        let authentication = Authentication::new(UnixTime::from_secs(1000), Methods::default());
        let is_recent = |now| authentication.is_recent(Duration::from_secs(10), UnixTime::from_secs(now));
        assert!(is_recent(1000) && is_recent(1009) && is_recent(990));
        assert!(!is_recent(1010));
    }
}
