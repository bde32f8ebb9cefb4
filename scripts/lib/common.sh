# Shared by all scripts: where things are, how to speak, and tools installed once into target/tools.
# Sourced, after `set -euo pipefail`.
# shellcheck shell=bash

# What is called in $(...) stops at its first failing command too. macOS has bash 3.2, which cannot be told so: what runs there
# is written for it.
if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404)); then
  shopt -s inherit_errexit
fi

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
tools="$root/target/tools"

# The Node release that suites needing more than the installed one run under.
readonly NODE_22_VERSION=22.23.3

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $*"
  exit 1
}

need() {
  local command
  for command in "$@"; do
    command -v "$command" >/dev/null || fail "$command is needed, and was not found"
  done
}

# usage_error MESSAGE: a mistake in how a script was called.
usage_error() {
  say "error: $*"
  exit 2
}

# print_help SCRIPT: the comment at the top of a script.
print_help() {
  awk 'NR == 1 { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$1"
}

# apt_install PACKAGE...: as root on Debian; elsewhere, or when it fails, it says so, and whoever needs them looks for them.
apt_install() {
  if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    say "only root on Debian can install $*"
    return
  fi
  one_at_a_time apt apt_get_install "$@" || say "could not install $*"
}

apt_get_install() {
  DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2 &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

# one_at_a_time NAME COMMAND...: in a shell of its own, after every other process that does something of that name.
one_at_a_time() {
  local name="$1"
  shift
  mkdir -p "$root/target/locks"
  (
    flock 9
    # What the command leaves running does not hold the lock.
    "$@" 9>&-
  ) 9>"$root/target/locks/$name"
}

seconds_since() {
  printf '%d' "$((SECONDS - $1))"
}

# npm_install DIR: the packages of DIR's lock file, again only when the lock has changed.
npm_install() {
  local dir="$1" stamp wanted
  stamp="$dir/node_modules/.lock-checksum"
  wanted="$(cksum <"$dir/package-lock.json")"
  if [[ -f "$stamp" && "$(cat "$stamp")" == "$wanted" ]]; then
    return
  fi
  (cd "$dir" && npm ci --no-audit --no-fund --loglevel=error >&2)
  printf '%s' "$wanted" >"$stamp"
}

# use_node_22: puts Node 22 first in PATH.
use_node_22() {
  local dir="$tools/node-$NODE_22_VERSION"
  local bin="$dir/node_modules/node/bin"
  if [[ ! -x "$bin/node" ]]; then
    say "installing Node $NODE_22_VERSION"
    npm install --prefix "$dir" --no-audit --no-fund --loglevel=error "node@$NODE_22_VERSION" >&2
  fi
  export PATH="$bin:$PATH"
}
