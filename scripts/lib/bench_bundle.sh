#!/usr/bin/env bash
# scripts/bench bundle [--json]
# Builds the npm package, and prints what each of its entries weighs in an app, minified and compressed, beside its peers.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

options=()
for argument in "$@"; do
  case "$argument" in
    -h | --help)
      print_help "$0"
      exit
      ;;
    --json) options+=(--json) ;;
    *) usage_error "unknown option $argument (see --help)" ;;
  esac
done

need npm
use_node_22
npm_install "$root/react-native-module"
npm_install "$root/tests/package"
npm --prefix "$root/react-native-module" run --silent build >&2
exec node "$root/tests/package/bundle.mjs" "$root/react-native-module" "${options[@]}"
