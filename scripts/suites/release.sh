# Full: scripts/release --dry-run, and what a release holds.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/phone.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/phone.sh"

install_stub_tools
if [[ ${#stub_tools_missing[@]} -gt 0 ]]; then
  export SYNCLINE_PHONE_SKIP="the compilers for phones are not here: ${stub_tools_missing[*]}"
  say "SKIPPED: $SYNCLINE_PHONE_SKIP"
fi
python3 -m unittest discover --verbose --start-directory tests/release --pattern 'test_*.py'
