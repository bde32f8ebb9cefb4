//! `render`: what a list of 10,000 rows costs the JavaScript thread when rows change elsewhere.
//!
//! Each contender is a Node process that renders the list by React, in production mode and without a screen, with a row
//! component in `memo`. The changes come from another process: for Syncline from another device over a real server, into
//! `useCollection`; for the peers from an npm Socket.IO backend over socket.io-client, whose handler replaces the row in the
//! store, as its documentation has it.
//!
//! One change is measured until its row is committed: the milliseconds that the thread was busy, and the row components that
//! were rendered. The stream sends 1,000 changes a second for five seconds, each of another row: measured until the last is
//! committed, as the share of that time that the thread was busy. A thread that cannot keep up is busy all the time.

use crate::scenario::{Block, Bound, Contender, Figure, Goal, Program, Scenario, Work};

const SYNCLINE: &str = "Syncline";
const QUERY: &str = "TanStack Query";

const ONE: &str = "one row of 10,000";
const ONE_RENDERED: Figure = Figure { name: "one row of 10,000, rendered", unit: "rows" };
const STREAM: &str = "1,000 changes a second";
const STREAM_RENDERED: Figure = Figure { name: "1,000 changes a second, rendered", unit: "rows per change" };

/// Five seconds of the stream.
const STREAM_CHANGES: usize = 5_000;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "render",
    description: "a list of 10,000 rows: one row changes, and 1,000 a second",
    contenders: &[
        Contender { name: SYNCLINE, program: Program::Node("render_syncline.mjs") },
        Contender { name: QUERY, program: Program::Node("render_query.mjs") },
        Contender { name: "Zustand", program: Program::Node("render_zustand.mjs") },
    ],
    blocks: &[
        Block { name: ONE, samples: 20, work: Work::One, unit: "ms busy", also: &[ONE_RENDERED] },
        Block {
            name: STREAM,
            samples: 1,
            work: Work::Batch(STREAM_CHANGES),
            unit: "% of the thread",
            also: &[STREAM_RENDERED],
        },
    ],
    rounds: 5,
    goals: &[
        Goal { figure: ONE_RENDERED.name, over: SYNCLINE, under: None, bound: Bound::AtMost(1.0) },
        Goal { figure: STREAM, over: SYNCLINE, under: Some(QUERY), bound: Bound::AtMost(1.0) },
    ],
};
