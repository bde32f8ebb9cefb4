#!/usr/bin/env bash
# scripts/bench size [--abi ABI]... [--json]
# Builds the library that an Android app carries (profile `app`), and prints the size of each stripped one and
# which crates it is made of. Without an NDK, it links against stubs of the system's libraries: the size is the same.
set -euo pipefail
# shellcheck source=scripts/lib/phone.sh
source "$(dirname "${BASH_SOURCE[0]}")/phone.sh"

abis=() options=()
while [[ $# -gt 0 ]]; do
  case "$1" in
    -h | --help)
      print_help "$0"
      exit
      ;;
    --json) options+=(--json) ;;
    --abi)
      [[ $# -ge 2 ]] || usage_error "$1 wants a value"
      abis+=(--abi "$2")
      shift
      ;;
    *) usage_error "unknown option $1 (see --help)" ;;
  esac
  shift
done
[[ ${#abis[@]} -gt 0 ]] || abis=(--abi arm64-v8a)

if [[ -z "${ANDROID_NDK_HOME-}${ANDROID_HOME-}" ]]; then
  install_stub_tools
  abis+=(--stubs)
fi
out="$phone_target/size"
rm -rf "$out"
# What the build says is not the result. One that is over its limit is measured all the same.
status=0
"$root/scripts/build-android" --profile app --out "$out" "${abis[@]}" >&2 || status=$?
unstripped="$phone_target/$(android_triple "${abis[1]}")/app/libsyncline_ffi.so"
[[ -d "$out/jniLibs" && -f "$unstripped" ]] || fail "nothing was built"
python3 "$root/scripts/lib/size.py" "$out/jniLibs" --nm "llvm-nm-$LLVM" \
  --unstripped "$unstripped" "${options[@]}"
exit "$status"
