// The picture of a block: its warps, products, barriers and copies in flight, row by row, as SVG.
#pragma once

#include <string>

#include "gpu/emulator/events.hpp"

namespace varlen::gpu::emulator {

inline constexpr double kTraceWidth = 1320;  // pixels of the unscaled picture

/// Appends it with its top at y and returns the y below it. `index` tells the blocks of a page apart; a block with a
/// fault has warps that wait to the end.
double draw_block(const Record& record, int index, bool is_fault, double y, std::string& out);
/// What the colours mean.
std::string trace_legend(double y);

}  // namespace varlen::gpu::emulator
