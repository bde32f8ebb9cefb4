# The REST interface, held to its OpenAPI document by schemathesis: about half a minute, ten times the requests with --full.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/server.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/server.sh"

need cargo python3
venv="$tools/schemathesis"
requirements="$root/tests/rest/requirements.txt"
if [[ ! -f "$venv/requirements.txt" ]] || ! cmp -s "$requirements" "$venv/requirements.txt"; then
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --requirement "$requirements"
  cp "$requirements" "$venv/requirements.txt"
fi
cargo build --locked "${server_packages[@]}" --bin syncline-server
full=()
[[ -z "${SYNCLINE_FULL:-}" ]] || full=(--full)
"$root/tests/rest/fuzz" "$root/target/debug/syncline-server" "$venv" "${full[@]}"
echo "rest ok: every answer is as the OpenAPI document says"
