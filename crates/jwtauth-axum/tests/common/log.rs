//! Captures what a test logs.

use std::{cell::RefCell, io, sync::Once};

use tracing_subscriber::fmt::format::FmtSpan;

thread_local! {
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Capture what this thread logs from now on, with these span events.
///
/// The subscriber is global: a thread-local one misses call sites that another thread reaches first.
pub fn start(spans: FmtSpan) {
    static START: Once = Once::new();
    START.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
        let subscriber = subscriber.with_span_events(spans).with_writer(|| Log);
        tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
        tracing::callsite::rebuild_interest_cache();
    });
    clear();
}

/// Discard what this thread has logged.
pub fn clear() {
    LOGGED.with_borrow_mut(Vec::clear);
}

/// Return what this thread has logged.
pub fn logged() -> String {
    LOGGED.with_borrow(|bytes| String::from_utf8(bytes.clone()).unwrap())
}

/// Return how often this text was logged.
pub fn times_logged(text: &str) -> usize {
    logged().matches(text).count()
}

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
