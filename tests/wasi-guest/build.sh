#!/bin/sh
# Builds the guest in this folder for wasm32-wasip1 into TARGET_DIR, with the toolchains of this machine:
#     build.sh TARGET_DIR
# Prints the path of the core module. Exits with 77 and a message if this machine cannot build it.
set -eu
cd "$(dirname "$0")"
target=$1
module=$target/wasm32-wasip1/release/sluice_wasi_guest.wasm
skip() { echo "$1" >&2; exit 77; }

if [ -n "$(ls "$(rustc --print target-libdir --target wasm32-wasip1)" 2>/dev/null)" ]; then
    cargo build --quiet --release --target wasm32-wasip1 --target-dir "$target"
    echo "$module"
    exit
fi

# Debian's compiler, its source of the standard library, and its C library for WASI.
libc=${WASI_LIBC:-/usr/lib/wasm32-wasi}
[ -f "$libc/libc.a" ] || skip "no target wasm32-wasip1 and no WASI libc: apt-get install wasi-libc"
[ -f "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std/Cargo.toml" ] ||
    skip "no target wasm32-wasip1 and no source of std: apt-get install rustc-web cargo-web rust-web-src"
host=$(rustc --version --verbose | sed -n 's/^host: //p')
llvm=$(/usr/bin/rustc --version --verbose | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
linker=$(rustc --print sysroot)/lib/rustlib/$host/bin/rust-lld
[ -x "$linker" ] || linker=$(command -v "wasm-ld-$llvm" || command -v wasm-ld || command -v rust-lld) ||
    skip "no linker for Wasm: apt-get install lld-$llvm"
for cargo in /usr/bin/cargo /usr/share/cargo/bin/cargo; do
    [ -x "$cargo" ] && break
done
[ -x "$cargo" ] || skip "no cargo from Debian: apt-get install cargo-web"
env -u RUSTUP_TOOLCHAIN RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_WASIP1_LINKER="$linker" \
    CARGO_ENCODED_RUSTFLAGS="-Clink-self-contained=no$(printf '\037')-L$libc" \
    "$cargo" build --quiet --release --target wasm32-wasip1 -Zbuild-std=std,panic_abort --target-dir "$target"
echo "$module"
