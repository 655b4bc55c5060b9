// SVG markup of one panel of a timeline, and the small pieces of text that pictures are made of.
#pragma once

#include <cstdint>
#include <string>

#include "plan/timeline_panel.hpp"

namespace varlen::timeline {

// Pixels of the unscaled picture.
inline constexpr double kWidth = 1200;
inline constexpr double kLeft = 64;
inline constexpr double kRight = 28;
inline constexpr double kPlotWidth = kWidth - kLeft - kRight;

/// 1234567 → "1,234,567".
std::string grouped(std::int64_t value);
/// Four figures, and never an exponent.
std::string rounded(double value);
/// For markup: & < > " become entities.
std::string escape(const std::string& text);
/// A <text> element; `classes` are those of kStyle, `anchor` is start, middle or end.
std::string text(double x, double y, const char* classes, const std::string& content, const char* anchor = "start");

/// Appends the panel with its top at y and returns the y below it. `plan_done` is marked if it lies inside the panel;
/// 0: not.
double draw_panel(const Panel& panel, double y, int index, double plan_done, std::string& out);

}  // namespace varlen::timeline
