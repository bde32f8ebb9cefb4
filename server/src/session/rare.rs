//! What seldom happens, polled only when it woke its task itself. What all sessions wait for has one lock, which none of them
//! should take for each event that it sends.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::{ArcWake, AtomicWaker, waker_ref};

/// An event under a waker of its own. Polled by one task at a time.
pub(super) struct Rare<F> {
    event: Pin<Box<F>>,
    bell: Arc<Bell>,
}

/// What the event wakes.
#[derive(Default)]
struct Bell {
    is_rung: AtomicBool,
    task: AtomicWaker,
}

impl ArcWake for Bell {
    fn wake_by_ref(bell: &Arc<Self>) {
        bell.is_rung.store(true, Ordering::Release);
        bell.task.wake();
    }
}

impl<F: Future> Rare<F> {
    pub(super) fn new(event: F) -> Self {
        let bell = Bell { is_rung: AtomicBool::new(true), task: AtomicWaker::new() };
        Self { event: Box::pin(event), bell: Arc::new(bell) }
    }

    /// Waits for another event from now on.
    pub(super) fn set(&mut self, event: F) {
        self.event.set(event);
        self.bell.is_rung.store(true, Ordering::Release);
    }
}

impl<F: Future> Future for Rare<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { event, bell } = &mut *self;
        bell.task.register(cx.waker());
        if !bell.is_rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        event.as_mut().poll(&mut Context::from_waker(&waker_ref(bell)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures_util::poll;
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn it_is_polled_when_it_was_woken_and_not_when_its_task_was() {
        let (polls, happens) = (AtomicUsize::new(0), Notify::new());
        let mut rare = Rare::new(async {
            let mut notified = std::pin::pin!(happens.notified());
            std::future::poll_fn(|cx| {
                polls.fetch_add(1, Ordering::Relaxed);
                notified.as_mut().poll(cx)
            })
            .await;
        });
        for _ in 0..3 {
            assert!(poll!(&mut rare).is_pending());
        }
        assert_eq!(polls.load(Ordering::Relaxed), 1);
        happens.notify_one();
        assert!(poll!(&mut rare).is_ready());
    }

    #[tokio::test]
    async fn it_wakes_the_task_that_waits_for_it() {
        let (tell, told) = tokio::sync::oneshot::channel();
        let waiting = tokio::spawn(Rare::new(told));
        tell.send(7).ok();
        assert_eq!(waiting.await.ok(), Some(Ok(7)));
    }

    #[tokio::test]
    async fn the_next_event_is_waited_for_once_it_is_set() {
        let mut rare = Rare::new(std::future::ready(1));
        assert_eq!((&mut rare).await, 1);
        assert!(poll!(&mut rare).is_pending());
        rare.set(std::future::ready(2));
        assert_eq!(rare.await, 2);
    }
}
