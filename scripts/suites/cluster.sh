# Three servers with Postgres and Redis: what one is told on all, presence, faults and restarts in the middle of a load.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/postgres.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/postgres.sh"
# shellcheck source=scripts/lib/redis.sh
source "$root/scripts/lib/redis.sh"

npm_install "$root/server/tests/npm"
install_postgres
install_redis
# Both calls name the same packages, so that what those depend on is compiled once.
packages=(-p syncline-server -p syncline-cluster)
cargo build --locked "${packages[@]}" --bin syncline-server --test cluster
export SYNCLINE_SERVER_BIN="$root/target/debug/syncline-server"
# Each test has three servers and a database of its own.
cargo test --locked --no-fail-fast "${packages[@]}" --test cluster -- --test-threads 2
