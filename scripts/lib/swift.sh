# A Swift tool chain: the system's, or Debian 13's in a tree of its own under target/. Sourced, after common.sh.
# shellcheck shell=bash
# shellcheck source=scripts/lib/common.sh
[[ -v tools ]] || source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

readonly SWIFT_RELEASE=trixie

# debian_mirror: where this system gets its own packages from.
debian_mirror() {
  # shellcheck disable=SC2016  # The format is apt's to expand.
  apt-get indextargets --format '$(REPO_URI)' | grep -v security | sort -u | head -n 1
}

swift_tree="$root/target/swift-tree"
# Where the checkout lies in the tree.
readonly SWIFT_MOUNT=/syncline

# prepare_swift: sets swift_run to a command that runs another where `swift` is, and swift_root to where the checkout is
# there. Returns 1, with a line that says why, where there is none and none can be had.
# shellcheck disable=SC2034 # The suites read both.
prepare_swift() {
  if command -v swift >/dev/null; then
    swift_run=(env)
    swift_root="$root"
    return
  fi
  if [[ $EUID -ne 0 ]]; then
    say "skipped: there is no swift, and only root can make a tree that has one"
    return 1
  fi
  if ! command -v debootstrap >/dev/null && ! apt-get install -y -qq --no-install-recommends debootstrap >&2; then
    say "skipped: there is no swift, and debootstrap could not be installed"
    return 1
  fi
  make_swift_tree || return 1
  # A mount namespace of its own: nothing stays mounted, however it ends.
  swift_run=(unshare --mount --fork "$root/scripts/lib/in_swift_tree.sh" "$swift_tree" "$root" "$SWIFT_MOUNT")
  swift_root="$SWIFT_MOUNT"
  if ! "${swift_run[@]}" swift --version >&2; then
    say "skipped: the tree with swift cannot be entered here"
    return 1
  fi
}

# make_swift_tree: about three minutes and 2.8 GB, once.
make_swift_tree() {
  if [[ -f "$swift_tree/.complete" ]]; then
    return
  fi
  say "installing swift into $swift_tree"
  rm -rf "$swift_tree"
  if ! debootstrap --variant=minbase "$SWIFT_RELEASE" "$swift_tree" "$(debian_mirror)" >"$root/target/swift-tree.log" 2>&1 ||
    ! unshare --mount --fork "$root/scripts/lib/in_swift_tree.sh" "$swift_tree" "$root" "$SWIFT_MOUNT" \
      env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      swiftlang libc6-dev libstdc++-14-dev git ca-certificates >>"$root/target/swift-tree.log" 2>&1; then
    tail -n 5 "$root/target/swift-tree.log" >&2
    say "skipped: the tree with swift could not be made"
    return 1
  fi
  rm -rf "$swift_tree"/var/cache/apt/archives/*.deb
  touch "$swift_tree/.complete"
}

# assemble_swift_package: target/swift, from tests/swift, bindings/swift and the binding of the library that build_library
# left.
assemble_swift_package() {
  local package="$root/target/swift"
  rm -rf "$package/Sources" "$package/Tests" "$package/generated"
  mkdir -p "$package/Sources/Syncline" "$package/Sources/SynclineFFI" "$package/lib"
  generate_bindings swift "$package/generated"
  mv "$package/generated/Syncline.swift" "$package/Sources/Syncline/"
  mv "$package/generated/SynclineFFI.h" "$package/Sources/SynclineFFI/"
  # SwiftPM looks for this name only.
  mv "$package/generated/SynclineFFI.modulemap" "$package/Sources/SynclineFFI/module.modulemap"
  rmdir "$package/generated"
  cp "$root"/bindings/swift/Sources/*.swift "$package/Sources/Syncline/"
  cp -r "$root/tests/swift/Package.swift" "$root/tests/swift/Tests" "$package/"
  cp "$SYNCLINE_LIBRARY" "$package/lib/"
}
