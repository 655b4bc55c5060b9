#include "varlen/error.hpp"

#include <utility>

namespace varlen {

Error::Error(ErrorCode code, std::string field, std::int64_t index, std::string value, const std::string& message)
    : std::runtime_error(message), code_(code), field_(std::move(field)), index_(index), value_(std::move(value)) {}

Error::~Error() = default;  // here, so that the type's identity lives in the library

}  // namespace varlen
