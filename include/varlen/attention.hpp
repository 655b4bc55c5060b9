// attention(): compute one ragged batch. make_plan() / run() for repeated use of one plan.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "varlen/batch.hpp"
#include "varlen/emulator.hpp"
#include "varlen/export.hpp"
#include "varlen/plan.hpp"

namespace varlen {

/// Scratch memory of one running call, where the tensors are: in memory of the host or of the plan's device. Two calls
/// at once need two. 64-byte aligned, apart from all tensors.
struct Workspace {
  void* data = nullptr;
  std::int64_t bytes = 0;
};

/// kAuto: where the tensors are. kEmulator runs the GPU kernels' own sources on the CPU, every access checked: slow,
/// for tests.
enum class Backend : std::int32_t { kAuto = 0, kCpu = 1, kReference = 2, kCuda = 3, kEmulator = 4 };
VARLEN_API const char* backend_name(Backend backend) noexcept;
/// "auto", "cpu", "reference", "cuda" or "emulator".
VARLEN_API Backend backend_named(const std::string& name);

/// The forward kernel that a caller asks for. A device that cannot run it at all refuses it (kUnsupported). Where the
/// device can, and the batch does not fit it, or is fp8 and only decodes, which forward_mma does faster, forward_mma
/// runs instead: it computes all that any of them does. explain() says which one runs, and why.
enum class GpuKernel : std::int32_t {
  kAuto = 0,      ///< forward_wgmma on Hopper, forward_mma on all others, Blackwell included. Emulator: forward_wgmma
  kMma = 80,      ///< forward_mma, for every device from sm_80 on
  kWgmma = 90,    ///< forward_wgmma, for Hopper (sm_90a): other devices refuse it
  kTcgen05 = 100  ///< forward_tcgen05, for Blackwell (sm_100a, sm_103a): others refuse it. No GPU has run it yet
};
/// "auto", "forward_mma", "forward_wgmma" or "forward_tcgen05".
VARLEN_API const char* gpu_kernel_name(GpuKernel kernel) noexcept;
/// By these names, or by the architecture that it is for: "newest" (kAuto), "sm_80", "sm_90a" or "sm_100a".
VARLEN_API GpuKernel gpu_kernel_named(const std::string& name);

/// What ran when, if asked for: worker and seconds since the call's start for every item, ordered by item.
struct RunTrace {
  std::vector<TimelineOptions::MeasuredItem> items;
};

struct RunOptions {
  Backend backend = Backend::kAuto;     ///< not kReference, which has no plan
  GpuKernel kernel = GpuKernel::kAuto;  ///< kCuda and kEmulator
  void* stream = nullptr;               ///< kCuda: the cudaStream_t to launch on; null: the default stream
  RunTrace* trace = nullptr;            ///< kCpu: what ran when
  EmulatorOptions emulator = {};        ///< kEmulator; other backends refuse anything but the default
  std::string* launched = nullptr;      ///< if not null: where the name of the kernel goes that was launched
};

/// What computes a batch, and why.
struct KernelChoice {
  std::string
      kernel;  ///< "forward_wgmma"; on the CPU the SIMD target, "AVX3_ICL"; empty if there is nothing to compute
  std::string reason;  ///< one line: what speaks for it, or what stands against a faster one
  std::string field;   ///< the field that stands against a faster one, "head_dim_qk"; empty if there is none
};

/// Bytes that run() needs for this plan; exact. Split tiles live there and, on the CPU, per-worker scratch, whose size
/// follows from the plan alone. kAuto: the device that the plan is on (to_device()), else the CPU.
VARLEN_API std::int64_t workspace_bytes(const Plan& plan, Backend backend = Backend::kAuto);

/// Computes the plan's batch over `tensors`. Validates the tensors first and throws Error before anything is written.
/// The plan may have been made for any target, splits and merges included.
///
/// On the CPU with as many threads as the plan has workers and BuildInfo::threads allows; with fewer where no more can
/// be started. Works in a child of fork() too. Allocates nothing proportional to the data. On a CUDA device the plan
/// must be there (to_device()) and all tensors too; the call only launches kernels: it neither allocates, copies nor
/// waits, and may be captured in a graph. Addresses that are not memory of the device are refused. Page numbers in its
/// memory are validated by the kernels: where a tile of rows needs a page that is none of the pool's, no such page is
/// read, out and LSE of these rows are NaN, and the next run() of the plan throws an Error with field, index and value,
/// and does nothing else. Of several faults it is the first one that was reported.
VARLEN_API void run(const Plan& plan, const Tensors& tensors, Workspace workspace, const RunOptions& options = {});

/// Which kernel run() would launch, and why. Refuses plan, tensors and options as run() does, but looks neither at
/// addresses in memory of a device nor at reports of earlier calls, and launches nothing.
VARLEN_API KernelChoice explain(const Plan& plan, const Tensors& tensors, const RunOptions& options = {});

/// Everything at once: validate, plan, allocate the workspace, run, and wait for the result. Page numbers in memory of
/// a device are wrong only once it is done: then it throws Error as well, and rows that need them are NaN.
/// Backend::kReference computes in float64 by definition, slowly.
VARLEN_API void attention(const AttentionSpec& spec, const Requests& requests, const Tensors& tensors,
                          Backend backend = Backend::kAuto);
inline void attention(const Batch& batch, const Tensors& tensors, Backend backend = Backend::kAuto) {
  attention(batch, batch, tensors, backend);
}

/// What this build can do on this machine.
struct BuildInfo {
  std::string version;
  std::string build_type;
  std::string compiler;
  std::string simd_target;                ///< the one that runs here, e.g. "AVX3_ICL"
  std::vector<std::string> simd_targets;  ///< compiled in
  std::int32_t threads = 0;               ///< of the CPU backend, unless a plan has fewer workers
  std::string threads_source;             ///< what offers so many, in words
};
VARLEN_API BuildInfo build_info();

/// Whether a backend computes a spec.
struct SpecSupport {
  bool supported = false;
  std::string
      kernel;  ///< as KernelChoice::kernel; `reason` says so if short requests run on another. Empty if not supported
  std::string reason;  ///< one line: why this kernel, or what stands against the spec
  std::string field;   ///< the field that stands against it or, if it is supported, against a faster kernel

  explicit operator bool() const noexcept { return supported; }
};
/// Whether the backend computes all batches of this spec, and with which kernel. Can be asked before there are
/// requests, a plan or memory. Without tensors kAuto cannot mean where they are: it means the CUDA devices if there are
/// any, else the CPU. `device` counts for kCuda. A spec that breaks a rule of AttentionSpec, and a device that is not
/// there, are not supported: no Error is thrown for them.
VARLEN_API SpecSupport supports(const AttentionSpec& spec, Backend backend = Backend::kAuto, std::int32_t device = 0,
                                GpuKernel kernel = GpuKernel::kAuto);

/// A kernel of the GPU backends.
struct KernelSupport {
  std::string name;           ///< "forward_wgmma"
  std::string architectures;  ///< "sm_90a", "sm_80 and later"
  std::string head_dims;      ///< the largest, "256 / 256, fp8 192 / 128"
};

/// One row of the support table that `varlen info` prints.
struct Support {
  std::string backend;
  std::string inputs;
  std::string outputs;
  std::string head_dims;
  std::string masks;
  std::string keys;
  std::string not_here;                ///< why this build on this machine cannot use it; empty if it can
  std::vector<KernelSupport> kernels;  ///< that run here, of the first device for cuda; none of other backends
};
VARLEN_API std::vector<Support> support_table();

}  // namespace varlen
