//! Ending a transport from the server's side. Socket.IO's own disconnect tells a client to stay away; a transport that
//! ends is what every client takes as "connect again".

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

/// Ends one transport. Every request on it has one among its extensions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cut(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_cut: AtomicBool,
    reader: AtomicWaker,
}

impl Cut {
    /// The server reads the end of the stream next, and closes its side.
    pub(crate) fn cut(&self) {
        self.0.is_cut.store(true, Ordering::Release);
        self.0.reader.wake();
    }

    /// Whether it was cut; if not, the reader is woken when it is.
    pub(crate) fn poll_cut(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.reader.register(cx.waker());
        if self.0.is_cut.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }
}
