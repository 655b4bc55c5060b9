// Packing, register blocks, online softmax and merging, each alone, on every SIMD target that runs here.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "cpu/simd_functions.hpp"

namespace varlen::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// 64-byte aligned floats.
class Floats {
 public:
  explicit Floats(std::int64_t count, float value = 0)
      : memory_(static_cast<std::size_t>(count) + 16), begin_(memory_.data()) {
    auto space = memory_.size() * sizeof(float);
    void* pointer = begin_;
    begin_ = static_cast<float*>(std::align(64, static_cast<std::size_t>(count) * sizeof(float), pointer, space));
    std::fill_n(begin_, count, value);
  }
  static Floats random(std::int64_t count, std::uint32_t seed) {
    Floats floats(count);
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    std::generate_n(floats.data(), count, [&] { return normal(generator); });
    return floats;
  }
  float* data() { return begin_; }
  float& operator[](std::int64_t index) { return begin_[index]; }

 private:
  std::vector<float> memory_;
  float* begin_;
};

TEST(Pack, KeysLieAlongLanesAndOthersAreZero) {
  simd::for_each_target([](const std::string& target) {
    SCOPED_TRACE(target);
    const std::int64_t panel = simd::shape().panel;
    const std::int64_t lanes = simd::shape().lanes;
    for (const std::int64_t depth : {8, 24, 136}) {
      for (const KeyRange keys : {KeyRange{0, 1}, {0, kKeyStep}, {3, 5}, {15, 17}, {31, 100}, {255, 256}}) {
        std::vector<std::vector<float>> stored;  // one allocation per row: a read beside it is an error to ASan
        std::vector<const std::byte*> rows;
        for (std::int64_t key = keys.begin; key < keys.end; ++key) {
          stored.emplace_back(static_cast<std::size_t>(depth));
          for (std::int64_t k = 0; k < depth; ++k) {
            stored.back()[static_cast<std::size_t>(k)] = static_cast<float>(key * 1000 + k);
          }
          rows.push_back(reinterpret_cast<const std::byte*>(stored.back().data()));
        }
        Floats panels(kKeyStep * depth, kNan);
        Floats stage(kMaxLanes * kStageStride, kNan);
        simd::pack_keys(rows.data(), keys, depth, stage.data(), panels.data());
        for (std::int64_t key = keys.begin / lanes * lanes; key < round_up(keys.end, lanes); ++key) {
          const bool inside = key >= keys.begin && key < keys.end;
          for (std::int64_t k = 0; k < depth; ++k) {
            ASSERT_EQ(panels[key / panel * panel * depth + k * panel + key % panel],
                      inside ? static_cast<float>(key * 1000 + k) : 0.0F)
                << key << " " << k;
          }
        }
      }
    }
  });
}

TEST(Pack, ValuesLieAlongColumnsWithZerosToTheLastLane) {
  simd::for_each_target([](const std::string& target) {
    SCOPED_TRACE(target);
    const std::int64_t panel = simd::shape().panel;
    const std::int64_t lanes = simd::shape().lanes;
    for (const std::int64_t head_dim : {8, 64, 72, 576}) {
      const KeyRange keys{2, 7};
      std::vector<std::vector<float>> stored;
      std::vector<const std::byte*> rows;
      for (std::int64_t key = keys.begin; key < keys.end; ++key) {
        stored.emplace_back(static_cast<std::size_t>(head_dim));
        for (std::int64_t column = 0; column < head_dim; ++column) {
          stored.back()[static_cast<std::size_t>(column)] = static_cast<float>(key * 1000 + column);
        }
        rows.push_back(reinterpret_cast<const std::byte*>(stored.back().data()));
      }
      Floats panels(kKeyStep * round_up(head_dim, kMaxPanel), kNan);
      simd::pack_values(rows.data(), keys, head_dim, panels.data());
      for (std::int64_t key = keys.begin; key < keys.end; ++key) {
        for (std::int64_t column = 0; column < round_up(head_dim, lanes); ++column) {
          ASSERT_EQ(panels[column / panel * panel * kKeyStep + key * panel + column % panel],
                    column < head_dim ? static_cast<float>(key * 1000 + column) : 0.0F)
              << key << " " << column;
        }
      }
    }
  });
}

