//! Runs the simulation over a range of seeds.

fn main() {}
