# The simulation: engines, journal and hub in virtual time, 1,000 seeds, and the bugs that it must find.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"

seeds=1000
if [[ -n "${SYNCLINE_FULL-}" ]]; then
  seeds=20000
fi
status=0
cargo test --locked --no-fail-fast --profile fast -p syncline-simulation || status=1
simulate() {
  cargo run --locked --quiet --profile fast -p syncline-simulation -- "$@" || status=1
}
simulate --seeds "0..$seeds"
simulate --sabotage all --seeds 0..200
exit "$status"
