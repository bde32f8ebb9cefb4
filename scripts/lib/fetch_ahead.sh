# fetch_ahead.sh SUITE...: installs what these suites would wait for minutes for, while others compile. What does not succeed here,
# the suite tries again, and says.
# shellcheck shell=bash
set -uo pipefail
# shellcheck source=scripts/lib/phone.sh
source "$(dirname "${BASH_SOURCE[0]}")/phone.sh"
# shellcheck source=scripts/lib/chromium.sh
source "$root/scripts/lib/chromium.sh"
# shellcheck source=scripts/lib/swift.sh
source "$root/scripts/lib/swift.sh"

for suite in "$@"; do
  case "$suite" in
    devtools | server) (need_chromium) ;;
    phone | release) install_stub_tools ;;
    hosts | swift) prepare_swift ;;
  esac
done
