# For people who work on Mailu itself. To run it: ./mailu up

# The distribution's Python, never one of pyenv: it is what the services run with.
SYSTEM_PYTHON := /usr/bin/python3
VENV := .venv
BIN := $(VENV)/bin
# Unit tests in parallel; daemons, one after another.
JOBS ?= 2
PYTEST := $(BIN)/python -m pytest --color=no

.PHONY: test unit daemons long check bench bench-quick fuzz debian13 lock clean

# Side by side, each with its output in one piece: tests with daemons wait most of the time.
test: $(VENV)/.locked
	$(MAKE) --no-print-directory -j 2 --output-sync=target unit daemons

# Real daemons on a busy machine can miss a deadline. What failed is named, and tried once more, alone; it fails for good
# when it fails again.
SECOND_GO = || { test $$? -eq 1 && echo "Once more, alone, what failed:" && $(PYTEST) -n 0 --last-failed --last-failed-no-failures none

# Where a run remembers what failed: each target has a place of its own.
MEMORY = -o cache_dir=.pytest_cache/$@

UNIT = $(MEMORY) tests --ignore=tests/daemons --ignore=tests/browser -m "not daemons and not browser"
DAEMONS = $(MEMORY) tests -m "(daemons or browser) and not long"
LONG = $(MEMORY) tests -m long

unit: $(VENV)/.locked
	$(PYTEST) -n $(JOBS) $(UNIT) $(SECOND_GO) $(UNIT); }

# Everything that starts real daemons or a browser; needs root, and what `./mailu install --tests` installs.
daemons: $(VENV)/.locked
	./mailu install --tests
	$(PYTEST) -n 0 $(DAEMONS) $(SECOND_GO) $(DAEMONS); }

# Feed the parsers with what nobody thought of, SECONDS for each of them; see docs/testing.md.
SECONDS ?= 60
fuzz: $(VENV)/.locked
	$(BIN)/python -c "import atheris" 2>/dev/null || $(BIN)/python -m pip install --quiet --no-deps atheris
	$(BIN)/python -m tests.fuzz $(SECONDS) $(TARGETS)

# The tests with real daemons inside a Debian 13 tree; see docs/testing.md.
debian13:
	@tests/debian13/run $(ARGUMENTS) || { code=$$?; [ $$code = 77 ] || exit $$code; }

# Faults, strangers, certificates, taking over an earlier Mailu, webmail and calendars: half an hour and more.
long: $(VENV)/.locked
	./mailu install --tests
	$(PYTEST) -n 0 $(LONG) $(SECOND_GO) $(LONG); }

check: $(VENV)/.locked
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python -m mailu.settings --check docs/settings.md

# What it costs beside Postfix and Dovecot alone; as root, best on a machine that does nothing else.
bench bench-quick: $(VENV)/.locked
	./mailu install --tests
	$(BIN)/python -m tests.bench $(if $(filter bench-quick,$@),--quick)

$(VENV)/.locked: requirements-dev.lock
	test -x $(BIN)/python || $(SYSTEM_PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --use-pep517 -r requirements-dev.lock
	echo "$(CURDIR)/src" > "$$($(BIN)/python -c 'import site; print(site.getsitepackages()[0])')/mailu-source.pth"
	touch $@

# Write down the versions of all libraries, with their hashes; constraints.txt may hold some back.
lock:
	$(SYSTEM_PYTHON) -m venv .lock-venv
	.lock-venv/bin/python -m pip install --quiet uv
	.lock-venv/bin/uv pip compile --quiet pyproject.toml $(LOCK_OPTIONS) -o requirements.lock
	.lock-venv/bin/uv pip compile --quiet pyproject.toml --extra dev $(LOCK_OPTIONS) -c requirements.lock -o requirements-dev.lock
	rm -rf .lock-venv

LOCK_OPTIONS := --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock"

# Bring the languages of the pages up to date with the code; what is new waits, empty, for its translation.
texts: $(VENV)/.locked
	@pot=$$(mktemp) && trap 'rm -f "$$pot"' EXIT && cd src/mailu/web && \
	../../../$(BIN)/pybabel -q extract -F locale/babel.cfg -k lazy --no-location --sort-output -o "$$pot" . && \
	for file in locale/*.po; do \
		../../../$(BIN)/pybabel -q update --ignore-obsolete --no-fuzzy-matching --width 120 -i "$$pot" -o "$$file" \
			-l "$$(basename "$$file" .po)" || exit; \
	done

# The pictures in docs/screenshots, from the real pages; needs root and Chromium.
screenshots: $(VENV)/.locked
	$(BIN)/python -m tests.browser.screenshots

clean:
	rm -rf $(VENV) .lock-venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
