# make demo: a quick audit of the bundled classifier. make test: the tests. make check: style, types, layers.
# make docs: the documentation, in site/. Each sets itself up.
# make check-slow: the tests that take minutes; then breaks the source on purpose, one line at a time, and sees a test go red.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_DOCS := $(VENV)/.ready-docs

.PHONY: demo test check check-slow docs clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[test]"
	@touch $@

demo: $(READY)
	$(BIN)/medrobust audit --out demo attacks=quick
	@echo "Open demo/report.html in a browser."

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(READY_DOCS): $(READY)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[docs]"
	@touch $@

docs: $(READY_DOCS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	$(BIN)/python scripts/docs/check_site.py site
	@echo "Open site/index.html in a browser."

check-slow: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow
	$(BIN)/python scripts/mutate.py

clean:
	rm -rf $(VENV) demo site
