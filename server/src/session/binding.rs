//! A client id becomes its user's for good before anybody else is shown it: until then only its client can know it.

use syncline_protocol::message::Push;
use syncline_protocol::{
    ClientId, Collection, DocumentId, ErrorCode, HybridTime, Mutation, NameError, Room, WireError, Write,
};

use crate::hub::Author;
use crate::storage::{self, Storage};

const ROOM: &str = "$server:clients";
const COLLECTION: &str = "clients";

/// Has the storage note whose client it is, as that client's first push would. Refused where it is another user's.
pub(super) async fn bind(storage: &dyn Storage, user: &str, client: ClientId) -> Result<(), WireError> {
    let internal = |error: NameError| WireError::new(ErrorCode::Internal, error.to_string());
    let deletion = Mutation {
        client_seq: 1,
        collection: Collection::new(COLLECTION).map_err(internal)?,
        id: DocumentId::new(client.to_string()).map_err(internal)?,
        // Of what is not there: the number is noted, and whose it is, and the log stays empty.
        write: Write::Delete,
        time: HybridTime::default(),
        base: None,
    };
    let room = Room::new(ROOM).map_err(internal)?;
    let push = Push { room, after: None, mutations: vec![deletion] };
    let answer = storage.push(push, Author::client(user, client)).await?;
    match (answer.results.is_empty(), answer.error) {
        (false, _) => Ok(()),
        (true, error) => Err(error.unwrap_or_else(storage::unavailable)),
    }
}
