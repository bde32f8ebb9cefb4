//! A stream whose other end may send little as long as it is a stranger and must take what is written, and that the server can
//! end.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::Visitor;
use super::round_trip::Heartbeat;
use crate::cut::Cut;

pub(super) struct Guarded<S> {
    stream: S,
    visitor: Arc<Visitor>,
    cut: Cut,
    /// Once it is a WebSocket.
    heartbeat: Option<Box<Heartbeat>>,
    /// The end of its patience, while the other end takes nothing of what is written.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Guarded<S> {
    pub(super) fn new(stream: S, visitor: Arc<Visitor>) -> Self {
        Self { stream, visitor, cut: Cut::default(), heartbeat: None, stalled: None }
    }

    /// What ends it.
    pub(super) fn cut(&self) -> Cut {
        self.cut.clone()
    }

    /// Gives up when the other end has taken nothing for too long.
    fn patient<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let timeout = Duration::from_millis(self.visitor.door.config.write_timeout_ms);
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        if stalled.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        tracing::debug!("a connection was closed that does not read");
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// So many bytes of these were written.
    fn wrote<'a>(&mut self, slices: impl IntoIterator<Item = &'a [u8]>, mut count: usize) {
        if !self.visitor.is_websocket() {
            return;
        }
        let heartbeat = self.heartbeat.get_or_insert_default();
        for slice in slices {
            let taken = count.min(slice.len());
            heartbeat.sent(&slice[..taken]);
            count -= taken;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut.poll_cut(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if matches!(read, Poll::Ready(Ok(()))) && !self.visitor.sent(buffer.filled().len() - before) {
            tracing::debug!("a connection was closed that sent too much before it said whose it is");
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let Self { visitor, heartbeat, .. } = &mut *self;
        if visitor.is_websocket() {
            let heartbeat = heartbeat.get_or_insert_default();
            heartbeat.received(&buffer.filled()[before..], &visitor.round_trip);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.wrote([bytes], count);
        }
        self.patient(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.patient(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        if let Poll::Ready(Ok(count)) = written {
            self.wrote(slices.iter().map(|slice| &**slice), count);
        }
        self.patient(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use futures_util::poll;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::super::Door;
    use super::*;
    use crate::config::DoorConfig;

    /// A stream that takes a byte at a time, and its other end.
    fn guarded(write_timeout_ms: u64) -> (Guarded<DuplexStream>, DuplexStream) {
        let door = Door::new(&DoorConfig { write_timeout_ms, ..DoorConfig::default() });
        let visitor = door.admit("192.0.2.1:1".parse().unwrap()).unwrap();
        let (stream, other_end) = tokio::io::duplex(1);
        (Guarded::new(stream, visitor), other_end)
    }

    #[tokio::test]
    async fn who_takes_nothing_of_what_is_written_is_given_up() {
        let (mut guarded, _other_end) = guarded(1);
        let error = guarded.write_all(&[0; 2]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_takes_little_is_waited_for_anew() {
        let (mut guarded, mut other_end) = guarded(3_600_000);
        guarded.write_all(&[0]).await.unwrap();
        for _ in 0..2 {
            assert!(poll!(Box::pin(guarded.write(&[0]))).is_pending());
            assert!(guarded.stalled.is_some());
            other_end.read_u8().await.unwrap();
            assert_eq!(guarded.write(&[0]).await.unwrap(), 1);
            assert!(guarded.stalled.is_none());
        }
    }
}
