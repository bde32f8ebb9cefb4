# Shared by build-android, build-ios, gen-bindings and the suite `phone`: targets, versions, profiles, and the
# tool chain that compiles for phones on Linux without their SDKs. Sourced, after `set -euo pipefail`.
# shellcheck shell=bash
# shellcheck source=scripts/lib/build.sh
source "$(dirname "${BASH_SOURCE[0]}")/build.sh"

# The oldest systems that are supported: Expo's own. The Gradle file and the podspec say the same.
readonly ANDROID_API=24
readonly IOS_MIN=16.4

readonly CARGO_NDK_VERSION=4.1.2
readonly LLVM=22

# shellcheck disable=SC2034 # The scripts that source this read it.
readonly android_abis=(arm64-v8a armeabi-v7a x86_64 x86)
# shellcheck disable=SC2034
readonly ios_targets=(aarch64-apple-ios aarch64-apple-ios-sim x86_64-apple-ios)

# Of its own: another compiler than the host's would make cargo start over each time.
phone_target="$root/target/phone"
phone_stubs="$phone_target/stubs"
# shellcheck disable=SC2034
stub_ndk="$phone_stubs/ndk"

android_triple() {
  case "$1" in
    arm64-v8a) echo aarch64-linux-android ;;
    armeabi-v7a) echo armv7-linux-androideabi ;;
    x86_64) echo x86_64-linux-android ;;
    x86) echo i686-linux-android ;;
    *) usage_error "unknown ABI $1; there are: ${android_abis[*]}" ;;
  esac
}

# missing TOOL HOW: says what is missing and how to get it; need_all_found ends the script if anything was.
missing_count=0
missing() {
  say "missing: $1"
  say "    $2"
  missing_count=$((missing_count + 1))
}

need_all_found() {
  [[ $missing_count -eq 0 ]] || fail "$missing_count of the tools needed are missing"
}

# need_rust_sources: those of the standard library, which is compiled along. With a real SDK, rustup's compiler is used.
need_rust_sources() {
  command -v rustc >/dev/null || return 0
  rustup_sources="$(rustc --print sysroot)/lib/rustlib/src/rust/library"
  [[ -d "$rustup_sources" ]] || missing "the sources of Rust's standard library" "rustup component add rust-src"
}

# install_cargo_ndk: into target/tools, and into PATH. Not optimised: it only starts cargo.
install_cargo_ndk() {
  local dir="$tools/cargo-ndk-$CARGO_NDK_VERSION"
  if [[ ! -x "$dir/bin/cargo-ndk" ]]; then
    say "installing cargo-ndk $CARGO_NDK_VERSION"
    cargo install --quiet --locked --debug --root "$dir" --version "$CARGO_NDK_VERSION" cargo-ndk >&2
  fi
  export PATH="$dir/bin:$PATH"
}

# find_stub_tools: sets stub_tools_missing to those that are not here: a Rust with the sources of its standard library, so
# that it compiles for any target, and clang, which does so anyway.
find_stub_tools() {
  local file
  stub_tools_missing=()
  for file in cargo rustc "clang-$LLVM" "clang++-$LLVM" "ld.lld-$LLVM" "ld64.lld-$LLVM" "llvm-ar-$LLVM" "llvm-readobj-$LLVM"; do
    [[ -x "/usr/bin/$file" ]] || stub_tools_missing+=("/usr/bin/$file")
  done
  [[ -d "$rust_sources" ]] || stub_tools_missing+=("$rust_sources")
}
readonly rust_sources=/usr/lib/rustlib/src/rust/library

