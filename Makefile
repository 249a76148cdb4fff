# Every target sets itself up: python3 and make are all it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.bench-ready

.PHONY: help setup demo test test-browser test-bluez test-fuzz test-crash test-crash-long test-operations test-keys test-wheels test-load test-defences test-long explore fuzz mutants bench bench-issuer lint types imports machines screens lock clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## / — /'

$(READY): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV) (once, half a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(BENCH_READY): requirements-bench.lock $(READY)
	@echo "Adding the tools of the slower targets (once, a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	@touch $@

setup: $(READY) ## make .venv with the four programs in it

demo: $(READY) ## one payment through all four parties: make demo ARGS='--scenario wrong-pin'
	@$(BIN)/python -m demo $(ARGS)

test: $(READY) lint types imports ## the whole test suite: make test ARGS='-k pin'
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

test-browser: $(BENCH_READY) ## the phone's page in Chromium (Debian: chromium fonts-noto-cjk fonts-roboto); takes the pictures of docs/phone.md
	BLIND_RELAY_BROWSER=1 $(BIN)/python -m pytest -n 2 tests/browser $(ARGS)

test-bluez: $(READY) ## all four parties on real BlueZ and USB, in QEMU (Debian: qemu-system-x86 mmdebstrap)
	BLIND_RELAY_BENCH=1 $(BIN)/python -m pytest tests/bluez $(ARGS)

test-fuzz: $(BENCH_READY) ## a running issuer against its own description
	BLIND_RELAY_FUZZ=1 $(BIN)/python -m pytest tests/fuzz $(ARGS)

test-crash: $(READY) ## the issuer dies at every failpoint; failing disks; a day without a trace (minutes)
	BLIND_RELAY_CRASH=1 $(BIN)/python -m pytest tests/crash $(ARGS)

test-crash-long: $(READY) ## 200 random kills under load and a long model run: make test-crash-long ARGS='--seed 7'
	@mkdir -p build
	$(BIN)/python -m tests.crash.random_kills --kills 200 --json build/kills.json $(ARGS)
	BLIND_RELAY_EXAMPLES=300 $(BIN)/python -m pytest tests/machines/test_issuer_stateful.py

test-operations: $(READY) ## the issuer's stop, backups and service manager on real processes
	BLIND_RELAY_OPERATIONS=1 $(BIN)/python -m pytest tests/operations $(ARGS)

test-keys: $(READY) ## keys rotated, killed and retired beside real programs, also in a token (Debian: softhsm2)
	BLIND_RELAY_KEYS=1 $(BIN)/python -m pytest tests/keys $(ARGS)

test-wheels: $(READY) ## whether a 64-bit Arm reader installs without a compiler (asks the package index)
	BLIND_RELAY_INDEX=1 $(BIN)/python -m pytest tests/packages $(ARGS)

test-defences: $(READY) ## every attack's test without its defence must be red (minutes)
	BLIND_RELAY_DEFENCES=1 $(BIN)/python -m pytest -n 2 tests/defences -rP $(ARGS)

fuzz: $(BENCH_READY) ## every parser by coverage, long: make fuzz ARGS='cbor --seconds 900'
	$(BIN)/python -m tests.fuzz.run --seconds 300 $(ARGS)

mutants: $(BENCH_READY) ## mutation testing on a copy (hours): make mutants ARGS='framing'
	$(BIN)/python -m tests.mutation.run $(ARGS)

test-load: $(READY) ## a thousand phones, two hundred payments at once
	BLIND_RELAY_LOAD=1 $(BIN)/python -m pytest tests/load -s $(ARGS)

test-long: $(READY) ## hundreds of payments in seeded bad weather, and one cut everywhere: make test-long ARGS='--runs 800'
	@mkdir -p build
	$(BIN)/python -m tests.long.payments_in_bad_weather --runs 400 --json build/bad-weather.json $(ARGS)
	$(BIN)/python -m tests.long.payments_in_bad_weather --sweep --json build/sweep.json

explore: $(READY) ## every order of events with a hostile phone, in larger worlds (minutes)
	$(BIN)/python -m tests.long.explore_further $(ARGS)

bench: $(READY) ## what the system adds to a person's own time
	$(BIN)/python -m benchmarks.handset_added_time

bench-issuer: $(READY) ## the issuer's memory and CPU a payment against the floor of its cryptography
	@mkdir -p build
	$(BIN)/python -m benchmarks.issuer_under_load --json build/issuer-load.json $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

machines: $(READY) ## draw docs/machines/ from the transition tables
	$(BIN)/python -m tools.draw_machines

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --group build \
	--custom-compile-command "make lock"

screens: $(READY) ## draw every screen of the reader: make screens ARGS=DIR
	$(BIN)/python -m tools.draw_screens $(or $(ARGS),build/screens)

lock: ## write the locks anew (needs uv)
	$(COMPILE) --extra test --output-file requirements.lock pyproject.toml
	$(COMPILE) --extra bench --output-file requirements-bench.lock pyproject.toml

clean: ## remove .venv and what the tools left
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
