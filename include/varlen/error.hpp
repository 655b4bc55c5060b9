// The one error type of varlen: what was wrong, where, and with which value.
#pragma once

#if __cplusplus < 202002L
#error "varlen's C++ headers need C++20 (-std=c++20); older C++, and C, can use varlen.h"
#endif

#include <cstdint>
#include <stdexcept>
#include <string>

#include "varlen/export.hpp"

namespace varlen {

/// Stable numbers: the C ABI returns them.
enum class ErrorCode : std::int32_t {
  kOk = 0,
  kInvalidArgument = 1,    ///< a value breaks a documented rule
  kUnsupported = 2,        ///< a legal request that no backend here can compute
  kOutOfMemory = 3,        ///< an allocation failed
  kWorkspaceTooSmall = 4,  ///< the caller's workspace holds fewer bytes than workspace_bytes() said
  kInputOutput = 5,        ///< a file could not be read or written
  kInternal = 6,           ///< a defect in varlen itself
  kDeviceFailure = 7,      ///< a call of the CUDA runtime failed, or a kernel on the device did
};

/// Thrown by every function of the C++ interface that refuses its input. Nothing has been computed or written
/// when it is thrown. `what()` is one line such as
/// `query_indptr[3] = 512 is less than query_indptr[2] = 700: offsets must not decrease`.
class VARLEN_API Error : public std::runtime_error {
 public:
  static constexpr std::int64_t kNoIndex = -1;

  Error(ErrorCode code, std::string field, std::int64_t index, std::string value, const std::string& message);
  ~Error() override;

  ErrorCode code() const noexcept { return code_; }
  /// The argument at fault, by its name in the interface: "query_indptr", "key.strides", …
  const std::string& field() const noexcept { return field_; }
  /// Its element at fault, or kNoIndex.
  std::int64_t index() const noexcept { return index_; }
  /// The offending value as text; empty if there is none to show.
  const std::string& value() const noexcept { return value_; }

 private:
  ErrorCode code_;
  std::string field_;
  std::int64_t index_;
  std::string value_;
};

}  // namespace varlen
