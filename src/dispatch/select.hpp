// The only place that chooses a backend.
#pragma once

#include "varlen/attention.hpp"

namespace varlen::dispatch {

/// The backend that computes: kCpu or kReference, never kAuto. Both compute every valid batch in host memory, so the
/// batch has no say in it.
Backend select(Backend requested);

}  // namespace varlen::dispatch
