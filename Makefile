# What people do here. Each of these is all that it takes on a fresh machine.

.PHONY: demo test check setup

# Moves a sample bank from upload to verified counts, on this machine.
demo: setup
	cargo run -p sluice -- demo

test: setup
	cargo test --workspace

check: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Plugins are compiled for Wasm as part of every build: this sees that the machine can.
setup:
	@scripts/setup.sh
