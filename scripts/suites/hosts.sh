# The Expo modules' Swift and Kotlin sources, type-checked against Expo's API; wrong copies must be refused.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/build.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/build.sh"
# shellcheck source=scripts/lib/swift.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/swift.sh"

work="$root/target/hosts"
if ! prepare_swift; then
  # As unittest says it, for the count.
  printf 'Ran 1 test in 0.000s\n\nOK (skipped=1)\n'
  exit
fi
build_library
rm -rf "$work/binding"
mkdir -p "$work"
generate_bindings swift "$work/binding"
mv "$work/binding/SynclineFFI.modulemap" "$work/binding/module.modulemap"
"${swift_run[@]}" "$swift_root/tests/hosts/swift/check.sh" "$swift_root/target/hosts/binding" \
  "$swift_root/target/hosts/swift"
