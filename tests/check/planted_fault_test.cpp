// Backends with one fault each, made from the reference: run_case() must catch every one, and for the right reason.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <string>

#include "check/cases.hpp"
#include "check/guarded_memory.hpp"
#include "check/problem.hpp"
#include "check/run_case.hpp"
#include "reference/element.hpp"

namespace varlen::check {
namespace {

using Damage = std::function<void(const RaggedBatch&, const Tensors&)>;

/// The reference, then `damage`.
Compute damaged(Damage damage) {
  return [damage = std::move(damage)](const Case&, const Batch& batch, const Tensors& tensors) -> std::string {
    const RaggedBatch ragged = canonical(batch);
    validate_tensors(ragged, tensors);
    reference::attention_into(ragged, tensors);
    if (damage) damage(ragged, tensors);
    return {};
  };
}

double load_at(const TensorView& view, std::int64_t token, std::int64_t head, std::int64_t d) {
  return reference::load(view.dtype, view.data, token * view.strides[0] + head * view.strides[1] + d);
}

void store_at(const TensorView& view, std::int64_t token, std::int64_t head, std::int64_t d, double value) {
  reference::store(view.dtype, view.data, token * view.strides[0] + head * view.strides[1] + d, value);
}

/// Three requests with a tail after the last token and gaps between heads, tokens and requests.
Case spacious() {
  Case test = small_case("spacious", {40, 9, 33}, {40, 20, 50});
  test.seed = 12;
  test.layout.query_form = test.layout.key_form = IndexForm::kBoth;
  test.layout.first_gap = 2;
  test.layout.tail_tokens = 30;
  test.layout.head_gap = 2;
  test.layout.token_gap = 3;
  return test;
}

/// With tiles, though no backend here has any: run_case() looks for keys that no row of a tile sees.
Case planned(Case test) {
  test.target = PlanTarget::cpu(1);
  return test;
}

void expect_caught(const Case& unplanned, Damage damage, const std::string& reason) {
  const Case test = planned(unplanned);
  const Expectation expected = expect(test);
  EXPECT_EQ(run_case(test, expected, damaged({})).failure, "") << "without the fault";
  const std::string failure = run_case(test, expected, damaged(std::move(damage))).failure;
  EXPECT_NE(failure.find(reason), std::string::npos) << "got: " << failure;
}

/// The same for a fault that touches memory between or after the requests' rows. AddressSanitizer may end it right
/// there.
void expect_stray_caught(const Case& unplanned, const Damage& damage, const std::string& reason) {
  if (!forbids_access()) return expect_caught(unplanned, damage, reason);
  const Case test = planned(unplanned);
  const Expectation expected = expect(test);
  EXPECT_EQ(run_case(test, expected, damaged({})).failure, "") << "without the fault";
  EXPECT_DEATH(
      {
        const std::string failure = run_case(test, expected, damaged(damage)).failure;
        if (failure.find(reason) != std::string::npos) std::fputs("caught by comparison", stderr);
        std::abort();
      },
      "AddressSanitizer|caught by comparison");
}

TEST(PlantedFault, OneWrongElement) {
  expect_caught(
      spacious(),
      [](const RaggedBatch& batch, const Tensors& tensors) {
        const std::int64_t token = batch.requests[2].query_start + 32;
        store_at(tensors.out, token, 3, 15, load_at(tensors.out, token, 3, 15) * 1.001 + 1e-4);
      },
      "request 2, query row 32, head 3: out is");
}

TEST(PlantedFault, SwappedHeads) {
  expect_caught(
      spacious(),
      [](const RaggedBatch& batch, const Tensors& tensors) {
        const std::int64_t token = batch.requests[1].query_start;
        for (std::int64_t d = 0; d < 16; ++d) {
          const double first = load_at(tensors.out, token, 0, d);
          store_at(tensors.out, token, 0, d, load_at(tensors.out, token, 1, d));
          store_at(tensors.out, token, 1, d, first);
        }
      },
      "request 1, query row 0, head 0: out is");
}

TEST(PlantedFault, LseInBaseTwo) {
  expect_caught(
      spacious(),
      [](const RaggedBatch& batch, const Tensors& tensors) {
        const std::int64_t token = batch.requests[0].query_start + 1;
        store_at(tensors.lse, token, 2, 0, load_at(tensors.lse, token, 2, 0) / std::log(2.0));
      },
      "request 0, query row 1, head 2: lse = ");
}

TEST(PlantedFault, RowLeftAsItWas) {
  // What the output held before, as a row that is never written would keep it.
  expect_caught(
      spacious(),
      [](const RaggedBatch& batch, const Tensors& tensors) {
        const std::int64_t token = batch.requests[1].query_start + 8;
        for (std::int64_t d = 0; d < 16; ++d)
          store_at(tensors.out, token, 2, d, std::numeric_limits<double>::quiet_NaN());
      },
      "request 1, query row 8, head 2: out is inf times");
}

TEST(PlantedFault, WriteIntoTheGapAfterARequest) {
  expect_stray_caught(
      spacious(),
      [](const RaggedBatch& batch, const Tensors& tensors) {
        const RequestExtent& request = batch.requests[0];
        ASSERT_LT(request.query_start + request.query_length, batch.requests[1].query_start)
            << "the case has a gap there";
        store_at(tensors.out, request.query_start + request.query_length, 0, 0, 1);
      },
      "out changed outside of the requests' rows");
}

TEST(PlantedFault, WritePastTheLastOffset) {
  expect_stray_caught(
      spacious(),
      [](const RaggedBatch& batch, const Tensors& tensors) {
        ASSERT_GT(tensors.lse.shape[0], batch.query_tokens) << "the case has a tail";
        store_at(tensors.lse, batch.query_tokens, 3, 0, 0);
      },
      "lse changed outside of the requests' rows");
}

TEST(PlantedFault, WriteBetweenHeads) {
  expect_stray_caught(
      spacious(), [](const RaggedBatch&, const Tensors& tensors) { store_at(tensors.out, 0, 0, 16, 0); },
      "out changed outside of the requests' rows");
}

TEST(PlantedFault, WriteToAnInput) {
  expect_caught(
      spacious(),
      [](const RaggedBatch&, const Tensors& tensors) {
        store_at(tensors.key, 3, 1, 2, load_at(tensors.key, 3, 1, 2) + 1);
      },
      "key changed outside of the requests' rows");
}

/// Adds `weight` × an element that is none of the row's business to one output element.
Damage reads(std::size_t request, const std::function<double(const RaggedBatch&, const Tensors&)>& stranger) {
  return [=](const RaggedBatch& batch, const Tensors& tensors) {
    const std::int64_t token = batch.requests[request].query_start;
    store_at(tensors.out, token, 1, 4, load_at(tensors.out, token, 1, 4) + 0 * stranger(batch, tensors));
  };
}

TEST(PlantedFault, ZeroTimesWhatLiesAfterTheRequest) {
  expect_stray_caught(spacious(),
                      reads(0,
                            [](const RaggedBatch& batch, const Tensors& tensors) {
                              const RequestExtent& request = batch.requests[0];
                              return load_at(tensors.value, request.key_start + request.key_length, 0, 0);
                            }),
                      "request 0 has other bits when NaN");
}

TEST(PlantedFault, ZeroTimesWhatLiesBetweenHeads) {
  expect_stray_caught(
      spacious(),
      reads(2, [](const RaggedBatch&,
                  const Tensors& tensors) { return load_at(tensors.key, 7, 0, 16) + load_at(tensors.key, 7, 0, 17); }),
      "request 2 has other bits when NaN");
}

TEST(PlantedFault, ZeroTimesANeighboursValue) {
  Case test = spacious();
  test.spoiled_request = 1;
  expect_caught(
      test,
      reads(0, [](const RaggedBatch& batch,
                  const Tensors& tensors) { return load_at(tensors.value, batch.requests[1].key_start + 3, 1, 4); }),
      "request 0 has other bits when NaN");
}

TEST(PlantedFault, ZeroTimesAnUnusedPartOfAPage) {
  Case test = small_case("paged", {5, 6}, {20, 30});
  test.page_size = 16;
  expect_stray_caught(
      test,
      reads(1,
            [](const RaggedBatch& batch, const Tensors& tensors) {
              const auto* const pages = static_cast<const std::int32_t*>(tensors.block_table.data);
              const std::int64_t page = pages[tensors.block_table.strides[0] + 1];
              const std::int64_t slot = batch.requests[1].key_length % 16;  // the first past its last key
              const TensorView& value = tensors.value;
              return reference::load(value.dtype, value.data, page * value.strides[0] + slot * value.strides[1]);
            }),
      "request 1 has other bits when NaN");
}

TEST(PlantedFault, AnLseWrittenByTokensWhereItLiesByHeads) {
  Case test = small_case("turned", {40, 9, 33}, {40, 20, 50});
  test.layout.lse_heads_first = true;
  expect_caught(
      test,
      [](const RaggedBatch& batch, const Tensors& tensors) {
        auto* const lse = static_cast<float*>(tensors.lse.data);
        const std::int64_t heads = batch.query_heads;
        std::vector<float> by_tokens;
        for (std::int64_t i = 0; i < batch.query_tokens * heads; ++i) {
          by_tokens.push_back(static_cast<float>(load_at(tensors.lse, i / heads, i % heads, 0)));
        }
        std::copy(by_tokens.begin(), by_tokens.end(), lse);
      },
      "request 0, query row 0, head 1: lse = ");
}

TEST(PlantedFault, ABroadcastScaleTakenForOneOfEach) {
  Case test = small_case("broadcast", {12, 9}, {20, 30});
  test.input_dtype = Dtype::kFloat8E4M3;
  test.fp8_scales = true;
  test.layout.scale_form = ScaleForm::kPerRequest;
  expect_caught(
      test,
      [](const RaggedBatch& batch, const Tensors& tensors) {
        const auto* const scales = static_cast<const float*>(tensors.value_scale.data);
        for (std::int64_t token = 0; token < batch.requests[0].query_length; ++token) {  // KV head 1 takes the next one
          const std::int64_t head = batch.group;
          const double out = load_at(tensors.out, token, head, 3);
          store_at(tensors.out, token, head, 3, out / static_cast<double>(scales[0]) * static_cast<double>(scales[1]));
        }
      },
      "request 0, query row 0, head 2: out is");
}

TEST(PlantedFault, BitsThatDependOnTheBatch) {
  Case test = spacious();
  test.batch_invariant = true;
  test.solo_request = 1;
  expect_caught(
      test,
      [](const RaggedBatch& batch, const Tensors& tensors) {
        if (batch.requests.size() == 1) return;  // one unit in the last place more, but only among others
        const std::int64_t token = batch.requests[1].query_start;
        store_at(tensors.out, token, 0, 0,
                 static_cast<double>(std::nextafter(static_cast<float>(load_at(tensors.out, token, 0, 0)), 9.0F)));
      },
      "batch_invariant: request 1 has other bits when it is computed alone");
}

TEST(PlantedFault, ExceptionsAreFailures) {
  const Case test = spacious();
  const Compute thrower = [](const Case&, const Batch&, const Tensors&) -> std::string {
    throw std::runtime_error("the backend gave up");
  };
  EXPECT_EQ(run_case(test, expect(test), thrower).failure, "the backend gave up");
}

TEST(PlantedFault, FiniteStandInForMasked) {
  // "Masked" as −1e5: a row whose only key scores −524288 loses it.
  Case test = small_case("sentinel", {1}, {1});
  test.scale = 1.0F;
  test.seed = 2;
  test.adjust = [](const Case&, CaseData& data) {
    std::fill(data.query.begin(), data.query.end(), 0.0);
    std::fill(data.key.begin(), data.key.end(), 0.0);
    for (std::size_t i = 0; i < data.query.size(); i += 16) data.query[i] = -1024;
    for (std::size_t i = 0; i < data.key.size(); i += 16) data.key[i] = 512;
  };
  expect_caught(
      test,
      [](const RaggedBatch&, const Tensors& tensors) {
        for (std::int64_t d = 0; d < 16; ++d) store_at(tensors.out, 0, 0, d, 0);
      },
      "request 0, query row 0, head 0: out is");
}

using PlantedFaultDeathTest = testing::Test;

TEST(PlantedFaultDeathTest, ReadBeyondATensorEndsTheProcess) {
  Case test = small_case("tight", {9}, {9});
  EXPECT_DEATH(run_case(test, expect(test), damaged([](const RaggedBatch& batch, const Tensors& tensors) {
                          const volatile double stranger = load_at(tensors.value, batch.key_tokens, 0, 0);
                          (void)stranger;
                        })),
               "");
}

}  // namespace
}  // namespace varlen::check
