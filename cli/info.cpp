// varlen info: what this build can do on this machine.

#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/options.hpp"
#include "varlen/attention.hpp"
#include "varlen/device.hpp"

namespace varlen::cli {
namespace {

std::string compute_capability(const DeviceInfo& device) {
  return fmt::format("{}.{}", device.compute_major, device.compute_minor);
}

nlohmann::ordered_json kernels_json(const Support& row) {
  auto json = nlohmann::ordered_json::array();
  for (const KernelSupport& kernel : row.kernels) {
    json.push_back({{"name", kernel.name}, {"architectures", kernel.architectures}, {"head_dims", kernel.head_dims}});
  }
  return json;
}

/// A spec that every backend computes. The choice of a kernel is shown for it.
AttentionSpec typical_spec() {
  AttentionSpec spec;
  spec.query_heads = 32;
  spec.kv_heads = 8;
  spec.head_dim_qk = 128;
  spec.mask = Mask::causal();
  return spec;
}

/// The key of `supports()` that all commands share.
void add_kernel(nlohmann::ordered_json& json, const SpecSupport& typical) {
  json["kernel"] = typical.kernel;
  json["kernel_reason"] = typical.reason;
}

void print_json(const BuildInfo& build) {
  nlohmann::ordered_json json = {{"version", build.version},
                                 {"build_type", build.build_type},
                                 {"compiler", build.compiler},
                                 {"simd_target", build.simd_target},
                                 {"simd_targets", build.simd_targets},
                                 {"threads", build.threads},
                                 {"threads_source", build.threads_source}};
  for (const Support& row : support_table()) {
    json["backends"].push_back({{"backend", row.backend},
                                {"inputs", row.inputs},
                                {"outputs", row.outputs},
                                {"head_dims", row.head_dims},
                                {"masks", row.masks},
                                {"keys", row.keys},
                                {"available", row.not_here.empty()},
                                {"not_here", row.not_here},
                                {"kernels", kernels_json(row)}});
    add_kernel(json["backends"].back(), supports(typical_spec(), backend_named(row.backend)));
  }
  json["devices"] = nlohmann::json::array();
  for (std::int32_t i = 0; i < device_count(); ++i) {
    const DeviceInfo device = device_info(i);
    json["devices"].push_back({{"name", device.name},
                               {"compute_capability", compute_capability(device)},
                               {"multiprocessors", device.multiprocessors},
                               {"l2_bytes", device.l2_bytes},
                               {"memory_bytes", device.memory_bytes}});
    add_kernel(json["devices"].back(), supports(typical_spec(), Backend::kCuda, i));
  }
  if (device_count() == 0) json["no_device_reason"] = no_device_reason();
  fmt::print("{}\n", json.dump(2));
}

void print_table(const BuildInfo& build) {
  fmt::print("varlen {}, {} build, {}\n", build.version, build.build_type, build.compiler);
  fmt::print("SIMD target {} (compiled in: {})\n", build.simd_target, fmt::join(build.simd_targets, " "));
  fmt::print("{} {} on the CPU: {}\n", build.threads, build.threads == 1 ? "thread" : "threads", build.threads_source);
  for (std::int32_t i = 0; i < device_count(); ++i) {
    const DeviceInfo device = device_info(i);
    fmt::print("CUDA device {}: {}, compute capability {}, {} multiprocessors, {:.0f} MB of L2, {:.0f} GB\n", i,
               device.name, compute_capability(device), device.multiprocessors,
               1e-6 * static_cast<double>(device.l2_bytes), 1e-9 * static_cast<double>(device.memory_bytes));
    const SpecSupport typical = supports(typical_spec(), Backend::kCuda, i);
    fmt::print("  128 head dims of bf16 run on {}: {}\n", typical.kernel, typical.reason);
  }
  if (device_count() == 0) fmt::print("no CUDA device: {}\n", no_device_reason());
  for (const Support& row : support_table()) {
    if (!row.not_here.empty()) {
      fmt::print("\nbackend {}: not here: {}\n", row.backend, row.not_here);
      continue;
    }
    fmt::print("\nbackend {}\n  inputs     {}\n  outputs    {}\n  head dims  {}\n  masks      {}\n  keys       {}\n",
               row.backend, row.inputs, row.outputs, row.head_dims, row.masks, row.keys);
    const SpecSupport typical = supports(typical_spec(), backend_named(row.backend));
    fmt::print("  kernel     {}: {} (bf16, head dims of 128)\n", typical.kernel, typical.reason);
    for (const KernelSupport& kernel : row.kernels) {
      fmt::print("  {:<16}{}: head dims up to {}\n", kernel.name, kernel.architectures, kernel.head_dims);
    }
  }
}

}  // namespace

void add_info(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("info", "Print the build, SIMD target, threads, CUDA devices, backends and what they support");
  const auto as_json = std::make_shared<bool>(false);
  command->add_flag("--json", *as_json, "Print one JSON object");
  command->callback([as_json, &action] {
    action = [as_json] {
      *as_json ? print_json(build_info()) : print_table(build_info());
      return kExitDone;
    };
  });
}

}  // namespace varlen::cli
