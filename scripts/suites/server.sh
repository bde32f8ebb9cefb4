# The server, alone and against the clients of npm's socket.io; its storages, the one in a real Postgres too; its admin page in
# headless Chromium.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/server.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/server.sh"
# shellcheck source=scripts/lib/chromium.sh
source "$root/scripts/lib/chromium.sh"
# shellcheck source=scripts/lib/postgres.sh
source "$root/scripts/lib/postgres.sh"

need_chromium
npm_install "$root/server/tests/npm"
trap stop_postgres EXIT
start_postgres
find_server_tests
cargo test --locked --no-fail-fast "${server_packages[@]}" "${server_tests[@]}"
cargo test --locked --doc "${server_packages[@]}"
