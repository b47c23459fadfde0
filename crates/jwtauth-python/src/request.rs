//! The flow of a request: the head read from Django's `META`, and the engine's steps.

use jwtauth::{Authentication, CookiePolicy, Grantee, Head, HttpVersion, Methods, Origin, Scheme, UnixTime};
use pyo3::{
    intern,
    prelude::*,
    pybacked::{PyBackedBytes, PyBackedStr},
    types::{PyDict, PyString},
};
use uuid::Uuid;

use crate::{
    error::Error,
    rotation::{Decision, RotationPolicy},
    session::{Session, Sid},
    token::{Claims, TokenKind, Tokens, custom_claims, is_slow, without_interpreter},
};

/// The origins, besides the site's own, that may make requests with cookies.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct OriginPolicy(jwtauth::OriginPolicy);

#[pymethods]
impl OriginPolicy {
    #[new]
    fn new(trusted: Vec<PyBackedStr>) -> Result<Self, Error> {
        Ok(Self(jwtauth::OriginPolicy::new(trusted.iter().map(|entry| &**entry))?))
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// The secrets that the site shares with its render server.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct RenderSecrets(jwtauth::RenderSecrets);

#[pymethods]
impl RenderSecrets {
    #[new]
    fn new(secrets: Vec<PyBackedStr>) -> Result<Self, Error> {
        Ok(Self(jwtauth::RenderSecrets::new(secrets.iter().map(|secret| &**secret))?))
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

const BOTH: &[jwtauth::TokenKind] = &[jwtauth::TokenKind::Access, jwtauth::TokenKind::Refresh];

/// The configuration of a site, on which every step of a request depends.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct Site(jwtauth::Site);

#[pymethods]
impl Site {
    #[new]
    #[pyo3(signature = (tokens, policy, origins, render_secrets, *, access_name, refresh_name, bearer))]
    fn new(
        tokens: &Bound<'_, Tokens>,
        policy: &Bound<'_, RotationPolicy>,
        origins: &Bound<'_, OriginPolicy>,
        render_secrets: &Bound<'_, RenderSecrets>,
        access_name: String,
        refresh_name: String,
        bearer: bool,
    ) -> Self {
        let cookies = CookiePolicy::default().with_names(access_name, refresh_name);
        let transport = jwtauth::Transport::new(cookies, origins.get().0.clone(), bearer);
        let transport = transport.with_render_secrets(render_secrets.get().0.clone()).with_dpop_origins(None);
        Self(jwtauth::Site::new(tokens.get().0.clone(), policy.get().0, transport))
    }

    /// Identify the user of a request. `own` is called only if the result may depend on it.
    #[pyo3(signature = (meta, method, version, cookies, is_trusted, own, now, path = ""))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments would take longer")]
    fn identify(
        &self,
        meta: &Bound<'_, PyDict>,
        method: &str,
        version: &str,
        cookies: Option<Vec<PyBackedBytes>>,
        is_trusted: bool,
        own: Py<PyAny>,
        now: u64,
        path: &str,
    ) -> PyResult<Identity> {
        let Some(mut headers) = Headers::read(meta, cookies)? else { return Ok(Identity::new()) };
        if !self.0.transport().render_secrets.is_empty() {
            headers.render_secret = text(meta, intern!(meta.py(), "HTTP_X_JWTAUTH_RENDER_SECRET"))?;
        }
        if headers.brings_client() {
            headers.dpop = text(meta, intern!(meta.py(), "HTTP_DPOP"))?;
        }
        let fields: Vec<_> = headers.cookies.iter().map(Vec::as_slice).collect();
        let mut head = headers.head(method, version, &fields);
        head.path = path;
        if is_trusted {
            (head.sec_fetch_site, head.upgrade) = (Some("same-origin"), None);
        }
        let (tokens, mut failure) = (self.0.tokens(), None);
        // Call `own` before releasing the interpreter: a thread that attaches again may do so in another interpreter.
        let early = if is_slow(tokens) && (head.origin.is_some() || head.dpop.is_some()) {
            ask(&own, &mut failure)
        } else {
            None
        };
        let identified = without_interpreter(tokens, meta.py(), || {
            let own = || if is_slow(tokens) { early } else { ask(&own, &mut failure) };
            self.0.identify(&head, own, UnixTime::from_secs(now))
        });
        if let Some(error) = failure {
            return Err(error);
        }
        Ok(identified.into())
    }

    /// Identify the client at a token endpoint by the proof in its header `DPoP`, if it has one.
    fn identify_client(
        &self,
        meta: &Bound<'_, PyDict>,
        method: &str,
        path: &str,
        own: Py<PyAny>,
        now: u64,
    ) -> PyResult<Identity> {
        let headers = Headers { dpop: text(meta, intern!(meta.py(), "HTTP_DPOP"))?, ..Headers::default() };
        let mut head = headers.head(method, "", &[]);
        head.path = path;
        let mut failure = None;
        let identified = self.0.identify_client(&head, || ask(&own, &mut failure), UnixTime::from_secs(now));
        failure.map_or_else(|| Ok(identified.into()), Err)
    }

    /// Raise `CrossOriginRefused` if the request may not use cookies.
    #[pyo3(signature = (meta, *, method, version, own))]
    fn check_origin(&self, meta: &Bound<'_, PyDict>, method: &str, version: &str, own: Py<PyAny>) -> PyResult<()> {
        let headers = Headers::of_origin(meta)?;
        let mut failure = None;
        let verdict = self.0.transport().check_origin(&headers.head(method, version, &[]), || ask(&own, &mut failure));
        match failure {
            Some(error) => Err(error),
            None => Ok(verdict.map_err(Error::from)?),
        }
    }

    /// `no_activity`: the site knows that requests to this path are not an activity of the user.
    #[pyo3(signature = (identity, claims, session, *, no_activity = false, now))]
    fn refresh(
        &self,
        identity: &Bound<'_, Identity>,
        claims: &Bound<'_, Claims>,
        session: &Bound<'_, Session>,
        no_activity: bool,
        now: u64,
    ) -> Decision {
        let (identity, session) = (&identity.get().identity, session.get().0);
        let idle = no_activity.then(|| identity.clone().without_activity());
        let identity = idle.as_ref().unwrap_or(identity);
        Decision { decision: self.0.refresh(identity, &claims.get().0, &session, UnixTime::from_secs(now)), session }
    }

    /// Return `(acknowledge, update_last_seen)`, or `None` if the session is not valid.
    fn check(
        &self,
        identity: &Bound<'_, Identity>,
        claims: &Bound<'_, Claims>,
        session: &Bound<'_, Session>,
        subject: Option<&str>,
        last_seen_at: u64,
        now: u64,
    ) -> Option<(bool, bool)> {
        let row = jwtauth::FoundRow::new(&session.get().0, subject, UnixTime::from_secs(last_seen_at));
        match self.0.check(&identity.get().identity, &claims.get().0, Some(row), UnixTime::from_secs(now)) {
            jwtauth::Check::Live { acknowledge, update_last_seen } => Some((acknowledge, update_last_seen)),
            _ => None,
        }
    }

    fn fits(&self, subject: &str, custom: &str) -> Result<(), Error> {
        Ok(self.0.fits(subject, &custom_claims(Some(custom))?)?)
    }

    /// Return a grant. `decision` tells which tokens the response sets; `None` means both. The tokens say what the token
    /// with the claims `presented` says of the user's authentication; without it, that the row's newest authentication
    /// was by these methods, as stored, or an older one at `auth_time`.
    #[pyo3(signature = (sid, subject, session, *, decision, custom, remember, presented = None, methods = "",
                        auth_time = None, actor = None, not_after = None, now))]
    #[expect(clippy::too_many_arguments, reason = "they are keyword arguments in Python")]
    fn grant(
        &self,
        sid: &Bound<'_, Sid>,
        subject: &str,
        session: &Bound<'_, Session>,
        decision: Option<&Bound<'_, Decision>>,
        custom: Option<&str>,
        remember: bool,
        presented: Option<&Bound<'_, Claims>>,
        methods: &str,
        auth_time: Option<u64>,
        actor: Option<String>,
        not_after: Option<u64>,
        now: u64,
    ) -> Result<Grant, Error> {
        let mut grantee = Grantee::new(sid.get().0, subject);
        let row = &session.get().0;
        grantee.authentication = Some(if let Some(claims) = presented {
            Authentication::of(&claims.get().0, row)
        } else {
            let time = auth_time.map_or(row.authenticated_at(), UnixTime::from_secs);
            Authentication::new(time.min(row.authenticated_at()), Methods::from_stored(methods))
        });
        (grantee.custom, grantee.remember, grantee.actor) = (custom_claims(custom)?, remember, actor);
        grantee.not_after = not_after.map(UnixTime::from_secs);
        let kinds = decision.map_or(BOTH, |decision| decision.get().decision.issues());
        Ok(Grant(self.0.grant(grantee, row, kinds, UnixTime::from_secs(now))))
    }

    fn issue(&self, py: Python<'_>, grant: &Bound<'_, Grant>, kind: TokenKind) -> Result<String, Error> {
        let grant = &grant.get().0;
        Ok(without_interpreter(self.0.tokens(), py, || self.0.issue(grant, kind.into()))?)
    }

    /// Return the answer. `vary` and `cache_control` are the response's headers as the view left them.
    #[pyo3(signature = (identity, outcome, *, was_asked, vary, cache_control, now))]
    #[expect(clippy::too_many_arguments, reason = "they are keyword arguments in Python")]
    fn respond(
        &self,
        py: Python<'_>,
        identity: &Bound<'_, Identity>,
        outcome: &Bound<'_, Outcome>,
        was_asked: bool,
        vary: &str,
        cache_control: &str,
        now: u64,
    ) -> Result<Answer, Error> {
        let (identity, outcome) = (identity.get(), outcome.get());
        let respond = || self.0.respond(&identity.identity, &outcome.0, was_asked, UnixTime::from_secs(now));
        // Only a grant needs signatures, which may be slow.
        let answer = match outcome.0 {
            jwtauth::Outcome::Granted(_) => without_interpreter(self.0.tokens(), py, respond)?,
            _ => respond()?,
        };
        let (vary, cache_control) = (answer.vary(vary), answer.cache_control(cache_control));
        let cookies = answer.cookies.iter().map(|cookie| {
            let name = self.0.transport().cookies.name(cookie.kind).to_owned();
            (name, cookie.token.clone().unwrap_or_default(), cookie.max_age.map(|max_age| max_age.as_secs()))
        });
        Ok(Answer {
            vary,
            cache_control,
            cookies: cookies.collect(),
            dpop_nonce: answer.dpop_nonce.clone(),
            inner: answer,
        })
    }

    /// Return the new value of `Vary` if no cookie is changed. `None` leaves it unchanged.
    fn vary(&self, identity: &Bound<'_, Identity>, was_asked: bool, present: &str) -> Result<Option<String>, Error> {
        let (identity, now) = (&identity.get().identity, UnixTime::from_secs(0));
        let answer = self.0.respond(identity, &jwtauth::Outcome::Unchanged, was_asked, now)?;
        Ok(answer.vary(present))
    }

    /// Return the challenge with which a browser may bind this session to a key.
    fn offer(&self, session_id: Uuid, session: &Bound<'_, Session>, now: u64) -> Result<String, Error> {
        Ok(self.0.offer(session_id, &session.get().0, UnixTime::from_secs(now))?)
    }

    fn may_offer(&self, session_id: Uuid, before: &Bound<'_, Session>, now: u64) -> bool {
        self.0.may_offer(session_id, &before.get().0, UnixTime::from_secs(now))
    }

    /// Return a challenge for the next proof of the session's key.
    fn challenge(&self, session_id: Uuid, session: &Bound<'_, Session>, now: u64) -> Result<String, Error> {
        Ok(self.0.challenge(session_id, &session.get().0, UnixTime::from_secs(now))?)
    }

    fn register(
        &self,
        session_id: Uuid,
        session: &Bound<'_, Session>,
        device_key: Option<&str>,
        proof: &str,
        now: u64,
    ) -> Registration {
        let session = session.get().0;
        let registration = self.0.register(session_id, &session, device_key, proof, UnixTime::from_secs(now));
        Registration { registration, session }
    }

    fn prove(
        &self,
        session_id: Uuid,
        session: &Bound<'_, Session>,
        device_key: Option<&str>,
        named: Option<&str>,
        proof: Option<&str>,
        now: u64,
    ) -> Proof {
        let session = session.get().0;
        let proof = self.0.prove(session_id, &session, device_key, named, proof, UnixTime::from_secs(now));
        Proof { proof, session }
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// The decision about a request to bind a session to a device.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct Registration {
    registration: jwtauth::Registration,
    session: jwtauth::Session,
}

#[pymethods]
impl Registration {
    #[getter]
    fn code(&self) -> &'static str {
        self.registration.code()
    }

    /// The key, as stored.
    #[getter]
    fn key(&self) -> Option<String> {
        self.registration.key().map(jwtauth::DeviceKey::to_text)
    }

    /// The decision to carry out if the session is then bound.
    #[getter]
    fn decision(&self) -> Option<Decision> {
        self.registration.decision().map(|decision| Decision { decision, session: self.session })
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.registration)
    }
}

