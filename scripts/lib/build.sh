# What suites, the demo and benchmarks run: built once, in the `fast` profile. Sourced,
# after `set -euo pipefail`.
# shellcheck shell=bash
# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

fast="$root/target/fast"
server_binary="$fast/syncline-server"
node_addon="$fast/syncline.node"

# build_fast: the server and the Node addon. One cargo call, so that both share their dependencies' features.
# Exports where they are, for whoever starts them.
build_fast() {
  say "building the server and the Node addon"
  cargo build --manifest-path "$root/Cargo.toml" --locked --profile fast -p syncline-server -p syncline-node >&2
  # Replaced by a rename: a running process may have the old one mapped.
  cp "$fast/libsyncline_node.so" "$node_addon.new"
  mv "$node_addon.new" "$node_addon"
  export SYNCLINE_SERVER_BIN="$server_binary"
  export SYNCLINE_NODE_ADDON="$node_addon"
}

# build_library: the UniFFI library that foreign languages load, and the generator of their bindings: with the same
# features, so that what both depend on is compiled once.
build_library() {
  say "building the UniFFI library and its generator"
  local options=(--manifest-path "$root/Cargo.toml" --locked --profile fast -p syncline-ffi --features bindgen)
  cargo rustc "${options[@]}" --lib --crate-type cdylib >&2
  cargo build "${options[@]}" --bin uniffi-bindgen >&2
  export SYNCLINE_LIBRARY="$fast/libsyncline_ffi.so"
}

# generate_bindings LANGUAGE OUT_DIR: the binding of the library that build_library left.
generate_bindings() {
  "$fast/uniffi-bindgen" generate "$SYNCLINE_LIBRARY" --language "$1" --config "$root/uniffi.toml" --out-dir "$2" >&2
}
