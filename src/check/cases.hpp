// The cases: those with names, and random ones.
#pragma once

#include <cstdint>
#include <vector>

#include "check/case.hpp"

namespace varlen::check {

/// The bugs that keep coming back on ragged batches, by name. Each is to be run with a plan for every one of its
/// targets.
struct EdgeCase {
  Case test;
  std::vector<PlanTarget> targets;
};
std::vector<EdgeCase> edge_cases();
/// Longer ones, in just the same way: minutes each in the emulator.
std::vector<EdgeCase> long_cases();

// The parts of edge_cases(), one file each.
std::vector<Case> length_cases();  // which lengths, how many requests
std::vector<Case> data_cases();    // values, dtypes, heads, head dims, scoring
std::vector<Case> layout_cases();  // where the data lie
std::vector<Case> hidden_cases();  // keys that the mask hides
/// Keys with 2^-bits of the largest weight each.
struct Tail {
  std::int64_t keys;
  int bits;
};
/// One key with most of the weight, and tails behind it: small weights count.
std::vector<Case> tail_cases(const std::vector<Tail>& tails);

/// The batch that a seed stands for.
Case random_case(std::uint64_t seed);

/// Requests of these lengths with 4 query heads on 2 KV heads of 16 dims in fp32: small, and with the strictest bound.
Case small_case(std::string name, std::vector<std::int64_t> query_lengths, std::vector<std::int64_t> key_lengths);

}  // namespace varlen::check
