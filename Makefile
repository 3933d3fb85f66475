# Two commands from a fresh clone: `make demo` and `make test`. Everything is installed into .venv on first use.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile -c constraints.txt
COLAB := .venv-colab/bin
# Colab's Python is 3.13; where there is none, colab-check runs on this one, and says so.
COLAB_PYTHON ?= $(shell for p in python3.13 $(HOME)/.pyenv/versions/3.13*/bin/python $(PYTHON); do \
  $$p --version >/dev/null 2>&1 && echo $$p && break; done)
READY := .venv/.ready
SITE := .venv/.site
NODE := site/node_modules/.ready
OUT ?= outputs/demo
# glibc hands the memory of every large tensor back to the system, which then has to clear it again, page by page. So
# it keeps what it has.
TESTS := OMP_NUM_THREADS=1 MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=4294967296 $(BIN)/python -m pytest

.PHONY: demo test nightly fuzz nbval browser-test colab-check lab notebooks wheel playground site check clean

demo: $(READY)  ## trained toy on a picture and a clip: make demo IMAGE=... VIDEO=... PROMPT="..."
	@$(BIN)/pusa-lab demo --out "$(OUT)" $(if $(IMAGE),--image "$(IMAGE)") $(if $(VIDEO),--video "$(VIDEO)") \
	  $(if $(PROMPT),--prompt "$(PROMPT)")

test: $(READY)  ## all tests, notebooks included
	$(TESTS) -n 2 --dist worksteal

nightly: $(READY)  ## all tests with shapes enforced in every function, and every chapter once more with papermill
	$(TESTS) -n 2 --dist worksteal -m "not browser" \
	  --jaxtyping-packages=pusa_lab,small_models,beartype.beartype

fuzz: $(READY)  ## 20,000 odd calls, command lines and files: right, or one clear sentence; make fuzz CASES=100000 SEED=1
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --cases $(or $(CASES),20000) --seed $(or $(SEED),0)

browser-test: $(SITE) playground  ## the studio, the page and the site in a real browser, with pictures in outputs/browser/
	@command -v chromium >/dev/null || (apt-get update -qq && apt-get install -y -qq chromium)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m browser tests/browser

nbval: $(READY)  ## run the built chapters again and compare their exact results with the stored ones
	$(TESTS) -n 2 --durations=0 --durations-min=1 tests/test_nbval.py

colab-check:  ## every chapter with Colab's versions (notebooks/colab.txt), in an environment of their own
	test -x $(COLAB)/python || $(COLAB_PYTHON) -m venv .venv-colab
	$(COLAB)/python --version
	$(COLAB)/python -m pip install -qq --disable-pip-version-check -r notebooks/colab.txt
	$(COLAB)/python -m pip uninstall -qq --disable-pip-version-check -y pusa-lab
	$(COLAB)/python benchmarks/colab_check.py

lab: $(READY)  ## the chapters in JupyterLab, open at their index
	$(BIN)/jupyter lab --notebook-dir=notebooks --LabApp.app_settings_dir="$(CURDIR)/notebooks/lab" \
	  --LabApp.default_url=/lab/tree/README.md $(LAB) $(if $(filter 0,$(shell id -u)),--allow-root)

notebooks: $(READY)  ## build and execute notebooks/*.ipynb from notebooks/src/*.py
	$(BIN)/python notebooks/build.py

wheel: $(READY)  ## dist/pusa_lab-*.whl, to upload beside a notebook or to install anywhere
	@$(BIN)/python -m pip wheel -qq --disable-pip-version-check --no-deps --wheel-dir dist .
	@ls dist/*.whl

playground: $(NODE)  ## the page in which a toy runs: site/playground/index.html
	@cd site && node build.mjs

$(NODE): site/package-lock.json
	@command -v npm >/dev/null || (apt-get update -qq && apt-get install -y -qq nodejs npm)
	@cd site && npm ci --ignore-scripts --silent
	@touch $@

site: $(SITE) playground  ## chapters, docs, API reference, results and the page, without a server: outputs/site/
	@$(BIN)/python site/make_site.py

# The tests here ask not what the code does, as `make test` does, but whether what is committed keeps its form and is up
# to date: the wheel is built and installed in a bare environment, the shipped models are measured again, results are
# whole and told as measured, and benchmarks, commands and snippets of the README and of pages run as they are written.
check: $(SITE)  ## lint, format, form, spelling, import directions, types; wheel, cards and pages are up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(TESTS) -n 2 --dist loadfile --no-loadscope-reorder -m "artefact and not nightly"

clean:  ## remove what make built
	rm -rf .venv outputs site/node_modules site/playground/*.js

# torchao lies apart, for the tests of 8-bit AdamW: wherever it is found, diffusers and peft import it, with warnings.
# The pinned torch comes first: asked for by a range, pip would fetch the newest one. Of 23,000 modules, pip would
# compile every one, which takes a minute; the few thousand that are used are compiled, and kept, by their first import.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) torch
	$(PIP) -e ".[all]"
	$(PIP) --no-deps --target .venv/eightbit torchao
	@touch $@

$(SITE): $(READY)
	$(PIP) -e ".[site]"
	@touch $@
