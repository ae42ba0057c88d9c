# make run: the server on 127.0.0.1:8080.   make test: the suite.   What the others do stands beside them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The tests judge pictures with a complete Pillow of their own: Pillow-SIMD is built here without WebP and AVIF.
JUDGE := $(VENV)/judge
# The database and the object store that the tests start; their botocore is not ours, so each has an environment.
SERVICES := $(VENV)/services
MOTO := $(VENV)/moto
# The measurements' own: matplotlib asks for pillow, which would replace Pillow-SIMD.
BENCH := $(VENV)/bench
# Most tests wait for servers: three processes keep two cores busy. A file's tests stay together, as they share servers.
PARALLEL := -n 3 --dist loadfile
# Browsers, Node and Go keep the cores busier. What drives a browser keeps an event loop running in its process, in which
# other tests cannot run theirs.
PARALLEL_SLOW := -n 2 --dist loadfile
SCENARIO ?= upload
BENCH_ARGS ?=
# Agents made of the official SDKs, each with its own libraries: the newest for Python, the one before, and Node's.
MCP := $(VENV)/mcp
MCP1 := $(VENV)/mcp1
MCP_NODE := $(VENV)/mcp-node
# Node's HTTP clients, for what happens to connections that are kept.
HTTP_NODE := $(VENV)/http-node
# What makes the binary: what is in the lock file, and PyInstaller.
BINARY := $(VENV)/binary
DIST := dist
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' iuserver/__init__.py)
# What reads the API's description: schemathesis, a validator, generators of clients; and grammars of what cannot be run.
OPENAPI := $(VENV)/openapi
OPENAPI_NODE := $(VENV)/openapi-node
# What makes the lock file.
LOCKING := $(VENV)/locking
SYSTEM := python3-venv python3-dev gcc curl libjpeg-dev zlib1g-dev libimage-exiftool-perl
SYSTEM_SLOW := chromium jq nodejs npm nginx-light php-cli php-curl ruby libwww-perl golang-go

.PHONY: setup run test test-slow check docs fuzz chaos bench lock binary

setup: $(VENV)/.ready   ## everything that run and test need; quick when nothing changed

run: setup   ## the server with the embedded defaults, all of it under ./var
	@exec $(BIN)/python run.py serve --config conf/iuserver.toml --demo

test: setup check $(SERVICES)/.ready $(MCP)/.ready   ## the suite, at most five minutes
	$(BIN)/pytest -m "not slow and not chaos" $(PARALLEL)

test-slow: setup $(SERVICES)/.ready $(MOTO)/.ready $(VENV)/.web $(MCP)/.ready $(MCP1)/.ready $(OPENAPI)/.ready binary   ## browsers and other languages' clients, at most fifteen minutes
	@$(call system,$(SYSTEM_SLOW))
	@$(MAKE) --no-print-directory $(MCP_NODE)/.ready $(HTTP_NODE)/.ready $(OPENAPI_NODE)/.ready
	$(BIN)/pytest -m slow --ignore tests/web $(PARALLEL_SLOW)
	$(BIN)/pytest -m slow tests/web $(PARALLEL_SLOW)
	TEST_BACKENDS=distributed $(BIN)/pytest tests/surfaces -m "not slow and not chaos and not embedded" $(PARALLEL)

check: setup   ## formatting, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup   ## docs/api.md and docs/clients.md, from the code
	PYTHONPATH=. $(BIN)/python docs/generate.py

fuzz: setup   ## property tests with new examples, then two minutes of coverage-guided fuzzing for each walker
	$(BIN)/pytest -m "not slow and not chaos" $(PARALLEL) --hypothesis-profile=default tests/unit tests/surfaces/test_workers.py
	$(BIN)/pip install --quiet --disable-pip-version-check atheris
	for format in jpeg png gif webp avif; do PYTHONPATH=$(JUDGE) $(BIN)/python -m tests.fuzz_walkers $$format 120 || exit 1; done

chaos: setup   ## ten minutes of kills, full disks and vanishing clients, then the books are checked
	$(BIN)/pytest -m chaos -s tests/surfaces/test_chaos.py

bench: setup $(BENCH)/.ready   ## measurements: make bench SCENARIO=read BENCH_ARGS="--rounds 3"
	@$(call system,wrk)
	$(BENCH)/bin/python -m bench $(SCENARIO) $(BENCH_ARGS)

lock: setup   ## the newest version of all that the server is made of, with hashes, into requirements.lock
	$(PYTHON) -m venv $(LOCKING)
	$(LOCKING)/bin/pip install --quiet --disable-pip-version-check 'uv >= 0.9'
	echo 'setuptools >= 70.1' | $(LOCKING)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --custom-compile-command 'make lock' --output-file requirements.lock setup.cfg -

binary: $(DIST)/iuserver   ## dist/iuserver, one file, and a folder in an archive, which starts faster

$(DIST)/iuserver: $(BINARY)/.ready conf/iuserver.spec run.py $(shell find iuserver handlers -type f -not -name '*.pyc')
	mkdir -p $(BINARY)/work $(DIST)
	for form in folder onefile; do mkdir -p $(BINARY)/work/$$form/iuserver; \
	  FORM=$$form SOURCE_DATE_EPOCH=1767225600 PYTHONHASHSEED=0 $(BINARY)/bin/pyinstaller --noconfirm \
	    --log-level ERROR --distpath $(BINARY)/$$form --workpath $(BINARY)/work/$$form conf/iuserver.spec || exit 1; done
	tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1767225600 -C $(BINARY)/folder -cf - iuserver \
	  | gzip -n > $(DIST)/iuserver-$(VERSION)-linux-x86_64.tar.gz
	cp $(BINARY)/onefile/iuserver $@

