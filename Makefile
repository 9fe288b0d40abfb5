# Builds, installs and tests uilog. It needs GNU make, Rust, Python >= 3.9 with
# venv, and a package index that cargo and pip reach; a C compiler too, for
# Mercurial 6.3.3, which comes as source only, and for chg.
#
# Everything lands in four ignored directories: target/ (cargo), .venv/ and
# .venvs/ (installed), .cache/ (downloaded and built). Each step leaves a stamp
# as its last act, so any step may be interrupted and none is done twice.

PYTHON ?= python3

# The newest Mercurial, and the others that we are tested against. Each has its
# pin in tests/requirements/hg-VERSION.txt. .venv has the tools and, of the
# newest, what a user would install; .venvs/VERSION has what is tested.
HG := 7.2.4
OTHER_HGS := 6.3.3 6.9.5 7.0.3

# The last of each other minor version: `make test-versions` runs the contract.
CONTRACT_HGS := 6.4.5 6.5.3 6.6.3 6.7.4 6.8.2 7.1.2

# Those that reach into C structures that Python 3.12 has hidden.
WITHOUT_3_12 := 6.3.3
ifneq ($(shell $(PYTHON) -c 'import sys; print(sys.version_info < (3, 12))'),True)
$(foreach v,$(filter $(WITHOUT_3_12),$(OTHER_HGS) $(CONTRACT_HGS)),\
  $(warning LEFT OUT: Mercurial $v because it does not build for this Python))
OTHER_HGS := $(filter-out $(WITHOUT_3_12),$(OTHER_HGS))
CONTRACT_HGS := $(filter-out $(WITHOUT_3_12),$(CONTRACT_HGS))
endif

# Other Pythons, with the distribution that each comes from and the Mercurials
# that have a wheel for it.
PYTHONS := 3.9 3.10 3.12 3.13 3.14
HGS_3.9 := 6.9.5 $(HG)
HGS_3.10 := 6.9.5 $(HG)
HGS_3.12 := 6.9.5 $(HG)
HGS_3.13 := 6.9.5 $(HG)
HGS_3.14 := $(HG)

ALL_HGS := $(OTHER_HGS) $(HG)
REQUIREMENTS := tests/requirements

# Passed to the test driver, the demo and the benchmark:
# make test ARGS='--only pytest -v'
ARGS ?=

PIP := .venv/bin/python -m pip --quiet

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: help venv venvs versions demo demo-fleet dist test test-all test-versions \
  test-dist soak upstream bench fuzz mutants sanitize generated site audit msrv \
  clean distclean FORCE

help:
	@echo 'make venv       .venv/bin/hg ($(HG)) and .venv/bin/uilog'
	@echo 'make venvs      what is tested: .venvs/VERSION/bin/hg'
	@echo 'make demo       show uilog at work'
	@echo 'make demo-fleet show how it feeds a collector'
	@echo 'make test       each point once; ARGS="--help" shows how to select'
	@echo 'make test-all   each point under each Mercurial; before a release'
	@echo 'make test-versions  the contract alone, with each Mercurial and Python'
	@echo 'make soak       as test-all, and what takes minutes by itself'
	@echo 'make upstream   all tests of Mercurial and evolve with uilog and without,'
	@echo '                for hours, in parts: ARGS="--minutes 60"'
	@echo 'make dist       dist/: source, wheel and Debian package for users'
	@echo 'make test-dist  install these in bare Debian systems; needs root'
	@echo 'make bench      compare the cost with that of stock hg'
	@echo 'make fuzz       the parsers on made-up input; ARGS="SECONDS" for how long'
	@echo 'make mutants    whether the tests of CRATES="uilog-..." notice faults in the'
	@echo '                code; SHARD=3/20 is every 20th fault, from the third on'
	@echo 'make sanitize   crates with unsafe code, with AddressSanitizer;'
	@echo '                ARGS="CRATE" for one of them'
	@echo 'make site       the documentation as a web site: target/site/book'
	@echo 'make audit      licences, sources and known vulnerabilities of dependencies'
	@echo 'make msrv       compile with the oldest Rust that is supported'
	@echo 'make lint       formats, clippy, docs, types, scripts'
	@echo 'make generated  docs/man/, help, and the dashboard of share/'
	@echo 'make clean      remove what was built and installed'
	@echo 'make distclean  remove the downloads and target/ as well'

## Environments

