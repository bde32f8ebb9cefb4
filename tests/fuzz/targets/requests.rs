//! What the server reads of a packet, as text or as MessagePack: the first argument of each request, and a handshake.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use socketioxide_core::Value;
use syncline_protocol::message::{Auth, Hello, Presence, Pull, Push, RoomRequest, Subscribe, TokenRefresh};
use syncline_server::wire::{byte_len, decode, decode_auth, encoding};

fn read(packet: &Value) {
    byte_len(packet);
    encoding(packet);
    drop(decode::<Hello>(packet));
    drop(decode::<Push>(packet));
    drop(decode::<Pull>(packet));
    drop(decode::<Subscribe>(packet));
    drop(decode::<Presence>(packet));
    drop(decode::<RoomRequest>(packet));
    drop(decode::<TokenRefresh>(packet));
    drop(decode_auth::<Auth>(Some(packet)));
}

fuzz_target!(|input: &[u8]| {
    read(&Value::Bytes(input.to_vec().into()));
    if let Ok(text) = str::from_utf8(input) {
        read(&Value::Str(text.to_owned().into(), None));
    }
    // A compact argument comes beside a placeholder.
    let attachment = [Bytes::copy_from_slice(input)].into_iter().collect();
    read(&Value::Str(r#"["sync:push",{"_placeholder":true,"num":0}]"#.into(), Some(attachment)));
});
