# The Rust crates except the server and the simulation, with the golden vectors and the rules of the house.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"

# The addon is left out: its symbols exist only inside Node, where the node suite tests it.
if [[ -n "${SYNCLINE_FULL-}" ]]; then
  export PROPTEST_CASES=4096
fi
# With the contract, so that a stale contract.ts fails a test.
cargo test --locked --no-fail-fast --workspace --exclude syncline-server --exclude syncline-node --exclude syncline-faults \
  --exclude syncline-simulation --exclude syncline-cluster --features syncline-ffi/contract
