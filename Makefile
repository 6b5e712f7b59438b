PYTHON ?= python3
BIN := .venv/bin
VERSION = $(shell $(PYTHON) -c 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
READY = .venv/ready-$(VERSION)
MODULES = widgets/node_modules/.package-lock.json
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--custom-compile-command "make lock" $(LOCKFLAGS) pyproject.toml

.PHONY: help book serve test lint browser sandbox classroom grade widgets lock clean
.NOTPARALLEL:

help:  ## what each target does
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile

book: $(READY)  ## execute the chapters and build the site into _build/html
	@# Pages show what code computed and benchmarks measured: a change of either empties the cache.
	@key=_build/code-$$(find src benchmarks/results requirements.txt -type f ! -name '*.pyc' -exec cksum {} + | sort | cksum | cut -d' ' -f1); \
	test -e $$key || { rm -rf _build && mkdir _build && touch $$key; }
	@# Nor does Sphinx look at these when no page has changed.
	@look=_build/look-$$(find book/_static book/slides tools widgets/host.js _config.yml -type f ! -name '*.pyc' -exec cksum {} + | sort | cksum | cut -d' ' -f1); \
	test -e $$look || { rm -rf _build/.doctrees _build/look-* && touch $$look; }
	@# Sphinx warns about a page only when it reads it, so after a failure it reads all again.
	@$(BIN)/jupyter-book build -q -n -W --keep-going . || { rm -rf _build/.doctrees; exit 1; }

serve: book  ## build the site and serve it compressed on http://127.0.0.1:8000
	@$(BIN)/python tools/serve.py _build/html

test: lint book browser sandbox $(MODULES)  ## lint, build the book and run every test
	@$(BIN)/pytest

lint: $(READY)  ## check style and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

browser: $(READY)
	@$(BIN)/python tools/browser.py

sandbox: $(READY)
	@$(BIN)/python classroom/sandbox.py

classroom: $(READY)  ## make the assignments' notebooks, pages and zips; SEED=file of the secret seed
	@$(BIN)/python classroom/build.py $(if $(SEED),--seed $(SEED))

grade: $(READY)  ## grade ASSIGNMENT=name SUBMISSIONS=folder SEED=file into folder-graded
	@$(BIN)/python classroom/grade.py "$(ASSIGNMENT)" "$(SUBMISSIONS)" $(if $(SEED),--seed $(SEED))

widgets: $(MODULES)  ## rebuild the widgets' bundle from widgets/
	@$(BIN)/python tools/npm.py run --silent build

lock: $(READY)  ## regenerate the pinned requirements; LOCKFLAGS=--upgrade for newer versions
	$(LOCK) --extra book --extra test -o requirements.txt
	$(LOCK) --extra binder -c requirements.txt -o binder/requirements.txt

clean:  ## remove all that make made
	rm -rf .venv _build .pytest_cache .ruff_cache .hypothesis widgets/node_modules

$(READY): requirements.txt pyproject.toml
	$(if $(filter 3.11 3.12 3.13,$(VERSION)),,$(error vitutor needs Python 3.11, 3.12 or 3.13 with its venv module \
	(on Debian: apt install python3-venv), and $(PYTHON) is not that; name another by make PYTHON=python3.12))
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/pip install -q --disable-pip-version-check -c requirements.txt uv
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -r requirements.txt -e .
	@touch $@

$(MODULES): widgets/package-lock.json widgets/package.json | $(READY)
	@$(BIN)/python tools/npm.py ci --silent --ignore-scripts
	@touch $@
