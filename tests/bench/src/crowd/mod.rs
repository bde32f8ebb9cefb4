//! `fanout`, `connections`, `herd`, `presence`: one server and a crowd of clients, beside npm `socket.io` doing the same.
//!
//! The clients are the same for both servers: bare sockets in one process ([`socket`]) that speak as much of Socket.IO as is
//! needed and read no more of a frame than they must, so that what is measured is the server. Both send and get the same
//! plain JSON. Syncline's writes are durable before they are told; npm's server keeps nothing.

mod connections;
mod fanout;
mod herd;
mod presence;
mod served;
mod socket;

use std::path::Path;

use crate::contender::{Order, serve};
use crate::scenario::{BenchError, Contender, Program};

pub(crate) use connections::SCENARIO as CONNECTIONS;
pub(crate) use fanout::SCENARIO as FANOUT;
pub(crate) use herd::SCENARIO as HERD;
pub(crate) use presence::SCENARIO as PRESENCE;

use served::{Kind, Places, Served};

const SYNCLINE: &str = "Syncline";
const SOCKET_IO: &str = "socket.io";

const fn contenders(syncline: &'static str, socket_io: &'static str) -> [Contender; 2] {
    [
        Contender { name: SYNCLINE, program: Program::Own(syncline) },
        Contender { name: SOCKET_IO, program: Program::Own(socket_io) },
    ]
}

/// Runs one of the scenarios' contenders until its orders end.
pub(crate) fn contend(name: &str, directory: &Path, server: &Path, peers: &Path) -> Result<(), BenchError> {
    let Some((scenario, kind)) = name.split_once('/') else {
        return Err(BenchError::failed(name, "is not known"));
    };
    let kind = match kind {
        "syncline" => Kind::Syncline,
        "socketio" => Kind::SocketIo,
        _ => return Err(BenchError::failed(name, "is not known")),
    };
    let places = Places { server, peers };
    let start = |directory: &Path| Served::start(kind, directory, &places);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match scenario {
        "fanout" => {
            let served = start(directory)?;
            let mut contender = runtime.block_on(fanout::Contender::open(&served))?;
            serve(|order: &Order| runtime.block_on(contender.run(order)))
        }
        // A server that has had a crowd keeps memory for the next one, and remembers whom it has lost.
        "connections" | "herd" | "presence" => serve(|order: &Order| {
            let directory = tempfile::tempdir_in(directory)?;
            let served = start(directory.path())?;
            runtime.block_on(async {
                match scenario {
                    "herd" => herd::run(&served, order).await,
                    "presence" => presence::run(&served, order).await,
                    _ => connections::run(&served, order).await,
                }
            })
        }),
        _ => Err(BenchError::failed(name, "is not known")),
    }
}
