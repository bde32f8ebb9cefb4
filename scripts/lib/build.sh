# What suites, the demo and benchmarks run: built once, in the `fast` profile. Sourced,
# after `set -euo pipefail`.
# shellcheck shell=bash
# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

fast="$root/target/fast"
server_binary="$fast/syncline-server"
# What a shared library ends in here.
shared_suffix=so
[[ "$(uname)" != Darwin ]] || shared_suffix=dylib
node_addon="$fast/syncline.node"

# Named by all suites that compile the server or the client for this profile: cargo adds up the features that the packages named
# want of what they depend on, which is so compiled once.
shared_packages=(-p syncline-node -p syncline-contract-backend)

# build_fast: the server, the Node addon and the backend of the contract's transcripts. Exports where they are, for whoever
# starts them.
build_fast() {
  say "building the servers and the Node addon"
  cargo build --manifest-path "$root/Cargo.toml" --locked --profile fast -p syncline-server "${shared_packages[@]}" >&2
  # Replaced by a rename: a running process may have the old one mapped.
  cp "$fast/libsyncline_node.$shared_suffix" "$node_addon.new"
  mv "$node_addon.new" "$node_addon"
  export SYNCLINE_SERVER_BIN="$server_binary"
  export SYNCLINE_BACKEND_BIN="$fast/contract-backend"
  export SYNCLINE_NODE_ADDON="$node_addon"
}

# build_app_programs: a process that holds a client and one that does not, built as apps are. Exports where they are.
build_app_programs() {
  say "building a client as apps have it"
  cargo build --manifest-path "$root/Cargo.toml" --locked --profile app -p syncline-bench-client >&2
  export SYNCLINE_APP_DIR="$root/target/app"
}

# profile_dir PROFILE: where cargo puts what it builds in that profile.
profile_dir() {
  if [[ "$1" == dev ]]; then echo debug; else echo "$1"; fi
}

# build_library [PROFILE]: the UniFFI library that foreign languages load, and the generator of their bindings: with the same
# features, so that what both depend on is compiled once where both have the same profile.
build_library() {
  local profile="${1:-fast}" dir
  dir="$(profile_dir "$profile")"
  say "building the UniFFI library and its generator"
  cargo rustc "${ffi_options[@]}" --profile "$profile" --lib --crate-type cdylib >&2
  build_bindgen
  export SYNCLINE_LIBRARY="$root/target/$dir/libsyncline_ffi.$shared_suffix"
}

ffi_options=(--manifest-path "$root/Cargo.toml" --locked -p syncline-ffi --features bindgen)

# build_bindgen: the generator, and the core for this machine, which tells it the same as any other. Sets described_library.
build_bindgen() {
  cargo build "${ffi_options[@]}" --profile fast --lib --bin uniffi-bindgen >&2
  # shellcheck disable=SC2034
  described_library="$fast/libsyncline_ffi.rlib"
}

# generate_bindings LANGUAGE OUT_DIR: the binding of the library that build_library left.
generate_bindings() {
  generate_binding "$SYNCLINE_LIBRARY" "$@"
}

# generate_binding LIBRARY LANGUAGE OUT_DIR: the binding of any library whose symbols are not stripped.
generate_binding() {
  "$fast/uniffi-bindgen" generate "$1" --language "$2" --config "$root/uniffi.toml" --out-dir "$3" >&2
}
