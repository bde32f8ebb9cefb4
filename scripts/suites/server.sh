# The server, alone and against the clients of npm's socket.io.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"

npm_install "$root/server/tests/npm"
cargo test --locked --no-fail-fast -p syncline-server
