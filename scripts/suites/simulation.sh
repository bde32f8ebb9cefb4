# The simulation: engines, journal and hub in virtual time, 1,000 seeds, and the bugs that it must find.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/build.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/build.sh"

seeds=1000
if [[ -n "${SYNCLINE_FULL-}" ]]; then
  seeds=20000
fi
status=0
simulation=("${shared_packages[@]}" -p syncline-simulation)
cargo test --locked --no-fail-fast --profile fast "${simulation[@]}" || status=1
cargo build --locked --profile fast "${simulation[@]}" --bin syncline-simulation
"$fast/syncline-simulation" --seeds "0..$seeds" || status=1
"$fast/syncline-simulation" --sabotage all --seeds 0..200 || status=1
exit "$status"