/// The decision about a request to refresh a session that is bound to a device.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct Proof {
    proof: jwtauth::Proof,
    session: jwtauth::Session,
}

#[pymethods]
impl Proof {
    #[getter]
    fn code(&self) -> &'static str {
        self.proof.code()
    }

    /// The decision to carry out if the key is proven.
    #[getter]
    fn decision(&self) -> Option<Decision> {
        let jwtauth::Proof::Good(decision) = self.proof else { return None };
        Some(Decision { decision, session: self.session })
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.proof)
    }
}

/// Return the session identifier that a browser knows for a session with this key, as stored.
#[pyfunction]
pub(crate) fn device_identifier(device_key: &str) -> Option<String> {
    Some(jwtauth::DeviceKey::parse(device_key).ok()?.thumbprint())
}

/// The identity that a request claims.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct Identity {
    pub(crate) identity: jwtauth::Identity,
    error: Option<jwtauth::IdentifyError>,
}

impl From<Result<jwtauth::Identity, Box<jwtauth::Refused>>> for Identity {
    fn from(identified: Result<jwtauth::Identity, Box<jwtauth::Refused>>) -> Self {
        match identified {
            Ok(identity) => Self { identity, error: None },
            Err(refused) => Self { identity: refused.identity, error: Some(refused.error) },
        }
    }
}