venv: .venv/.stamp-uilog

venvs: $(ALL_HGS:%=.venvs/%/.stamp-uilog)

# Tools: they build the wheels and run the tests. A new pin is installed in
# place. The test is for pip, which venv installs last.
.venv/.stamp-tools: $(REQUIREMENTS)/build.txt $(REQUIREMENTS)/dev.txt
	.venv/bin/python -m pip --version >/dev/null 2>&1 || \
	  $(PYTHON) -m venv --clear .venv
	$(PIP) install -r $(REQUIREMENTS)/build.txt
	$(PIP) install -r $(REQUIREMENTS)/dev.txt
	touch $@

# A collector, which not every platform has.
.venv/.stamp-collector: $(REQUIREMENTS)/collector.txt | .venv/.stamp-tools
	@$(PIP) install --only-binary rotel -r $< || \
	  echo 'LEFT OUT: the collector rotel because it cannot be installed here'
	touch $@

# ClickHouse's engine, for `make test-all`: what the queries of share/clickhouse
# are run by.
.venv/.stamp-clickhouse: $(REQUIREMENTS)/clickhouse.txt | .venv/.stamp-tools
	@$(PIP) install --only-binary chdb-core -r $< || \
	  echo 'LEFT OUT: ClickHouse because chdb-core cannot be installed here'
	touch $@

# A browser, for `make test-all`: it opens what `uilog report --html` writes.
.venv/.stamp-browser: $(REQUIREMENTS)/browser.txt | .venv/.stamp-tools
	@$(PIP) install --only-binary :all: -r $< || \
	  echo 'LEFT OUT: the browser because playwright cannot be installed here'
	@command -v chromium >/dev/null || \
	  { test "$$(id -u)" = 0 && apt-get update -q && \
	    DEBIAN_FRONTEND=noninteractive \
	    apt-get install -q -y --no-install-recommends chromium; } || \
	  echo 'LEFT OUT: the browser because there is no chromium'
	touch $@

# What `make dist` and `make test-dist` need: a linker for earlier C libraries.
.venv/.stamp-dist: $(REQUIREMENTS)/dist.txt | .venv/.stamp-tools
	$(PIP) install -r $<
	touch $@

# One Mercurial as a wheel: downloaded where there is one for this platform,
# else built, with the tools above.
.cache/hg-%/.stamp: $(REQUIREMENTS)/hg-%.txt | .venv/.stamp-tools
	@echo 'Mercurial $*: fetching or building its wheel'
	rm -rf $(@D)
	$(PIP) wheel --no-deps --no-build-isolation --wheel-dir $(@D) -r $<
	touch $@

