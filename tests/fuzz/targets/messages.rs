//! Every message of the protocol, compact and as JSON. What reads is written, and read back as the same.
#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use syncline_protocol::Document;
use syncline_protocol::message::{
    AccessLost, Auth, Changes, Done, Failure, Hello, Members, Page, Presence, PresenceDiff, PresencePong,
    Pull, Push, PushAnswer, RoomRequest, Subscribe, TokenRefresh, UserStatus, decode_compact, encode_compact,
};

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(message) = decode_compact::<T>(bytes) {
        let written = encode_compact(&message).expect("what was read can be written");
        let read = decode_compact::<T>(&written).expect("what was written reads");
        assert_eq!(read, message);
    }
    if let Ok(message) = serde_json::from_slice::<T>(bytes) {
        let written = serde_json::to_vec(&message).expect("what was read can be written");
        let read = serde_json::from_slice::<T>(&written).expect("what was written reads");
        assert_eq!(read, message);
    }
}

/// Which message the first byte names.
const CHECKS: [fn(&[u8]); 18] = [
    check::<Auth>,
    check::<Hello>,
    check::<RoomRequest>,
    check::<Done>,
    |bytes| drop(decode_compact::<TokenRefresh>(bytes)),
    check::<AccessLost>,
    check::<Subscribe>,
    check::<Pull>,
    check::<Page>,
    check::<Push>,
    check::<PushAnswer>,
    check::<Changes>,
    check::<Presence>,
    check::<Members>,
    check::<PresenceDiff>,
    check::<PresencePong>,
    |bytes| {
        check::<UserStatus>(bytes);
        check::<Failure>(bytes);
    },
    check::<Document>,
];

fuzz_target!(|input: &[u8]| {
    if let Some((kind, bytes)) = input.split_first()
        && let Some(check) = CHECKS.get(usize::from(*kind))
    {
        check(bytes);
    }
});
