//! A store whose calls wait for permission to start and to return, and fail on demand.

use std::{
    collections::{BTreeSet, HashMap},
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use jwtauth_axum::{
    FoundSession, InsertError, Limit, Record, SessionStore, StoreError,
    jwtauth::{Generation, Methods, Session, UnixTime},
};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{time::WorkerClock, wrong::Wrong};

/// How a call proceeds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    Go,
    /// It must be retried.
    Busy,
    Unreachable,
    Failed,
}

impl Verdict {
    fn result(self) -> Result<(), StoreError> {
        match self {
            Self::Go => Ok(()),
            Self::Busy => Err(StoreError::Busy("locked".into())),
            Self::Unreachable => Err(StoreError::NoConnection("connection refused".into())),
            Self::Failed => Err(StoreError::Failed("the connection is lost".into())),
        }
    }
}

/// A waiting call.
pub struct Waiting {
    pub request: u32,
    pub process: usize,
    pub call: &'static str,
    /// Whether it waits to start; otherwise it waits to return.
    pub is_before: bool,
    pub open: oneshot::Sender<Verdict>,
}

/// A write of the database.
#[derive(Clone, Debug)]
pub enum Deed {
    Inserted {
        session: Uuid,
        user: String,
    },
    Advanced {
        session: Uuid,
        generation: u64,
    },
    Ended {
        session: Uuid,
    },
    /// An event of the layer: a copied token was detected.
    Reused {
        session: Uuid,
    },
}

/// The calls of all processes, and the requests that made them.
#[derive(Clone, Default)]
pub struct Desk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The running request.
    running: u32,
    /// The request of each known task.
    tasks: HashMap<tokio::task::Id, u32>,
    waiting: Vec<Waiting>,
    /// The number of calls inside the database.
    inside: usize,
    /// The requests that had a failed call.
    failed: BTreeSet<u32>,
    deeds: Vec<Deed>,
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Record that this request runs from now on.
    pub fn run(&self, request: u32) {
        self.state().running = request;
    }

    pub fn running(&self) -> u32 {
        self.state().running
    }

    pub fn is_inside(&self) -> bool {
        self.state().inside > 0
    }

    /// Return the request of each waiting call, in request order.
    pub fn waiting(&self) -> Vec<u32> {
        let mut state = self.state();
        state.waiting.retain(|waiting| !waiting.open.is_closed());
        state.waiting.sort_by_key(|waiting| waiting.request);
        state.waiting.iter().map(|waiting| waiting.request).collect()
    }

    pub fn is_waiting(&self, request: u32) -> bool {
        self.state().waiting.iter().any(|waiting| waiting.request == request && !waiting.open.is_closed())
    }

    /// Take the waiting call of this request.
    pub fn take(&self, request: u32) -> Option<Waiting> {
        let mut state = self.state();
        let index = state.waiting.iter().position(|waiting| waiting.request == request)?;
        Some(state.waiting.remove(index))
    }

    /// Take the calls of this process, which has died.
    pub fn take_process(&self, process: usize) -> Vec<Waiting> {
        let mut state = self.state();
        let (dead, others) = std::mem::take(&mut state.waiting).into_iter().partition(|it| it.process == process);
        state.waiting = others;
        dead
    }

    pub fn note_failure(&self, request: u32) {
        self.state().failed.insert(request);
    }

    pub fn has_failed(&self, request: u32) -> bool {
        self.state().failed.contains(&request)
    }

    pub fn note(&self, deed: Deed) {
        self.state().deeds.push(deed);
    }

    pub fn take_deeds(&self) -> Vec<Deed> {
        std::mem::take(&mut self.state().deeds)
    }

    fn wait(&self, process: usize, call: &'static str, is_before: bool) -> oneshot::Receiver<Verdict> {
        let (open, opened) = oneshot::channel();
        let mut state = self.state();
        let running = state.running;
        let request = tokio::task::try_id().map_or(running, |task| *state.tasks.entry(task).or_insert(running));
        state.waiting.push(Waiting { request, process, call, is_before, open });
        opened
    }
}

