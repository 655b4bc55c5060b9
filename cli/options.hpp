// What several subcommands share: how options are spelled, parsed and refused.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "varlen/batch.hpp"

namespace varlen::cli {

/// What the chosen subcommand does; returns the exit status.
using Action = std::function<int()>;

// Each adds one subcommand, whose parsing sets `action`.
void add_run(CLI::App& app, Action& action);
void add_plan(CLI::App& app, Action& action);
void add_check(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_model(CLI::App& app, Action& action);
void add_info(CLI::App& app, Action& action);
void add_help(CLI::App& app, Action& action);
void add_generate(CLI::App& app, Action& action);

inline constexpr int kExitDone = 0;
inline constexpr int kExitCheckFailed = 1;
inline constexpr int kExitBadInput = 2;
inline constexpr int kExitInternal = 3;

struct MaskOptions {
  bool causal = false;
  std::string window;  ///< "L,R"; empty: not given

  Mask mask() const;
};
void add_mask_options(CLI::App& command, MaskOptions& options);

/// Numbers above 0.
CLI::Validator positive();
/// Threads or workers: from 1 to as many as a plan may have.
CLI::Validator thread_count();

/// "1274,1294,…"; throws Error naming the option and the part that is no length.
std::vector<std::int64_t> parse_lengths(const std::string& option, const std::string& text);
/// A floating-point type by its dtype_name(). Throws Error.
Dtype parse_dtype(const std::string& text);
/// "1274,1294" split at the commas.
std::vector<std::string> split(const std::string& text);

}  // namespace varlen::cli
