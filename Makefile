# Each target does its own set-up in .venv and .tools, inside this checkout, and again only when its inputs change.

PYTHON ?= python3
PORT ?= 8000
FUZZ_SECONDS ?= 600
REFRESHES ?= 10000000
REQUESTS ?= 8000

VENV := .venv
BIN := $(VENV)/bin

# Stamps: the environment, a requirements file installed in it, the extension module built into python/jwtauth.
ENV := $(VENV)/.created
REQUIRED := $(VENV)/.installed
ENGINE := $(VENV)/.engine
ENGINE_SOURCES := Cargo.toml Cargo.lock pyproject.toml \
	$(shell find crates/jwtauth crates/jwtauth-python -path '*/src/*' -name '*.rs' -o -name Cargo.toml)

export VIRTUAL_ENV := $(CURDIR)/$(VENV)
export PYO3_PYTHON := $(VIRTUAL_ENV)/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Python compiles a module when it is first imported. Most of the installed modules never are.
export PIP_NO_COMPILE := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: help run interpreter test check lint model simulate fuzz miri reliability seams devices switch docs bench lock matrix neighbours package wheels rebuild semver release-check clean

help:
	@echo 'make run     build and serve the demo site on http://127.0.0.1:$(PORT) (PORT=... for another port)'
	@echo 'make check   the checks that find most mistakes, in under three minutes once all is built'
	@echo 'make test    every check: lint, Rust tests, Python tests, browser tests, coverage; the better part of an hour (STEPS="rust fuzz" for some)'
	@echo 'make lint    format, clippy, ruff, mypy, pyright, stubtest, migrations, workflows'
	@echo 'make model   the rules of rotation, in more states than make test visits'
	@echo 'make simulate  seeded worlds over axum (nine tenths) and Django (one tenth): REFRESHES=$(REFRESHES), a night'
	@echo 'make fuzz    random bytes for everything that reads bytes from the network: FUZZ_SECONDS=600 for each target'
	@echo 'make reliability  the long races and faults, into docs/reliability-table.md: hours'
	@echo 'make seams   browsers, servers, proxies, clients and clusters, into docs/seams-table.md: an hour or more (DEPARTMENTS="proxies" for some)'
	@echo 'make devices 10,000 refreshes and 10,000 replays of bound sessions in Chromium: an hour or more'
	@echo 'make switch  a site switches to jwtauth and back under load, from four packages on three databases: half an hour'
	@echo 'make docs    the documentation, into docs/_build/html'
	@echo 'make matrix  the tests on every Python, Django and DRF, into docs/reference/compatibility-table.md: three quarters of an hour'
	@echo 'make neighbours  suites of other packages with jwtauth beside them, into docs/reference/works-with-table.md (SUITES="django-otp" for some)'
	@echo 'make package  each crate as crates.io would get it, built and tested as unpacked; nothing is sent'
	@echo 'make wheels  the wheels for every platform and the source distribution, into dist/ (TARGETS="..." for some)'
	@echo 'make rebuild  build them again in another folder: the same bytes'
	@echo 'make semver SINCE=REVISION  breaking changes in the API of the crates since this commit'
	@echo 'make release-check  everything of a release but publishing it, from a clean clone (TARGETS="..." for some wheels)'
	@echo 'make bench   measurements beside the alternatives, into docs/performance (PARTS="engine calls" for some)'
	@echo 'make lock    pin the dependency groups of pyproject.toml in requirements/ (LOCK="--upgrade" for the newest versions)'
	@echo 'make clean   remove everything that was built'
	@echo 'PYTHON=python3.13 makes .venv with another Python than python3 (make clean first).'

# A bare command, without a shell between it and make: make hands a signal on to it. It checks the port, then builds.
run: interpreter
	@$(if $(wildcard $(ENV)),$(BIN)/python,$(PYTHON)) scripts/run.py '$(PORT)'

test: $(REQUIRED)-seams $(REQUIRED)-neighbours $(REQUIRED)-lint $(REQUIRED)-build $(REQUIRED)-nox $(ENGINE)
	$(BIN)/python scripts/test.py $(STEPS)

check: $(REQUIRED)-test $(REQUIRED)-lint $(ENGINE)
	@$(BIN)/python scripts/test.py quick