#[pymethods]
impl Identity {
    /// Create an anonymous identity without cookies.
    #[new]
    fn new() -> Self {
        Self { identity: jwtauth::Identity::default(), error: None }
    }

    #[getter]
    fn access(&self) -> Option<Claims> {
        self.identity.access().cloned().map(Claims)
    }

    #[getter]
    fn refresh(&self) -> Option<Claims> {
        self.identity.refresh().cloned().map(Claims)
    }

    #[getter]
    fn session_ids(&self) -> Vec<Uuid> {
        self.identity.session_names().iter().map(jwtauth::Sid::session_id).collect()
    }

    #[getter]
    fn is_disputed(&self) -> bool {
        self.identity.is_disputed()
    }

    #[getter]
    fn disputed_session_ids(&self) -> Vec<Uuid> {
        self.identity.disputed_sessions().iter().map(jwtauth::Sid::session_id).collect()
    }

    /// Return the identity without the refresh tokens of sessions that are not in `live`.
    fn settle(&self, live: Vec<Uuid>) -> Self {
        let identity = self.identity.clone().settle(|sid| live.contains(&sid.session_id()));
        Self { identity, error: None }
    }

    #[getter]
    fn is_bearer(&self) -> bool {
        self.identity.is_bearer()
    }

    #[getter]
    fn has_cookies(&self) -> bool {
        self.identity.has_cookies()
    }

