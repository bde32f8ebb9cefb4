//! How the HTTP client of the queue gets its connections.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::http::Uri;
use tower_service::Service;
use url::Host;

use super::close::CloseReason;
use super::dial::{ByteStream, Dialer};
use super::tls::Protocols;

/// Dials whatever server a request is for.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    dialer: Dialer,
    timeout: Duration,
}

impl Connector {
    pub(super) fn new(dialer: Dialer, timeout: Duration) -> Self {
        Self { dialer, timeout }
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = CloseReason;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, CloseReason>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { dialer, timeout } = self.clone();
        Box::pin(async move {
            let host = Host::parse(uri.host().unwrap_or_default()).map_err(|_| CloseReason::Dns)?;
            let secure = (uri.scheme_str() == Some("https")).then_some(Protocols::Requests);
            let port = uri.port_u16().unwrap_or(if secure.is_some() { 443 } else { 80 });
            let dialed = tokio::time::timeout(timeout, dialer.dial(&host, port, secure)).await;
            let dialed = dialed.map_err(|_| CloseReason::Timeout)??;
            Ok(Stream { io: TokioIo::new(dialed.stream), is_http2: dialed.is_http2 })
        })
    }
}

/// A connection as the HTTP client takes it.
pub(super) struct Stream {
    io: TokioIo<Box<dyn ByteStream>>,
    is_http2: bool,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        if self.is_http2 { connected.negotiated_h2() } else { connected }
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
