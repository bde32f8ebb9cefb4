# The dev tools panel in headless Chromium, with the real core and a real server, and what of it a production bundle has.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/build.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/build.sh"
# shellcheck source=scripts/lib/chromium.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/chromium.sh"

need_chromium
build_fast
npm_install "$root/react-native-module"
use_node_22
cd "$root/react-native-module"
npm run build:devtools
npm run test:devtools
