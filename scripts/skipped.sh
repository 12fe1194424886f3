#!/usr/bin/env bash
# Runs a command, such as `cargo test --workspace`, then prints which tests were skipped and why. Exits with the code of
# the command. With SLUICE_REQUIRE_ALL=1 a test without its tool fails and is not skipped.
set -uo pipefail
cd "$(dirname "$0")/.."

# Tests append lines to this file: test, tool and reason, separated by tabs.
list=${CARGO_TARGET_DIR:-target}/tmp/skipped.tsv

rm -f "$list"
"$@"
code=$?

if [ -s "$list" ]; then
  LC_ALL=C sort -u "$list" | awk -F'\t' '
    { tests = tests (tests ? ", " : "") $1 " (" $2 ": " $3 ")" }
    END { print NR " skipped: " tests }'
  echo "scripts/setup-tests.sh installs missing tools. With SLUICE_REQUIRE_ALL=1 a missing tool fails its test."
else
  echo "0 skipped"
fi
exit "$code"
