# run_check.sh CHECK: one check of checks.sh, stopping at its first failing command.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/checks.sh
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh"
cd "$root"
"check_$1"
