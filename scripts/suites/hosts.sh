# The Expo modules' Swift and Kotlin sources, type-checked against Expo's API; wrong copies must be refused.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/build.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/build.sh"
# shellcheck source=scripts/lib/kotlin.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/kotlin.sh"
# shellcheck source=scripts/lib/swift.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/swift.sh"

work="$root/target/hosts"
status=0

need java mvn npm python3
mkdir -p "$work"
build_library
use_node_22
npm_install "$root/react-native-module"
prepare_kotlin
find_kotlin_compiler
"$root/tests/hosts/kotlin/check.sh" "$kotlin_compiler" "$kotlin_libraries" "$kotlin_work/generated" "$work/kotlin" || status=1

prepare_swift
if [[ -n "$swift_missing" ]]; then
  skip_swift
  exit "$status"
fi
rm -rf "$work/binding"
generate_bindings swift "$work/binding"
mv "$work/binding/SynclineFFI.modulemap" "$work/binding/module.modulemap"
"${swift_run[@]}" "$swift_root/tests/hosts/swift/check.sh" "$swift_root/target/hosts/binding" \
  "$swift_root/target/hosts/swift" || status=1
exit "$status"