TEST(RegisterBlocks, EveryShapeGivesTheBitsOfTheSmallest) {
  simd::for_each_target([](const std::string& target) {
    SCOPED_TRACE(target);
    const simd::Shape shape = simd::shape();
    for (const std::int64_t depth : {1, 7, 8, 128}) {
      const std::int64_t out_stride = kMaxPanel;
      Floats query = Floats::random(shape.block_rows * depth, 1);
      Floats probabilities = Floats::random(shape.block_rows * kKeyStep, 2);
      Floats panel = Floats::random(depth * shape.panel, 3);
      Floats rescale = Floats::random(shape.block_rows, 4);
      const Floats before = Floats::random(shape.block_rows * out_stride, 5);
      Floats one_scores(shape.block_rows * kKeyStep);
      Floats one_out = before;
      for (std::int64_t r = 0; r < shape.block_rows; ++r) {
        for (std::int64_t v = 0; v < shape.block_vectors; ++v) {
          const std::int64_t lane = v * shape.lanes;
          simd::score_block(1, 1, query.data() + r * depth, depth, panel.data() + lane, false,
                            one_scores.data() + r * kKeyStep + lane);
          simd::value_block(1, 1, probabilities.data() + r * kKeyStep, depth, panel.data() + lane, rescale.data() + r,
                            one_out.data() + r * out_stride + lane, out_stride);
        }
      }
      for (std::int64_t rows = 1; rows <= shape.block_rows; ++rows) {
        for (std::int64_t vectors = 1; vectors <= shape.block_vectors; ++vectors) {
          Floats scores(shape.block_rows * kKeyStep, kNan);
          Floats out = before;
          simd::score_block(rows, vectors, query.data(), depth, panel.data(), false, scores.data());
          simd::value_block(rows, vectors, probabilities.data(), depth, panel.data(), rescale.data(), out.data(),
                            out_stride);
          for (std::int64_t r = 0; r < shape.block_rows; ++r) {
            for (std::int64_t i = 0; i < shape.panel; ++i) {
              const bool computed = r < rows && i < vectors * shape.lanes;
              const float score = scores[r * kKeyStep + i];
              ASSERT_TRUE(computed ? score == one_scores[r * kKeyStep + i] : std::isnan(score)) << rows << vectors;
              Floats untouched = before;
              ASSERT_EQ(out[r * out_stride + i], (computed ? one_out : untouched)[r * out_stride + i]);
            }
          }
        }
      }
      // And the smallest is right.
      for (std::int64_t i = 0; i < shape.panel; ++i) {
        double sum = 0;
        double magnitude = 0;
        for (std::int64_t k = 0; k < depth; ++k) {
          sum += static_cast<double>(query[k]) * panel[k * shape.panel + i];
          magnitude += std::abs(static_cast<double>(query[k]) * panel[k * shape.panel + i]);
        }
        ASSERT_NEAR(one_scores[i], sum, 1e-6 * magnitude);
      }
    }
  });
}

/// Online softmax of one row over blocks of given scores; what the definition says beside it.
struct OnlineRow {
  Floats scores{kKeyStep};
  float max = -kInfinity;
  Floats sum{kMaxLanes};
  float rescale = 0;

  /// Adds keys 0 … count of one block.
  void add(const std::vector<float>& block) {
    const auto count = static_cast<std::int64_t>(block.size());
    const KeyRange computed{0, round_up(count, simd::shape().lanes)};
    std::copy(block.begin(), block.end(), scores.data());
    simd::mask_scores(scores.data(), computed, {0, count});
    simd::softmax_rows(1, scores.data(), computed, 1.0F, &max, sum.data(), &rescale);
  }
  double total() {
    double all = 0;
    for (std::int64_t lane = 0; lane < simd::shape().lanes; ++lane) {
      all += sum[lane];
    }
    return all;
  }
};

TEST(Softmax, BlocksAddUpToTheDefinition) {
  simd::for_each_target([](const std::string& target) {
    SCOPED_TRACE(target);
    std::mt19937 generator(6);
    std::normal_distribution<float> normal(0, 5);
    OnlineRow row;
    std::vector<double> all;
    for (const std::size_t count : {1U, 5U, 256U, 17U, 31U, 64U}) {
      std::vector<float> block(count);
      std::generate(block.begin(), block.end(), [&] { return normal(generator); });
      const float before = row.max;
      row.add(block);
      all.insert(all.end(), block.begin(), block.end());
      const double max = *std::max_element(all.begin(), all.end());
      EXPECT_EQ(row.max, max);
      EXPECT_NEAR(row.rescale, std::exp2(before - max), 3e-7);
      double expected = 0;
      for (const double score : all) {
        expected += std::exp2(score - max);
      }
      EXPECT_NEAR(row.total(), expected, 1e-6 * expected);
      for (std::size_t i = 0; i < count; ++i) {
        EXPECT_NEAR(row.scores[static_cast<std::int64_t>(i)], std::exp2(block[i] - max), 3e-7);
      }
    }
  });
}

TEST(Softmax, FiniteScoresOfAnySizeCount) {
  simd::for_each_target([](const std::string& target) {
    SCOPED_TRACE(target);
    for (const float score : {-524288.0F, 524288.0F, -3e38F, 3e38F, 0.0F}) {
      OnlineRow row;
      row.add({score});
      EXPECT_EQ(row.max, score);
      EXPECT_EQ(row.total(), 1.0);
      EXPECT_EQ(row.scores[0], 1.0F);
      EXPECT_EQ(row.rescale, 0.0F);
    }
  });
}

