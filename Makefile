# megahertz: every command a contributor needs. `make` alone lists them.
PYTHON ?= python3
VENV   ?= .venv
PROFILE ?= release
BIN    := $(VENV)/bin
MANIFEST := rust/Cargo.toml
RUST_SOURCES := $(shell find rust -name '*.rs' -o -name 'Cargo.toml' -o -name 'Cargo.lock' | grep -v /target/)
CARGO  := $(shell command -v cargo 2>/dev/null || echo $(HOME)/.cargo/bin/cargo)
# What `make train` has counted guides the compiler that it was counted with, and no other.
COUNTS := $(abspath rust/profile/counts.profdata)
SAME    = $(shell $(dir $(CARGO))rustc -vV 2>/dev/null | cmp -s - rust/profile/compiler.txt && echo yes)
GUIDE   = $(if $(filter releaseyes,$(PROFILE)$(SAME)),-Cprofile-use=$(COUNTS) -Cllvm-args=-no-pgo-warn-mismatch)

.DEFAULT_GOAL := help
.PHONY: help install demo test check lint format bench train docs clean

help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

install: $(VENV)/.native-$(PROFILE) ## build the native module and install everything into .venv

$(VENV)/.tools: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	 { echo "megahertz needs Python >= 3.11; name one with make install PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --group dev --group docs
	@touch $@

$(VENV)/.native-$(PROFILE): $(VENV)/.tools $(RUST_SOURCES) $(COUNTS)
	@test -x "$(CARGO)" || { echo "cargo is missing; this installs Rust (>= 1.85), then run make install again:"; echo "  curl --proto '=https' -sSf https://sh.rustup.rs | sh -s -- -y"; exit 1; }
	VIRTUAL_ENV=$(abspath $(VENV)) RUSTFLAGS="$(strip $(RUSTFLAGS) $(GUIDE))" $(BIN)/maturin develop --quiet --profile $(PROFILE)
	@$(if $(filter release,$(PROFILE)$(GUIDE)),echo "Not guided by rust/profile: that was counted with another compiler ($$(head -1 rust/profile/compiler.txt)). make train counts with this one.")
	@rm -f $(VENV)/.native-* && echo "$(if $(GUIDE),profile-guided)" > $@

demo: install ## the flash sale in four stages, measured and audited
	$(BIN)/mhz demo flash-sale

test: install ## everything that CI runs: check, then the tests of Rust and Python
	tests/servers.sh
	@$(MAKE) --no-print-directory check
	$(CARGO) test --quiet --manifest-path $(MANIFEST) --workspace --exclude bind
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -q --ignore tests/fault --ignore tests/end
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	$(BIN)/pytest -q tests/fault $(wildcard tests/end)
	tests/matrix.sh

check: install lint ## types, floors, spelling, the binary against its stub
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/stubtest megahertz._core
	$(BIN)/codespell src rust/*/src docs tests benchmarks *.md changes

lint: install ## ruff, rustfmt, clippy with warnings denied
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(CARGO) fmt --manifest-path $(MANIFEST) --all --check
	$(CARGO) clippy --quiet --manifest-path $(MANIFEST) --workspace --all-targets -- -D warnings

format: install ## write the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(CARGO) fmt --manifest-path $(MANIFEST) --all

bench: install ## every work beside its peers; WORK=hello,post PEERS=fasthttp ROUNDS= SECONDS=
	benchmarks/tools.sh
	$(BIN)/python -m benchmarks --work "$(WORK)" --peers "$(PEERS)" $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(CHECK),--check)

train: $(VENV)/.tools ## count what the native module does under load, for make install to optimise by
	benchmarks/tools.sh train
	$(BIN)/python -m benchmarks.train

docs: install ## build the pages into site/
	$(BIN)/mkdocs build --quiet --strict

clean: ## forget what was built
	rm -rf $(VENV) rust/target site dist