    #[getter]
    fn has_wrong_render_secret(&self) -> bool {
        self.identity.has_wrong_render_secret()
    }

    /// Return whether the request has something that is rare: an error, a wrong render secret, or the need of a nonce.
    #[getter]
    fn is_notable(&self) -> bool {
        self.error.is_some() || self.identity.has_wrong_render_secret() || self.identity.needs_dpop_nonce()
    }

    /// The key that the client has proved, as stored.
    #[getter]
    fn client_key(&self) -> Option<String> {
        self.identity.client().map(|key| key.to_stored())
    }

    #[getter]
    fn needs_dpop_nonce(&self) -> bool {
        self.identity.needs_dpop_nonce()
    }

    /// Return this identity with the proof, and the need of a nonce, of `client`.
    fn proving(&self, client: &Bound<'_, Self>) -> Self {
        Self { identity: self.identity.clone().proving(&client.get().identity), error: self.error.clone() }
    }

    /// The code and the text of why a proof, or the token that it is for, was refused.
    #[getter]
    fn dpop_error(&self) -> Option<(&'static str, String)> {
        match &self.error {
            Some(jwtauth::IdentifyError::Dpop(error)) => Some((error.code(), error.to_string())),
            _ => None,
        }
    }

    /// Return whether a token of this site was refused that needs a proof: no other scheme can accept it.
    #[getter]
    fn refuses_own_token(&self) -> bool {
        matches!(&self.error, Some(jwtauth::IdentifyError::Dpop(error)) if error.is_about_own_token())
    }

