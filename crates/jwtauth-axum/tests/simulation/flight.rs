//! Requests in flight.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use axum::{Router, body::Body};
use http::{Request, StatusCode, header};
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::{
    common::Answer,
    jar::{Brought, SetCookie},
    oracle::{Lockout, Moment},
};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Who {
    Browser(usize),
    Thief(usize),
}

#[derive(Clone, Debug)]
pub enum Kind {
    Page,
    Form,
    Socket,
    /// An upload, with or without a known length.
    Upload {
        is_chunked: bool,
    },
    Login(String),
    Logout,
    /// End another session of the user.
    End(Uuid),
    Others,
}

impl Kind {
    pub fn is_upload(&self) -> bool {
        matches!(self, Self::Upload { .. })
    }

    fn expects_a_user(&self) -> bool {
        matches!(self, Self::Page | Self::Form | Self::Socket | Self::Upload { .. })
    }

    pub fn request(&self, brought: &Brought) -> Request<Body> {
        let (method, path) = match self {
            Self::Page | Self::Socket => ("GET", "/me".to_owned()),
            Self::Form | Self::Upload { .. } => ("POST", "/me".to_owned()),
            Self::Login(user) => ("POST", format!("/login/{user}")),
            Self::Logout => ("POST", "/logout".to_owned()),
            Self::End(session) => ("POST", format!("/end/{session}")),
            Self::Others => ("POST", "/others".to_owned()),
        };
        let request = Request::builder().method(method).uri(path).header(header::HOST, "own.example");
        let request = request.header(header::ORIGIN, "https://own.example");
        let request = match self {
            Self::Socket => request.header(header::UPGRADE, "websocket").header(header::CONNECTION, "Upgrade"),
            Self::Upload { is_chunked: true } => request.header(header::TRANSFER_ENCODING, "chunked"),
            Self::Upload { is_chunked: false } => request.header(header::CONTENT_LENGTH, "5000000"),
            Self::Form => request.header(header::CONTENT_LENGTH, "100"),
            _ => request,
        };
        brought.headers(request).body(Body::empty()).unwrap()
    }
}

/// The server's response.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub body: String,
    /// The user and session that the service reported, if any.
    pub served: Option<(String, Uuid)>,
    pub expects_a_user: bool,
    pub cookies: Vec<SetCookie>,
}

impl Reply {
    fn of(kind: &Kind, answer: Answer) -> Self {
        let (expects_a_user, cookies) = (kind.expects_a_user(), SetCookie::all_of(&answer));
        let is_told = expects_a_user && answer.status == StatusCode::OK;
        let served = answer.body.split_once(' ').filter(|_| is_told);
        let served = served.map(|(user, session)| (user.to_owned(), session.parse().unwrap()));
        Self { status: answer.status.as_u16(), body: answer.body, served, expects_a_user, cookies }
    }

    pub fn is_anonymous(&self) -> bool {
        self.expects_a_user && self.status < 500 && self.served.is_none()
    }
}

/// Whether a future must be polled.
pub struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

pub struct Flight {
    pub who: Who,
    pub kind: Kind,
    pub process: usize,
    pub brought: Brought,
    pub sent_at: u64,
    /// When a worker started on it.
    pub begun: Option<Moment>,
    /// The newest generation at that time, and when it was written.
    pub newest_at_begin: Option<(u64, u64)>,
    /// The lockout of its thief when it was sent.
    pub lockout: Option<Lockout>,
    /// Whether the client has disconnected.
    pub is_gone: bool,
    pub reply: Option<Reply>,
    future: Option<Answering>,
    flag: Arc<Flag>,
}

impl Flight {
    pub fn new(who: Who, kind: Kind, brought: Brought, process: usize, router: Router, now: u64) -> Self {
        let request = kind.request(&brought);
        let future = async move { Answer::of(router.oneshot(request).await.unwrap()).await };
        Self {
            who,
            kind,
            process,
            brought,
            sent_at: now,
            begun: None,
            newest_at_begin: None,
            lockout: None,
            is_gone: false,
            reply: None,
            future: Some(Box::pin(future)),
            flag: Arc::new(Flag(AtomicBool::new(true))),
        }
    }

    pub fn is_woken(&self) -> bool {
        self.future.is_some() && self.flag.0.load(Ordering::Relaxed)
    }

    pub fn is_answering(&self) -> bool {
        self.future.is_some()
    }

    /// Poll the request. Returns whether it has been answered.
    pub fn poll(&mut self) -> bool {
        self.flag.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&self.flag));
        let Some(future) = &mut self.future else { return false };
        let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(&waker)) else { return false };
        self.future = None;
        self.reply = Some(Reply::of(&self.kind, answer));
        true
    }

    /// Disconnect the client: a server then drops the future.
    pub fn leave(&mut self) {
        self.future = None;
        self.is_gone = true;
    }
}
