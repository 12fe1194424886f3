# What people do here. Each of these is all that it takes on a fresh machine.

.PHONY: build demo test check docs bench torture torture-defects fuzz setup setup-tests

# All commands, in target/debug: `sluice` and the stand-in for Mambu.
build: setup
	cargo build --workspace --bins

# Moves a sample bank from upload to verified counts, on this machine. Builds the command alone: it has the same
# features as in the workspace, so a test run afterwards builds no dependency a second time.
demo: setup
	cargo build -p sluice
	"$${CARGO_TARGET_DIR:-target}/debug/sluice" demo

# Runs all tests, then prints which of them were skipped for want of a tool. With SLUICE_REQUIRE_ALL=1 a missing tool
# fails its test.
test: setup setup-tests
	scripts/skipped.sh cargo test --workspace

# What it costs, in one account: mappers natively and in the sandbox, the five steps over HTTP, what one would take
# instead, growth, cold starts, many at once. BENCH=quick for a first look; more with BENCH_FLAGS, such as --sizes 1e5.
bench: build
	@mkdir -p "$${CARGO_TARGET_DIR:-target}/bench"
	cargo test --workspace --bench price > "$${CARGO_TARGET_DIR:-target}/bench/price.md"
	python3 scripts/bench/run.py --price "$${CARGO_TARGET_DIR:-target}/bench/price.md" $(BENCH_FLAGS)

# Nothing lost, nothing twice: a server killed at random moments, without power, with failing system calls, a full disk,
# broken uploads, a crowd, damaged files. TORTURE_FLAGS, such as `--seed 2 --kills 100 --parts kills,syscalls`.
torture: build
	python3 scripts/torture/run.py --binary "$${CARGO_TARGET_DIR:-target}/debug/sluice" $(TORTURE_FLAGS)

# And whether it would notice: servers with one deliberate defect each, of which every one has to be found.
torture-defects: setup
	@mkdir -p "$${CARGO_TARGET_DIR:-target}/torture"
	cargo build --workspace --bins --features sluice/defects
	cp "$${CARGO_TARGET_DIR:-target}/debug/sluice" "$${CARGO_TARGET_DIR:-target}/torture/sluice-defects"
	$(MAKE) build
	python3 scripts/torture/run.py --binary "$${CARGO_TARGET_DIR:-target}/debug/sluice" \
		--defects "$${CARGO_TARGET_DIR:-target}/torture/sluice-defects" $(TORTURE_FLAGS)

# What no bytes may do: each fuzz target for FUZZ_SECONDS (60). `scripts/fuzz.sh csv` runs one.
fuzz:
	scripts/fuzz.sh

check: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	python3 scripts/check/words.py
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Draws the crates, copies shown sources, checks every link, named file and reference page, and builds the book in
# target/book. With DOCS_FLAGS=--check it changes nothing, and fails if a picture or a shown source is stale.
docs:
	scripts/docs.sh $(DOCS_FLAGS)

# Plugins are compiled for Wasm as part of every build: this sees that the machine can.
setup:
	@scripts/setup.sh

# Installs the tools that the tests run, where apt-get can.
setup-tests:
	@scripts/setup-tests.sh
