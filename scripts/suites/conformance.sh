# The core against npm socket.io: the example backend, in memory and in Postgres, with either parser.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/build.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/build.sh"
# shellcheck source=scripts/lib/postgres.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/postgres.sh"

build_fast
use_node_22
npm_install "$root/examples/socketio-backend"
npm_install "$root/tests/conformance"
trap stop_postgres EXIT
start_postgres
# The limit is for a whole file.
node --test --test-timeout=120000 --test-reporter=spec examples/socketio-backend/test/*.test.js tests/conformance/test/*.test.mjs
