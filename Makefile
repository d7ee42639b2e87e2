# Everything a newcomer or CI needs. Each target makes the environment first if it is not there.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
EXTRAS = torch,tensorflow,mcu,dev

.PHONY: demo test test-all lint types layers docs bench ci clean

demo: $(READY)  ## train a small network, export it for a microcontroller, validate it
	$(BIN)/python examples/digits/run.py --out demo

test: $(READY)  ## the test suite without its slow cases
	$(BIN)/python -m pytest -m "not slow"

test-all: $(READY)  ## the whole test suite
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

layers: $(READY)
	$(BIN)/lint-imports

docs: $(READY)  ## the generated page of supported operators
	$(BIN)/python docs/generate.py

bench: $(READY)  ## the figures of README's table, beside those of the peers that are installed
	$(BIN)/python -m benchmarks

ci: test lint types layers

# Debian splits `venv` off its python3: as root it is fetched, else the message says how.
$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -q && apt-get install -q -y python3-venv && $(PYTHON) -m venv $(VENV); \
		else echo "python3 has no venv; on Debian: sudo apt-get install python3-venv"; exit 1; fi; }
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable ".[$(EXTRAS)]"
	@touch $(READY)

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
