# The server, alone, against the clients of npm's socket.io, and its admin page in headless Chromium.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=scripts/lib/chromium.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/chromium.sh"

need_chromium
npm_install "$root/server/tests/npm"
cargo test --locked --no-fail-fast -p syncline-server
