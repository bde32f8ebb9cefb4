# A Swift tool chain: the system's, or Debian 13's in a tree of its own under target/. Sourced, after common.sh.
# shellcheck shell=bash
# shellcheck source=scripts/lib/common.sh
[[ -n "${tools-}" ]] || source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

swift_tree="$root/target/swift-tree"
swift_log="$root/target/swift-tree.log"
# Where the checkout lies in the tree.
readonly SWIFT_MOUNT=/syncline

# prepare_swift: sets swift_run to a command that runs another where `swift` is, and swift_root to where the checkout is
# there; swift_missing says why, where there is none and none can be had.
# shellcheck disable=SC2034 # The suites read them.
prepare_swift() {
  swift_missing=""
  if command -v swift >/dev/null; then
    swift_run=(env)
    swift_root="$root"
    return
  fi
  # A mount namespace of its own: nothing stays mounted, however it ends.
  swift_run=(unshare --mount --fork "$root/scripts/lib/in_swift_tree.sh" "$swift_tree" "$root" "$SWIFT_MOUNT")
  swift_root="$SWIFT_MOUNT"
  if [[ ! -f "$swift_tree/.complete" ]]; then
    command -v debootstrap >/dev/null || apt_install debootstrap
    if ! command -v debootstrap >/dev/null; then
      swift_missing="there is no swift, and no debootstrap to make a tree that has one"
      return
    fi
    if ! one_at_a_time swift-tree make_swift_tree; then
      tail -n 5 "$swift_log" >&2
      swift_missing="the tree with swift could not be made: see $swift_log"
      return
    fi
  fi
  if ! "${swift_run[@]}" swift --version >&2; then
    swift_missing="the tree with swift cannot be entered here"
  fi
}

# make_swift_tree: unless another process just made it.
make_swift_tree() {
  [[ ! -f "$swift_tree/.complete" ]] || return 0
  say "installing swift into $swift_tree"
  unshare --mount --fork bash "$root/scripts/lib/make_swift_tree.sh" >"$swift_log" 2>&1
}

# skip_swift: tells the count that what needs swift was skipped, and why.
skip_swift() {
  say "SKIPPED: $swift_missing"
  # As unittest says it.
  printf 'Ran 1 test in 0.000s\n\nOK (skipped=1)\n'
}

# assemble_swift_package: target/swift, from tests/swift, bindings/swift, the binding of the library that build_library left,
# and what of the Expo module needs no iOS, among the tests.
assemble_swift_package() {
  local package="$root/target/swift"
  rm -rf "$package"/{Sources,FfiContender,Tests,generated}
  mkdir -p "$package/Sources/Syncline" "$package/Sources/SynclineFFI" "$package/lib"
  generate_bindings swift "$package/generated"
  mv "$package/generated/Syncline.swift" "$package/Sources/Syncline/"
  mv "$package/generated/SynclineFFI.h" "$package/Sources/SynclineFFI/"
  # SwiftPM looks for this name only.
  mv "$package/generated/SynclineFFI.modulemap" "$package/Sources/SynclineFFI/module.modulemap"
  rmdir "$package/generated"
  cp "$root"/bindings/swift/Sources/*.swift "$package/Sources/Syncline/"
  cp -r "$root"/tests/swift/{Package.swift,FfiContender,Tests} "$package/"
  cp "$root"/react-native-module/ios/{EventRelay,CoreOwner}.swift "$package/Tests/SynclineTests/"
  cp "$SYNCLINE_LIBRARY" "$package/lib/"
}

# prepare_swift_contender: the program that is Swift in the benchmark `ffi`, after assemble_swift_package. Exports where
# it is.
prepare_swift_contender() {
  local package="$swift_root/target/swift" contender="$root/target/swift/ffi-contender"
  "${swift_run[@]}" swift build --configuration release --product FfiContender --package-path "$package" \
    -Xlinker -L"$package/lib" -Xlinker -lsyncline_ffi >&2
  cat >"$contender" <<EOF
#!/usr/bin/env bash
exec $(printf '%q ' "${swift_run[@]}") env LD_LIBRARY_PATH="$package/lib" "$package/.build/release/FfiContender" "\$@"
EOF
  chmod +x "$contender"
  export SYNCLINE_BENCH_SWIFT="$contender"
}
