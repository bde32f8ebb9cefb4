# The Swift binding and what is built on it, against a real server; skipped where there is no Swift.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/build.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/build.sh"
# shellcheck source=scripts/lib/swift.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/swift.sh"

prepare_swift
if [[ -n "$swift_missing" ]]; then
  skip_swift
  exit
fi
build_fast
build_library
assemble_swift_package
"${swift_run[@]}" env SYNCLINE_SERVER_BIN="$swift_root/target/fast/syncline-server" \
  SYNCLINE_BACKEND_BIN="$swift_root/target/fast/contract-backend" SYNCLINE_CONTRACT="$swift_root/tests/contract" \
  LD_LIBRARY_PATH="$swift_root/target/swift/lib" \
  swift test --package-path "$swift_root/target/swift" -Xlinker -L"$swift_root/target/swift/lib" \
  -Xlinker -lsyncline_ffi
