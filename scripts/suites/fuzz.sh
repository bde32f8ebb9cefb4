# Full: every parser that a network or a disk reaches, fuzzed by libFuzzer for SYNCLINE_FUZZ_SECONDS each (60 unless set).
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"

CARGO_FUZZ_VERSION=0.13.2
seconds="${SYNCLINE_FUZZ_SECONDS:-60}"

need cargo rustup
rustup toolchain list | grep -q '^nightly' || fail "fuzzing needs a nightly compiler: rustup toolchain install nightly --profile minimal"
cargo_fuzz="$tools/cargo-fuzz-$CARGO_FUZZ_VERSION"
[[ -x "$cargo_fuzz/bin/cargo-fuzz" ]] ||
  cargo install --quiet --locked --root "$cargo_fuzz" --version "$CARGO_FUZZ_VERSION" cargo-fuzz
export PATH="$cargo_fuzz/bin:$PATH" CARGO_TARGET_DIR="$root/target/fuzz"

cd "$root/tests/fuzz"
# No sanitizer of memory: the code is safe, and twice as fast without.
fuzz=(cargo +nightly fuzz)
options=(--fuzz-dir . --sanitizer none)
"${fuzz[@]}" build "${options[@]}"
python3 seeds.py "$root/tests/contract" corpus
status=0
for target in $("${fuzz[@]}" list --fuzz-dir .); do
  if "${fuzz[@]}" run "${options[@]}" "$target" -- -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -verbosity=0; then
    echo "fuzz ok: $target"
  else
    echo "fuzz not ok: $target"
    status=1
    say "to see it again: cd $PWD && PATH=$cargo_fuzz/bin:\$PATH CARGO_TARGET_DIR=$CARGO_TARGET_DIR" \
      "cargo +nightly fuzz run ${options[*]} $target artifacts/$target/FILE"
  fi
done
exit "$status"
