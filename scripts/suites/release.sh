# Full: scripts/release --dry-run, and what a release holds.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/phone.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/phone.sh"

run_phone_tests tests/release
