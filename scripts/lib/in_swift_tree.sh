#!/usr/bin/env bash
# in_swift_tree.sh TREE ROOT MOUNT COMMAND...: runs a command in the tree, in the checkout that is bound to MOUNT there.
# Called in a mount namespace of its own.
set -euo pipefail
tree="$1" root="$2" mount="$3"
shift 3
mount -t proc proc "$tree/proc"
mount --rbind /dev "$tree/dev"
mkdir -p "$tree$mount"
mount --bind "$root" "$tree$mount"
exec chroot "$tree" env --chdir="$mount" HOME=/root LC_ALL=C.UTF-8 "$@"
