// Runs an emulated kernel on batches that bring out what it does, for scripts/mutations: with a fault planted in the
// kernel, one of the emulator's detectors must speak. What comes out is not looked at. There is a program for each
// kernel, so that a planted fault is compiled in seconds.
#include "emulator/planted_faults.hpp"

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "emulator/attention_case.hpp"

namespace varlen::emulator {

template <>
Kernel forward_kernel<64, 64>(kernel::Forward forward, Dtype /*input_dtype*/) {
  const test::PlantedKernel planted = test::planted_kernel();
  if (forward != planted.forward) throw std::logic_error("a case runs on another kernel");
  return planted.kernel;
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
/// warpgroup or half and of two; items without keys; split tiles.
std::vector<NamedCase> cases(Dtype input_dtype, GpuKernel gpu_kernel) {
  AttentionCase ragged;
  ragged.input_dtype = input_dtype;
  ragged.fp8_scales = dtype_size(input_dtype) == 1;
  ragged.gpu_kernel = gpu_kernel;
  if (gpu_kernel == GpuKernel::kTcgen05) ragged.target = PlanTarget::b200();
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

  AttentionCase wrong_pages = pages;  // items that are not computed, parts of split tiles among them
  wrong_pages.wrong_pages = true;
  wrong_pages.lengths.push_back({1, 3000});
  wrong_pages.target.workers = 8;

  AttentionCase groups = ragged;  // tiles of three heads leave rows of a box over; runs of items without keys
  groups.lengths = {{130, 200}, {90, 0}, {90, 0}, {90, 0},    {90, 0}, {90, 0},
                    {90, 0},    {90, 0}, {90, 0}, {100, 300}, {43, 90}};
  groups.query_heads = 6;

  AttentionCase loose = ragged;  // results not in boxes
  loose.output_dtype = Dtype::kFloat32;
  loose.lse = false;
  loose.extra_stride = 16;

  std::vector<NamedCase> all = {{"ragged", ragged},           {"full", full},     {"parts", parts}, {"pages", pages},
                                {"wrong pages", wrong_pages}, {"groups", groups}, {"loose", loose}};
  if (gpu_kernel == GpuKernel::kMma) {
    AttentionCase tall = ragged;  // more rows than a slice has
    tall.target = PlanTarget::b200();
    tall.target.workers = 2;
    all.push_back({"tall", tall});
  }
  if (input_dtype == Dtype::kFloat8E4M3) {
    AttentionCase narrow = ragged;  // of forward_mma: rows end within sixteen bytes, though each begins at a multiple
    narrow.head_dim_qk = narrow.head_dim_vo = gpu_kernel == GpuKernel::kMma ? 40 : 48;
    narrow.extra_head_stride = gpu_kernel == GpuKernel::kMma ? 8 : 16;
    all.push_back({"narrow", narrow});
  }
  return all;
}

/// What the emulator says of the first case that it finds fault with.
std::string first_fault() {
  const PlantedKernel planted = planted_kernel();
  for (const NamedCase& each : cases(planted.input_dtype, planted.gpu_kernel)) {
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
  const std::string fault = first_fault();
  if (fault.empty()) {
    fmt::print("no fault found\n");
    return 0;
  }
  fmt::print("FAULT on {}, {}\n", architecture_name(planted_kernel().gpu_kernel), fault);
  return 1;
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
