# make demo: an audit of the bundled classifier. make test: the tests. make check: style, types, layers. Each sets itself up.
# make check-slow: breaks the source on purpose, one line at a time, and sees that a test goes red; half an hour on one core.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check check-slow clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[test]"
	@touch $@

demo: $(READY)
	$(BIN)/medrobust audit --out demo
	@echo "Open demo/report.html in a browser."

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check-slow: $(READY)
	$(BIN)/python scripts/mutate.py

clean:
	rm -rf $(VENV) demo
