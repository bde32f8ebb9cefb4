//! `push`: how many mutations each storage of the server makes durable in a second.
//!
//! The storage is asked as the server's sessions ask it, in one process, without sockets: what is measured is the merge, the
//! dedupe and the disk. Each client pushes ten new documents, waits until they are durable, and pushes the next ten. Alone, a client
//! waits for the disk each time; many share its syncs. Postgres runs on the same machine, with `fsync` on as it is by
//! default, and takes its share of the processor.

mod clients;

use std::path::Path;

use crate::contender::serve;
use crate::scenario::{BenchError, Block, Contender, Program, Scenario, Work};

const SLED: &str = "sled";
const POSTGRES: &str = "Postgres";

const ONE: &str = "1 client";
const OWN_ROOMS: &str = "100 clients, a room each";
const ONE_ROOM: &str = "100 clients, one room";

const UNIT: &str = "mutations/s";

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "push",
    description: "mutations that the server's storages make durable",
    contenders: &[
        Contender { name: SLED, program: Program::Own("push/sled") },
        Contender { name: POSTGRES, program: Program::Own("push/postgres") },
    ],
    blocks: &[
        Block { name: ONE, samples: 1, work: Work::Batch(1_000), unit: UNIT, also: &[] },
        Block { name: OWN_ROOMS, samples: 1, work: Work::Concurrent(20_000), unit: UNIT, also: &[] },
        Block { name: ONE_ROOM, samples: 1, work: Work::Concurrent(20_000), unit: UNIT, also: &[] },
    ],
    rounds: 5,
    goals: &[],
};

/// Runs the scenario's own contender until its orders end.
pub(crate) fn contend(name: &str, directory: &Path) -> Result<(), BenchError> {
    let storage = match name {
        "push/sled" => "sled".to_owned(),
        "push/postgres" => std::env::var(DATABASE_VARIABLE)
            .map_err(|_| BenchError::failed(name, format!("{DATABASE_VARIABLE} names no database")))?,
        _ => return Err(BenchError::failed(name, "is not known")),
    };
    let contender = clients::Contender::open(directory, &storage)?;
    serve(|order| contender.run(order))
}

/// The database that `scripts/bench` starts.
const DATABASE_VARIABLE: &str = "SYNCLINE_POSTGRES_URL";
