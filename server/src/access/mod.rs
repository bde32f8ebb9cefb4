//! Who may do what in which room: rights, the [rules](rules) that give them, and the record of what was denied.
//! Everything that is not allowed is denied.

pub mod audit;
pub(crate) mod recheck;
pub mod rules;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use syncline_protocol::{ErrorCode, Room, WireError};

use self::audit::{Audit, Denial};
use crate::presence::ConnectionId;
use crate::server_client::is_server_room;

/// Who is connected, as its token says.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// The token's `sub`.
    pub user: String,
    /// Every claim of the token.
    pub claims: Map<String, Value>,
    /// The token's `jti`.
    pub token_id: Option<String>,
    /// The token's `iat`, in seconds since the epoch.
    pub issued_s: Option<u64>,
    /// When the connection must end, in seconds since the epoch: the token's end and the leeway.
    pub ends_s: u64,
}

/// One thing that can be allowed in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// To be in the Socket.IO room, and to hear what is emitted to it.
    Join,
    /// To see documents and their changes.
    Read,
    /// To change documents.
    Write,
    /// To be shown there, and to see who else is.
    Presence,
}

impl Right {
    pub const ALL: [Self; 4] = [Self::Join, Self::Read, Self::Write, Self::Presence];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Read => "read",
            Self::Write => "write",
            Self::Presence => "presence",
        }
    }
}

/// A set of rights.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Rights(u8);

impl Rights {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self(0b1111);

    pub fn contains(self, right: Right) -> bool {
        self.0 & (1 << right as u8) != 0
    }

    #[must_use]
    pub fn with(self, right: Right) -> Self {
        Self(self.0 | 1 << right as u8)
    }

    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(move |right| self.contains(*right))
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<I: IntoIterator<Item = Right>>(rights: I) -> Self {
        rights.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Right::as_str)).finish()
    }
}

/// The rights that somebody has in a room, later.
pub type Ruling<'a> = Pin<Box<dyn Future<Output = Result<Rights, WireError>> + Send + 'a>>;

/// Decides about rights, in place of [`rules::Rules`], for a server that is embedded as a library: see
/// [`Hooks`](crate::config::Hooks).
///
/// It is asked for every request that names a room. For rooms that a connection is in already, it is asked again when the
/// token is refreshed, on [`Handle::recheck`](crate::server::Handle::recheck), and at the interval `recheck_ms`; what is
/// no longer allowed is taken away then. An error is told to whoever asked, and takes nothing away.
pub trait Authorize: Send + Sync + 'static {
    fn rights<'a>(&'a self, who: &'a Identity, room: &'a Room) -> Ruling<'a>;
}

/// The one place that says yes or no.
pub(crate) struct Access {
    authorize: Arc<dyn Authorize>,
    audit: Audit,
    timeout: Duration,
}

impl Access {
    pub(crate) fn new(authorize: Arc<dyn Authorize>, audit: Audit, timeout: Duration) -> Self {
        Self { authorize, audit, timeout }
    }

    /// What somebody may do in a room.
    pub(crate) async fn rights(&self, who: &Identity, room: &Room) -> Result<Rights, WireError> {
        // Whatever the rules say: the server keeps its own records there.
        if is_server_room(room) {
            return Ok(Rights::NONE);
        }
        match tokio::time::timeout(self.timeout, self.authorize.rights(who, room)).await {
            Ok(rights) => rights,
            Err(_) => Err(WireError::new(ErrorCode::Unavailable, "nobody said in time what is allowed")),
        }
    }

    /// Refuses what is not among the rights, and records the refusal.
    pub(crate) fn demand(
        &self,
        right: Right,
        rights: Rights,
        who: &Identity,
        connection: Option<ConnectionId>,
        room: &Room,
    ) -> Result<(), WireError> {
        if rights.contains(right) {
            return Ok(());
        }
        let (user, action, room) = (who.user.as_str(), right.as_str(), room.as_str());
        self.audit.denied(&Denial { user, connection, action, room, reason: "not_allowed" });
        Err(forbidden(right))
    }

    /// The rights of somebody in a room, if the one that is asked for is among them.
    pub(crate) async fn check(
        &self,
        right: Right,
        who: &Identity,
        connection: Option<ConnectionId>,
        room: &Room,
    ) -> Result<Rights, WireError> {
        let rights = self.rights(who, room).await?;
        self.demand(right, rights, who, connection, room)?;
        Ok(rights)
    }

    /// Records that somebody lost a right that was in use.
    pub(crate) fn withdrawn(&self, right: Right, who: &Identity, connection: ConnectionId, room: &Room) {
        let (user, action, room) = (who.user.as_str(), right.as_str(), room.as_str());
        self.audit.denied(&Denial { user, connection: Some(connection), action, room, reason: "withdrawn" });
    }

    pub(crate) fn audit(&self) -> &Audit {
        &self.audit
    }
}

fn forbidden(right: Right) -> WireError {
    let message = format!("the token does not allow to {} this room", verb(right));
    WireError::new(ErrorCode::Forbidden, message)
}

fn verb(right: Right) -> &'static str {
    match right {
        Right::Join => "join",
        Right::Read => "read",
        Right::Write => "write to",
        Right::Presence => "be present in",
    }
}
