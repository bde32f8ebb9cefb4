# The Node addon, the demo, and the scripts' own helpers.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/build.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/build.sh"

build_fast
npm_install "$root/examples/demo"
status=0
node --test --test-reporter=spec bindings/node/test/*.test.mjs examples/demo/test/*.test.mjs || status=1
python3 -m unittest discover --verbose --start-directory scripts/lib --pattern 'test_*.py' || status=1
exit "$status"
