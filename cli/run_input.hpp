// The input of `varlen run`: a safetensors file as a batch with its tensors.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/safetensors.hpp"
#include "cli/workload.hpp"
#include "varlen/batch.hpp"

namespace varlen::cli {

/// What the command line adds to the file.
struct RunSettings {
  Mask mask;
  float soft_cap = 0.0F;
  std::optional<float> scale;
  bool batch_invariant = false;
  std::string output_dtype;  ///< by name; empty: default_output()
};

/// Owns everything that `batch` and `tensors` point at. Output rows of no request are zeros.
struct RunInput {
  std::vector<FileTensor> file;
  Buffer block_table;  ///< if the file's has 64 bits
  Buffer out;          ///< [query tokens, query_heads, head_dim_vo]
  Buffer lse;          ///< [query tokens, query_heads], fp32
  Batch batch;
  Tensors tensors;
  Workload workload;
};

/// Reads and validates. Throws Error naming the tensor that is missing, unknown, or of the wrong shape or dtype.
RunInput read_run_input(const std::string& path, const RunSettings& settings);

void write_run_output(const std::string& path, const RunInput& input);

}  // namespace varlen::cli
