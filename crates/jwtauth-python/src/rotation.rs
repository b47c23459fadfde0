//! The rotation policy and its decisions.

use std::time::Duration;

use jwtauth::{Authentication, Lifetimes, MovedLogin, OldCredential, OldLoginPeriod, UnixTime};
use pyo3::prelude::*;

use crate::{error::Error, request::Identity, session::Session, token::Claims};

/// The rules of rotation, with durations in seconds.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct RotationPolicy(pub(crate) jwtauth::RotationPolicy);

#[pymethods]
impl RotationPolicy {
    #[new]
    #[pyo3(signature = (*, access, idle, absolute, grace, lock_after = None))]
    fn new(access: u64, idle: u64, absolute: Option<u64>, grace: u64, lock_after: Option<u64>) -> Result<Self, Error> {
        let seconds = Duration::from_secs;
        let lifetimes = Lifetimes::new(seconds(access), seconds(idle), absolute.map(seconds))?;
        let policy = jwtauth::RotationPolicy::new(lifetimes, seconds(grace));
        Ok(Self(policy.with_lock_after(lock_after.map(seconds))))
    }

    fn start(&self, now: u64) -> Session {
        Session(self.0.start(UnixTime::from_secs(now)))
    }

    fn start_for(&self, lifetime: u64, now: u64) -> Session {
        Session(self.0.start_for(Duration::from_secs(lifetime), UnixTime::from_secs(now)))
    }

    fn succeed(&self, session: &Bound<'_, Session>, now: u64) -> Session {
        Session(self.0.succeed(&session.get().0, UnixTime::from_secs(now)))
    }

    /// Return the row of a session in which the user of `own` acts as another one.
    fn start_acting(&self, own: &Bound<'_, Session>, claims: &Bound<'_, Claims>, lifetime: u64, now: u64) -> Session {
        let (own, lifetime) = (&own.get().0, Duration::from_secs(lifetime));
        let authentication = Authentication::of(&claims.get().0, own);
        Session(self.0.start_acting(own, &authentication, lifetime, UnixTime::from_secs(now)))
    }

    /// Return the row that replaces `own` when its user stops acting.
    fn stop_acting(&self, own: &Bound<'_, Session>, acting: &Bound<'_, Session>, now: u64) -> Session {
        Session(self.0.stop_acting(&own.get().0, &acting.get().0, UnixTime::from_secs(now)))
    }

    /// Return the row of a session whose user authenticates again, or `None` if the session has ended.
    fn reauthenticate(&self, session: &Bound<'_, Session>, now: u64) -> Option<Session> {
        self.0.reauthenticate(&session.get().0, UnixTime::from_secs(now)).map(Session)
    }

    fn take_over(&self, end: Option<u64>, now: u64) -> Session {
        Session(self.0.take_over(end.map(UnixTime::from_secs), UnixTime::from_secs(now)))
    }

    /// Return the code of the decision. The tuples are the fields of `OldCredential` and `MovedLogin`, in their order.
    #[expect(clippy::too_many_arguments, reason = "all are keywords in Python")]
    #[pyo3(signature = (identity, *, since, until, credential, moved, password_changed_at, is_certain, now))]
    fn decide_old_login(
        &self,
        identity: &Bound<'_, Identity>,
        since: u64,
        until: u64,
        credential: Option<(Option<u64>, Option<u64>, bool)>,
        moved: Option<(u64, u64, Option<u64>, bool)>,
        password_changed_at: Option<u64>,
        is_certain: bool,
        now: u64,
    ) -> &'static str {
        let (at, identity) = (UnixTime::from_secs, &identity.get().identity);
        let credential = credential.map(|(issued_at, expires_at, is_renewable)| {
            OldCredential::new(issued_at.map(at), expires_at.map(at), is_renewable)
        });
        let moved = moved.map(|(moved_at, first_end, seen_at, is_live)| {
            MovedLogin::new(at(moved_at), at(first_end), seen_at.map(at), is_live)
        });
        self.0
            .decide_old_login(
                &OldLoginPeriod::new(at(since), at(until)),
                credential.as_ref(),
                moved.as_ref(),
                password_changed_at.map(at),
                identity.is_upload() || identity.is_rendering() || !is_certain,
                at(now),
            )
            .code()
    }

    fn is_locked(&self, session: &Bound<'_, Session>, now: u64) -> bool {
        self.0.is_locked(&session.get().0, UnixTime::from_secs(now))
    }

    fn is_over(&self, session: &Bound<'_, Session>, now: u64) -> bool {
        self.0.lifetimes().is_over(&session.get().0, UnixTime::from_secs(now))
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// The decision about a refresh token.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct Decision {
    pub(crate) decision: jwtauth::Decision,
    pub(crate) session: jwtauth::Session,
}

#[pymethods]
impl Decision {
    #[getter]
    fn code(&self) -> &'static str {
        self.decision.code()
    }

    #[getter]
    fn admits(&self) -> bool {
        self.decision.admits()
    }

    #[getter]
    fn acknowledge(&self) -> bool {
        self.decision.acknowledges()
    }

    #[getter]
    fn warning(&self) -> Option<&'static str> {
        self.decision.warning()
    }

    /// The row to write, if any.
    #[getter]
    fn next(&self) -> Option<Session> {
        self.decision.next(&self.session).map(Session)
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.decision)
    }
}
