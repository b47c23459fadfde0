//! Disconnecting clients: futures that are dropped before they finish.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use jwtauth_axum::{
    FoundSession, InsertError, Limit, Record, SessionStore, StoreError,
    jwtauth::{Generation, Methods, Session, UnixTime},
};
use tokio::{sync::watch, task::yield_now};
use uuid::Uuid;

/// How long to wait for an expected state before it counts as missing.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The moment at which a client disconnects.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    /// When its future is pending, after this many earlier times.
    Wait(usize),
    /// When the store reaches a step, after this many earlier steps.
    Step(usize),
    /// After the future and the other tasks had this many turns.
    Turn(usize),
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait(number) => write!(f, "at wait {number}"),
            Self::Step(number) => write!(f, "at step {number} of the store"),
            Self::Turn(number) => write!(f, "after {number} turns"),
        }
    }
}

impl Moment {
    /// Return every moment at which the future is pending.
    pub fn waits() -> impl Iterator<Item = Self> {
        (0..).map(Self::Wait)
    }

    /// Return every step of the store.
    pub fn steps() -> impl Iterator<Item = Self> {
        (0..).map(Self::Step)
    }

    /// Return turns at growing distances, different in each round.
    pub fn turns(round: usize) -> impl Iterator<Item = Self> {
        (0..usize::BITS / 3 - 1).map(move |power| Self::Turn((1 + (round * 3) % 7) << (3 * power)))
    }
}

/// Poll `future`, and drop it at this moment. Returns whether it was dropped; it may have finished before.
pub async fn leave<T>(future: impl Future<Output = T>, moment: Moment, steps: &Steps) -> Result<bool, String> {
    tokio::time::timeout(PATIENCE, leave_now(future, moment, steps)).await.map_err(|_| "it never finishes".to_owned())
}

async fn leave_now<T>(future: impl Future<Output = T>, moment: Moment, steps: &Steps) -> bool {
    let mut future = pin!(future);
    match moment {
        Moment::Wait(number) => {
            let mut waits = 0;
            poll_fn(|context| match future.as_mut().poll(context) {
                Poll::Ready(_) => Poll::Ready(false),
                Poll::Pending if waits == number => Poll::Ready(true),
                Poll::Pending => {
                    waits += 1;
                    Poll::Pending
                }
            })
            .await
        }
        Moment::Step(number) => {
            tokio::select! {
                biased;
                () = steps.reached(number) => true,
                _ = future => false,
            }
        }
        Moment::Turn(number) => {
            for _ in 0..number {
                let is_done = poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await;
                if is_done {
                    return false;
                }
                yield_now().await;
            }
            true
        }
    }
}

/// Counts how often a store was called or has answered.
#[derive(Clone)]
pub struct Steps(Arc<watch::Sender<usize>>);

impl Steps {
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    pub fn restart(&self) {
        self.0.send_replace(0);
    }

    pub fn count(&self) -> usize {
        *self.0.borrow()
    }

    /// Wait until the count exceeds `number`.
    pub async fn reached(&self, number: usize) {
        let _ = self.0.subscribe().wait_for(|steps| *steps > number).await;
    }

    async fn take(&self) {
        self.0.send_modify(|steps| *steps += 1);
        yield_now().await;
    }
}

/// A store that lets other tasks run before and after each call, and counts both.
#[derive(Clone)]
pub struct Stepwise<S> {
    pub inner: S,
    pub steps: Steps,
}

impl<S> Stepwise<S> {
    pub fn new(inner: S) -> Self {
        Self { inner, steps: Steps::new() }
    }

    async fn around<T>(&self, call: impl Future<Output = T>) -> T {
        self.steps.take().await;
        let answer = call.await;
        self.steps.take().await;
        answer
    }
}

impl<S: SessionStore> SessionStore for Stepwise<S> {
    fn user_key(&self, user_id: &str) -> Option<String> {
        self.inner.user_key(user_id)
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.around(self.inner.check()).await
    }

    async fn find(&self, id: Uuid) -> Result<Option<FoundSession>, StoreError> {
        self.around(self.inner.find(id)).await
    }

    async fn insert(&self, record: Record, limit: Option<Limit>, now: UnixTime) -> Result<Vec<Uuid>, InsertError> {
        self.around(self.inner.insert(record, limit, now)).await
    }

    async fn advance(
        &self,
        id: Uuid,
        from: Generation,
        next: Session,
        methods: Option<Methods>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        self.around(self.inner.advance(id, from, next, methods, now)).await
    }

    async fn bind(&self, id: Uuid, from: Generation, next: Session, key: &str) -> Result<bool, StoreError> {
        self.around(self.inner.bind(id, from, next, key)).await
    }

    async fn unbind(&self, id: Uuid, from: Generation) -> Result<bool, StoreError> {
        self.around(self.inner.unbind(id, from)).await
    }

    async fn acknowledge(&self, id: Uuid, generation: Generation, now: UnixTime) -> Result<(), StoreError> {
        self.around(self.inner.acknowledge(id, generation, now)).await
    }

    async fn touch(&self, id: Uuid, now: UnixTime) -> Result<(), StoreError> {
        self.around(self.inner.touch(id, now)).await
    }

    async fn of_user(&self, user_id: &str, now: UnixTime) -> Result<Vec<Record>, StoreError> {
        self.around(self.inner.of_user(user_id, now)).await
    }

    async fn end(&self, ids: &[Uuid]) -> Result<u64, StoreError> {
        self.around(self.inner.end(ids)).await
    }

    async fn remove_expired(&self, most: u32, now: UnixTime) -> Result<u64, StoreError> {
        self.around(self.inner.remove_expired(most, now)).await
    }
}

/// Return how many tasks the runtime has at rest: those of connection pools.
pub async fn tasks_at_rest() -> usize {
    let mut least = tasks();
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        least = least.min(tasks());
    }
    least
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Wait until at most this many tasks are left, so that all work whose client disconnected is done.
pub async fn idle(tasks_before: usize) -> Result<(), String> {
    comes_true(async || tasks() <= tasks_before)
        .await
        .map_err(|()| format!("{} tasks still run", tasks() - tasks_before))
}

/// Wait until this condition holds.
pub async fn comes_true(mut what: impl AsyncFnMut() -> bool) -> Result<(), ()> {
    let started = Instant::now();
    for turn in 0_u32.. {
        if what().await {
            return Ok(());
        }
        if started.elapsed() > PATIENCE {
            break;
        }
        if turn < 100 {
            yield_now().await;
        } else {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    Err(())
}

/// Return an error with this message unless the condition holds.
pub fn ensure(is_so: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(what()) }
}
