# The Kotlin tests: the binding generated into target/kotlin, and Maven. Sourced, after build.sh.
# shellcheck shell=bash
# shellcheck source=scripts/lib/common.sh
[[ -n "${tools-}" ]] || source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

kotlin_work="$root/target/kotlin"

# prepare_kotlin: the library that build_library left, its Kotlin binding, and what of the Expo module needs no Android, where
# tests/kotlin looks for them.
prepare_kotlin() {
  local module="$root/react-native-module/android/src/main/java/dev/syncline/expo"
  rm -rf "${kotlin_work:?}/generated" "${kotlin_work:?}/lib" "${kotlin_work:?}/module"
  mkdir -p "$kotlin_work/generated" "$kotlin_work/lib" "$kotlin_work/module"
  generate_bindings kotlin "$kotlin_work/generated"
  cp "$SYNCLINE_LIBRARY" "$kotlin_work/lib/"
  cp "$module"/{EventRelay,CoreOwner,NetworkForwarder}.kt "$kotlin_work/module/"
}

# run_maven ARG...: in tests/kotlin. First without asking a registry: it is asked only for what is not here yet.
run_maven() {
  local maven=(mvn --batch-mode --no-transfer-progress --file "$root/tests/kotlin/pom.xml")
  if ! "${maven[@]}" --offline --quiet test-compile surefire:help >/dev/null 2>&1; then
    "${maven[@]}" --quiet test-compile surefire:help >&2
  fi
  "${maven[@]}" --offline "$@"
}

# prepare_kotlin_contender: the program that is Kotlin in the benchmark `ffi`, after prepare_kotlin. Exports where it is.
prepare_kotlin_contender() {
  local class_path="$kotlin_work/class-path" contender="$kotlin_work/ffi-contender"
  run_maven --quiet test-compile >&2
  if [[ ! -f "$class_path" || "$root/tests/kotlin/pom.xml" -nt "$class_path" ]]; then
    mvn --batch-mode --no-transfer-progress --quiet --file "$root/tests/kotlin/pom.xml" \
      dependency:build-classpath -Dmdep.outputFile="$class_path" >&2
  fi
  cat >"$contender" <<EOF
#!/usr/bin/env bash
exec java -Djna.library.path="$kotlin_work/lib" \\
  -cp "$kotlin_work/maven/classes:$kotlin_work/maven/test-classes:$(cat "$class_path")" dev.syncline.FfiContenderKt "\$@"
EOF
  chmod +x "$contender"
  export SYNCLINE_BENCH_KOTLIN="$contender"
}

# find_kotlin_compiler: sets kotlin_compiler to the class path of the compiler that Maven uses, and kotlin_libraries to
# that of what the binding needs.
# shellcheck disable=SC2034 # The suites read both.
find_kotlin_compiler() {
  run_maven --quiet validate
  local repository="${HOME}/.m2/repository" version
  version="$(sed -n 's|.*<kotlin.version>\(.*\)</kotlin.version>|\1|p' "$root/tests/kotlin/pom.xml")"
  jars_of() { find "$repository/$1" -name '*.jar' ! -name '*-sources.jar' | sort -V | tail -n 1; }
  local kotlin=org/jetbrains/kotlin coroutines standard reflect
  coroutines="$(jars_of org/jetbrains/kotlinx/kotlinx-coroutines-core-jvm)"
  standard="$(jars_of "$kotlin/kotlin-stdlib/$version")"
  reflect="$(jars_of "$kotlin/kotlin-reflect")"
  kotlin_compiler="$(jars_of "$kotlin/kotlin-compiler-embeddable/$version"):$(jars_of "$kotlin/kotlin-script-runtime/$version")"
  kotlin_compiler+=":$(jars_of "$kotlin/kotlin-daemon-embeddable/$version"):$(jars_of org/jetbrains/annotations)"
  kotlin_compiler+=":$standard:$reflect:$coroutines"
  kotlin_libraries="$standard:$reflect:$coroutines:$(jars_of net/java/dev/jna/jna)"
}