# run_phone_tests FOLDER: Python's tests in it. Those that compile for phones are skipped where the tools cannot be had.
run_phone_tests() {
  install_stub_tools
  if [[ ${#stub_tools_missing[@]} -gt 0 ]]; then
    export SYNCLINE_PHONE_SKIP="the compilers for phones are not here: ${stub_tools_missing[*]}"
    say "SKIPPED: $SYNCLINE_PHONE_SKIP"
  fi
  python3 -m unittest discover --verbose --start-directory "$1" --pattern 'test_*.py'
}

# install_stub_tools: where apt can; find_stub_tools tells.
install_stub_tools() {
  find_stub_tools
  if [[ ${#stub_tools_missing[@]} -eq 0 ]]; then
    return
  fi
  say "installing Rust with its sources, and clang $LLVM"
  apt_install cargo-web rustc-web rust-web-src "clang-$LLVM" "lld-$LLVM" "llvm-$LLVM"
  find_stub_tools
}

# use_stub_tools: the compilers above, and the options that let them compile for phones. Sets build_std.
use_stub_tools() {
  find_stub_tools
  [[ ${#stub_tools_missing[@]} -eq 0 ]] ||
    fail "not found: ${stub_tools_missing[*]}. As root on Debian, ./scripts/test phone installs them"
  python3 "$root/scripts/lib/phone_stubs.py" --api "$ANDROID_API" --llvm "$LLVM" --out "$phone_stubs"
  # Not the proxies of rustup, which would choose another compiler.
  export PATH="/usr/bin:/bin:$PATH" CARGO=/usr/bin/cargo RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc
  unset RUSTUP_TOOLCHAIN RUSTC_WRAPPER
  use_build_std "$rust_sources"
  # ring compiles without the headers of a C library.
  local no_libc target
  no_libc="-nostdlibinc -isystem $(printf '%q' "$phone_stubs/include") -DRING_CORE_NOSTDLIBINC=1 -D__MM_MALLOC_H=1"
  export CC_SHELL_ESCAPED_FLAGS=1
  for target in "${ios_targets[@]}"; do
    target="${target//-/_}"
    export "CC_$target=clang-$LLVM" "AR_$target=llvm-ar-$LLVM" "CFLAGS_$target=$no_libc"
  done
}

# use_build_std SOURCES: the standard library is compiled along, which is an unstable option of cargo: for size as the rest is,
# and without what names the functions of a backtrace, because a stripped library has no names. Sets build_std.
use_build_std() {
  export RUSTC_BOOTSTRAP=1
  # shellcheck disable=SC2034,SC2054
  build_std=(-Zbuild-std=std,panic_unwind -Zbuild-std-features=panic-unwind,optimize_for_size)
  # Whose separator is in no folder's name, where RUSTFLAGS has a space.
  local separator=$'\x1f' flag folder
  # shellcheck disable=SC2086 # Words, as cargo reads them.
  [[ -n "${CARGO_ENCODED_RUSTFLAGS-}" ]] || for flag in ${RUSTFLAGS-}; do
    CARGO_ENCODED_RUSTFLAGS="${CARGO_ENCODED_RUSTFLAGS-}${CARGO_ENCODED_RUSTFLAGS:+$separator}$flag"
  done
  # Where a panic was raised is told nowhere on a phone: what catches it passes on its message.
  CARGO_ENCODED_RUSTFLAGS="${CARGO_ENCODED_RUSTFLAGS-}${CARGO_ENCODED_RUSTFLAGS:+$separator}-Zlocation-detail=none"
  # Events of the log name their source. Where that lay concerns nobody.
  for folder in "$1" "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    CARGO_ENCODED_RUSTFLAGS+="$separator--remap-path-prefix=$folder/="
  done
  export CARGO_ENCODED_RUSTFLAGS
}

# use_stub_sdk TARGET: the SDK for an iOS target. That it is set keeps rustc and cc from asking xcrun.
use_stub_sdk() {
  case "$1" in
    *-sim | x86_64-*) export SDKROOT="$phone_stubs/iPhoneSimulator.sdk" ;;
    *) export SDKROOT="$phone_stubs/iPhoneOS.sdk" ;;
  esac
}

hidden=""
# hide_descriptions NM: has android_library leave out what describes the core to the generator of bindings: 40 KB that no app reads.
hide_descriptions() {
  hidden="$phone_target/hidden.map"
  mkdir -p "$phone_target"
  {
    echo "{ local:"
    # Of an archive, nm also says what in it is no object.
    "$1" --defined-only --format=just-symbols "$described_library" 2>/dev/null |
      sed -n 's/^_*\(UNIFFI_META_.*\)$/\1;/p' | sort -u
    echo "};"
  } >"$hidden"
  grep -q UNIFFI_META_ "$hidden" || fail "$described_library describes nothing"
}

# What an outlined function saves at least, in bytes: its entry in the tables that a panic unwinds by takes as much.
readonly OUTLINED_BYTES_MIN=28
# What a call that is replaced by the function's body may cost at most, as LLVM estimates it. At its own 5, as at 25, the library
# has half a percent more.
readonly INLINED_COST_MAX=12

# android_library MANIFEST PACKAGE ABI PROFILE: a shared library, in which every symbol must be found at link time.
android_library() {
  # cargo-ndk looks for a manifest only from where it stands.
  (
    cd "$(dirname "$1")" || exit
    CARGO_TARGET_DIR="$phone_target" cargo ndk --target "$3" --platform "$ANDROID_API" rustc --locked --profile "$4" \
      -p "$2" --features app --lib --crate-type cdylib "${build_std[@]}" \
      -- ${hidden:+"-Clink-arg=-Wl,--version-script=$hidden"} -Clink-arg=-Wl,-z,defs -Clink-arg=-Wl,-z,max-page-size=16384 \
      -Clink-arg=-Wl,--icf=all -Clink-arg=-Wl,--pack-dyn-relocs=android \
      "-Cllvm-args=-outliner-benefit-threshold=$OUTLINED_BYTES_MIN -inline-threshold=$INLINED_COST_MAX"
  ) >&2
}

# android_check MANIFEST PACKAGE ABI PROFILE: only whether it compiles, which takes a fraction of the time.
android_check() {
  (
    cd "$(dirname "$1")" || exit
    CARGO_TARGET_DIR="$phone_target" cargo ndk --target "$3" --platform "$ANDROID_API" check --locked --profile "$4" \
      -p "$2" --features app --lib "${build_std[@]}"
  ) >&2
}

# ios_library MANIFEST PACKAGE TARGET PROFILE [STUBS]: a static library; with STUBS also linked, into a library beside
# it (.linked.dylib), in which every symbol must be found.
ios_library() {
  local target="$3" static
  static="$phone_target/$target/$(profile_dir "$4")/lib${2//-/_}.a"
  if [[ -n "${5-}" ]]; then
    use_stub_sdk "$target"
  fi
  CARGO_TARGET_DIR="$phone_target" IPHONEOS_DEPLOYMENT_TARGET="$IOS_MIN" cargo rustc --manifest-path "$1" --locked \
    --profile "$4" -p "$2" --features app --lib --crate-type staticlib --target "$target" "${build_std[@]}" >&2
  if [[ -n "${5-}" ]]; then
    link_apple "$static" "$target" >&2
  fi
}

# link_apple STATIC_LIBRARY TARGET: what an app would keep of it, against the SDK in SDKROOT. Only what the binding calls is
# exported: everything else that nobody refers to goes, with the system symbols that it needs.
link_apple() {
  local arch=arm64 platform=ios
  [[ "$2" != x86_64-* ]] || arch=x86_64
  [[ "$SDKROOT" != *Simulator* ]] || platform=ios-simulator
  "ld64.lld-$LLVM" -dylib -arch "$arch" -platform_version "$platform" "$IOS_MIN" "$IOS_MIN" -syslibroot "$SDKROOT" \
    -lSystem -framework CoreFoundation -framework Security -dead_strip -exported_symbol '_uniffi_*' \
    -exported_symbol '_ffi_*' -exported_symbol '_plants_*' -force_load "$1" -o "$1.linked.dylib"
}
