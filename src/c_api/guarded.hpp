// What every entry point of varlen.h runs in: no exception leaves it, and this thread's last failure is kept.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <stdexcept>
#include <utility>

#include "varlen.h"
#include "varlen/error.hpp"

namespace varlen::c_api {

/// Keeps a failure. Needs no memory. Returns its code.
int fail(ErrorCode code, const char* message, const char* field = "", std::int64_t index = Error::kNoIndex,
         const char* value = "") noexcept;

/// VARLEN_OK, or the code of what the body threw.
template <typename Body>
int guarded(Body&& body) noexcept {
  try {
    std::forward<Body>(body)();
    return VARLEN_OK;
  } catch (const Error& error) {
    return fail(error.code(), error.what(), error.field().c_str(), error.index(), error.value().c_str());
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kOutOfMemory, "out of memory");
  } catch (const std::length_error&) {  // more than any container holds
    return fail(ErrorCode::kOutOfMemory, "out of memory");
  } catch (const std::exception& error) {
    return fail(ErrorCode::kInternal, error.what());
  } catch (...) {
    return fail(ErrorCode::kInternal, "an exception of unknown type");
  }
}

}  // namespace varlen::c_api
