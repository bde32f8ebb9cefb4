//! A stream whose other end may send little as long as it is a stranger, and that the server can end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Visitor;
use super::round_trip::Heartbeat;
use crate::cut::Cut;

pub(super) struct Guarded<S> {
    stream: S,
    visitor: Arc<Visitor>,
    cut: Cut,
    /// Once it is a WebSocket.
    heartbeat: Option<Box<Heartbeat>>,
}

impl<S> Guarded<S> {
    pub(super) fn new(stream: S, visitor: Arc<Visitor>) -> Self {
        Self { stream, visitor, cut: Cut::default(), heartbeat: None }
    }

    /// What ends it.
    pub(super) fn cut(&self) -> Cut {
        self.cut.clone()
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
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
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
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
