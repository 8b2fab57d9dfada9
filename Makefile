# The two commands of the README are `make duel` and `make test`; both set everything up in .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp-$(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
export OMP_NUM_THREADS := 1
export TOKENIZERS_PARALLELISM := false

.PHONY: duel test slow lint types check board setup extras clean

duel: $(STAMP)
	$(BIN)/eggym duel

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 -m "not slow"

slow: $(STAMP)
	$(BIN)/python -m pytest -n 2 -m slow

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

check: lint types test

# Every record of every board, as the check of a submission looks at them.
board: $(STAMP)
	$(BIN)/eggym board verify

setup: $(STAMP)

# torch comes with the constraints only: unpinned, it resolves to a CUDA build of several gigabytes.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "eggym needs Python 3.11 or newer; $(PYTHON) is older: make PYTHON=python3.11 ..." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	rm -f $(VENV)/.stamp-* && touch $(STAMP)

# What optional parts need (reasoning-gym, TRL, the client of judges, Ray, TensorBoard); tests of parts that are missing are skipped by name.
extras: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[reasoning-gym,trl,judge,ray,tensorboard]"

clean:
	rm -rf $(VENV) .venv-serving .venv-verifiers .venv-release .venv-audit build *.egg-info .pytest_cache .mypy_cache .ruff_cache
