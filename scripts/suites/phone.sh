# The libraries for Android and iOS: compiled, linked against stub system libraries, and checked.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/phone.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/phone.sh"

run_phone_tests tests/phone