lint: $(REQUIRED)-test $(REQUIRED)-lint $(ENGINE)
	cargo fmt --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --all-features --no-deps
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/python -m mypy
	$(BIN)/python -m mypy tests/typed_site.py
	$(BIN)/basedpyright --level warning
	$(BIN)/python -m mypy.stubtest jwtauth._engine --mypy-config-file pyproject.toml
	$(BIN)/typos
	$(BIN)/python scripts/language.py
	$(BIN)/actionlint -shellcheck= -pyflakes=
	$(BIN)/zizmor --offline --pedantic --quiet .github
	$(BIN)/python scripts/audit.py
	$(BIN)/python scripts/api.py
	$(BIN)/python -m django makemigrations --check --settings tests.settings jwtauth

model:
	cargo test -p jwtauth --release --test model -- --include-ignored --nocapture --test-threads=1

# Requests to Django take some ten times as long.
simulate: $(REQUIRED)-test $(ENGINE)
	JWTAUTH_SIMULATE_REFRESHES=$$(( $(REFRESHES) * 9 / 10 )) \
		cargo test -p jwtauth-axum --release --all-features --test simulation -- --ignored --nocapture
	$(BIN)/python -m tests.simulation --refreshes $$(( $(REFRESHES) / 10 )) --seed $$(date +%s) --processes $$(nproc)

fuzz: $(ENV)
	$(BIN)/python scripts/fuzz.py $(FUZZ_SECONDS)

# aws-lc-rs is C, which Miri does not run.
miri:
	cargo +nightly miri test -p jwtauth --lib -- rotation:: session::clock:: origin:: cookie:: request::head:: --skip proptest

reliability: $(REQUIRED)-test $(REQUIRED)-mariadb $(ENGINE)
	$(BIN)/python scripts/reliability.py

seams: $(REQUIRED)-seams $(REQUIRED)-mariadb $(ENGINE)
	$(BIN)/python scripts/seams.py $(DEPARTMENTS)

# In Chromium, each for an hour or more.
devices: $(REQUIRED)-seams $(ENGINE)
	JWTAUTH_TEST_BOUND_REFRESHES=10000 JWTAUTH_TEST_REPLAYS=10000 $(BIN)/python -m pytest -q --no-cov tests/seams/device

matrix: $(REQUIRED)-nox $(REQUIRED)-build
	$(BIN)/nox --parallel auto --session table

neighbours: $(REQUIRED)-nox $(REQUIRED)-build
	$(BIN)/nox --session neighbours -- $(SUITES)

semver: $(ENV)
	$(BIN)/python scripts/api.py $(SINCE)

package: $(ENV)
	$(BIN)/python scripts/package.py

# The last commit, for TARGETS="x86_64-unknown-linux-gnu ..." or for all of scripts/wheels.py.
wheels rebuild: $(REQUIRED)-wheels
	$(BIN)/python scripts/wheels.py $@ $(TARGETS)

release-check: $(REQUIRED)-lint $(REQUIRED)-release
	@$(BIN)/python scripts/release.py

switch: $(REQUIRED)-neighbours $(REQUIRED)-mariadb $(ENGINE)
	$(BIN)/python -m tests.neighbours.switch.traffic --databases sqlite postgresql mariadb --requests $(REQUESTS) --clients 250

lock: $(REQUIRED)-nox
	$(BIN)/nox --session lock -- $(LOCK)

docs: $(REQUIRED)-docs $(ENGINE)
	$(BIN)/python -m sphinx -W --keep-going docs docs/_build/html

bench: $(REQUIRED)-bench $(ENGINE)
	$(BIN)/python benches/run.py $(PARTS)

clean:
	rm -rf .venv .tools target dist build docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
	rm -f python/jwtauth/_engine.*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

define check-python
@command -v $(PYTHON) >/dev/null || { echo '$(PYTHON) not found: install Python 3.10 or newer, or make PYTHON=...' >&2; exit 1; }
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	{ echo "Python 3.10 or newer is needed; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try make PYTHON=python3.12" >&2; exit 1; }
@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	{ echo '$(PYTHON) has no venv module: on Debian and Ubuntu, apt install python3-venv' >&2; exit 1; }
endef

# A Python that can run a script without packages: that of .venv or, before there is one, $(PYTHON).
interpreter:
ifeq ($(wildcard $(ENV)),)
	$(check-python)
endif

$(ENV):
	$(check-python)
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# Each file lists everything that its group needs, so pip has nothing to resolve.
$(REQUIRED)-%: requirements/%.txt $(ENV)
	$(BIN)/pip install --require-hashes --no-deps --requirement $<
	@touch $@

$(ENGINE): $(ENGINE_SOURCES) $(REQUIRED)-build $(REQUIRED)-run
	@command -v cargo >/dev/null || { echo 'cargo not found: install Rust, https://rustup.rs' >&2; exit 1; }
	$(BIN)/maturin develop --release $(if $(CI),--locked)
	@touch $@
