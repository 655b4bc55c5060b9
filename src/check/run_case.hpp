// One case: computed twice, compared with the reference and with itself.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "check/case.hpp"
#include "reference/reference.hpp"
#include "varlen/check.hpp"

namespace varlen::check {

/// What a case computes, whatever the backend and the target of its plan.
struct Expectation {
  CaseData data;
  reference::Result result;
  std::string failure;  // why there is no result; else empty
};
/// Never throws.
Expectation expect(const Case& test);

struct CaseResult {
  Comparison comparison;
  std::string failure;              // one line; empty if the case passed
  std::vector<std::string> events;  // of an EmulatorFault
};

/// Computes a case's problem; returns what went wrong, or nothing. May throw.
using Compute = std::function<std::string(const Case& test, const Batch& batch, const Tensors& tensors)>;
/// With a plan for the case's target and a workspace of exactly the bytes that it asks for.
Compute compute_with(Backend backend, GpuKernel kernel = GpuKernel::kAuto, const EmulatorOptions& emulator = {});

/// `expected` is expect(test); `rounded_weights` as in compare(). Never throws: an exception while computing is a
/// failure.
CaseResult run_case(const Case& test, const Expectation& expected, const Compute& compute,
                    bool rounded_weights = false);

}  // namespace varlen::check