    /// The challenge of the response to a token in `Authorization` that was refused, or whose session has ended.
    #[getter]
    fn challenge(&self) -> Option<String> {
        let error = self.error.clone().unwrap_or_else(|| self.identity.over());
        error.challenge().map(Into::into)
    }

    /// Raise `CrossOriginRefused` if the request may not use its cookies. A request with an invalid token in `Authorization`
    /// is anonymous instead: another scheme of the site may read the header.
    fn check(&self) -> Result<(), Error> {
        match self.error {
            Some(jwtauth::IdentifyError::CrossOrigin(error)) => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.identity)
    }
}

/// The newest tokens of a session.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct Grant(jwtauth::Grant);

#[pymethods]
impl Grant {
    #[getter]
    fn access(&self) -> Claims {
        Claims(self.0.access().clone())
    }

    #[getter]
    fn refresh(&self) -> Claims {
        Claims(self.0.refresh().clone())
    }

    /// Return whether the response sets any token.
    #[getter]
    fn sets_cookies(&self) -> bool {
        !self.0.kinds().is_empty()
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// The effect of a request on its cookies, so far.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct Outcome(jwtauth::Outcome);

#[pymethods]
impl Outcome {
    #[classattr]
    const UNCHANGED: Self = Self(jwtauth::Outcome::Unchanged);

    #[classattr]
    const CLEARED: Self = Self(jwtauth::Outcome::Cleared);

    #[classattr]
    const SUPERSEDED: Self = Self(jwtauth::Outcome::Superseded);

    #[staticmethod]
    fn granted(grant: &Bound<'_, Grant>) -> Self {
        Self(jwtauth::Outcome::Granted(grant.get().0.clone()))
    }

    fn __repr__(&self) -> String {
        format!("Outcome::{:?}", self.0)
    }
}

/// The cookies and caching headers of a response.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct Answer {
    /// The new value of `Vary`; `None` leaves it unchanged.
    #[pyo3(get)]
    vary: Option<String>,
    /// The new value of `Cache-Control`; `None` leaves it unchanged, and no cookie is set.
    #[pyo3(get)]
    cache_control: Option<String>,
    /// Triples of name, token and `max_age`. A cookie is cleared with `""` and 0.
    #[pyo3(get)]
    cookies: Vec<(String, String, Option<u64>)>,
    /// The nonce of the client's next proof.
    #[pyo3(get)]
    dpop_nonce: Option<String>,
    inner: jwtauth::Answer,
}

#[pymethods]
impl Answer {
    /// Return those of these header names that must be removed.
    fn removed(&self, names: Vec<String>) -> Vec<String> {
        names.into_iter().filter(|name| self.inner.removes(name)).collect()
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.inner)
    }
}