TEST(Softmax, BlocksWithoutVisibleKeysChangeNothing) {
  simd::for_each_target([](const std::string& target) {
    SCOPED_TRACE(target);
    OnlineRow row;
    const std::vector<float> blind(20, -kInfinity);
    row.add(blind);
    EXPECT_EQ(row.max, -kInfinity);
    EXPECT_EQ(row.total(), 0.0);
    row.add({1.0F, 2.0F});
    const double total = row.total();
    row.add(blind);
    EXPECT_EQ(row.max, 2.0F);
    EXPECT_EQ(row.rescale, 1.0F);
    EXPECT_EQ(row.total(), total);
  });
}

TEST(Softmax, NanStaysNan) {
  simd::for_each_target([](const std::string& target) {
    SCOPED_TRACE(target);
    for (const std::size_t position : {0U, 5U, 40U}) {
      std::vector<float> block(41, 1.0F);
      block[position] = kNan;
      OnlineRow row;
      row.add(block);
      EXPECT_TRUE(std::isnan(row.total())) << position;
    }
  });
}

TEST(Softmax, MaskHidesExactlyWhatIsNotSeen) {
  simd::for_each_target([](const std::string& target) {
    SCOPED_TRACE(target);
    for (const KeyRange visible : {KeyRange{0, 0},
                                   {0, 1},
                                   {15, 17},
                                   {16, 32},
                                   {3, 61},
                                   {63, 64},
                                   {0, 64},
                                   {-40, 5},
                                   {60, 1000},
                                   {70, 80},
                                   {-9, -3}}) {
      Floats scores(64, 2.0F);
      simd::mask_scores(scores.data(), {0, 64}, visible);
      for (std::int64_t key = 0; key < 64; ++key) {
        EXPECT_EQ(scores[key], key >= visible.begin && key < visible.end ? 2.0F : -kInfinity) << key;
      }
    }
  });
}

TEST(Merge, WeighsPartsByTheirSums) {
  simd::for_each_target([](const std::string& target) {
    SCOPED_TRACE(target);
    constexpr std::int64_t kHeadDim = 24;
    constexpr std::int64_t kStride = 3 * (kHeadDim + 2);
    std::mt19937 generator(7);
    std::normal_distribution<float> normal;
    for (const std::int64_t count : {1, 2, 16, 17, 100}) {
      for (const float base : {0.0F, -524288.0F, 1e5F}) {
        Floats parts(count * kStride);
        double max = -HUGE_VAL;
        for (std::int64_t part = 0; part < count; ++part) {
          float* row = parts.data() + part * kStride;
          std::generate_n(row, kHeadDim, [&] { return normal(generator); });
          row[kHeadDim] = base + static_cast<float>(part % 5);
          row[kHeadDim + 1] = 1.0F + static_cast<float>(part % 3);
          if (part % 4 == 2) {  // a part whose keys this row does not see
            std::fill_n(row, kHeadDim + 2, 0.0F);
            row[kHeadDim] = -kInfinity;
          }
          max = std::max(max, static_cast<double>(row[kHeadDim]));
        }
        Floats sums(kHeadDim, kNan);
        float merged_max = 0;
        double merged_sum = 0;
        simd::merge_row(parts.data(), count, kStride, kHeadDim, 1.0F, sums.data(), merged_max, merged_sum);
        EXPECT_EQ(merged_max, max);
        for (std::int64_t column = 0; column <= kHeadDim; ++column) {
          double expected = 0;
          double magnitude = 0;
          for (std::int64_t part = 0; part < count; ++part) {
            const std::int64_t at = part * kStride;
            const double weight = std::exp2(parts[at + kHeadDim] - max);
            expected += weight * parts[at + (column < kHeadDim ? column : kHeadDim + 1)];
            magnitude += weight * std::abs(parts[at + (column < kHeadDim ? column : kHeadDim + 1)]);
          }
          EXPECT_NEAR(column < kHeadDim ? sums[column] : merged_sum, expected, 5e-7 * magnitude) << column;
        }
      }
    }
  });
}

TEST(Merge, PartsThatSawNothingGiveNothing) {
  simd::for_each_target([](const std::string& target) {
    SCOPED_TRACE(target);
    Floats parts(3 * 10);
    for (const std::int64_t part : {0, 1, 2}) {
      parts[part * 10 + 8] = -kInfinity;
    }
    Floats sums(8, kNan);
    float max = 0;
    double sum = 1;
    simd::merge_row(parts.data(), 3, 10, 8, 1.0F, sums.data(), max, sum);
    EXPECT_EQ(max, -kInfinity);
    EXPECT_EQ(sum, 0.0);
    EXPECT_EQ(sums[0], 0.0F);
  });
}

}  // namespace
}  // namespace varlen::cpu
