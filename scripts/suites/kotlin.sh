# The Kotlin binding and what is built on it, on the JVM against a real server.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/build.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/build.sh"
# shellcheck source=scripts/lib/kotlin.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/kotlin.sh"

need java mvn
build_fast
build_library
prepare_kotlin
run_maven test
