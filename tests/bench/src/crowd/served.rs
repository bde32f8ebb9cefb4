//! The server that a crowd talks to, and how it is spoken to.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value as Json, json};

use super::socket::Socket;
use crate::listening::Listening;
use crate::scenario::BenchError;
use crate::server::Server;

/// Where servers are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places<'a> {
    /// The binary `syncline-server`.
    pub(super) server: &'a Path,
    /// The folder of the contenders that run in Node.
    pub(super) peers: &'a Path,
}

/// The room of all scenarios; tokens are for it.
pub(super) const ROOM: &str = "list:crowd";

/// The fanned-out event, by which frames are counted.
pub(super) const CHANGES: &str = "42[\"sync:changes\"";

/// Which server.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Syncline,
    SocketIo,
}

/// A running server.
pub(super) enum Served {
    Syncline(Server),
    SocketIo(Listening),
}

impl Served {
    /// Starts one, with its data in `directory`, which exists.
    pub(super) fn start(kind: Kind, directory: &Path, places: &Places<'_>) -> Result<Self, BenchError> {
        match kind {
            Kind::Syncline => Server::start(places.server, directory).map(Self::Syncline),
            Kind::SocketIo => {
                let mut command = Command::new("node");
                command.arg(places.peers.join("crowd_server.mjs")).stdin(Stdio::piped());
                Listening::start("socket.io", &mut command).map(Self::SocketIo)
            }
        }
    }

    pub(super) fn address(&self) -> Result<SocketAddr, BenchError> {
        let url = match self {
            Self::Syncline(server) => server.url(),
            Self::SocketIo(server) => server.url(),
        };
        let address = url.strip_prefix("http://").unwrap_or(url);
        address.parse().map_err(|error| BenchError::failed(url, error))
    }

    pub(super) fn process_id(&self) -> u32 {
        match self {
            Self::Syncline(server) => server.process_id(),
            Self::SocketIo(server) => server.process_id(),
        }
    }

    /// A client whose session is open, of a user of its own.
    pub(super) async fn connect(&self, client: u64) -> Result<Socket, BenchError> {
        let (id, user) = (uuid::Uuid::from_u64_pair(1, client), format!("user-{client}"));
        let auth = match self {
            Self::Syncline(_) => json!({"token": Server::token(&user)?, "client_id": id}),
            Self::SocketIo(_) => json!({"client_id": id, "user_id": user}),
        };
        Socket::connect(self.address()?, &auth).await
    }

    /// Has the client hear of changes after `cursor`. Answers the page.
    pub(super) async fn subscribe(&self, socket: &mut Socket, cursor: u64) -> Result<Json, BenchError> {
        socket.ask("sync:subscribe", &json!({"room": ROOM, "cursor": cursor})).await
    }

    /// A write, as a request that is answered: the client's so many-th.
    pub(super) fn write(number: u64, id: &str, fields: &Json) -> (&'static str, Json) {
        let mutation = json!({
            "client_seq": number, "collection": "notes", "id": id, "write": {"create": fields}, "time": [0, 0],
        });
        ("sync:push", json!({"room": ROOM, "after": null, "mutations": [mutation]}))
    }
}