.venv/.stamp-hg: .cache/hg-$(HG)/.stamp .venv/.stamp-tools
	$(PIP) install --force-reinstall --no-deps --no-index $(<D)/*.whl
	touch $@

# These need no pip of their own: that of .venv serves them.
.venvs/%/.stamp-hg: .cache/hg-%/.stamp
	rm -rf $(@D)
	$(PYTHON) -m venv --without-pip $(@D)
	$(PIP) --python $(@D)/bin/python install \
	  --no-deps --no-index $(<D)/*.whl
	touch $@

# One with all that foreign tests need: for `make upstream`.
.venvs/upstream/.stamp-hg: .cache/hg-$(HG)/.stamp $(REQUIREMENTS)/upstream.txt
	rm -rf $(@D)
	$(PYTHON) -m venv --without-pip $(@D)
	$(PIP) --python $(@D)/bin/python install \
	  --no-deps --no-index $(<D)/*.whl
	$(PIP) --python $(@D)/bin/python install --no-deps \
	  -r $(REQUIREMENTS)/upstream.txt
	touch $@

## Our wheel: one for users, and one for tests, which is built faster and of what
## cargo builds for its tests anyway

# Compares contents, not times: a branch switched there and back builds
# nothing, and a file that is gone counts.
.cache/wheel-inputs: FORCE
	@mkdir -p $(@D)
	@find Cargo.toml Cargo.lock pyproject.toml COPYING rust hgext completions \
	  docs share $(wildcard .cargo/config.toml) \
	  -type f ! -name '*.pyc' ! -path 'rust/*/tests/*' \
	  -exec cksum {} + | LC_ALL=C sort >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

.cache/wheel/.stamp: PROFILE := release
.cache/wheel-test/.stamp: PROFILE := dev
# One build of each crate for the wheel and for cargo's tests.
.cache/wheel-test/.stamp: export CARGO := $(CURDIR)/tests/tools/cargo.sh

# setuptools packs whatever an earlier build left in build/, so that goes
# first. It runs here and not in a copy, so cargo finds target/; two at a time
# would meet in build/.
.cache/wheel/.stamp .cache/wheel-test/.stamp: .cache/wheel-inputs .venv/.stamp-tools
	@echo 'uilog: building the wheel ($(PROFILE))'
	rm -rf build $(@D)
	SETUPTOOLS_RUST_CARGO_PROFILE=$(PROFILE) $(PIP) wheel --no-deps \
	  --no-build-isolation --no-index --wheel-dir $(@D) .
	touch $@

INSTALL_WHEEL = $(PIP) --python $(@D)/bin/python install \
  --force-reinstall --no-deps --no-index $(<D)/*.whl

.venv/.stamp-uilog: .cache/wheel/.stamp .venv/.stamp-hg
	rm -f $@
	$(INSTALL_WHEEL)
	touch $@

.venvs/%/.stamp-uilog: .cache/wheel-test/.stamp .venvs/%/.stamp-hg
	rm -f $@
	$(INSTALL_WHEEL)
	touch $@

## What users install. cargo's work is kept in target/dist; setuptools has a
## directory of its own

dist: .venv/.stamp-dist
	nice .venv/bin/python release/dist.py

## Other Pythons: each in a root with its distribution, which only root can make.
## What is installed there, is below .venvs; the tree has the same name in the
## root (tests/helpers/in_root.sh).

# Ubuntu's keys, which Debian does not have as a package.
UBUNTU_KEYRING := ubuntu-keyring_2023.11.28.1_all.deb
UBUNTU_KEYRING_SHA256 := \
  36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8
.cache/ubuntu-keyring.gpg:
	curl -sSf -o $@.deb http://archive.ubuntu.com/ubuntu/pool/main/u/\
	ubuntu-keyring/$(UBUNTU_KEYRING)
	echo '$(UBUNTU_KEYRING_SHA256)  $@.deb' | sha256sum --check --quiet
	dpkg-deb --fsys-tarfile $@.deb | \
	  tar -xO ./usr/share/keyrings/ubuntu-archive-keyring.gpg >$@
	rm $@.deb

DEBIAN = "deb http://deb.debian.org/debian $(1) main"
UBUNTU = "deb [signed-by=$(CURDIR)/.cache/ubuntu-keyring.gpg] \
  http://archive.ubuntu.com/ubuntu $(1) main"
# 3.9 with the C library of Debian 12: ours is built for that or a newer one.
ROOT_3.9 = bookworm $(call DEBIAN,bookworm) $(call DEBIAN,bullseye)
ROOT_3.10 = jammy $(call UBUNTU,jammy)
ROOT_3.12 = noble $(call UBUNTU,noble)
ROOT_3.13 = trixie $(call DEBIAN,trixie)
ROOT_3.14 = forky $(call DEBIAN,forky)

.cache/root-3.10/.stamp .cache/root-3.12/.stamp: .cache/ubuntu-keyring.gpg
.cache/root-%/.stamp:
	@echo 'Python $*: making a root with it'
	rm -rf $(@D)
	@mmdebstrap --quiet --mode=root \
	  --variant=essential --include=python$* \
	  --aptopt='Acquire::Check-Valid-Until "false"' \
	  --dpkgopt=force-unsafe-io \
	  --dpkgopt='path-exclude=/usr/share/man/*' \
	  --dpkgopt='path-exclude=/usr/share/doc/*' \
	  --dpkgopt='path-exclude=/usr/share/locale/*' \
	  $(firstword $(ROOT_$*)) $(@D) $(wordlist 2,99,$(ROOT_$*)) && \
	  echo '127.0.0.1 localhost' >$(@D)/etc/hosts && touch $@ || \
	  echo 'LEFT OUT: Python $* because its root cannot be made here'

# pip of .venv runs there from its files: a root has none. It needs distutils,
# which Debian's Python 3.9 lacks and setuptools has. It installs with the Python
# of a virtual environment of the root.
PIP_IN_ROOT := import runpy, setuptools; runpy.run_module("pip", run_name="__main__")
define in_root_venv
.venvs/%-py$(1)/.stamp: .cache/root-$(1)/.stamp .cache/wheel-test/.stamp
	rm -rf $$(@D) .cache/hg-$$*-py$(1)
	test -e $$< || exit 0; set -e; \
	$$(PIP) download --no-deps --only-binary :all: --python-version $(1) \
	  --platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64 \
	  --implementation cp --dest .cache/hg-$$*-py$(1) mercurial==$$*; \
	sh tests/helpers/in_root.sh $$(<D) \
	  python$(1) -m venv --without-pip $$(CURDIR)/$$(@D); \
	PYTHONDONTWRITEBYTECODE=1 \
	  PYTHONPATH="$$$$(echo $$(CURDIR)/.venv/lib/python*/site-packages)" \
	  sh tests/helpers/in_root.sh $$(<D) \
	  $$(CURDIR)/$$(@D)/bin/python -W ignore -c '$$(PIP_IN_ROOT)' \
	  --quiet --no-cache-dir install --no-deps --no-index --no-compile \
	  .cache/hg-$$*-py$(1)/*.whl .cache/wheel-test/*.whl; \
	touch $$@
