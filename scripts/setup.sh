#!/usr/bin/env bash
# Installs the tools that building the plugins requires, on Debian and Ubuntu. On other systems, prints what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

target=wasm32-unknown-unknown
packages=(rustc-web cargo-web rust-web-src)

has() { command -v "$1" >/dev/null; }

say() { echo "setup: $*" >&2; }

# Returns 0 if the toolchain of cargo has the target. With rustup, rust-toolchain.toml installs it.
has_target() {
  local libraries
  has rustc && libraries=$(rustc --print target-libdir --target "$target") && [ -n "$(ls -A "$libraries" 2>/dev/null)" ]
}

# Returns 0 if the distribution's toolchain has the source of the standard library, which can be built for the target.
has_source() {
  [ -x /usr/bin/cargo ] && [ -x /usr/bin/rustc ] &&
    [ -e "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std/Cargo.toml" ]
}

llvm_version() { /usr/bin/rustc --version --verbose | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p'; }

# Returns 0 if a linker for Wasm is installed. Toolchains of rustup contain one, those of the distribution do not.
has_linker() {
  has "wasm-ld-$(llvm_version)" || has rust-lld || has wasm-ld ||
    [ -x "$(rustc --print target-libdir)/../bin/rust-lld" ]
}

has_everything() { has cargo && has cc && { has_target || { has_source && has_linker; }; }; }

has_everything && exit 0

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
has_target && packages=()
has cc || packages+=(gcc libc6-dev)

if has apt-get && "${as_root[@]}" true 2>/dev/null; then
  say "installing ${packages[*]}"
  as_root+=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
  "${as_root[@]}" update >&2 || say "apt-get update failed; continuing with the existing package lists"
  as_root+=(install -y --no-install-recommends --no-remove)
  [ ${#packages[@]} -eq 0 ] || "${as_root[@]}" "${packages[@]}" >&2 || true
  ! has_source || has_linker || "${as_root[@]}" "lld-$(llvm_version)" >&2 || true
  has_everything && exit 0
fi

say "plugins cannot be built: install Rust and a C compiler and run \`rustup target add $target\`," \
  "or on Debian and Ubuntu \`apt-get install gcc libc6-dev rustc-web cargo-web rust-web-src\`."
exit 1
