# What people do here. Each of these is all that it takes on a fresh machine.

.PHONY: build demo test check bench setup

# The commands, in target/debug. Of the whole workspace, as the tests are: building one package alone would
# choose other features of shared dependencies, and compile wasmtime a second time.
build: setup
	cargo build --workspace --bins

# Moves a sample bank from upload to verified counts, on this machine.
demo: build
	"$${CARGO_TARGET_DIR:-target}/debug/sluice" demo

test: setup
	cargo test --workspace

# The sandbox's price: mappers natively and in the sandbox, side by side.
bench: setup
	cargo test --workspace --bench price

check: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Plugins are compiled for Wasm as part of every build: this sees that the machine can.
setup:
	@scripts/setup.sh
