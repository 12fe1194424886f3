#!/usr/bin/env bash
# Runs each fuzz target for FUZZ_SECONDS (60), starting from the seeds and from the corpus of earlier runs. Prints a
# line for each target: runs, inputs with new coverage, crashes. Exits with 1 if a target crashed. Arguments select
# targets; the default is all. Requires Rust and a C++ compiler for libFuzzer.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-$PWD/target}
tools=$target/tools
export PATH=$tools/bin:$PATH
command -v cargo-fuzz > /dev/null || cargo install --locked cargo-fuzz --root "$tools"

# The pinned toolchain is stable. This variable enables the instrumentation flags.
export RUSTC_BOOTSTRAP=1
# The fuzzed code contains no unsafe code, so sanitizers are not useful.
fuzz=(--sanitizer none)
cargo fuzz build "${fuzz[@]}"

# The staging area syncs its files after each step. A memory file system makes that fast.
if [ -w /dev/shm ]; then export TMPDIR=/dev/shm; fi
logs=$target/fuzz
mkdir -p "$logs"
failed=0
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
      failed=1
    fi
  done
done
exit $failed
