# Commands for developers. Each works on a fresh machine.

.PHONY: build demo test check check-docs docs bench torture torture-defects fuzz setup setup-tests

# Builds all binaries into target/debug: `sluice` and the mock of Mambu.
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

# Measures mappers natively and in the sandbox, the five steps over HTTP, alternatives, growth, cold starts and many
# migrations at once. BENCH=quick measures less; BENCH_FLAGS has further options, such as --sizes 1e5.
bench: build
	@mkdir -p "$${CARGO_TARGET_DIR:-target}/bench"
	cargo test --workspace --bench price > "$${CARGO_TARGET_DIR:-target}/bench/price.md"
	python3 scripts/bench/run.py --price "$${CARGO_TARGET_DIR:-target}/bench/price.md" $(BENCH_FLAGS)

# Checks that no record is lost or imported twice: with kills at random moments, power cuts, failing system calls, a full
# disk, interrupted uploads, many clients and damaged files. TORTURE_FLAGS, such as `--seed 2 --kills 100 --parts
# kills,syscalls`.
torture: build
	python3 scripts/torture/run.py --binary "$${CARGO_TARGET_DIR:-target}/debug/sluice" $(TORTURE_FLAGS)

# Checks that the torture finds each of several deliberate defects, with one server for each.
torture-defects: setup
	@mkdir -p "$${CARGO_TARGET_DIR:-target}/torture"
	cargo build --workspace --bins --features sluice/defects
	cp "$${CARGO_TARGET_DIR:-target}/debug/sluice" "$${CARGO_TARGET_DIR:-target}/torture/sluice-defects"
	$(MAKE) build
	python3 scripts/torture/run.py --binary "$${CARGO_TARGET_DIR:-target}/debug/sluice" \
		--defects "$${CARGO_TARGET_DIR:-target}/torture/sluice-defects" $(TORTURE_FLAGS)

# Runs each fuzz target for FUZZ_SECONDS (60). `scripts/fuzz.sh csv` runs one.
fuzz:
	scripts/fuzz.sh

# Checks format, lints, names and API documentation.
check: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	python3 scripts/check/words.py
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Checks the documents without building the book: links, named files, shown sources, codes, reference pages, the crates'
# picture.
check-docs:
	python3 scripts/docs/crates.py --check
	python3 scripts/docs/sources.py --check
	python3 scripts/docs/errors.py --check
	python3 scripts/docs/links.py
	python3 scripts/docs/codes.py

# Draws the crates, copies shown sources, writes the definitions of codes, checks every link, named file and reference page, and builds the book in
# target/book. With DOCS_FLAGS=--check it changes nothing, and fails if a picture or a shown source is stale.
docs:
	scripts/docs.sh $(DOCS_FLAGS)

# Installs what compiling plugins for Wasm requires, which is part of every build.
setup:
	@scripts/setup.sh

# Installs the tools that the tests run, where apt-get can.
setup-tests:
	@scripts/setup-tests.sh
