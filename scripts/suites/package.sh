# The npm package: packed, looked through, weighed, and used by a fresh Expo app, whose native projects are made too.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/build.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/build.sh"
# shellcheck source=scripts/lib/release.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/release.sh"

# The app's tests may use the real core.
[[ -n "${SYNCLINE_NODE_ADDON-}" ]] || build_fast
need tar
work="$root/target/package"
# Of the SDK that the module is made for.
templates=(expo-template-blank-typescript@57.0.21 expo-template-bare-minimum@57.0.28)

stage_npm "$work/stage"
npm_install "$root/tests/package"
rm -rf "$work/packed"
mkdir -p "$work/packed"
(cd "$work/stage" && npm pack --silent --pack-destination "$work/packed" >/dev/null)
mkdir -p "$work/templates"
for template in "${templates[@]}"; do
  if [[ ! -f "$work/templates/${template/@/-}.tgz" ]]; then
    npm pack --silent --pack-destination "$work/templates" "$template" >/dev/null
  fi
done
cd "$root/tests/package"
SYNCLINE_PACKAGE_WORK="$work" node --test --test-reporter=spec test/*.test.mjs
