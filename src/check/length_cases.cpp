#include <string>
#include <utility>

#include "check/cases.hpp"

namespace varlen::check {
namespace {

using Lengths = std::vector<std::int64_t>;

const Lengths kTileEdges{1, 63, 64, 65, 127, 128, 129, 255, 256, 257};

struct NamedMask {
  const char* name;
  Mask mask;
};

const NamedMask kMasks[] = {{"full", Mask::full()},
                            {"causal", Mask::causal()},
                            {"window", Mask::window(70, 30)},
                            {"causal_window", Mask::causal_window(40)}};

void add_masked(std::vector<Case>& cases, const Case& test) {
  for (const NamedMask& mask : kMasks) {
    cases.push_back(test);
    cases.back().name += std::string("_") + mask.name;
    cases.back().mask = mask.mask;
  }
}

void add_empty_requests(std::vector<Case>& cases) {
  cases.push_back(small_case("zero_requests", {}, {}));
  cases.push_back(small_case("no_tokens_at_all", {0, 0, 0}, {0, 0, 0}));
  cases.push_back(small_case("no_queries_at_all", {0, 0}, {3, 70}));
  cases.push_back(small_case("no_keys_at_all", {3, 70}, {0, 0}));
  const char* const places[] = {"first", "middle", "last"};
  for (std::size_t place = 0; place < 3; ++place) {
    Lengths queries{65, 7, 130};
    Lengths keys{65, 40, 131};
    queries[place] = 0;
    add_masked(cases, small_case(std::string("zero_length_queries_") + places[place], queries, keys));
    keys[place] = 0;
    add_masked(cases, small_case(std::string("zero_length_both_") + places[place], queries, keys));
    queries = {65, 7, 130};
    add_masked(cases, small_case(std::string("zero_length_keys_") + places[place], queries, keys));
  }
}

void add_blind_rows(std::vector<Case>& cases) {
  // Whole tiles, and single rows of a tile, stand before the first key.
  add_masked(cases, small_case("more_queries_than_keys", {300, 9, 3, 129}, {40, 2, 1, 128}));
  add_masked(cases, small_case("one_key_for_many_queries", {300, 2, 1}, {1, 1, 1}));
  Case test = small_case("window_hides_all_keys", {150, 70, 5}, {10, 9, 30});
  test.mask = Mask::window(3, 5);
  cases.push_back(test);
  test.name = "window_of_own_position_only";
  test.mask = Mask::window(0, 0);
  cases.push_back(test);
  test.name = "blind_rows_with_sinks";
  test.sinks = true;
  cases.push_back(test);
  test = small_case("window_without_past", {90, 7}, {200, 5});
  test.mask = Mask::window(0, Mask::kUnlimited);
  cases.push_back(test);
  test.name = "window_wider_than_any_request";
  test.mask = Mask::window(std::int64_t{1} << 62, INT64_MAX);
  cases.push_back(test);
}

void add_lengths(std::vector<Case>& cases) {
  add_masked(cases, small_case("tile_edges", kTileEdges, kTileEdges));
  add_masked(cases,
             small_case("tile_edges_against_reversed", kTileEdges, Lengths(kTileEdges.rbegin(), kTileEdges.rend())));
  add_masked(cases, small_case("decode_on_tile_edges", Lengths(kTileEdges.size(), 1), kTileEdges));
  add_masked(cases, small_case("chunk_on_long_keys", {5, 33, 1}, {1500, 700, 1000}));
  add_masked(cases, small_case("one_long_many_short", {400, 3, 1, 2, 5, 4, 1}, {700, 3, 1, 2, 5, 4, 1}));

  // "Longest request is 1" must not change the mask.
  for (const NamedMask& mask :
       {NamedMask{"full", Mask::full()}, NamedMask{"causal", Mask::causal()},
        NamedMask{"window_0_0", Mask::window(0, 0)}, NamedMask{"window_5_5", Mask::window(5, 5)},
        NamedMask{"causal_window_3", Mask::causal_window(3)}}) {
    const std::pair<const char*, std::pair<Lengths, Lengths>> shapes[] = {{"max_length_1_", {{1, 1, 1}, {1, 1, 1}}},
                                                                          {"max_query_length_1_", {{1, 1}, {9, 300}}},
                                                                          {"max_key_length_1_", {{9, 30}, {1, 1}}}};
    for (const auto& [prefix, lengths] : shapes) {
      cases.push_back(small_case(std::string(prefix) + mask.name, lengths.first, lengths.second));
      cases.back().mask = mask.mask;
    }
  }
}

/// Long chains of additions: those of one row over its keys, and those over the parts of a split tile.
void add_long_keys(std::vector<Case>& cases) {
  add_masked(cases, small_case("more_than_4096_keys", {1, 33, 3}, {4097, 8230, 20011}));
  Case test = small_case("seventeen_parts", {1, 1}, {8704, 8193});  // each of 32 blocks of 16 keys, on one target
  test.batch_invariant = true;
  cases.push_back(test);
  test = small_case("one_query_on_131072_keys", {1}, {131072});
  test.query_heads = test.kv_heads = 1;
  test.head_dim_qk = test.head_dim_vo = 8;
  cases.push_back(test);
}

/// `requests` requests of `queries` and `keys` tokens each, with heads as few as asked for and the smallest head dim.
Case many(const char* name, std::size_t requests, std::int64_t queries, std::int64_t keys, std::int32_t heads) {
  Case test = small_case(name, Lengths(requests, queries), Lengths(requests, keys));
  test.query_heads = test.kv_heads = heads;
  test.head_dim_qk = test.head_dim_vo = 8;
  test.mask = Mask::causal();
  return test;
}

void add_many_requests(std::vector<Case>& cases) {
  cases.push_back(many("more_than_992_requests", 993, 2, 3, 2));
  cases.push_back(many("1025_requests_x_128_heads", 1025, 1, 1, 128));
  cases.push_back(many("more_than_65536_requests", 65539, 1, 2, 1));
  Case test = many("many_short_requests_small_workspace", 4096, 3, 3, 4);
  test.max_workspace = std::int64_t{64} << 20;  // a CPU has scratch for each of a plan's workers, 148 of b200's
  cases.push_back(test);
}

void add_batch_invariance(std::vector<Case>& cases) {
  for (const std::int64_t solo : {0, 2, 4}) {
    Case test =
        small_case("batch_invariant_request_" + std::to_string(solo), {40, 1, 300, 17, 3}, {900, 700, 300, 20, 1400});
    test.batch_invariant = true;
    test.solo_request = solo;
    add_masked(cases, test);
  }
}

}  // namespace

std::vector<Case> length_cases() {
  std::vector<Case> cases;
  add_empty_requests(cases);
  add_blind_rows(cases);
  add_lengths(cases);
  add_long_keys(cases);
  add_many_requests(cases);
  add_batch_invariance(cases);
  return cases;
}

}  // namespace varlen::check
