# make_swift_tree.sh: installs Debian 13 with swift into swift_tree, once: 2.8 GB. A process of its own, so that it stops at
# the first command that fails, in a mount namespace of its own, so that nothing stays mounted in the tree.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/swift.sh
source "$(dirname "${BASH_SOURCE[0]}")/swift.sh"

readonly RELEASE=trixie

# The tree can be made again: nothing waits until the disk has it.
export DPKG_FORCE=unsafe-io DEBIAN_FRONTEND=noninteractive
# Where this system gets its own packages from.
# shellcheck disable=SC2016 # The format is apt's to expand.
repositories="$(apt-get indextargets --format '$(REPO_URI)')"
mirror="$(grep -v security <<<"$repositories" | sort -u | head -n 1)"

rm -rf "$swift_tree"
debootstrap --variant=minbase "$RELEASE" "$swift_tree" "$mirror"
unshare --mount --fork "$root/scripts/lib/in_swift_tree.sh" "$swift_tree" "$root" "$SWIFT_MOUNT" \
  apt-get install -y -qq --no-install-recommends swiftlang libc6-dev libstdc++-14-dev git ca-certificates
rm -rf "$swift_tree"/var/cache/apt/archives/*.deb
touch "$swift_tree/.complete"
