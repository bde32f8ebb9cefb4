# The Kotlin tests: the binding generated into target/kotlin, and Maven. Sourced, after build.sh.
# shellcheck shell=bash
# shellcheck source=scripts/lib/common.sh
[[ -v tools ]] || source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

kotlin_work="$root/target/kotlin"

# prepare_kotlin: the library that build_library left and its Kotlin binding, where tests/kotlin looks for them.
prepare_kotlin() {
  rm -rf "${kotlin_work:?}/generated" "${kotlin_work:?}/lib"
  mkdir -p "$kotlin_work/generated" "$kotlin_work/lib"
  generate_bindings kotlin "$kotlin_work/generated"
  cp "$SYNCLINE_LIBRARY" "$kotlin_work/lib/"
}

# run_maven ARG...: in tests/kotlin. First without asking a registry: it is asked only for what is not here yet.
run_maven() {
  local maven=(mvn --batch-mode --no-transfer-progress --file "$root/tests/kotlin/pom.xml")
  if ! "${maven[@]}" --offline --quiet test-compile surefire:help >/dev/null 2>&1; then
    "${maven[@]}" --quiet test-compile surefire:help >&2
  fi
  "${maven[@]}" --offline "$@"
}
