//! Syncline, the client.
//!
//! - [`transport`]: how bytes travel. Engine.IO and Socket.IO as pure codecs, and the WebSocket under them.

pub mod transport;
