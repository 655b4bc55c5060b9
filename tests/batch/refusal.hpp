// What validation refuses, as a value to compare.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "varlen/error.hpp"

namespace varlen::test {

/// Runs `call`, which must throw Error, and checks what the error names. `message` is the whole line.
template <typename Call>
void expect_refused(Call call, const std::string& field, std::int64_t index, const std::string& value,
                    const std::string& message, ErrorCode code = ErrorCode::kInvalidArgument) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_EQ(error.field(), field) << error.what();
    EXPECT_EQ(error.index(), index) << error.what();
    EXPECT_EQ(error.value(), value) << error.what();
    EXPECT_STREQ(error.what(), message.c_str());
    return;
  }
  ADD_FAILURE() << "not refused: " << message;
}

}  // namespace varlen::test
