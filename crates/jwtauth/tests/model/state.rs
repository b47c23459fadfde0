//! The state of the model.

use crate::{old_login::OldLogin, thief::Thief};

/// The oldest generation that is told apart; anything older is treated the same.
pub(crate) const OLD: Offset = -4;

/// A generation or an authentication, relative to the row's.
pub(crate) type Offset = i8;

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Row {
    /// Ticks since the acknowledgement, up to the grace period.
    pub(crate) acknowledged: Option<u8>,
    /// Ticks since the rotation, as far as a rule can tell them apart.
    pub(crate) rotated: u8,
    /// Ticks until the session expires; `None` if it lasts longer than any run.
    pub(crate) left: Option<u8>,
    /// Ticks until the session locks; `None` if it does not lock.
    pub(crate) unlocked: Option<u8>,
    /// Ticks since the user's newest authentication, up to the grace period.
    pub(crate) authenticated: u8,
    /// That authentication, relative to the present row's.
    pub(crate) auth: Offset,
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Access {
    pub(crate) generation: Offset,
    /// Ticks until the token expires.
    pub(crate) left: u8,
    /// The authentication that the token names.
    pub(crate) auth: Offset,
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Refresh {
    pub(crate) generation: Offset,
    /// The authentication that the token names.
    pub(crate) auth: Offset,
}

/// The cookies of the browser.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Jar {
    pub(crate) access: Option<Access>,
    pub(crate) refresh: Option<Refresh>,
}

/// How the rules treat a request.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    Ordinary,
    Upload,
    /// A request of the render server with its secret.
    Rendering,
    /// A link on another site led here. Cookies of `SameSite=Strict` stay away, the old credential does not.
    Link,
    SignOut,
    /// The user authenticates again.
    Reauthentication,
}

/// The stage that a request has reached.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Stage {
    /// The request is on its way to the server.
    There { jar: Jar, kind: Kind },
    /// A worker has read the row and decided. It will write if the row's generation is unchanged.
    Writing { jar: Jar, kind: Kind, read: Offset, next: Row, generation: Offset, sets_refresh: bool },
    /// The user of the session has just authenticated again.
    Confirming,
    /// A worker has read the row and decided what the authentication changes.
    Authenticating { read: Offset, next: Row, generation: Offset },
    /// A worker has decided to start a session for the old credential. It `is_late` if another request has started one
    /// since, and `is_outdated` if the password has changed since.
    Starting { kind: Kind, is_late: bool, is_outdated: bool },
    /// The request is admitted by its access token. The acknowledgement is not yet written.
    Acknowledging { generation: Offset },
    /// The answer is on its way back with these cookies. It `is_overtaken` if the user has authenticated again since.
    Back { access: Option<Access>, refresh: Option<Refresh>, is_overtaken: bool },
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Request {
    pub(crate) stage: Stage,
    /// Ticks since the request was sent; for an upload, since it arrived.
    pub(crate) age: u8,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct State {
    pub(crate) row: Option<Row>,
    /// The row before each of its last writes, the latest first.
    pub(crate) before: Vec<(Row, Offset)>,
    pub(crate) jar: Jar,
    /// Sorted, since their order does not matter.
    pub(crate) requests: Vec<Request>,
    pub(crate) thief: Option<Thief>,
    /// The login of another package with which the browser starts.
    pub(crate) old: Option<OldLogin>,
    pub(crate) wrong: Option<Wrong>,
}

/// A violated property.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Wrong {
    SignedOut,
    UploadRefused,
    BroughtBack,
    NotFound,
    Served,
    NoRecord,
    ServedAtADistance,
    ForgeryAccepted,
    LoginBroughtBack,
    TwoSessions,
    StartedByAccess,
    AfterPeriod,
    MadeYounger,
    AheadOfRow,
    TakenBack,
    AdmittedWhileLocked,
    NotRevived,
}

impl Row {
    pub(crate) fn acknowledged_now(self) -> Self {
        Self { acknowledged: Some(0), ..self }
    }
}

impl Kind {
    /// Return whether the rules for uploads apply.
    pub(crate) fn is_late_by_nature(self) -> bool {
        matches!(self, Self::Upload | Self::Rendering)
    }
}

impl Access {
    pub(crate) fn aged(self) -> Option<Self> {
        (self.left > 1).then(|| Self { left: self.left - 1, ..self })
    }
}

impl Jar {
    pub(crate) const EMPTY: Self = Self { access: None, refresh: None };

    pub(crate) fn is_empty(self) -> bool {
        self == Self::EMPTY
    }

    pub(crate) fn age(&mut self) {
        self.access = self.access.and_then(Access::aged);
    }

    pub(crate) fn shift(&mut self, rise: Rise) {
        self.refresh.iter_mut().for_each(|it| it.shift(rise));
        self.access.iter_mut().for_each(|it| it.shift(rise));
    }
}

impl Access {
    fn shift(&mut self, rise: Rise) {
        self.generation = rise.generation_after(self.generation);
        self.auth = rise.auth_after(self.auth);
    }
}

impl Refresh {
    fn shift(&mut self, rise: Rise) {
        self.generation = rise.generation_after(self.generation);
        self.auth = rise.auth_after(self.auth);
    }
}

/// By how much the row's generation and authentication have risen.
#[derive(Clone, Copy)]
pub(crate) struct Rise {
    pub(crate) generation: Offset,
    pub(crate) auth: Offset,
    /// The oldest authentication that is told apart.
    pub(crate) oldest_auth: Offset,
}

impl Rise {
    pub(crate) fn generation_after(self, generation: Offset) -> Offset {
        (generation - self.generation).max(OLD)
    }

    pub(crate) fn auth_after(self, auth: Offset) -> Offset {
        (auth - self.auth).max(self.oldest_auth)
    }
}

impl State {
    /// Shift everything relative to a row that has risen.
    pub(crate) fn shift(&mut self, rise: Rise) {
        self.jar.shift(rise);
        self.thief.iter_mut().for_each(|thief| thief.shift(rise));
        for (row, generation) in &mut self.before {
            *generation = rise.generation_after(*generation);
            row.auth = rise.auth_after(row.auth);
        }
        for request in &mut self.requests {
            match &mut request.stage {
                Stage::There { jar, .. } => jar.shift(rise),
                Stage::Writing { jar, read, next, generation, .. } => {
                    jar.shift(rise);
                    *read = rise.generation_after(*read);
                    *generation = rise.generation_after(*generation);
                    next.auth = rise.auth_after(next.auth);
                }
                Stage::Authenticating { read, next, generation } => {
                    *read = rise.generation_after(*read);
                    *generation = rise.generation_after(*generation);
                    next.auth = rise.auth_after(next.auth);
                }
                Stage::Acknowledging { generation } => {
                    *generation = rise.generation_after(*generation);
                }
                Stage::Starting { .. } | Stage::Confirming => {}
                Stage::Back { access, refresh, .. } => {
                    for it in access.iter_mut() {
                        it.shift(rise);
                    }
                    for it in refresh.iter_mut() {
                        it.shift(rise);
                    }
                }
            }
        }
    }
}
