//! `push`: how many mutations the real server makes durable in a second, with its rooms in each of its storages.
//!
//! Clients are those that an app holds, with a store in memory, in one process; each writes ten documents in one call,
//! waits until they are confirmed, and writes the next ten. Alone, a client waits for the disk each time; many share its
//! syncs. Postgres runs on the same machine, with `fsync` on as it is by default.

mod syncline;

use std::path::Path;

use crate::contender::serve;
use crate::scenario::{BenchError, Block, Bound, Contender, Goal, Program, Scenario, Work};

const SLED: &str = "sled";
const POSTGRES: &str = "Postgres";

const ONE: &str = "1 client";
const OWN_ROOMS: &str = "100 clients, a room each";
const ONE_ROOM: &str = "100 clients, one room";

const UNIT: &str = "mutations/s";

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "push",
    description: "mutations that the server makes durable, on sled and on Postgres",
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
    goals: &[
        Goal { figure: ONE, over: POSTGRES, under: Some(SLED), bound: Bound::AtLeast(0.3) },
        Goal { figure: OWN_ROOMS, over: POSTGRES, under: Some(SLED), bound: Bound::AtLeast(0.3) },
        Goal { figure: ONE_ROOM, over: POSTGRES, under: Some(SLED), bound: Bound::AtLeast(0.3) },
    ],
};

/// Runs the scenario's own contender until its orders end.
pub(crate) fn contend(name: &str, directory: &Path, server: &Path) -> Result<(), BenchError> {
    let storage = match name {
        "push/sled" => "sled".to_owned(),
        "push/postgres" => std::env::var(DATABASE_VARIABLE)
            .map_err(|_| BenchError::failed(name, format!("{DATABASE_VARIABLE} names no database")))?,
        _ => return Err(BenchError::failed(name, "is not known")),
    };
    let contender = syncline::Contender::open(directory, server, &storage)?;
    serve(|order| contender.run(order))
}

/// The database that `scripts/bench` starts.
const DATABASE_VARIABLE: &str = "SYNCLINE_POSTGRES_URL";
