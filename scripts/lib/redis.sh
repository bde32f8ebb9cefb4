# A Redis for tests: Debian's package, nothing kept on the disk, a free port on loopback. Sourced, after `set -euo pipefail`.
# shellcheck shell=bash
# shellcheck source=scripts/lib/common.sh
[[ -n "${tools-}" ]] || source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

readonly REDIS_START_ATTEMPTS=5
readonly REDIS_START_SECONDS_MAX=10

redis_pid=""

# install_redis: only where there is none, and without the system's own service.
install_redis() {
  if command -v redis-server >/dev/null; then
    return
  fi
  say "installing Redis"
  # A Debian system starts a service that it installs, unless a policy forbids it.
  RUNLEVEL=1 apt_install redis-server
  need redis-server
}

# start_redis: exports SYNCLINE_REDIS_URL. Whoever calls it sees to stop_redis.
start_redis() {
  install_redis
  local attempt port tenths
  for ((attempt = 0; attempt < REDIS_START_ATTEMPTS; attempt++)); do
    port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
    redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --loglevel warning >&2 &
    redis_pid=$!
    for ((tenths = 0; tenths < REDIS_START_SECONDS_MAX * 10; tenths++)); do
      if redis-cli -p "$port" ping 2>/dev/null | grep -q PONG; then
        export SYNCLINE_REDIS_URL="redis://127.0.0.1:$port"
        return
      fi
      # The port was taken in between.
      kill -0 "$redis_pid" 2>/dev/null || break
      sleep 0.1
    done
    stop_redis
  done
  fail "Redis did not start"
}

# stop_redis: ends what start_redis started, by its process id.
stop_redis() {
  [[ -n "$redis_pid" ]] || return 0
  kill "$redis_pid" 2>/dev/null || true
  wait "$redis_pid" 2>/dev/null || true
  redis_pid=""
}
