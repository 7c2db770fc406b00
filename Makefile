# Everything a newcomer needs: `make demo`, then `make test`. `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUST := $(shell find rust -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock
STAMP := $(VENV)/built
# Two files of tests at a time; those of one file share what they compile.
TWO := -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo test quick bench memcheck lint fmt references colossus gallery site wheel clean

## This list.
help:
	@awk '/^## / { text = substr($$0, 4); next } \
		/^[a-z]+:/ && text { split($$0, name, ":"); printf "make %-12s%s\n", name[1], text } \
		{ text = "" }' $(firstword $(MAKEFILE_LIST))

## Build, and predict the MFU of colossus-1.
demo: $(STAMP)
	$(BIN)/hindmost run colossus-1

## Every check, the slow ones last.
test: lint quick
	$(BIN)/pytest -q $(TWO) tests/statistics tests/validation tests/docs tests/package
	$(BIN)/pytest -q --doctest-modules python/hindmost
	$(BIN)/pytest -q benches

## The checks that take about five minutes.
quick: $(STAMP)
	cargo test --locked --quiet
	$(BIN)/pytest -q $(TWO) -m "not timed" tests/python
	$(BIN)/pytest -q -m timed tests/python

## Speed against NumPy: the table of docs/performance.md.
bench: $(STAMP)
	$(BIN)/pytest -q benches --benchmark-columns=min

## The vector kernels under valgrind, which knows no AVX-512.
memcheck:
	CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="valgrind --quiet --error-exitcode=1" \
		cargo test --locked --package hindmost-core --test kernels

## Formatting, linters and types, changing nothing.
lint: $(STAMP)
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

## Format all code, and fix what linters can fix.
fmt: $(STAMP)
	cargo fmt --all
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

## Render docs/commands.md, api.md, collectives.md and train-or-serve.md from the code.
references: $(STAMP)
	$(BIN)/python -m tests.docs.reference
	$(BIN)/python -m tests.docs.collectives
	$(BIN)/python -m tests.docs.train_or_serve

## Render docs/colossus.md from the presets, in a few minutes.
colossus: $(STAMP)
	$(BIN)/python -m tests.validation.colossus

## Draw docs/gallery.md with its files, and run docs/notebook.ipynb, in a minute.
gallery: $(STAMP)
	$(BIN)/python -m tests.docs.gallery
	$(BIN)/python -m tests.docs.notebook

## The documents as a site that needs no network, with its gallery: open site/index.html.
site: gallery
	rm -rf site
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --fresh-env \
		--doctree-dir $(VENV)/doctrees --conf-dir docs . site
	@echo "open site/index.html"

## A wheel and a source distribution in dist/.
wheel: $(STAMP)
	$(BIN)/maturin build --release --locked --sdist --out dist

## Remove all that was built.
clean:
	rm -rf $(VENV) target dist site

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Installs the package in place, so that Python files need no second install.
$(STAMP): $(BIN)/python pyproject.toml $(RUST)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@
