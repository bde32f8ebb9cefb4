# The Rust crates except the server, with the golden vectors and the rules of the house.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"

# The addon is left out: its symbols exist only inside Node, where the node suite tests it.
cargo test --locked --no-fail-fast --workspace --exclude syncline-server --exclude syncline-node
