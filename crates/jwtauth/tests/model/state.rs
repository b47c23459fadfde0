//! The state of the model.

use crate::{old_login::OldLogin, thief::Thief};

/// The oldest generation that is told apart; anything older is treated the same.
pub(crate) const OLD: Offset = -4;

/// A generation, relative to the row's.
pub(crate) type Offset = i8;

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Row {
    /// Ticks since the acknowledgement, up to the grace period.
    pub(crate) acknowledged: Option<u8>,
    /// Ticks since the rotation, as far as a rule can tell them apart.
    pub(crate) rotated: u8,
    /// Ticks until the session expires; `None` if it lasts longer than any run.
    pub(crate) left: Option<u8>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Access {
    pub(crate) generation: Offset,
    /// Ticks until the token expires.
    pub(crate) left: u8,
}

/// The cookies of the browser.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Jar {
    pub(crate) access: Option<Access>,
    pub(crate) refresh: Option<Offset>,
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
}

/// The stage that a request has reached.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Stage {
    /// The request is on its way to the server.
    There { jar: Jar, kind: Kind },
    /// A worker has read the row and decided. It will write if the row's generation is unchanged.
    Writing { jar: Jar, read: Offset, next: Row, generation: Offset, sets_refresh: bool },
    /// A worker has decided to start a session for the old credential. It `is_late` if another request has started one
    /// since, and `is_outdated` if the password has changed since.
    Starting { kind: Kind, is_late: bool, is_outdated: bool },
    /// The request is admitted by its access token. The acknowledgement is not yet written.
    Acknowledging { generation: Offset },
    /// The answer is on its way back with these cookies.
    Back { access: Option<Access>, refresh: Option<Offset> },
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

    pub(crate) fn shift(&mut self, risen: Offset) {
        self.refresh = self.refresh.map(|generation| (generation - risen).max(OLD));
        self.access = self.access.map(|access| Access { generation: (access.generation - risen).max(OLD), ..access });
    }
}

impl State {
    /// Shift everything relative to a row whose generation has risen by `risen`.
    pub(crate) fn shift(&mut self, risen: Offset) {
        let older = |generation: Offset| (generation - risen).max(OLD);
        self.jar.shift(risen);
        self.thief.iter_mut().for_each(|thief| thief.shift(risen));
        self.before.iter_mut().for_each(|(_, generation)| *generation = older(*generation));
        for request in &mut self.requests {
            match &mut request.stage {
                Stage::There { jar, .. } => jar.shift(risen),
                Stage::Writing { jar, read, generation, .. } => {
                    jar.shift(risen);
                    *read = older(*read);
                    *generation = older(*generation);
                }
                Stage::Acknowledging { generation } => *generation = older(*generation),
                Stage::Starting { .. } => {}
                Stage::Back { access, refresh } => {
                    *access = access.map(|it| Access { generation: older(it.generation), ..it });
                    *refresh = refresh.map(older);
                }
            }
        }
    }
}
