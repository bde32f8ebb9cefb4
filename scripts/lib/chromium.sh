# A browser for suites that look at a page. Sourced after common.sh.
# shellcheck shell=bash

# find_chromium: the first browser there is, by the names that it goes by.
find_chromium() {
  local name
  for name in chromium chromium-browser google-chrome; do
    if command -v "$name"; then
      return
    fi
  done
}

# need_chromium: finds a browser or installs one, and exports its path as SYNCLINE_CHROMIUM.
need_chromium() {
  SYNCLINE_CHROMIUM="${SYNCLINE_CHROMIUM:-$(find_chromium)}"
  if [[ -z "$SYNCLINE_CHROMIUM" ]]; then
    # Without a font, a browser shows no text.
    apt_install chromium fonts-dejavu-core
    SYNCLINE_CHROMIUM="$(find_chromium)"
  fi
  [[ -n "$SYNCLINE_CHROMIUM" ]] || fail "Chromium is needed: install it, or name it in SYNCLINE_CHROMIUM"
  export SYNCLINE_CHROMIUM
}
