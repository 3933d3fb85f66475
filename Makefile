# Two commands from a fresh clone: `make demo` and `make test`. Everything is installed into .venv on first use.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
OUT ?= outputs/demo

.PHONY: demo test browser-test lab notebooks check clean

demo: $(READY)  ## trained toy on a picture and a clip: make demo IMAGE=... VIDEO=... PROMPT="..."
	@$(BIN)/pusa-lab demo --out "$(OUT)" $(if $(IMAGE),--image "$(IMAGE)") $(if $(VIDEO),--video "$(VIDEO)") \
	  $(if $(PROMPT),--prompt "$(PROMPT)")

test: $(READY)  ## all tests, notebooks included
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

browser-test: $(READY)  ## the studio in JupyterLab and a real browser, with pictures in outputs/browser/
	@command -v chromium >/dev/null || (apt-get update -qq && apt-get install -y -qq chromium)
	$(BIN)/python -m pytest -m browser tests/browser

lab: $(READY)  ## the chapters in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=notebooks $(if $(filter 0,$(shell id -u)),--allow-root)

notebooks: $(READY)  ## build and execute notebooks/*.ipynb from notebooks/src/*.py
	$(BIN)/python notebooks/build.py

check: $(READY)  ## lint, format, docstrings, import directions, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

clean:  ## remove what make built
	rm -rf .venv outputs

# The pinned torch comes first: asked for by a range, pip would fetch the newest one.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e ".[all]"
	@touch $@