/// The headers of a CGI environment that authentication reads. A value that is not Unicode text is replaced, since the
/// header is present.
#[derive(Default)]
struct Headers {
    cookies: Vec<Vec<u8>>,
    authorization: Option<String>,
    /// Read only with `Authorization: DPoP`, and at token endpoints.
    dpop: Option<String>,
    origin: Option<String>,
    sec_fetch_site: Option<String>,
    upgrade: Option<String>,
    content_length: Option<String>,
    transfer_encoding: Option<String>,
    /// Read only if the site has a render secret.
    render_secret: Option<String>,
    activity: Option<String>,
}

impl Headers {
    /// Read the headers. Return `None` without a cookie and `Authorization`, as in most anonymous requests; no other
    /// header is then read. `fields` are the `Cookie` fields, if the server passed on several.
    fn read(meta: &Bound<'_, PyDict>, fields: Option<Vec<PyBackedBytes>>) -> PyResult<Option<Self>> {
        let py = meta.py();
        let cookie = text(meta, intern!(py, "HTTP_COOKIE"))?;
        let authorization = text(meta, intern!(py, "HTTP_AUTHORIZATION"))?;
        if cookie.is_none() && authorization.is_none() {
            return Ok(None);
        }
        let cookies = match fields {
            Some(fields) => fields.iter().map(|field| field.to_vec()).collect(),
            None => cookie.into_iter().map(String::into_bytes).collect(),
        };
        Ok(Some(Self { cookies, authorization, ..Self::of_origin(meta)? }))
    }

    /// Read the headers that tell the origin and the length of the body.
    fn of_origin(meta: &Bound<'_, PyDict>) -> PyResult<Self> {
        let py = meta.py();
        Ok(Self {
            origin: text(meta, intern!(py, "HTTP_ORIGIN"))?,
            sec_fetch_site: text(meta, intern!(py, "HTTP_SEC_FETCH_SITE"))?,
            upgrade: text(meta, intern!(py, "HTTP_UPGRADE"))?,
            content_length: text(meta, intern!(py, "CONTENT_LENGTH"))?,
            transfer_encoding: text(meta, intern!(py, "HTTP_TRANSFER_ENCODING"))?,
            activity: text(meta, intern!(py, "HTTP_X_JWTAUTH_ACTIVITY"))?,
            ..Self::default()
        })
    }

    /// Return whether the access token needs a proof.
    fn brings_client(&self) -> bool {
        self.authorization.is_some() && self.head("", "", &[]).token().is_some_and(|(scheme, _)| scheme == Scheme::Dpop)
    }

    fn head<'h>(&'h self, method: &'h str, version: &str, cookies: &'h [&'h [u8]]) -> Head<'h> {
        let mut head = Head::new(method);
        head.version = HttpVersion::parse(version);
        head.cookies = cookies;
        head.authorization = self.authorization.as_deref();
        head.dpop = self.dpop.as_deref();
        head.origin = self.origin.as_deref();
        head.sec_fetch_site = self.sec_fetch_site.as_deref();
        head.upgrade = self.upgrade.as_deref();
        head.content_length = self.content_length.as_deref();
        head.transfer_encoding = self.transfer_encoding.as_deref();
        head.render_secret = self.render_secret.as_deref();
        head.activity = self.activity.as_deref();
        head
    }
}

fn text(meta: &Bound<'_, PyDict>, name: &Bound<'_, PyString>) -> PyResult<Option<String>> {
    let Some(value) = meta.get_item(name)?.filter(|value| !value.is_none()) else { return Ok(None) };
    let value = match value.cast_into::<PyString>() {
        Ok(value) => value,
        Err(error) => error.into_inner().str()?,
    };
    Ok(Some(value.to_string_lossy().into_owned()))
}

/// Call `own` and return the origin. Store an exception in `failure`.
fn ask(own: &Py<PyAny>, failure: &mut Option<PyErr>) -> Option<Origin> {
    let answer = Python::attach(|py| own.bind(py).call0()?.extract::<Option<String>>());
    match answer {
        Ok(origin) => origin?.parse().ok(),
        Err(error) => {
            *failure = Some(error);
            None
        }
    }
}
