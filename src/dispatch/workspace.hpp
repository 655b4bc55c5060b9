// What every caller's workspace must be.
#pragma once

#include <cstddef>
#include <cstdint>

#include "batch/ragged_batch.hpp"
#include "batch/refuse.hpp"
#include "varlen/attention.hpp"

namespace varlen::dispatch {

inline constexpr std::size_t kWorkspaceAlignment = 64;

/// Throws Error. The tensors are valid; `needed`: bytes that the plan needs.
inline void check_workspace(const Workspace& workspace, std::int64_t needed, const Tensors& tensors) {
  if (workspace.bytes < needed) {
    refuse(ErrorCode::kWorkspaceTooSmall, "workspace.bytes", Error::kNoIndex, workspace.bytes,
           "is less than the {} bytes that this plan needs", needed);
  }
  if (needed == 0) return;
  if (workspace.data == nullptr) {
    refuse("workspace.data", Error::kNoIndex, "null", "cannot hold the {} bytes that this plan needs", needed);
  }
  const std::uintptr_t excess = reinterpret_cast<std::uintptr_t>(workspace.data) % kWorkspaceAlignment;
  if (excess != 0) {
    refuse("workspace.data", Error::kNoIndex, fmt::format("{} modulo {}", excess, kWorkspaceAlignment),
           "must be aligned to {} bytes", kWorkspaceAlignment);
  }
  check_workspace_apart(tensors, workspace.data, workspace.bytes);
}

}  // namespace varlen::dispatch
