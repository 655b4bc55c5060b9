// Any bytes as a trace: refused with an Error of one line, or a workload that makes a batch to validate and plan.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "cli/trace.hpp"
#include "varlen/error.hpp"
#include "varlen/plan.hpp"

constexpr std::int64_t kMostItemsToWalk = 20000;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const varlen::cli::Workload workload = varlen::cli::parse_trace(text);
    const varlen::Batch batch = workload.batch(varlen::Dtype::kBFloat16, varlen::Dtype::kBFloat16);
    const varlen::Plan plan = varlen::make_plan(batch, varlen::PlanTarget::h100());
    if (plan.item_count() <= kMostItemsToWalk &&
        plan.report().requests != static_cast<std::int64_t>(workload.query_lengths.size()))
      std::abort();
  } catch (const varlen::Error& error) {
    if (std::strchr(error.what(), '\n') != nullptr) std::abort();
  }
  return 0;
}
