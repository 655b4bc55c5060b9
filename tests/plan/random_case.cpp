#include "random_case.hpp"

#include <algorithm>
#include <cmath>

namespace varlen::plan_test {

namespace {

constexpr std::int64_t kMaxRequests = 5000;
constexpr std::int64_t kMaxLength = 200'000;

}  // namespace

// The standard library's distributions differ between implementations; these do not.
std::int64_t RandomCase::uniform(std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(high - low + 1));
}

std::int64_t RandomCase::log_uniform(std::int64_t low, std::int64_t high) {
  const double unit = static_cast<double>(random_() >> 11) * 0x1p-53;
  const double ratio = static_cast<double>(high + 1) / static_cast<double>(std::max<std::int64_t>(low, 1));
  if (low > 0) return std::min(high, static_cast<std::int64_t>(static_cast<double>(low) * std::pow(ratio, unit)));
  return std::min(high, static_cast<std::int64_t>(std::pow(ratio, unit)) - 1);
}

void RandomCase::draw(std::int64_t max_items) {
  draw_target();
  draw_mask();
  batch.batch_invariant = one_in(4);
  const std::int64_t requests = one_in(200) ? 0 : log_uniform(1, std::min(kMaxRequests, max_items));
  batch.kv_heads =
      static_cast<std::int32_t>(log_uniform(1, std::clamp<std::int64_t>(max_items / (requests + 1), 1, 128)));
  batch.group = static_cast<std::int32_t>(one_in(3) ? 1 : log_uniform(1, 128));
  const std::int64_t rows = max_items * target.tile_shapes.front().rows;
  draw_lengths(requests, std::max(requests, rows / batch.query_heads()));
}

void RandomCase::draw_target() {
  switch (uniform(0, 7)) {
    case 0:
      target = PlanTarget::cpu(static_cast<std::int32_t>(log_uniform(1, 64)));
      return;
    case 1:
    case 2:
      target = PlanTarget::h100();
      return;
    case 3:
      target = PlanTarget::b200();
      return;
    default:
      break;
  }
  target = {};
  target.name = "random";
  target.tile_shapes.clear();
  auto rows = static_cast<std::int32_t>(log_uniform(1, 512));
  Cost block_cost = log_uniform(1, 64);
  for (std::int64_t shapes = uniform(1, PlanTarget::kMaxTileShapes); shapes > 0 && rows > 0; --shapes) {
    target.tile_shapes.push_back({rows, block_cost});
    rows = static_cast<std::int32_t>(one_in(2) ? rows / 2 : uniform(0, rows - 1));
    block_cost = uniform(1, block_cost);
  }
  target.key_block = static_cast<std::int32_t>(log_uniform(1, 512));
  target.workers = static_cast<std::int32_t>(log_uniform(1, 300));
  target.item_cost = log_uniform(0, 64);
  target.split_cost = log_uniform(0, 64);
  target.l2_bytes = log_uniform(0, std::int64_t{1} << 28);
}

void RandomCase::draw_mask() {
  const auto side = [&] { return one_in(4) ? uniform(0, 3) : log_uniform(0, kMaxLength); };
  switch (uniform(0, 5)) {
    case 0:
      batch.mask = Mask::full();
      break;
    case 1:
    case 2:
      batch.mask = Mask::causal();
      break;
    case 3:
      batch.mask = Mask::causal_window(side());
      break;
    case 4:
      batch.mask = Mask::window(side(), side());
      break;
    default:
      batch.mask = one_in(2) ? Mask::window(side(), Mask::kUnlimited) : Mask::window(Mask::kUnlimited, side());
      break;
  }
}

void RandomCase::draw_lengths(std::int64_t requests, std::int64_t query_tokens) {
  enum class Keys { kSame, kAny, kPrefix, kShorter, kMixed };
  const auto style = static_cast<Keys>(uniform(0, 4));
  const std::int64_t longest_query = one_in(8) ? 1 : log_uniform(1, kMaxLength);  // one in eight: decoding
  const std::int64_t longest_key = log_uniform(1, kMaxLength);
  batch.query_lengths.clear();
  batch.key_lengths.clear();
  for (std::int64_t request = 0; request < requests; ++request) {
    // Later requests must not starve, and a few may still be far longer than the rest.
    const std::int64_t share = std::max<std::int64_t>(1, query_tokens / (1 + (requests - request) / 8));
    const std::int64_t query = log_uniform(0, std::min(longest_query, share));
    query_tokens -= query;
    std::int64_t key = 0;
    switch (style == Keys::kMixed ? static_cast<Keys>(uniform(0, 3)) : style) {
      case Keys::kSame:
        key = query;
        break;
      case Keys::kPrefix:
        key = query + log_uniform(0, longest_key);
        break;
      case Keys::kShorter:
        key = log_uniform(0, query);
        break;
      default:
        key = log_uniform(0, longest_key);
        break;
    }
    batch.query_lengths.push_back(query);
    batch.key_lengths.push_back(std::min(key, kMaxLength));
  }
}

}  // namespace varlen::plan_test
