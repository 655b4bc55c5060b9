# make run    build the program and run it on a real ragged batch
# make test   build everything and run the tests
# make verify the long checks: lint, sanitizers, fuzzing, planted faults
# make bench  build and run the benchmarks
# make clean  remove build/
#
# Each installs the Debian packages it needs first (scripts/setup), configures and builds; a second run takes seconds.
# Variables: JOBS=<compilers at once>.

JOBS ?= $(shell nproc)
MAKEFLAGS += --no-print-directory
release := build/release
varlen := $(release)/varlen

.PHONY: help run test verify bench clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \?//p;/^$$/q' Makefile

# The first `make run` configures without the tests, whose packages it does not install; later ones keep what is configured.
run:
	@scripts/setup run
	@test -f $(release)/build.ninja || cmake --preset release -DVARLEN_BUILD_TESTS=OFF
	@cmake --build --preset release -j $(JOBS) --target varlen_cli
	@scripts/demo $(varlen)

test:
	@scripts/setup test
	@cmake --preset release -DVARLEN_BUILD_TESTS=ON
	@cmake --build --preset release -j $(JOBS)
	@ctest --preset release -j $(JOBS)

verify:
	@scripts/setup verify
	@scripts/verify $(JOBS)

bench:
	@scripts/setup bench
	@cmake --preset release -DVARLEN_BUILD_BENCH=ON
	@cmake --build --preset release -j $(JOBS)
	@bench/run $(release)

clean:
	rm -rf build
