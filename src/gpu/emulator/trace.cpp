#include "gpu/emulator/trace.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "gpu/emulator/trace_markup.hpp"
#include "gpu/emulator/trace_picture.hpp"
#include "plan/timeline_draw.hpp"
#include "plan/timeline_markup.hpp"

namespace varlen::gpu::emulator {
namespace {

using timeline::escape;
using timeline::grouped;

std::size_t count_events(const Record& record) {
  std::size_t count = record.landings.size();
  for (const auto& events : record.warps) count += events.size();
  for (const auto& [key, history] : record.barriers) count += history.arrived.size();
  return count;
}

/// Forgets what came before the last `most` steps.
void keep_last(Record& record, std::uint64_t most) {
  if (record.steps <= most) return;
  const std::uint64_t first = record.steps - most;
  for (auto& events : record.warps) std::erase_if(events, [&](const Event& event) { return event.step < first; });
  for (auto& [key, history] : record.barriers) {
    std::erase_if(history.arrived, [&](const Arrival& arrival) { return arrival.step < first; });
  }
  std::erase_if(record.landings, [&](const Landing& landing) { return landing.landed != 0 && landing.landed < first; });
}

}  // namespace

void Trace::add(Record record) {
  const std::size_t events = count_events(record);
  if (events_ + events > kMostEvents) {
    ++left_out_;
    return;
  }
  events_ += events;
  records_.push_back(std::move(record));
}

void Trace::add_fault(Record record, std::string message, std::vector<std::string> events) {
  records_.clear();
  left_out_ = 0;
  for (std::uint64_t most = record.steps; count_events(record) > kMostEvents; most = most * 3 / 4) {
    keep_last(record, most);
  }
  records_.push_back(std::move(record));
  fault_ = std::move(message);
  fault_events_ = std::move(events);
}

std::string Trace::page(const std::string& title) const {
  std::string about;
  if (!fault_.empty()) about += fmt::format("<p class=\"fault\">{}</p>\n", escape(fault_));
  if (!fault_events_.empty())
    about += fmt::format("<pre>{}</pre>\n", escape(fmt::format("{}", fmt::join(fault_events_, "\n"))));
  if (left_out_ > 0) {
    about += fmt::format(
        "<p>{} more block{} not shown: a page holds at most {} events. A case with fewer items or keys shows all of "
        "them.</p>\n",
        left_out_, left_out_ == 1 ? " is" : "s are", grouped(kMostEvents));
  }
  std::string body;
  double y = 40;
  for (std::size_t i = 0; i < records_.size(); ++i) {
    y = draw_block(records_[i], static_cast<int>(i), !fault_.empty(), y, body);
  }
  std::string style = timeline::kStyle;
  for (int colour = 0; colour < timeline::kColours; ++colour) {
    style += fmt::format(".vt .c{0}{{stroke:{1}}}\n", colour, timeline::kPalette[colour]);
  }
  const std::string svg = fmt::format(
      R"svg(<svg xmlns="http://www.w3.org/2000/svg" class="vt" viewBox="0 0 {0} {1:.0f}" width="{0}" height="{1:.0f}" )svg"
      "role=\"img\" aria-label=\"warps, barriers and copies by steps\">\n"
      "<rect class=\"bg\" width=\"{0}\" height=\"{1:.0f}\"/>\n{2}{3}</svg>\n",
      kTraceWidth, y, trace_legend(8), body);
  return fmt::format(kTracePage, escape(title), timeline::kPageStyle, style + kTraceStyle, escape(title), about, svg,
                     timeline::kScript);
}

}  // namespace varlen::gpu::emulator
