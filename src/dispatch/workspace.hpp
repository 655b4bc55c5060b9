// What every caller's workspace must be.
#pragma once

#include <cstddef>
#include <cstdint>

#include "batch/refuse.hpp"
#include "varlen/attention.hpp"

namespace varlen::dispatch {

inline constexpr std::size_t kWorkspaceAlignment = 64;

inline void check_workspace(const Workspace& workspace, std::int64_t needed) {
  if (workspace.bytes < needed) {
    refuse(ErrorCode::kWorkspaceTooSmall, "workspace.bytes", Error::kNoIndex, workspace.bytes,
           "is less than the {} bytes that this plan needs", needed);
  }
  if (needed == 0) return;
  if (workspace.data == nullptr) {
    refuse("workspace.data", Error::kNoIndex, "null", "cannot hold the {} bytes that this plan needs", needed);
  }
  if (reinterpret_cast<std::uintptr_t>(workspace.data) % kWorkspaceAlignment != 0) {
    refuse("workspace.data", Error::kNoIndex, workspace.data, "is not aligned to {} bytes", kWorkspaceAlignment);
  }
}

}  // namespace varlen::dispatch