/// Counts a call inside the database, even if it is dropped.
struct Inside<'d>(&'d Desk);

impl<'d> Inside<'d> {
    fn new(desk: &'d Desk) -> Self {
        desk.state().inside += 1;
        Self(desk)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.state().inside -= 1;
    }
}

/// The store of one process.
pub struct Gated<S> {
    pub inner: S,
    pub desk: Desk,
    pub process: usize,
    /// Whether the process is alive. A dead process makes no progress.
    pub is_alive: Arc<AtomicBool>,
    pub clock: WorkerClock,
    pub wrong: Wrong,
}

impl<S> Gated<S> {
    async fn gate(&self, call: &'static str, is_before: bool) -> Result<(), StoreError> {
        if !self.is_alive.load(Ordering::Relaxed) {
            return pending().await;
        }
        match self.desk.wait(self.process, call, is_before).await {
            Ok(verdict) => verdict.result(),
            Err(_) => pending().await,
        }
    }

    async fn around<T, E: From<StoreError>>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.gate(name, true).await?;
        let inside = Inside::new(&self.desk);
        let done = call.await;
        drop(inside);
        self.gate(name, false).await?;
        done
    }
}

impl<S: SessionStore> SessionStore for Gated<S> {
    fn user_key(&self, user_id: &str) -> Option<String> {
        self.inner.user_key(user_id)
    }

    async fn find(&self, id: Uuid) -> Result<Option<FoundSession>, StoreError> {
        let call = async {
            let found = self.inner.find(id).await?;
            if let Some(found) = &found {
                self.clock.hear();
                self.wrong.has_found(found);
            }
            Ok(found)
        };
        self.around("find", call).await
    }

    async fn insert(&self, record: Record, limit: Option<Limit>, now: UnixTime) -> Result<Vec<Uuid>, InsertError> {
        let (session, user) = (record.id, record.user_id.clone());
        let call = async {
            let surplus = self.inner.insert(record, limit, now).await?;
            self.desk.note(Deed::Inserted { session, user });
            Ok(surplus)
        };
        self.around("insert", call).await
    }

    async fn advance(
        &self,
        id: Uuid,
        from: Generation,
        next: Session,
        methods: Option<Methods>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let call = async {
            let is_done = self.wrong.advance(&self.inner, id, from, next, methods, now).await?;
            if is_done {
                self.desk.note(Deed::Advanced { session: id, generation: next.generation.get() });
            }
            Ok(is_done)
        };
        self.around("advance", call).await
    }

    async fn bind(&self, id: Uuid, from: Generation, next: Session, key: &str) -> Result<bool, StoreError> {
        self.around("bind", self.inner.bind(id, from, next, key)).await
    }

    async fn unbind(&self, id: Uuid, from: Generation) -> Result<bool, StoreError> {
        self.around("unbind", self.inner.unbind(id, from)).await
    }

    async fn acknowledge(&self, id: Uuid, generation: Generation, now: UnixTime) -> Result<(), StoreError> {
        self.around("acknowledge", self.wrong.acknowledge(&self.inner, id, generation, now)).await
    }

    async fn touch(&self, id: Uuid, now: UnixTime) -> Result<(), StoreError> {
        self.around("touch", self.inner.touch(id, now)).await
    }

    async fn of_user(&self, user_id: &str, now: UnixTime) -> Result<Vec<Record>, StoreError> {
        self.around("of_user", self.inner.of_user(user_id, now)).await
    }

    async fn end(&self, ids: &[Uuid]) -> Result<u64, StoreError> {
        let call = async {
            let count = self.wrong.end(&self.inner, ids).await?;
            for session in ids {
                self.desk.note(Deed::Ended { session: *session });
            }
            Ok(count)
        };
        self.around("end", call).await
    }

    /// The layer cleans up at random times. The simulation does it instead when the seed says so.
    async fn remove_expired(&self, _: u32, _: UnixTime) -> Result<u64, StoreError> {
        Ok(0)
    }
}