endef
$(foreach p,$(PYTHONS),$(eval $(call in_root_venv,$p)))

versions: $(CONTRACT_HGS:%=.venvs/%/.stamp-uilog)
versions: $(CONTRACT_HGS:%=.cache/mercurial-%/.stamp)
# Who is not root, or has no mmdebstrap, has no roots; the test driver says so.
ifeq ($(shell id -u) $(if $(shell command -v mmdebstrap),yes),0 yes)
versions: $(foreach p,$(PYTHONS),$(HGS_$p:%=.venvs/%-py$p/.stamp))
endif

## Mercurial's sources: their test runner, their tests, chg

# pip asks the sources for their metadata, which takes seconds and needs the
# tools above; plain pip has no cheaper way to fetch them.
.cache/mercurial-%/.stamp: $(REQUIREMENTS)/hg-%.txt | .venv/.stamp-tools
	@echo 'Mercurial $*: fetching its sources'
	rm -rf $(@D) .cache/sdist-$*
	$(PIP) download --no-deps --no-build-isolation --no-binary mercurial \
	  --dest .cache/sdist-$* -r $<
	tar -xzf .cache/sdist-$*/mercurial-$*.tar.gz -C .cache
	rm -rf .cache/sdist-$*
	touch $@

.cache/evolve/.stamp: $(REQUIREMENTS)/upstream.txt | .venv/.stamp-tools
	@echo 'evolve: fetching its sources'
	rm -rf $(@D) .cache/sdist-evolve
	$(PIP) download --no-deps --no-build-isolation --no-binary hg-evolve \
	  --dest .cache/sdist-evolve $$(grep hg-evolve $<)
	mkdir -p $(@D)
	tar -xzf .cache/sdist-evolve/hg_evolve-*.tar.gz -C $(@D) \
	  --strip-components=1
	rm -rf .cache/sdist-evolve
	touch $@

# Without a C compiler there is no chg; the test driver says so then.
.cache/chg-%/chg: .cache/mercurial-%/.stamp
	rm -rf $(@D) $(@D).new
	@if command -v cc >/dev/null; then set -ex; \
	  cp -R .cache/mercurial-$*/contrib/chg $(@D).new; \
	  $(MAKE) -s -C $(@D).new CC=cc; \
	  mv $(@D).new $(@D); \
	else echo 'LEFT OUT: chg because there is no C compiler'; fi

## What to do with it

demo: venv
	PATH="$(CURDIR)/.venv/bin:$$PATH" tests/demo.sh $(ARGS)

demo-fleet: venv .venv/.stamp-collector
	PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/python tests/demo_fleet.py

test: venvs .venv/.stamp-collector .cache/chg-$(HG)/chg
test: $(ALL_HGS:%=.cache/mercurial-%/.stamp)
	.venv/bin/python tests/run.py $(ARGS)

test-all: override ARGS += --tier all
test-all: versions .venv/.stamp-clickhouse .venv/.stamp-browser test

# The contract with each minor Mercurial and each Python; test-all runs it too.
test-versions: versions
	.venv/bin/python tests/run.py --tier all --only versions $(ARGS)

soak: override ARGS += --tier soak
soak: versions .venv/.stamp-clickhouse .venv/.stamp-browser test