$(BINARY)/.ready: requirements.lock setup.cfg setup.py pyproject.toml Makefile | $(VENV)/.ready
	@$(call system,binutils)
	$(PYTHON) -m venv $(BINARY)
	$(BINARY)/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BINARY)/bin/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	$(BINARY)/bin/pip install --quiet --disable-pip-version-check 'pyinstaller >= 6.10'
	@touch $@

$(VENV)/.ready: requirements.lock setup.cfg setup.py pyproject.toml Makefile
	@$(call system,$(SYSTEM))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "iuserver needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[test]'
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade --target $(JUDGE) pillow
	@$(pillow)
	@touch $@

# What drives a browser: too much for everybody who runs the tests.
$(VENV)/.web: setup.cfg | $(VENV)/.ready
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[web]'
	@touch $@

$(SERVICES)/.ready: Makefile | $(VENV)/.ready
	$(PYTHON) -m venv $(SERVICES)
	$(SERVICES)/bin/pip install --quiet --disable-pip-version-check 'SecantusDB == 0.7.0b3' 'ministack == 1.5.33'
	@touch $@

$(MOTO)/.ready: Makefile | $(VENV)/.ready
	$(PYTHON) -m venv $(MOTO)
	$(MOTO)/bin/pip install --quiet --disable-pip-version-check 'moto[s3,server] >= 5'
	@touch $@

$(BENCH)/.ready: setup.cfg | $(VENV)/.ready
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

$(MCP)/.ready: Makefile | $(VENV)/.ready
	$(PYTHON) -m venv $(MCP)
	$(MCP)/bin/pip install --quiet --disable-pip-version-check 'mcp >= 2.3, < 3'
	@touch $@

$(MCP1)/.ready: Makefile | $(VENV)/.ready
	$(PYTHON) -m venv $(MCP1)
	$(MCP1)/bin/pip install --quiet --disable-pip-version-check 'mcp >= 1.30, < 2'
	@touch $@

# With a Node of its own, as the conformance suite and the Inspector want 22 or newer.
$(MCP_NODE)/.ready: Makefile | $(VENV)/.ready
	mkdir -p $(MCP_NODE)
	npm install --silent --no-fund --no-audit --prefix $(MCP_NODE) node@24 @modelcontextprotocol/sdk@1.32.2 \
	  @modelcontextprotocol/client@2.4.0 @modelcontextprotocol/conformance@0.2.0-alpha.12 \
	  @modelcontextprotocol/inspector@2.12.0
	@touch $@

$(HTTP_NODE)/.ready: Makefile | $(VENV)/.ready
	mkdir -p $(HTTP_NODE)
	npm install --silent --no-fund --no-audit --prefix $(HTTP_NODE) node@24 undici@8.12.4 got@16.1.0
	@touch $@

$(OPENAPI)/.ready: Makefile | $(VENV)/.ready
	$(PYTHON) -m venv $(OPENAPI)
	$(OPENAPI)/bin/pip install --quiet --disable-pip-version-check 'schemathesis == 4.32.5' \
	  'openapi-spec-validator == 0.9.0' 'openapi-python-client == 0.29.1' 'tree-sitter == 0.26.1' \
	  'tree-sitter-rust == 0.24.2' 'tree-sitter-powershell == 0.26.4'
	@touch $@

$(OPENAPI_NODE)/.ready: Makefile | $(VENV)/.ready
	mkdir -p $(OPENAPI_NODE)
	npm install --silent --no-fund --no-audit --prefix $(OPENAPI_NODE) node@24 openapi-typescript@7.13.0 \
	  openapi-fetch@0.17.0 typescript@5 @types/node@24
	@touch $@

# Pillow-SIMD, or Pillow where that does not build; and which of the two it is, and why.
define pillow
log=$(VENV)/pillow-simd.log; why="it builds here"; \
if $(BIN)/python -c 'import PIL' 2>/dev/null; then why="it was there already"; \
elif ! $(BIN)/pip install --disable-pip-version-check pillow-simd >$$log 2>&1; then \
  why=$$(grep -o -E '(fatal )?error: .*|headers or library files could not be found for [a-z]+' $$log \
    | grep -v subprocess | head -n1); \
  why="Pillow-SIMD does not build: $${why:-no reason is told} (all of it is in $$log)"; \
  $(BIN)/pip install --quiet --disable-pip-version-check pillow || exit 1; \
fi; \
$(BIN)/python -c 'import PIL; print("Pillow-SIMD" if "post" in PIL.__version__ else "Pillow", PIL.__version__, end="")'; \
echo ": $$why"
endef

# Packages of Debian or Ubuntu that are missing: installed when root, else named in one message.
# dpkg counts as "missing" what came from elsewhere, so a program that is there by another way is asked for first.
define system
missing=$$(for package in $(1); do \
    case $$package in \
      libimage-exiftool-perl) command -v exiftool ;; \
      nodejs) command -v node ;; \
      nginx-light) command -v nginx || test -x /usr/sbin/nginx ;; \
      python3-venv) $(PYTHON) -c 'import ensurepip' ;; \
      python3-dev) test -f "$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ;; \
      golang-go) command -v go ;; \
      php-cli) command -v php ;; \
      gcc|wrk|jq|curl|npm|ruby|chromium) command -v $$package ;; \
      *) dpkg -s $$package ;; \
    esac >/dev/null 2>&1 || echo $$package; \
  done); \
  if [ -z "$$missing" ]; then :; \
  elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
  else \
    echo "Missing here: "$$missing". On Debian or Ubuntu: sudo apt install "$$missing; \
  fi
endef
