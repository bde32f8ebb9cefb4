# Faults done to the real client: kills, damaged files, a full disk, broken networks.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/build.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/build.sh"

# More threads than processors: most of the time they wait for the disk and the network.
cargo test --locked --no-fail-fast --profile fast "${shared_packages[@]}" -p syncline-faults -- --test-threads 6
