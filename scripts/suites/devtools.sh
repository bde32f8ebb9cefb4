# The dev tools panel in headless Chromium, with the real core and a real server, and what of it a production bundle has.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/build.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/build.sh"

# find_chromium: the first browser there is, by the names that it goes by.
find_chromium() {
  local name
  for name in chromium chromium-browser google-chrome; do
    if command -v "$name"; then
      return
    fi
  done
}

SYNCLINE_CHROMIUM="${SYNCLINE_CHROMIUM:-$(find_chromium)}"
if [[ -z "$SYNCLINE_CHROMIUM" ]]; then
  # Without a font, a browser shows no text.
  apt_install chromium fonts-dejavu-core
  SYNCLINE_CHROMIUM="$(find_chromium)"
fi
[[ -n "$SYNCLINE_CHROMIUM" ]] || fail "Chromium is needed: install it, or name it in SYNCLINE_CHROMIUM"
export SYNCLINE_CHROMIUM

build_fast
npm_install "$root/react-native-module"
use_node_22
cd "$root/react-native-module"
npm run build:devtools
npm run test:devtools
