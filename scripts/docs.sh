#!/usr/bin/env bash
# Checks the documents and builds the book in target/book. It first draws the crates, copies shown
# sources and writes the definitions of codes; with --check it changes nothing and fails if one of them is stale. It installs mdBook in target/tools.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.5.4
target=${CARGO_TARGET_DIR:-$PWD/target}
tools=$target/tools
export PATH=$tools/bin:$PATH

python3 scripts/docs/crates.py "$@"
python3 scripts/docs/sources.py "$@"
python3 scripts/docs/errors.py "$@"
python3 scripts/docs/links.py
python3 scripts/docs/codes.py

if [ "$(mdbook --version 2> /dev/null)" != "mdbook v$version" ]; then
  # Only building and searching are needed, and not mdBook's server.
  cargo install --locked --force mdbook --version "$version" --no-default-features --features search --root "$tools"
fi
mdbook build docs --dest-dir "$target/book"
echo "the book is at $target/book/index.html"