# Results stay in .cache/upstream, so this may be ended at any time.
upstream: .venvs/upstream/.stamp-uilog .cache/mercurial-$(HG)/.stamp
upstream: .cache/evolve/.stamp
	.venv/bin/python tests/run_upstream.py $(ARGS)

# Bare systems of Debian 11, 12 and 13, which stay in .cache/dist-roots.
test-dist: dist
	.venv/bin/python tests/dist/run.py $(ARGS)

bench: venv .venv/.stamp-collector
	.venv/bin/python bench/run.py $(ARGS)

# So long for each parser. What it finds stays in target/fuzz; the seeds in the
# tree have names.
FUZZ_SECONDS = $(or $(ARGS),60)
FUZZED := $(sort $(basename $(notdir $(wildcard rust/fuzz/fuzz_targets/*.rs))))
fuzz:
	@if cargo +nightly fuzz --version >/dev/null 2>&1; then set -ex; \
	  for target in $(FUZZED); do \
	    mkdir -p target/fuzz/corpus/$$target; \
	    cargo +nightly fuzz run --fuzz-dir rust/fuzz \
	      --target-dir target/fuzz $$target \
	      target/fuzz/corpus/$$target rust/fuzz/seeds/$$target -- \
	      -max_total_time=$(FUZZ_SECONDS) -max_len=4096 \
	      -artifact_prefix=$(CURDIR)/target/fuzz/; \
	  done; \
	else echo 'LEFT OUT: fuzzing because there is no cargo-fuzz' \
	  '(or no nightly Rust)'; fi

# Of each crate in CRATES, one part of the mutants: all of them take days. Which
# ones were missed, is in target/mutants/CRATE/mutants.out/missed.txt. Files for a
# debugger would be made for each mutant, and never read.
MUTANTS := .cache/cargo-mutants-27.1.0
$(MUTANTS)/bin/cargo-mutants:
	cargo install --quiet --locked --root $(MUTANTS) \
	  cargo-mutants@$(MUTANTS:.cache/cargo-mutants-%=%)

CRATES ?= $(filter-out uilog-testing,$(notdir $(wildcard rust/uilog-*)))
SHARD ?= 0/20
mutants: export CARGO_TARGET_DIR := $(CURDIR)/target/mutants/build
mutants: export CARGO_PROFILE_DEV_DEBUG := none
mutants: $(MUTANTS)/bin/cargo-mutants
	@for crate in $(CRATES); do \
	  rm -rf target/mutants/$$crate; mkdir -p target/mutants/$$crate; \
	  nice $(MUTANTS)/bin/cargo-mutants mutants --package $$crate \
	    --shard $(SHARD) --output target/mutants/$$crate $(ARGS); \
	done; \
	cd tests && $(PYTHON) -m tools.mutants $(CURDIR)/target/mutants $(CRATES)

# The tests of each crate with unsafe code, in target/sanitize.
sanitize:
	tests/sanitize.sh $(ARGS)

# What shells and man are told of the arguments is in the tree, and so are what
# hg and the documentation tell of settings, the dashboard of the queries, and
# tables of docs/compatibility.md; tests compare
# (rust/uilog-cli/tests/generated.rs, tests/test_clickhouse.py,
# tests/test_compatibility.py).
UILOG := cargo run --quiet --locked --package uilog-cli --
generated:
	rm -f docs/man/*
	$(UILOG) generate help >hgext/uilog/helptexts.py
	for file in docs/configuration.md hgext/uilog/__init__.py; do \
	  $(UILOG) generate parts $$file >$$file.new && \
	  cat $$file.new >$$file && rm $$file.new || exit 1; done
	$(UILOG) generate man docs/man
	$(PYTHON) tests/tools/dashboard.py
	PYTHONPATH=tests $(PYTHON) -m tools.compatibility

## The documentation as a web site

MDBOOK := .cache/mdbook-0.5.4
$(MDBOOK)/bin/mdbook:
	cargo install --quiet --locked --root $(MDBOOK) \
	  mdbook@$(MDBOOK:.cache/mdbook-%=%)

site: $(MDBOOK)/bin/mdbook .venv/.stamp-tools
	cd tests && ../.venv/bin/python -m tools.site assemble $(CURDIR)/target/site
	$(MDBOOK)/bin/mdbook build target/site
	cd tests && ../.venv/bin/python -m tools.site check $(CURDIR)/target/site/book

## Dependencies

DENY := .cache/cargo-deny-0.20.2
$(DENY)/bin/cargo-deny:
	cargo install --quiet --locked --root $(DENY) \
	  cargo-deny@$(DENY:.cache/cargo-deny-%=%)

# deny.toml has what is allowed, and why. An audit that could not look for known
# vulnerabilities has failed, and not passed.
audit: $(DENY)/bin/cargo-deny
	$(DENY)/bin/cargo-deny --locked check licenses bans sources
	@if $(DENY)/bin/cargo-deny --locked fetch db; then set -x; \
	  $(DENY)/bin/cargo-deny --locked check --disable-fetch advisories; \
	else \
	  echo 'NOT CHECKED: known vulnerabilities, because the database' \
	    'https://github.com/rustsec/advisory-db cannot be fetched'; exit 1; fi

# The version is that of Cargo.toml; rustup installs it.
MSRV := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
msrv:
	@if cargo +$(MSRV) --version >/dev/null 2>&1; then set -x; \
	  cargo +$(MSRV) check --workspace --all-targets --locked \
	    --target-dir target/msrv; \
	else echo 'LEFT OUT: Rust $(MSRV) because it is not installed' \
	  '(rustup toolchain install $(MSRV) --profile minimal)'; fi

## Lint; `make -k lint` goes on after a failure

LINTS := lint-fmt lint-clippy lint-doc lint-ruff lint-types lint-stubs \
  lint-shell lint-version
.PHONY: lint $(LINTS)
lint: $(LINTS)

lint-fmt:
	@if cargo +nightly fmt --version >/dev/null 2>&1; then set -x; \
	  cargo +nightly fmt --all --check; \
	else echo 'LEFT OUT: cargo fmt because rustfmt.toml needs a nightly one'; fi

# The fuzzed parsers are a workspace of their own, which nothing else compiles.
lint-clippy:
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --manifest-path rust/fuzz/Cargo.toml --target-dir target \
	  --locked -- -D warnings

lint-doc:
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked

lint-ruff: .venv/.stamp-tools
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

# The extension is checked under the name that it is installed by, but from its
# sources; hgext3rd/__init__.py stands for Mercurial's. tests/ and bench/ are
# scripts and apart: both may have a run.py.
lint-types: .venv/.stamp-tools
	@rm -rf .cache/typing
	@mkdir -p .cache/typing/hgext3rd
	@touch .cache/typing/hgext3rd/__init__.py
	@ln -s ../../../hgext/uilog .cache/typing/hgext3rd/uilog
	$(MYPY) -p hgext3rd.uilog
	$(MYPY) $(wildcard tests/*.py tests/tools/*.py)
	$(MYPY) $(wildcard release/*.py)
	$(MYPY) $(wildcard tests/dist/*.py)
	$(if $(BENCH_PY),$(MYPY) $(BENCH_PY))

# Compares the stub with the module that is installed.
lint-stubs: venv
	MYPYPATH= .venv/bin/stubtest --mypy-config-file pyproject.toml \
	  hgext3rd.uilog._native

MYPY := MYPYPATH=.cache/typing:tests/helpers:release:tests/dist .venv/bin/mypy
BENCH_PY := $(wildcard bench/*.py)

lint-shell:
	@if command -v shellcheck >/dev/null; then set -x; \
	  shellcheck .ci/run release/cargo-for-wheel release/debian/postinst \
	    release/debian/prerm $(wildcard tests/*.sh tests/*/*.sh bench/*.sh); \
	else echo 'LEFT OUT: shellcheck because it is not installed'; fi

lint-version:
	@test "$$(grep '^version = ' Cargo.toml)" = \
	  "$$(grep '^version = ' pyproject.toml)" || \
	  { echo 'Cargo.toml and pyproject.toml differ in version'; exit 1; }
	@grep -qx "__version__ = b'$$(sed -n 's/^version = "\(.*\)"/\1/p' \
	  pyproject.toml)'" hgext/uilog/__init__.py || \
	  { echo 'pyproject.toml and hgext/uilog differ in version'; exit 1; }

clean:
	rm -rf build dist *.egg-info .venv .venvs .cache/hg-* .cache/wheel*

distclean: clean
	rm -rf .cache target

# Intermediate files of the pattern rules are the point of them.
.PRECIOUS: .cache/hg-%/.stamp .cache/mercurial-%/.stamp .venvs/%/.stamp-hg \
  .cache/root-%/.stamp
