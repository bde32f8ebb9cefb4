//! Several engines against the real room logic of the server, in simulated time and with every fault of a network
//! and of a phone: in the end everybody sees the same, and every accepted increment counts once.
//!
//! A run follows from its seed alone. A failure names the seed; `CONVERGENCE_SEED` runs it by itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "convergence/device.rs"]
mod device;
#[path = "convergence/hub.rs"]
mod hub;
#[path = "convergence/ranking.rs"]
mod ranking;
#[path = "convergence/world.rs"]
mod world;

use world::World;

const SEEDS: u64 = 200;
const STEPS: usize = 150;

fn run(seed: u64) -> String {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
    }
    world.quiesce();
    world.check();
    world.summary()
}

#[test]
fn devices_and_server_converge_whatever_happens_on_the_way() {
    let only = std::env::var("CONVERGENCE_SEED").ok().map(|seed| seed.parse().unwrap());
    let seeds = only.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let result = std::panic::catch_unwind(|| run(seed));
        assert!(result.is_ok(), "seed {seed} failed: run it with CONVERGENCE_SEED={seed}");
    }
}

#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in [1, 2, 3] {
        assert_eq!(run(seed), run(seed));
    }
    assert_ne!(run(1), run(2));
}
