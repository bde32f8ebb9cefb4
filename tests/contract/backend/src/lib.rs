//! A small Socket.IO backend without sync: what the transcripts of the app's own events, requests and jobs talk to.
//!
//! It speaks MessagePack in `/` and `/chat`, refuses `/closed`, and answers requests under `/api`.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json as Body, Router};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use socketioxide::extract::{AckSender, Data, SocketRef};
use socketioxide::handler::ConnectHandler;
use socketioxide::{ParserConfig, SocketIo};
use tokio::net::TcpListener;

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let (layer, io) = SocketIo::builder().with_parser(ParserConfig::msgpack()).build_layer();
    io.ns("/", connected);
    io.ns("/chat", connected);
    io.ns("/closed", connected.with(refuse));
    axum::serve(listener, Router::new().route("/api/{name}", post(request)).layer(layer)).await
}

#[derive(Serialize, Deserialize)]
struct Photo {
    name: String,
    bytes: Bytes,
}

async fn connected(socket: SocketRef) {
    // The three arguments that it is sent.
    socket.on("echo", async |Data::<(Json, Json, Json)>(args), ack: AckSender| drop(ack.send(&args)));
    // Its bytes turned round; an event tells them, too.
    socket.on("develop", async |socket: SocketRef, Data::<Photo>(photo), ack: AckSender| {
        let bytes: Bytes = photo.bytes.iter().rev().copied().collect();
        drop(socket.emit("developed", &bytes));
        drop(ack.send(&Photo { bytes, ..photo }));
    });
    // The photo that the client answers with, when it is shown one.
    socket.on("show", async |socket: SocketRef, Data::<Photo>(photo)| {
        let Ok(answer) = socket.emit_with_ack::<_, Photo>("look", &photo) else { return };
        if let Ok(answer) = answer.await {
            drop(socket.emit("looked", &answer));
        }
    });
    // What the client answers to its question.
    socket.on("ask", async |socket: SocketRef, Data::<Json>(question)| {
        let Ok(answer) = socket.emit_with_ack::<_, Json>("question", &question) else { return };
        if let Ok(answer) = answer.await {
            drop(socket.emit("answered", &answer));
        }
    });
    // An event that begins with `news:`.
    socket.on("announce", async |socket: SocketRef, Data::<String>(subject)| {
        drop(socket.emit(format!("news:{subject}"), &json!({ "subject": subject })));
    });
    for name in ["room:join", "room:leave"] {
        socket.on(name, async |Data::<Json>(request), ack: AckSender| {
            let answer = match request["room"].as_str() {
                Some(room) if room.starts_with("closed") => {
                    json!({ "error": { "code": "forbidden", "message": "not for you" } })
                }
                _ => json!({ "ok": true }),
            };
            drop(ack.send(&answer));
        });
    }
    socket.on("order", async |Data::<Json>(order), ack: AckSender| {
        drop(ack.send(&json!({ "accepted": order["item"] })));
    });
    socket.on("refused", async |ack: AckSender| {
        drop(ack.send(&json!({ "error": { "code": "invalid", "message": "no such item" } })));
    });
}

#[derive(Debug, thiserror::Error)]
#[error("forbidden: members only")]
struct MembersOnly;

async fn refuse() -> Result<(), MembersOnly> {
    Err(MembersOnly)
}

async fn request(Path(name): Path<String>) -> Response {
    match name.as_str() {
        "orders" => Body(json!({ "accepted": true })).into_response(),
        _ => (StatusCode::UNPROCESSABLE_ENTITY, Body(json!({ "message": "no such item" }))).into_response(),
    }
}
