//! The native backend: `echo` on socketioxide, the library that our server stands on. Our server itself answers no events
//! of an app but its rooms', and 500 a second.

use std::io::Write as _;

use axum::Router;
use axum::serve::ListenerExt as _;
use socketioxide::extract::{AckSender, Data, SocketRef};
use socketioxide::{ParserConfig, SocketIo};
use tokio::net::TcpListener;

use crate::scenario::BenchError;

/// By which this program is told to be one.
pub(super) const NAME: &str = "rtt/native";

/// Serves until whoever started it has gone, which closes its standard input.
pub(super) fn run() -> Result<(), BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (gone, ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let read = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        // It has ended by itself, perhaps.
        let _unheard = gone.send(read);
    });
    runtime.block_on(async {
        tokio::select! {
            served = serve() => served,
            _ = ended => Ok(()),
        }
    })
}

async fn serve() -> Result<(), BenchError> {
    let (layer, io) = SocketIo::builder().with_parser(ParserConfig::msgpack()).build_layer();
    io.ns("/", async |socket: SocketRef| {
        socket.on("echo", async |Data::<String>(text), ack: AckSender| drop(ack.send(&text)));
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
    Ok(axum::serve(listener, Router::new().layer(layer)).await?)
}
