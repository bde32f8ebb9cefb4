//! The empty process.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    syncline_bench_client::print()
}
