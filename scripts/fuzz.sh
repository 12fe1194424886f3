#!/usr/bin/env bash
# Runs each fuzz target for FUZZ_SECONDS (60) from the seeds that are kept and from what earlier runs have found, and
# prints a line for each: runs, inputs that led somewhere new, crashes. Ends with 1 if anything was found. Targets as
# arguments, or all. Beside Rust it takes a C++ compiler, for libFuzzer.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-$PWD/target}
tools=$target/tools
export PATH=$tools/bin:$PATH
command -v cargo-fuzz > /dev/null || cargo install --locked cargo-fuzz --root "$tools"

# The pinned toolchain is a stable one: it has the instrumentation, and hides its switches.
export RUSTC_BOOTSTRAP=1
# Nothing in these parts is unsafe, so there is nothing for a sanitizer to find.
fuzz=(--sanitizer none)
cargo fuzz build "${fuzz[@]}"

# A staging area waits for its disk after each step: memory does not let it wait.
if [ -w /dev/shm ]; then export TMPDIR=/dev/shm; fi
logs=$target/fuzz
mkdir -p "$logs"
found=0
for name in "${@:-framing csv tus segments pieces batches answers records}"; do
  for each in $name; do
    mkdir -p "fuzz/corpus/$each"
    log=$logs/$each.log
    crashes=0
    cargo fuzz run "${fuzz[@]}" "$each" "fuzz/corpus/$each" "fuzz/seeds/$each" -- \
      -max_total_time="${FUZZ_SECONDS:-60}" -max_len=4096 -timeout=20 -print_final_stats=1 > "$log" 2>&1 || crashes=1
    stat() { sed -n "s/^stat::$1: *//p" "$log" | tail -1; }
    echo "$each: $(stat number_of_executed_units) runs, $(stat new_units_added) new paths, $crashes crashes"
    if [ "$crashes" = 1 ]; then
      grep -E "panicked at|Test unit written|ERROR" -A1 "$log" || tail -5 "$log"
      found=1
    fi
  done
done
exit $found
