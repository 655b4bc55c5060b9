# make run    build the program and run it on a real ragged batch, on the GPU where there is one
# make test   build everything and run the tests
# make verify the long checks: lint, sanitizers, fuzzing, planted faults
# make bench  build and run the benchmarks
# make clean  remove build/
# CUDA=1      behind any of them: build for NVIDIA GPUs as well
#
# Each installs the Debian packages it needs first (scripts/setup), configures and builds; a second run takes seconds.
# Variables: JOBS=<compilers at once>; CUDA, which is 1 where there is an NVIDIA GPU and 0 elsewhere. nvcc is the machine's or
# else one from the Python package index (scripts/cuda-tools).

JOBS ?= $(shell nproc)
CUDA ?= $(if $(wildcard /dev/nvidia[0-9]*),1,0)
MAKEFLAGS += --no-print-directory
preset := $(if $(filter 1,$(CUDA)),cuda,release)
build := build/$(preset)
varlen := $(build)/varlen
configure = $(if $(filter cuda,$(preset)),nvcc=$$(scripts/cuda-tools nvcc) &&) cmake --preset $(preset) \
  $(if $(filter cuda,$(preset)),-DCMAKE_CUDA_COMPILER=$$nvcc)

.PHONY: help run test verify bench clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \?//p;/^$$/q' Makefile

# The first `make run` configures without the tests, whose packages it does not install; later ones keep what is configured.
run:
	@scripts/setup run
	@test -f $(build)/build.ninja || { $(configure) -DVARLEN_BUILD_TESTS=OFF; }
	@cmake --build --preset $(preset) -j $(JOBS) --target varlen_cli
	@scripts/demo $(varlen)

test:
	@scripts/setup test
	@$(configure) -DVARLEN_BUILD_TESTS=ON
	@cmake --build --preset $(preset) -j $(JOBS)
	@ctest --preset $(preset) -j $(JOBS)

verify:
	@scripts/setup verify
	@scripts/verify $(JOBS)

bench:
	@scripts/setup bench
	@$(configure) -DVARLEN_BUILD_BENCH=ON
	@cmake --build --preset $(preset) -j $(JOBS)
	@bench/run $(build)

clean:
	rm -rf build
