# The generated Python binding, end to end against a real server.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/build.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/build.sh"

build_fast
build_library
generated="$root/target/python"
rm -rf "$generated"
generate_bindings python "$generated"
# The generated module loads the library that lies beside it.
cp "$SYNCLINE_LIBRARY" "$generated/"
PYTHONPATH="$generated" python3 -m unittest discover --verbose --start-directory bindings/python --pattern 'test_*.py'
