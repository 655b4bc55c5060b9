// Pictures of a plan: workers × time as SVG, alone or inside a page.

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "batch/refuse.hpp"
#include "plan/plan_data.hpp"
#include "plan/timeline_draw.hpp"
#include "plan/timeline_markup.hpp"
#include "plan/timeline_panel.hpp"

namespace varlen {
namespace {

using timeline::grouped;
using timeline::kColours;
using timeline::kLeft;
using timeline::kPlotWidth;
using timeline::Panel;
using timeline::rounded;
using timeline::text;

// Together these keep a file below 2 MB.
constexpr std::size_t kPlanBoxes = 7000;
constexpr std::size_t kMeasuredBoxes = 3000;
constexpr std::size_t kPaddedBoxes = 3000;
constexpr double kLongestContrast = 2;  // the padded grid is cut at this many times the plan's makespan
constexpr std::int64_t kMaxPaddedTiles = 4'000'000;
constexpr std::int64_t kMostItems = std::int64_t{1} << 22;

double key_blocks(Cost cost) { return static_cast<double>(cost) / static_cast<double>(kCostPerBlock); }

std::string plural(std::int64_t count, const char* noun) {
  return fmt::format("{} {}{}", grouped(count), noun, count == 1 ? "" : "s");
}

/// "7 requests, 8,192 query tokens, 32 query heads on 8 KV heads, causal"
std::string description(const RaggedBatch& batch) {
  std::int64_t queries = 0;
  for (const RequestExtent& request : batch.requests) queries += request.query_length;
  const bool right_edge = batch.mask.right == 0;
  const bool unlimited = batch.mask.left == Mask::kUnlimited;
  std::string mask = "sliding window";
  if (unlimited && right_edge) mask = "causal";
  if (unlimited && batch.mask.right == Mask::kUnlimited) mask = "full mask";
  return fmt::format("{}, {}, {} on {}, {}", plural(std::ssize(batch.requests), "request"),
                     plural(queries, "query token"), plural(batch.query_heads, "query head"),
                     plural(batch.kv_heads, "KV head"), mask);
}

/// Draws entries from left to right. A click on one selects `query` in the page.
class Legend {
 public:
  void begin(const std::string& query) { out_ += fmt::format("<g data-query=\"{}\">", query); }
  void swatch(const std::string& fill) {
    out_ += fmt::format(R"svg(<rect x="{:.1f}" width="12" height="12" rx="2" fill="{}"/>)svg", x_, fill);
    x_ += 14;
  }
  void dot() {
    out_ += fmt::format(R"svg(<circle class="mark" cx="{:.1f}" cy="6" r="3.5"/>)svg", x_ + 6);
    x_ += 14;
  }
  void label(const std::string& words) {
    out_ += text(x_ + 4, 10.5, "dim num", words);
    x_ += kLetter * static_cast<double>(words.size()) + 20;
  }
  void end() { out_ += "</g>\n"; }
  std::string at(double y) const {
    return fmt::format("<g class=\"legend\" transform=\"translate({} {})\">\n{}</g>\n", kLeft, y, out_);
  }

  static constexpr double kLetter = 6.5;  // average width of one

