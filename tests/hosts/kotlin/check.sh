#!/usr/bin/env bash
# check.sh COMPILER_CLASSPATH LIBRARIES BINDING_DIR WORK_DIR: type-checks react-native-module/android against the sources of
# expo-modules-core, stubs of Android, and the generated binding; then a wrong copy of it, each mistake of which must be
# found. Each check is a line `host ok: NAME` or `host not ok: NAME`.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
module="$here/../../../react-native-module"
expo="$module/node_modules/expo-modules-core/android/src"
ours=dev/syncline/expo
sources="$module/android/src/main/java/$ours"
# build-android puts it beside the binding.
trust="$here/../../../bindings/kotlin/src/dev/syncline/SystemTrust.kt"
compiler="$1" libraries="$2" binding="$3" work="$4"
status=0

rm -rf "$work"
mkdir -p "$work/expo" "$work/stubs"
cp -r "$expo/main/java/." "$expo/withoutCompose/." "$work/expo/"
cp -r "$here/stubs/." "$work/stubs/"
python3 "$here/stubs.py" "$work/expo" "$here/stubs" "$work/stubs"

# problems DIR: what the compiler finds wrong in our files, copied to DIR in the work folder. Expo's own do not compile
# against stubs.
problems() {
  # The compiler names files relative to where it runs.
  (
    cd "$work"
    java -Xmx1g -cp "$compiler" org.jetbrains.kotlin.cli.jvm.K2JVMCompiler -no-stdlib -no-reflect -jvm-target 17 \
      -nowarn -cp "$libraries" -d out stubs expo "$binding" "$1"
  ) >"$work/compiler.log" 2>&1 || true
  # A compiler that did not run, or did not read Expo's sources, would find nothing in ours.
  grep -q '^expo/.*error: ' "$work/compiler.log" || {
    cat "$work/compiler.log" >&2
    return 1
  }
  grep "^$1/.*error: " "$work/compiler.log" || true
}

report() {
  echo "host $1: kotlin: $2"
  [[ "$1" == ok ]] || status=1
}

mkdir -p "$work/right" "$work/wrong"
cp "$sources"/*.kt "$trust" "$work/right/"
found="$(problems right)"
if [[ -z "$found" ]]; then
  report ok "the module"
else
  printf '%s\n' "$found"
  report "not ok" "the module"
fi

# Each mistake in a copy of its own line of the module; all are looked for in one run.
# shellcheck disable=SC2016 # What looks like a variable is Kotlin's.
mistakes=(
  'SynclineModule.kt|sendEvent(event, body)|sendEvent(7, body)|an event without its name'
  'SynclineModule.kt|AsyncFunction("closeAll") Coroutine|AsyncFuntion("closeAll") Coroutine|a misspelt definition'
  'SynclineModule.kt|AsyncFunction("call") Coroutine { client|AsyncFunction("call") { client|a suspending call without Coroutine'
  'SynclineModule.kt|attachments: List<ByteArray>|attachments: List<String>|bytes of another type'
  'EventRelay.kt|onEvents(client: ULong|onEvents(client: Long|a listener of another type'
  'EventRelay.kt|onLines(lines: String)|onLines(lines: Int)|a listener to the log of another type'
  'SystemDevice.kt|readSecret(name: String): ByteArray?|readSecret(name: String): String?|a secret of another type'
  'SystemDevice.kt|BackgroundWorker::class.java, interval|SystemDevice::class.java, interval|a worker that is none'
  'Secrets.kt|setKeySize(KEY_BITS)|setKeySize("$KEY_BITS")|a key of another shape'
  'BackgroundWorker.kt|Result.failure()|Result.later()|an outcome that is none'
  'SystemTrust.kt|judge(chain: List<ByteArray>|judge(chain: List<String>|a judge of another type'
  'AppStateForwarder.kt|setAppState(AppState.ACTIVE)|setAppState(AppState.SEEN)|a state that is none'
)
cp "$sources"/*.kt "$trust" "$work/wrong/"
for mistake in "${mistakes[@]}"; do
  IFS='|' read -r file from to _ <<<"$mistake"
  python3 -c 'import sys, pathlib
path, old, new = pathlib.Path(sys.argv[1]), *sys.argv[2:]
text = path.read_text()
assert old in text, f"the mistake is not in {path.name}: mend this check"
path.write_text(text.replace(old, new))' "$work/wrong/$file" "$from" "$to"
done
found="$(problems wrong)"
for mistake in "${mistakes[@]}"; do
  IFS='|' read -r file _ to name <<<"$mistake"
  line="$(grep -nF -- "$to" "$work/wrong/$file" | head -n 1 | cut -d: -f1)"
  # Where a type is not known, its users on the next lines may be named instead.
  if grep -qE "^wrong/$file:($line|$((line + 1))):" <<<"$found"; then
    report ok "refused: $name"
  else
    report "not ok" "refused: $name"
  fi
done
exit "$status"
