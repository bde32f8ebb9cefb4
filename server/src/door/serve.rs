//! Accepts connections and serves HTTP/1.1 on them.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt;

use super::guard::Guarded;
use super::{Door, Tls, Visitor};
use crate::operate::http::Peer;
use crate::operate::traffic::{CountedIo, Traffic};

/// How long to wait when no connection can be accepted, as when there are no file handles left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// The least that hyper takes for a request's head.
const HEAD_BYTES_MIN: usize = 8192;

/// Where to listen, and how.
pub(crate) struct Listening {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) door: Arc<Door>,
}

/// Listens, with a queue of this length for those who come at once.
pub(crate) fn listen(address: SocketAddr, queue_max: u32) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A server that starts anew takes the place of the one before, whose connections the system remembers for a while.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(queue_max)
}

/// Serves until `stop`; then takes no more connections, and waits for the requests under way.
pub(crate) async fn serve(listening: Listening, router: Router, stop: impl Future<Output = ()>) {
    let Listening { listener, tls, traffic, door } = listening;
    let config = &door.config;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(config.request_head_timeout_ms))
        .max_buf_size(config.request_head_bytes_max.max(HEAD_BYTES_MIN));
    let stopping = watch::Sender::new(false);
    let mut stop = pin!(stop);
    let mut follow = pin!(follow(tls.as_deref(), Duration::from_millis(config.tls_reload_ms.max(1))));
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            () = &mut follow => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Who is turned away here is not even told: that would cost more than it is worth.
                let Some(visitor) = door.admit(peer) else { continue };
                send_at_once(&stream);
                let connection = Connection {
                    http: http.clone(),
                    router: router.clone(),
                    visitor,
                    peer: Peer(peer),
                    stopping: stopping.subscribe(),
                };
                let tls = tls.as_ref().map(|tls| tls.config());
                let head_timeout = Duration::from_millis(config.request_head_timeout_ms);
                let stream = CountedIo::new(stream, &traffic);
                tokio::spawn(connection.run(stream, tls, head_timeout));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    stopping.send_replace(true);
    stopping.closed().await;
}

async fn follow(tls: Option<&Tls>, interval: Duration) {
    match tls {
        Some(tls) => tls.follow(interval).await,
        None => std::future::pending().await,
    }
}

struct Connection {
    http: http1::Builder,
    router: Router,
    visitor: Arc<Visitor>,
    peer: Peer,
    stopping: watch::Receiver<bool>,
}

impl Connection {
    async fn run(
        self,
        stream: CountedIo<TcpStream>,
        tls: Option<Arc<rustls::ServerConfig>>,
        timeout: Duration,
    ) {
        let Some(tls) = tls else { return self.serve(stream).await };
        let handshake = tokio_rustls::TlsAcceptor::from(tls).accept(stream);
        match tokio::time::timeout(timeout, handshake).await {
            Ok(Ok(stream)) => self.serve(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self { http, router, visitor, peer, mut stopping } = self;
        let stream = Guarded::new(stream, Arc::clone(&visitor));
        let cut = stream.cut();
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Arc::clone(&visitor));
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(cut.clone());
            router.clone().oneshot(request)
        });
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
        let stop = async {
            // An error means that the server is gone, which comes to the same.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        };
        let served = tokio::select! {
            served = &mut connection => served,
            () = stop => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection broke");
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// A packet with an attachment is two small writes: the second must not wait for the first to be acknowledged.
fn send_at_once(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps delaying small writes");
    }
}
