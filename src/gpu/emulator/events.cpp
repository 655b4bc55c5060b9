#include "varlen/emulator.hpp"

#include <utility>

namespace varlen {

EmulatorFault::EmulatorFault(const Error& error, std::vector<std::string> events)
    : Error(error.code(), error.field(), error.index(), error.value(), error.what()), events_(std::move(events)) {}
EmulatorFault::~EmulatorFault() = default;

}  // namespace varlen
