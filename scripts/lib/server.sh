# What the suites of the server build. Sourced, after `set -euo pipefail`.
# shellcheck shell=bash
# shellcheck source=scripts/lib/common.sh
[[ -n "${tools-}" ]] || source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# All name the same packages, so that what those depend on is compiled once.
# shellcheck disable=SC2034 # The suites read it.
server_packages=(-p syncline-server -p syncline-cluster)

# find_server_tests: sets server_tests to the options that select the server's own tests.
find_server_tests() {
  server_tests=(--lib --bins --examples)
  local main
  for main in "$root"/server/tests/*/main.rs; do
    server_tests+=(--test "$(basename "$(dirname "$main")")")
  done
}
