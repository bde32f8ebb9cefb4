# Three servers with Postgres and Redis: what one is told on all, presence, faults and restarts in the middle of a load.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/server.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/server.sh"
# shellcheck source=scripts/lib/postgres.sh
source "$root/scripts/lib/postgres.sh"
# shellcheck source=scripts/lib/redis.sh
source "$root/scripts/lib/redis.sh"

npm_install "$root/server/tests/npm"
install_postgres
install_redis
cargo build --locked "${server_packages[@]}" --bin syncline-server --test cluster
export SYNCLINE_SERVER_BIN="$root/target/debug/syncline-server"
# Each test has three servers and a database of its own.
cargo test --locked --no-fail-fast "${server_packages[@]}" --test cluster -- --test-threads 2
