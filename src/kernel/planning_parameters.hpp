// What a launch tells plan_on_device: plain data, passed by value. Every pointer is to memory of the device.
#pragma once

#include <cstddef>
#include <cstdint>

#include "batch/length_fault.hpp"
#include "batch/ragged_batch.hpp"
#include "kernel/fault_report.hpp"
#include "plan/cursor.hpp"
#include "plan/problem.hpp"

namespace varlen::kernel {

/// int32 or int64; null: absent.
struct LengthArray {
  const void* data;
  bool wide;
};

/// One side, query or key, of a batch's lengths: offsets, lengths or both.
struct LengthSide {
  LengthArray indptr;   // [requests + 1]
  LengthArray lengths;  // [requests]
  std::int64_t most_tokens;
  std::int64_t most_length;  // of one request
  bool laid_out;             // without offsets, requests lie end to end; otherwise pages tell
};

/// What plan_on_device found.
struct PlanStatus {
  LengthFault fault;
  std::int64_t requests;
  std::int64_t query_tokens;  // as RaggedBatch has them
  std::int64_t key_tokens;
};

/// `Int`: of lengths, 32 bits where is_narrow().
template <class Int>
struct PlanningParameters {
  PlanProblem<Int> problem;
  LengthSide query;
  LengthSide key;
  const std::int32_t* request_count;  // null: most_requests
  std::int32_t most_requests;
  std::int64_t most_listed;
  std::int64_t most_merges;
  RequestExtent* requests;  // [most_requests]
  Run* runs;                // [most_requests]
  WorkItem* listed;         // [most_listed]
  Merge* merges;            // [most_merges]
  PlanCounts* counts;
  PlanStatus* status;
  FaultLine faults;
  std::byte* scratch;  // of the team, if its arrays are not in shared memory
};

}  // namespace varlen::kernel
