# The core against npm socket.io: the example backend, in memory and in Postgres, and apps' own events, with either
# parser. Then the server against python-socketio.
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
python="$root/target/python-socketio"
[[ -x "$python/bin/python" ]] || python3 -m venv "$python"
"$python/bin/pip" install --quiet --disable-pip-version-check --requirement tests/conformance/python/requirements.txt >&2
trap stop_postgres EXIT
start_postgres
# The limit is for a whole file; each has backends of its own, and mostly waits for them.
node --test --test-timeout=120000 --test-concurrency=4 --test-reporter=spec examples/socketio-backend/test/*.test.js tests/conformance/test/*.test.mjs
"$python/bin/python" -m unittest discover --verbose --start-directory tests/conformance/python --pattern 'test_*.py'
