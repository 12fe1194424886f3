#!/usr/bin/env bash
# Installs the tools that the tests run, on Debian and Ubuntu: Node.js with npm, Python, curl, strace, e2fsprogs,
# compressors, and a C library for WASI. Idempotent: with all tools present it starts no package manager. On other systems,
# and without the rights to install packages, it prints what is missing and exits with 0; tests without their tool are
# then skipped, or fail with SLUICE_REQUIRE_ALL=1.
set -euo pipefail
cd "$(dirname "$0")/.."

PATH=$PATH:/usr/sbin:/sbin

has() { command -v "$1" >/dev/null; }

say() { echo "setup-tests: $*" >&2; }

# Returns 0 if Python has pip and can make virtual environments.
has_python() { has python3 && python3 -c 'import ensurepip, venv' 2>/dev/null && python3 -m pip --version >/dev/null 2>&1; }

# Sets `packages` to the packages that contain the missing tools.
find_missing() {
  packages=()
  has bash || packages+=(bash)
  has curl || packages+=(curl ca-certificates)
  has node || packages+=(nodejs)
  has npm || packages+=(npm)
  has_python || packages+=(python3 python3-pip python3-venv)
  has strace || packages+=(strace)
  has mkfs.ext4 || packages+=(e2fsprogs)
  has gzip || packages+=(gzip)
  has zstd || packages+=(zstd)
  [ -f "${WASI_LIBC:-/usr/lib/wasm32-wasi}/libc.a" ] || packages+=(wasi-libc)
}

find_missing
[ ${#packages[@]} -gt 0 ] || exit 0

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
if has apt-get && "${as_root[@]}" true 2>/dev/null; then
  say "installing ${packages[*]}"
  as_root+=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
  "${as_root[@]}" update >&2 || say "apt-get update failed; continuing with the existing package lists"
  # One by one: a package that cannot be installed does not prevent the others.
  for package in "${packages[@]}"; do
    "${as_root[@]}" install -y --no-install-recommends --no-remove "$package" >&2 || say "$package cannot be installed"
  done
  find_missing
  [ ${#packages[@]} -gt 0 ] || exit 0
fi

say "missing packages, or what they contain: ${packages[*]}." \
  "Tests that need them are skipped, or fail with SLUICE_REQUIRE_ALL=1."
