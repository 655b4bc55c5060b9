// Kernels of one operation each, written against gpu/operations.hpp like all others: nvcc compiles them for the GPU and
// a C++ compiler for the emulator. `in` is what they are given, `out` what is compared.
#pragma once

#include "fidelity/micro_barriers.hpp"
#include "fidelity/micro_copies.hpp"
#include "fidelity/micro_lanes.hpp"
#include "fidelity/micro_list.hpp"
#include "fidelity/micro_matrices.hpp"
#include "fidelity/micro_products.hpp"
