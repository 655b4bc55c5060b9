// Runs the emulated kernels on batches that bring out what they do, for scripts/mutations: with a fault planted in a
// kernel, one of the emulator's detectors must speak. What comes out is not looked at. Only the kernels for head dims
// of 64 and fp16 are built, so that a planted fault is compiled in seconds.
#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "backend/emulator/forward_kernel-inl.h"
#include "emulator/attention_case.hpp"

namespace varlen::emulator {

template <>
Kernel forward_kernel<64, 64>(kernel::Forward forward, Dtype /*input_dtype*/) {
  return forward_kernel_for<gpu::Float16, 64, 64>(forward);
}

namespace {
Kernel not_built() { throw std::logic_error("only kernels for head dims of 64 are built here"); }
}  // namespace
template <>
Kernel forward_kernel<128, 128>(kernel::Forward /*forward*/, Dtype /*input_dtype*/) {
  return not_built();
}
template <>
Kernel forward_kernel<192, 128>(kernel::Forward /*forward*/, Dtype /*input_dtype*/) {
  return not_built();
}
template <>
Kernel forward_kernel<256, 256>(kernel::Forward /*forward*/, Dtype /*input_dtype*/) {
  return not_built();
}
template <>
Kernel forward_kernel<576, 512>(kernel::Forward /*forward*/, Dtype /*input_dtype*/) {
  return not_built();
}

namespace test {
namespace {

struct NamedCase {
  const char* name;
  AttentionCase test;
};

/// Few blocks, so that each has several items after another; tails of queries, of keys and of both; tiles of one
/// warpgroup and of two; items without keys.
std::vector<NamedCase> cases() {
  AttentionCase ragged;
  ragged.lengths = {{0, 5}, {130, 300}, {3, 700}, {200, 200}, {1, 1}, {4, 0}, {70, 450}, {256, 256}};
  ragged.query_heads = 4;
  ragged.output_dtype = Dtype::kFloat16;
  ragged.target.workers = 3;

  AttentionCase full = ragged;
  full.lengths = {{129, 640}, {1, 129}, {64, 128}, {65, 127}, {0, 0}, {9, 5}, {128, 128}};
  full.query_heads = full.kv_heads = 3;
  full.mask = Mask::full();
  full.sinks = true;
  full.target.workers = 2;

  AttentionCase parts = ragged;
  parts.lengths = {{1, 3000}, {5, 900}, {40, 1500}};
  parts.target.workers = 24;

  AttentionCase pages = ragged;
  pages.lengths = {{1, 700}, {33, 333}, {150, 290}, {2, 64}};
  pages.page_size = 16;
  pages.mask = Mask::window(100, 10);

  AttentionCase groups = ragged;  // tiles of three heads leave rows of a box over; runs of items without keys
  groups.lengths = {{130, 200}, {90, 0}, {90, 0}, {90, 0},    {90, 0}, {90, 0},
                    {90, 0},    {90, 0}, {90, 0}, {100, 300}, {43, 90}};
  groups.query_heads = 6;

  AttentionCase tall = ragged;  // more rows than a slice has
  tall.target = PlanTarget::b200();
  tall.target.workers = 2;

  AttentionCase loose = ragged;  // results not in boxes
  loose.output_dtype = Dtype::kFloat32;
  loose.lse = false;
  loose.extra_stride = 8;
  return {{"ragged", ragged}, {"full", full}, {"parts", parts}, {"pages", pages},
          {"groups", groups}, {"tall", tall}, {"loose", loose}};
}

/// What the emulator says of the first case that it finds fault with.
std::string first_fault(GpuArchitecture architecture) {
  for (NamedCase& each : cases()) {
    each.test.architecture = architecture;
    AttentionData data(each.test);
    try {
      data.execute();
    } catch (const Error& error) {
      return fmt::format("case {}: {}", each.name, error.what());
    }
  }
  return "";
}

int run() {
  for (const GpuArchitecture architecture : {GpuArchitecture::kSm90a, GpuArchitecture::kSm80}) {
    const std::string fault = first_fault(architecture);
    if (fault.empty()) continue;
    fmt::print("FAULT on {}, {}\n", architecture == GpuArchitecture::kSm80 ? "sm_80" : "sm_90a", fault);
    return 1;
  }
  fmt::print("no fault found\n");
  return 0;
}

}  // namespace
}  // namespace test
}  // namespace varlen::emulator

int main() {
  try {
    return varlen::emulator::test::run();
  } catch (const std::exception& error) {
    fmt::print("FAULT: {}\n", error.what());
    return 2;
  }
}
