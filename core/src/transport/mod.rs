//! The way to the server: Socket.IO v5 over Engine.IO v4 over one WebSocket.
//!
//! ```text
//! Message  <-- codec::Decoder --  Frame  <-- websocket::Socket --  TCP or TLS
//!          --- codec::encode  -->        --- Socket::send      -->
//! ```
//!
//! The codec is pure: no socket, no clock, and the same code reads and writes both ends of the wire, so a
//! simulation can stand in for the server. What it reads is hostile: every size is bounded by
//! [`DecodeLimits`] and every fault is a [`CodecError`].
//!
//! - [`codec`]: both layers joined, one [`Message`] per packet.
//! - [`engineio`]: the packets of the connection: handshake, heartbeat, close.
//! - [`socketio`]: the packets of the application, in the JSON and in the MessagePack notation.
//! - `messagepack`: finds where a MessagePack value ends without building it.
//! - [`endpoint`]: where to connect, checked when it is set.
//! - [`dial`]: name, TCP, proxy and TLS, for the socket and for requests.
//! - [`websocket`]: the socket, polled by the driver, over a stream that `metered` counts.
//! - [`http`]: requests beside the socket, on connections that `connector` dials under the same rules.
//! - [`proxy`]: a way through an HTTP proxy.
//! - [`close`]: why a socket ended.
//! - [`tls`]: which certificates are believed; [`system_trust`]: by the system's rules; [`pins`]: which keys a server must
//!   have.

pub mod close;
pub mod codec;
mod connector;
pub mod dial;
pub mod endpoint;
pub mod engineio;
mod error;
pub mod http;
mod messagepack;
mod metered;
pub mod pins;
pub mod proxy;
pub mod socketio;
pub mod system_trust;
pub mod tls;
pub mod websocket;

pub use close::{CloseReason, TlsFailure};
pub use codec::{DecodeLimits, Decoder, Frame, Message, encode};
pub use dial::Dialer;
pub use endpoint::{ConnectRequest, RequestError, SocketLimits};
pub use engineio::Handshake;
pub use error::CodecError;
pub use http::HttpClient;
pub use pins::{PinError, Pins};
pub use proxy::Proxy;
pub use socketio::{Namespace, Packet, Parser, Payload};
pub use system_trust::{Distrust, SystemJudge, set_system_judge};
pub use tls::{Roots, Tls, TlsError, TlsOptions};
pub use websocket::{Movement, Socket, SocketEvent};

#[cfg(test)]
mod tests;
