# The server, alone and against the clients of npm's socket.io; its storages, the one in a real Postgres too.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=scripts/lib/postgres.sh
source "$root/scripts/lib/postgres.sh"

npm_install "$root/server/tests/npm"
trap stop_postgres EXIT
start_postgres
cargo test --locked --no-fail-fast -p syncline-server
