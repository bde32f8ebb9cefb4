//! Why a socket ended, as data the engine can act on.

use std::io::ErrorKind;

use rustls::{CertificateError, Error as RustlsError};
use thiserror::Error;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error as WebSocketError, ProtocolError};

use crate::http_date;

/// The close code of a close frame that has none (RFC 6455, section 7.1.5).
pub(super) const NO_STATUS: u16 = 1005;

/// Why a socket could not be opened, or ended. The text names no address, header, token or content.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CloseReason {
    /// The host name could not be resolved.
    #[error("host name not resolved")]
    Dns,
    /// Nothing listens on the port.
    #[error("connection refused")]
    Refused,
    /// There is no way to the host from here.
    #[error("host unreachable")]
    Unreachable,
    /// The server did not answer within
    /// [`SocketLimits::connect_timeout_ms`](super::SocketLimits::connect_timeout_ms).
    #[error("no answer in time")]
    Timeout,
    /// The TLS handshake or session failed.
    #[error("TLS: {0}")]
    Tls(TlsFailure),
    /// The server, or something before it, answered the upgrade with a status: 401, 502, or the 200 or 302 of a
    /// captive portal.
    #[error("HTTP status {0} instead of a WebSocket")]
    HttpStatus(u16),
    /// The server asks to come back later.
    #[error("HTTP status {status}: try again in {retry_after_ms} ms")]
    RetryAfter { status: u16, retry_after_ms: u64 },
    /// The proxy did not let the connection through.
    #[error("HTTP status {0} from the proxy")]
    Proxy(u16),
    /// What answered is no HTTP proxy.
    #[error("not an HTTP proxy")]
    NotProxy,
    /// The answer to the upgrade was not one that a WebSocket server gives.
    #[error("not a WebSocket server")]
    NotWebSocket,
    /// A message over [`SocketLimits::message_bytes_max`](super::SocketLimits::message_bytes_max).
    #[error("message too large")]
    TooLarge,
    /// The server broke the WebSocket protocol.
    #[error("WebSocket protocol: {0}")]
    Protocol(String),
    /// The server closed with a close frame; 1005 stands for a frame without a code.
    #[error("closed by the server with code {code}")]
    Remote { code: u16 },
    /// The connection ended without a close frame.
    #[error("connection lost")]
    Eof,
    /// Any other failure of the network.
    #[error("network: {0}")]
    Io(ErrorKind),
    /// Closed by this end.
    #[error("closed")]
    Local,
}

/// What is wrong with the TLS session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TlsFailure {
    /// No authority that is believed signed the certificate.
    #[error("certificate of an unknown authority")]
    UnknownIssuer,
    /// The certificate names other hosts.
    #[error("certificate of another host")]
    WrongHost,
    /// Also what a device with a wrong clock sees.
    #[error("certificate not valid at this time")]
    Expired,
    /// The certificate is believed, but none of its keys is pinned.
    #[error("no pinned key")]
    Pin,
    /// The system's own check, which is the host's to set up, is not there: nobody is believed.
    #[error("the system's certificate check is not set up")]
    NoSystemCheck,
    /// Anything else that is wrong with the certificate.
    #[error("certificate not accepted")]
    Certificate,
    /// The two ends could not agree, or the other does not speak TLS.
    #[error("handshake failed")]
    Handshake,
}

impl CloseReason {
    /// The server refused who asks: a new token can help, another attempt with the same one cannot.
    pub fn is_auth(&self) -> bool {
        matches!(self, Self::HttpStatus(401 | 403))
    }

    /// The server's advice on when to come back.
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::RetryAfter { retry_after_ms, .. } => Some(*retry_after_ms),
            _ => None,
        }
    }

    pub(super) fn from_io(error: &std::io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<RustlsError>());
        if let Some(error) = inner {
            return Self::Tls(TlsFailure::from_rustls(error));
        }
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable | ErrorKind::NetworkDown => {
                Self::Unreachable
            }
            ErrorKind::TimedOut => Self::Timeout,
            ErrorKind::UnexpectedEof => Self::Eof,
            kind => Self::Io(kind),
        }
    }

    /// A failure before the WebSocket was open.
    pub(super) fn from_upgrade(error: &WebSocketError) -> Self {
        match error {
            WebSocketError::Http(response) => {
                let status = response.status().as_u16();
                let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
                let date_ms = header("date").and_then(http_date::parse_ms);
                let advice_ms =
                    header("retry-after").and_then(|advice| http_date::retry_after_ms(advice, date_ms));
                match advice_ms {
                    Some(retry_after_ms) if matches!(status, 429 | 503) => {
                        Self::RetryAfter { status, retry_after_ms }
                    }
                    _ => Self::HttpStatus(status),
                }
            }
            WebSocketError::Io(error) => Self::from_io(error),
            WebSocketError::Protocol(ProtocolError::HandshakeIncomplete) => Self::Eof,
            _ => Self::NotWebSocket,
        }
    }

    /// A failure of the open WebSocket.
    pub(super) fn from_open(error: &WebSocketError) -> Self {
        match error {
            WebSocketError::Io(error) => Self::from_io(error),
            WebSocketError::Capacity(CapacityError::MessageTooLong { .. }) => Self::TooLarge,
            WebSocketError::ConnectionClosed
            | WebSocketError::AlreadyClosed
            | WebSocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Eof,
            WebSocketError::Protocol(error) => Self::Protocol(error.to_string()),
            WebSocketError::Utf8(_) => Self::Protocol("text is not UTF-8".to_owned()),
            _ => Self::Protocol("unexpected failure".to_owned()),
        }
    }
}

impl TlsFailure {
    fn from_rustls(error: &RustlsError) -> Self {
        match error {
            RustlsError::InvalidCertificate(error) => match error {
                CertificateError::UnknownIssuer => Self::UnknownIssuer,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    Self::WrongHost
                }
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Self::Expired,
                CertificateError::Other(error) if super::pins::is_mismatch(error) => Self::Pin,
                CertificateError::Other(error) if super::system_trust::is_missing(error) => {
                    Self::NoSystemCheck
                }
                _ => Self::Certificate,
            },
            _ => Self::Handshake,
        }
    }
}
