# The Expo module: its types, its style, its hooks against the real core and a real server.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/build.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/build.sh"

build_fast
npm_install "$root/react-native-module"
npm_install "$root/react-native-module/example/backend"
use_node_22
cd "$root/react-native-module"
npm run typecheck
npm run lint
npm test
