# A Postgres for tests: Debian's packages, a cluster of its own in target/, a free port on loopback. Sourced,
# after `set -euo pipefail`.
# shellcheck shell=bash
# shellcheck source=scripts/lib/common.sh
[[ -n "${tools-}" ]] || source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

readonly POSTGRES_START_ATTEMPTS=5

postgres_data=""
# Postgres refuses to run as root: then it runs as the user that its package made.
postgres_as=()

# install_postgres: sets postgres_bin. Installs the package only where there is none, and without a system cluster.
install_postgres() {
  find_postgres
  if [[ -n "$postgres_bin" ]]; then
    return
  fi
  say "installing PostgreSQL"
  apt_install postgresql-common
  if [[ -f "$postgres_clusters" ]]; then
    sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' "$postgres_clusters"
    apt_install postgresql
  fi
  find_postgres
  [[ -n "$postgres_bin" ]] || fail "PostgreSQL is needed: install the package postgresql"
}
readonly postgres_clusters=/etc/postgresql-common/createcluster.conf

# find_postgres: sets postgres_bin to the folder of the newest, or to nothing.
find_postgres() {
  postgres_bin=""
  if [[ -d /usr/lib/postgresql ]]; then
    postgres_bin="$(find /usr/lib/postgresql -maxdepth 3 -path '*/bin/initdb' -printf '%h\n' | sort -V | tail -n 1)"
  fi
}

# start_postgres [FSYNC]: exports SYNCLINE_POSTGRES_URL. Whoever calls it sees to stop_postgres. FSYNC is "on" where it is
# measured; tests do not need it.
start_postgres() {
  local fsync="${1-off}"
  install_postgres
  postgres_data="$(mktemp -d "$root/target/postgres.XXXXXX")"
  if [[ $EUID -eq 0 ]]; then
    postgres_as=(runuser -u postgres --)
    # Where that user may not enter the checkout, the cluster lies among the temporary files.
    if ! "${postgres_as[@]}" test -x "$root/target"; then
      rmdir "$postgres_data"
      postgres_data="$(mktemp -d)"
    fi
    chown postgres: "$postgres_data"
  fi
  (
    cd "$postgres_data"
    "${postgres_as[@]}" "$postgres_bin/initdb" --pgdata=data --username=syncline --auth=trust --encoding=UTF8 \
      --locale=C --no-sync >initdb.log
  ) || fail "initdb failed"
  local attempt port
  for ((attempt = 0; attempt < POSTGRES_START_ATTEMPTS; attempt++)); do
    port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
    if (
      cd "$postgres_data"
      "${postgres_as[@]}" "$postgres_bin/pg_ctl" start --pgdata=data --log=data/log --silent --wait \
        --options="-h 127.0.0.1 -p $port -c unix_socket_directories='' -c fsync=$fsync"
    ); then
      export SYNCLINE_POSTGRES_URL="postgres://syncline@127.0.0.1:$port/postgres"
      return
    fi
  done
  cat "$postgres_data/data/log" >&2
  fail "PostgreSQL did not start"
}

# stop_postgres: ends the cluster that start_postgres started, by its process id, and removes it.
stop_postgres() {
  [[ -n "$postgres_data" ]] || return 0
  (
    cd "$postgres_data"
    "${postgres_as[@]}" "$postgres_bin/pg_ctl" stop --pgdata=data --mode=immediate --silent
  ) || true
  rm -rf "$postgres_data"
  postgres_data=""
}