 private:
  std::string out_;
  double x_ = 0;
};

/// Up to ten requests are named by their lengths; more share the colours.
void add_requests(const RaggedBatch& batch, Legend& legend) {
  const auto query = [](std::size_t colour) { return fmt::format(".c{0},.h{0}", colour); };
  std::vector<std::string> names;
  std::size_t letters = 0;
  for (const RequestExtent& request : batch.requests) {
    if (names.size() == kColours) break;
    names.push_back(grouped(request.query_length));
    if (request.query_length != request.key_length) names.back() += " on " + grouped(request.key_length);
    letters += names.back().size() + 5;
  }
  const bool named = batch.requests.size() <= kColours && static_cast<double>(letters) * Legend::kLetter < 620;
  for (std::size_t colour = 0; colour < names.size(); ++colour) {
    legend.begin(query(colour));
    legend.swatch(timeline::kPalette[colour]);
    if (named) legend.label(names[colour] + (colour + 1 == names.size() ? " tokens" : ""));
    legend.end();
  }
  if (!named) {
    legend.label(batch.requests.size() <= kColours
                     ? "one colour per request"
                     : fmt::format("one colour per request, repeated every {}", kColours));
  }
}

std::string legend_of(const Plan& plan, bool padded, double y) {
  Legend legend;
  add_requests(plan.data().batch, legend);
  if (!plan.merges().empty()) {
    legend.begin(".plot [data-m]");
    legend.swatch("url(#lh)");
    legend.label("part of a split tile");
    legend.dot();
    legend.label("its merge");
    legend.end();
  }
  if (padded) {
    legend.begin(".w");
    legend.swatch("url(#lw)");
    legend.label("padding: rows or keys that do not exist");
    legend.end();
  }
  return legend.at(y);
}

/// A large number over its explanation, in one of four columns.
std::string card(int column, const std::string& number, const std::string& meaning) {
  const double x = kLeft + column * kPlotWidth / 4;
  return text(x, 98, "big num", number) + text(x, 116, "dim", meaning);
}

struct Contrast {
  Panel panel;
  std::string saved;  // share of the padded grid's time
};

Contrast padded_contrast(const Plan& plan, double plan_done) {
  const auto limit = static_cast<Cost>(plan_done * kLongestContrast * static_cast<double>(kCostPerBlock));
  const PaddedGrid grid = simulate_padded_grid(plan.data().batch, plan.target(), limit, kMaxPaddedTiles);
  const double done = key_blocks(grid.makespan);
  Contrast contrast;
  contrast.panel = timeline::padded_panel(grid, plan.target(),
                                          std::clamp(done, plan_done, plan_done * kLongestContrast), kPaddedBoxes);
  // A grid too large to walk to its end is at least this bad.
  const char* at_least = grid.complete ? "" : "more than ";
  const double padding = 1 - static_cast<double>(grid.useful_cost) / static_cast<double>(grid.total_cost);
  contrast.panel.figures = fmt::format("{} · makespan {}{} key blocks · {:.1f} % of the work is padding",
                                       plural(grid.tile_count, "tile"), at_least, rounded(done), 100 * padding);
  if (done > contrast.panel.scale_end * 1.001) contrast.panel.continues_to = at_least + rounded(done);
  contrast.saved = fmt::format("{}{:.0f} %", grid.complete ? "" : "> ", 100 * (1 - plan_done / done));
  return contrast;
}

std::string footnote(const Plan& plan, const std::vector<Panel>& panels) {
  const PlanTarget& target = plan.target();
  std::string note = fmt::format(
      "Simulated for {} ({}): an item costs {:.3g} key blocks plus its blocks, a part of a split tile {:.3g} more.",
      plural(target.workers, "worker"), target.name, key_blocks(target.item_cost), key_blocks(target.split_cost));
  std::int64_t merged = 0;
  for (const Panel& panel : panels) merged += panel.merged_items;
  if (merged > 0)
    note += fmt::format(" Neighbours too narrow to tell apart are drawn as one ({} items).", grouped(merged));
  return note;
}

/// A hatch. Those of boxes have `turn` in their data: the page keeps them upright while it zooms.
std::string pattern(const std::string& id, int turn, bool zoomed, const std::string& ground, const std::string& line) {
  return fmt::format(
      R"svg(<pattern id="{0}"{1} width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate({2})">)svg"
      R"svg(<rect width="5" height="5" {3}/><path d="M1 0v5" {4}/></pattern>)svg"
      "\n",
      id, zoomed ? fmt::format(" data-turn=\"{}\"", turn) : "", turn, ground, line);
}

/// Style sheet and hatches, with the palette written out.
std::string definitions() {
  const auto padding = [](const char* id, bool zoomed) {
    return pattern(id, -45, zoomed, R"svg(class="bw")svg", R"svg(class="lw" stroke-width=".9")svg");
  };
  const auto part = [](const std::string& id, int colour, bool zoomed) {
    return pattern(id, 45, zoomed, fmt::format("fill=\"{}\"", timeline::kPalette[colour]),
                   R"svg(stroke="#fff" stroke-width="1.6" stroke-opacity=".85")svg");
  };
  std::string style = timeline::kStyle;
  std::string patterns = padding("lw", false) + padding("vw", true) + part("lh", 0, false);
  for (int colour = 0; colour < kColours; ++colour) {
    style +=
        fmt::format(".vt .c{0}{{stroke:{1}}}.vt .h{0}{{stroke:url(#vh{0})}}\n", colour, timeline::kPalette[colour]);
    patterns += part(fmt::format("vh{}", colour), colour, true);
  }
  return fmt::format("<style>{}</style>\n<defs>\n{}</defs>\n", style, patterns);
}

}  // namespace

std::string timeline_svg(const Plan& plan, const TimelineOptions& options) {
  if (plan.item_count() > kMostItems) {
    refuse(ErrorCode::kUnsupported, "plan.items", Error::kNoIndex, plan.item_count(),
           "are more than the {} that a timeline draws", kMostItems);
  }
  const PlanReport report = plan.report();
  std::vector<Panel> panels;
  panels.push_back(timeline::plan_panel(plan, plan.simulate(), kPlanBoxes));
  const double plan_done = panels[0].makespan;
  panels[0].figures = fmt::format("{} · makespan {} key blocks · mean {}", plural(report.items, "item"),
                                  rounded(plan_done), rounded(panels[0].mean));
  if (!options.measured.empty()) {
    panels.push_back(timeline::measured_panel(plan, options.measured, kMeasuredBoxes));
    panels[1].figures =
        fmt::format("last worker done after {:.4g} ms · busy {:.4g} ms on average", panels[1].makespan, panels[1].mean);
  }
  std::string saved;
  if (options.padded_contrast && plan_done > 0) {
    Contrast contrast = padded_contrast(plan, plan_done);
    panels[0].scale_end = contrast.panel.scale_end;
    saved = contrast.saved;
    panels.push_back(std::move(contrast.panel));
  }

  std::string body;
  double y = 178;
  for (std::size_t i = 0; i < panels.size(); ++i) {
    const bool same_scale = panels[i].unit == panels[0].unit;
    y = timeline::draw_panel(panels[i], y, static_cast<int>(i), same_scale ? plan_done : 0, body);
  }
  std::string out = fmt::format(R"svg(<svg xmlns="http://www.w3.org/2000/svg" class="vt" viewBox="0 0 {0} {1:.0f}" )svg"
                                R"svg(width="{0}" height="{1:.0f}" role="img" aria-label="{2}">)svg"
                                "\n{3}<rect class=\"bg\" width=\"{0}\" height=\"{1:.0f}\"/>\n",
                                timeline::kWidth, y + 18, "timeline of a plan: workers by time", definitions());
  const std::string about = description(plan.data().batch);
  out += text(kLeft, 36, "title", options.title.empty() ? about : options.title);
  if (!options.title.empty()) out += text(kLeft, 56, "dim", about);
  out += card(0, fmt::format("{:.3f}", report.makespan_over_mean), "makespan / mean (1 is perfect balance)");
  out += card(1, grouped(report.tiles),
              fmt::format("tiles: {} empty, {} split", grouped(report.empty_tiles), grouped(report.splits)));
  out += card(2, grouped(report.padded_tiles), "tiles if padded to the longest request");
  if (!saved.empty()) out += card(3, saved, "of the padded grid’s time saved");
  out += legend_of(plan, !saved.empty(), 140) + body + text(kLeft, y, "dim", footnote(plan, panels));
  return out + "</svg>\n";
}

std::string timeline_html(const Plan& plan, const TimelineOptions& options) {
  const std::string title = options.title.empty() ? description(plan.data().batch) : options.title;
  return fmt::format(timeline::kPage, timeline::escape(title), timeline::kPageStyle, timeline_svg(plan, options),
                     timeline::kScript);
}

}  // namespace varlen
