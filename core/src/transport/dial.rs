//! A connection to a server: its name, TCP, a proxy's tunnel, TLS. The socket and the queue's requests dial alike.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use url::Host;

use super::close::{CloseReason, TlsFailure};
use super::proxy::Proxy;
use super::tls::{Protocols, Tls};

/// How long an address is tried alone before the next is tried beside it.
///
/// Source: "Connection Attempt Delay" in RFC 8305, section 5.
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// TCP or TLS: one type, so that what is spoken over it is compiled once.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// The way to any server.
#[derive(Debug, Clone)]
pub struct Dialer {
    pub(super) tls: Tls,
    pub(super) proxy: Option<Proxy>,
    /// For the attempt to reach one of the host's addresses.
    pub(super) address_timeout: Duration,
}

/// An open connection.
pub(super) struct Dialed {
    pub(super) stream: Box<dyn ByteStream>,
    /// Whether the server chose HTTP/2.
    pub(super) is_http2: bool,
}

impl Dialer {
    /// Connects to a server, with TLS if protocols to offer are given.
    pub(super) async fn dial(
        &self,
        host: &Host<String>,
        port: u16,
        secure: Option<Protocols>,
    ) -> Result<Dialed, CloseReason> {
        let tcp = match &self.proxy {
            None => self.connect(host, port).await?,
            Some(proxy) => {
                let mut tcp = self.connect(&proxy.host, proxy.port).await?;
                proxy.tunnel(&mut tcp, host, port).await?;
                tcp
            }
        };
        tcp.set_nodelay(true).map_err(|error| CloseReason::from_io(&error))?;
        let Some(protocols) = secure else {
            return Ok(Dialed { stream: Box::new(tcp), is_http2: false });
        };
        let config = self.tls.config(protocols).map_err(|error| {
            tracing::warn!(%error, "no TLS");
            CloseReason::Tls(TlsFailure::NoSystemCheck)
        })?;
        let name = server_name(host).ok_or(CloseReason::Tls(TlsFailure::WrongHost))?;
        let stream = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await;
        let stream = stream.map_err(|error| CloseReason::from_io(&error))?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Dialed { stream: Box::new(stream), is_http2 })
    }

    async fn connect(&self, host: &Host<String>, port: u16) -> Result<TcpStream, CloseReason> {
        let addresses: Vec<SocketAddr> = match host {
            Host::Ipv4(address) => vec![SocketAddr::from((*address, port))],
            Host::Ipv6(address) => vec![SocketAddr::from((*address, port))],
            Host::Domain(name) => {
                let found = tokio::net::lookup_host((name.as_str(), port)).await;
                found.map_err(|_| CloseReason::Dns)?.collect()
            }
        };
        connect_first(&addresses, self.address_timeout).await
    }
}

/// Tries the addresses in their order, each within `limit`, the next as soon as one fails or is slow; the reason is that
/// of the last to fail.
pub(super) async fn connect_first(
    addresses: &[SocketAddr],
    limit: Duration,
) -> Result<TcpStream, CloseReason> {
    let mut reason = CloseReason::Dns;
    let mut left = addresses.iter();
    let mut attempts = FuturesUnordered::new();
    loop {
        match left.next() {
            Some(address) => attempts.push(connect_within(*address, limit)),
            None if attempts.is_empty() => return Err(reason),
            None => {}
        }
        tokio::select! {
            Some(ended) = attempts.next() => match ended {
                Ok(tcp) => return Ok(tcp),
                Err(error) => reason = error,
            },
            () = sleep(NEXT_ADDRESS_AFTER), if left.len() > 0 => {}
        }
    }
}

async fn connect_within(address: SocketAddr, limit: Duration) -> Result<TcpStream, CloseReason> {
    match timeout(limit, TcpStream::connect(address)).await {
        Ok(connected) => connected.map_err(|error| CloseReason::from_io(&error)),
        Err(_) => Err(CloseReason::Timeout),
    }
}

/// The name that the server's certificate must carry.
fn server_name(host: &Host<String>) -> Option<ServerName<'static>> {
    match host {
        Host::Domain(name) => ServerName::try_from(name.clone()).ok(),
        Host::Ipv4(address) => Some(ServerName::from(IpAddr::from(*address))),
        Host::Ipv6(address) => Some(ServerName::from(IpAddr::from(*address))),
    }
}
