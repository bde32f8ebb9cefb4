//! Where and how to connect, checked when it is set and not when it is used.

use std::fmt;
use std::time::Duration;

use thiserror::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Uri};
use url::{Host, Url};

use super::dial::Dialer;
use super::proxy::Proxy;
use super::tls::Tls;

/// The path at which Socket.IO servers listen unless told otherwise.
pub const DEFAULT_PATH: &str = "/socket.io/";

/// Query keys that say which protocol is spoken.
const PROTOCOL_QUERY: [(&str, &str); 2] = [("EIO", "4"), ("transport", "websocket")];

/// Sizes and times of one socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketLimits {
    /// The largest message read, in bytes; a larger one closes the socket.
    pub message_bytes_max: usize,
    /// Allocated for reading as long as the socket lives, in bytes. Larger messages grow it for a while.
    pub read_buffer_bytes: usize,
    /// Written frames are gathered up to this size, in bytes, before they go to the network.
    pub write_buffer_bytes: usize,
    /// For the attempt to reach one of the host's addresses.
    pub address_timeout_ms: u64,
    /// For everything until the socket is open: name, TCP, TLS and upgrade.
    pub connect_timeout_ms: u64,
    /// For what is queued, the close frame, and its answer, once the socket is being closed.
    pub close_timeout_ms: u64,
}

impl SocketLimits {
    /// Sized for a phone.
    pub const DEFAULT: Self = Self {
        message_bytes_max: 8 * 1024 * 1024,
        read_buffer_bytes: 4 * 1024,
        write_buffer_bytes: 16 * 1024,
        address_timeout_ms: 5_000,
        connect_timeout_ms: 20_000,
        close_timeout_ms: 2_000,
    };
}

impl Default for SocketLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Why a connection cannot be asked for. The text quotes nothing of the URL, which may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequestError {
    /// Not a URL at all.
    #[error("invalid URL: {0}")]
    Url(url::ParseError),
    /// Another kind of proxy.
    #[error("the proxy's URL must begin with http")]
    ProxyScheme,
    /// A user name or password that no header can carry.
    #[error("the proxy's user name or password holds control characters or is not UTF-8")]
    ProxyCredentials,
    /// Another scheme than those four.
    #[error("the URL must begin with http, https, ws or wss")]
    Scheme,
    /// A scheme and nothing to connect to.
    #[error("the URL has no host")]
    MissingHost,
    /// Unicode in the host's name, or a name that is none. The tables that convert Unicode are not carried along.
    #[error("the host's name is not valid; one that is not ASCII is given in its ASCII form, xn--...")]
    HostName,
    /// User name or password in the URL: they end up in logs. Send a header or the auth payload.
    #[error("the URL holds credentials")]
    Credentials,
    /// The path and the query are settings of their own, and the namespace is neither.
    #[error("the URL must be scheme, host and port alone")]
    NotAnOrigin,
    /// A path without a leading `/`.
    #[error("the path must begin with '/'")]
    Path,
    /// `EIO` and `transport` are what this client is, not an option.
    #[error("query key {0} belongs to the protocol")]
    ReservedQuery(&'static str),
    /// Characters that a header cannot hold.
    #[error("invalid header name or value")]
    Header,
    /// A header that the WebSocket upgrade sets.
    #[error("header {0} belongs to the WebSocket upgrade")]
    ReservedHeader(String),
}

impl From<url::ParseError> for RequestError {
    fn from(error: url::ParseError) -> Self {
        match error {
            url::ParseError::EmptyHost => Self::MissingHost,
            url::ParseError::IdnaError => Self::HostName,
            error => Self::Url(error),
        }
    }
}

/// One connection to be opened, or opened again.
#[derive(Clone)]
pub struct ConnectRequest {
    url: Url,
    host: Host<String>,
    port: u16,
    secure: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
    dialer: Dialer,
    limits: SocketLimits,
}

impl ConnectRequest {
    /// `url` is scheme, host and port: `https://sync.example.com`. `tls` is used by `https` and `wss`.
    pub fn new(url: &str, tls: Tls) -> Result<Self, RequestError> {
        let mut url = Url::parse(url)?;
        let (scheme, secure) = match url.scheme() {
            "http" | "ws" => ("ws", false),
            "https" | "wss" => ("wss", true),
            _ => return Err(RequestError::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(RequestError::Credentials);
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(RequestError::NotAnOrigin);
        }
        url.set_scheme(scheme).map_err(|()| RequestError::Scheme)?;
        let host = url.host().ok_or(RequestError::MissingHost)?.to_owned();
        let port = url.port_or_known_default().ok_or(RequestError::Scheme)?;
        url.set_path(DEFAULT_PATH);
        url.query_pairs_mut().extend_pairs(PROTOCOL_QUERY);
        let limits = SocketLimits::DEFAULT;
        let address_timeout = Duration::from_millis(limits.address_timeout_ms);
        let dialer = Dialer { tls, proxy: None, address_timeout };
        Ok(Self { url, host, port, secure, headers: Vec::new(), dialer, limits })
    }

    /// Where the server's Socket.IO listens, instead of [`DEFAULT_PATH`].
    pub fn with_path(mut self, path: &str) -> Result<Self, RequestError> {
        if !path.starts_with('/') {
            return Err(RequestError::Path);
        }
        self.url.set_path(path);
        Ok(self)
    }

    /// Adds a parameter to the query. Proxies log queries: no secrets here.
    pub fn with_query(mut self, key: &str, value: &str) -> Result<Self, RequestError> {
        if let Some((reserved, _)) = PROTOCOL_QUERY.into_iter().find(|(reserved, _)| *reserved == key) {
            return Err(RequestError::ReservedQuery(reserved));
        }
        self.url.query_pairs_mut().append_pair(key, value);
        Ok(self)
    }

    /// Adds a header to the upgrade request.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, RequestError> {
        let name = HeaderName::try_from(name).map_err(|_| RequestError::Header)?;
        let reserved = ["host", "connection", "upgrade", "content-length", "transfer-encoding"];
        if reserved.contains(&name.as_str()) || name.as_str().starts_with("sec-websocket-") {
            return Err(RequestError::ReservedHeader(name.as_str().to_owned()));
        }
        let value = HeaderValue::try_from(value).map_err(|_| RequestError::Header)?;
        self.headers.push((name, value));
        Ok(self)
    }

    /// Goes through an HTTP proxy.
    #[must_use]
    pub fn with_proxy(mut self, proxy: Proxy) -> Self {
        self.dialer.proxy = Some(proxy);
        self
    }

    /// Sets sizes and times, instead of [`SocketLimits::DEFAULT`].
    #[must_use]
    pub fn with_limits(mut self, limits: SocketLimits) -> Self {
        self.dialer.address_timeout = Duration::from_millis(limits.address_timeout_ms);
        self.limits = limits;
        self
    }

    /// The sizes and times of the socket.
    pub fn limits(&self) -> &SocketLimits {
        &self.limits
    }

    /// The way to the server, and to others under the same rules.
    pub fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    pub(super) fn host(&self) -> &Host<String> {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn is_secure(&self) -> bool {
        self.secure
    }

    /// The upgrade request, with a fresh key.
    pub(super) fn http_request(&self) -> Option<Request> {
        let uri: Uri = self.url.as_str().parse().ok()?;
        let mut request = uri.into_client_request().ok()?;
        for (name, value) in &self.headers {
            request.headers_mut().append(name, value.clone());
        }
        Some(request)
    }
}

impl fmt::Debug for ConnectRequest {
    /// No query and no headers: they can hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectRequest")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("secure", &self.secure)
            .field("proxy", &self.dialer.proxy)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
