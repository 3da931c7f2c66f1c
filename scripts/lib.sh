# Sourced by the scripts beside it: messages, versions, counted steps.
# Everything meant for people goes to stderr; stdout belongs to the script.
# shellcheck shell=bash

# The oldest Kubo that may be used (its reasons: kubo-config/README.md).
KUBO_FLOOR=0.43.0

say() { printf '%s\n' "$*" >&2; }

# die MESSAGE [HINT]: one line that names the cause, one that says what to do.
die() {
  say "error: $1"
  [ $# -lt 2 ] || say "hint: $2"
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# at_least VERSION FLOOR: dotted numbers; a pre-release comes before its release.
at_least() {
  local core=${1%%-*}
  [ "$(printf '%s\n%s\n' "$2" "$core" | sort -V | head -n 1)" = "$2" ] || return 1
  [ "$core" != "$2" ] || [ "$1" = "$core" ]
}

# cargo_environment: the same for every script, so that all share one build.
cargo_environment() {
  export INSTA_UPDATE=no
  [ -t 1 ] || export CARGO_TERM_COLOR=never
}

# begin_steps: opens the log that `step` writes and `finish_steps` sums up.
begin_steps() {
  STEP_LOG=$(mktemp)
  FAILED_STEPS=0
  if [ -z "${TIMEROSE_SKIPPED:-}" ]; then
    TIMEROSE_SKIPPED=$(mktemp)
    export TIMEROSE_SKIPPED
    at_end rm -f "$STEP_LOG" "$TIMEROSE_SKIPPED"
  else
    at_end rm -f "$STEP_LOG"
  fi
}

AT_END=()
# at_end COMMAND…: done when the script ends, however it does.
at_end() {
  AT_END+=("$(printf '%q ' "$@")")
  trap 'for command in "${AT_END[@]}"; do eval "$command"; done' EXIT
}

# step NAME COMMAND…: runs it, keeps going when it fails. A step whose tests
# report their own failures is not counted a second time.
step() {
  local name=$1 status=0 before
  shift
  printf '\n== %s\n' "$name"
  before=$(failed_tests)
  "$@" 2>&1 | tee -a "$STEP_LOG" || status=$?
  [ "$status" -eq 0 ] && return
  printf '== %s failed\n' "$name"
  [ "$(failed_tests)" -gt "$before" ] || FAILED_STEPS=$((FAILED_STEPS + 1))
}

# sum_results COLUMN-WORD: adds up that number in libtest's result lines.
sum_results() {
  awk -v word="$1" '/^test result: / {
    for (i = 2; i <= NF; i++) if ($i ~ "^" word ";?$") sum += $(i - 1)
  } END { print sum + 0 }' "$STEP_LOG"
}

failed_tests() { sum_results failed; }

# finish_steps: the last line is exactly `N passed, N failed, N skipped`; a test
# that noted itself in TIMEROSE_SKIPPED was reported as passed by libtest.
finish_steps() {
  local skipped failed passed
  skipped=$(wc -l <"$TIMEROSE_SKIPPED")
  passed=$(($(sum_results passed) - skipped))
  failed=$(($(failed_tests) + FAILED_STEPS))
  if [ "$skipped" -gt 0 ]; then
    printf '\nSKIPPED, they prove nothing here:\n'
    sed 's/^/  /' "$TIMEROSE_SKIPPED"
  fi
  printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$((skipped + $(sum_results ignored)))"
  [ "$failed" -eq 0 ]
}

# fast_steps: what `check` runs and `test` begins with.
fast_steps() {
  step "format" scripts/fmt --check
  step "clippy" cargo clippy --locked --all-targets -- -D warnings
  step "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps
  if have cargo-deny; then
    step "supply chain" cargo deny --locked check bans licenses sources
  else
    say "cargo-deny is not installed: deny.toml is not checked here"
  fi
  step "fast tests, tidy among them" cargo test --locked --no-fail-fast --lib --bins --test it
}
