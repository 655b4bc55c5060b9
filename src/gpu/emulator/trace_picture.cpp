#include "gpu/emulator/trace_picture.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "gpu/emulator/operations.hpp"
#include "plan/timeline_draw.hpp"

namespace varlen::gpu::emulator {
namespace {

using timeline::escape;
using timeline::grouped;
using timeline::text;

// Pixels of the unscaled picture.
constexpr double kLeft = 210;
constexpr double kRight = 56;
constexpr double kPlotWidth = kTraceWidth - kLeft - kRight;
constexpr double kWarpHeight = 18;
constexpr double kBarrierHeight = 13;
constexpr double kFlightHeight = 7;
constexpr double kGap = 8;
constexpr std::size_t kMostFlightRows = 32;

enum Colour {
  kProducts = 0,
  kCopies = 1,
  kBarriers = 2,
  kShared = 3,
  kDraws = 4,
  kGlobal = 5,
  kStores = 6,
  kOther = 9
};
constexpr std::pair<Colour, const char*> kLegend[] = {
    {kCopies, "copies issued"}, {kProducts, "products"},   {kBarriers, "barriers"}, {kShared, "shared memory"},
    {kGlobal, "global memory"}, {kStores, "boxes stored"}, {kDraws, "draws"},       {kOther, "other operations"}};

Colour colour_of(Operation operation) {
  switch (operation) {
    case Operation::kMultiplyAddFloat16:
    case Operation::kMultiplyAddBFloat16:
    case Operation::kWarpgroupMultiply:
    case Operation::kWarpgroupMultiplyAdd:
    case Operation::kWarpgroupWait:
    case Operation::kTensorMultiply:
    case Operation::kCommitTensorProducts:
      return kProducts;
    case Operation::kCopyAsync:
    case Operation::kCopyAsyncArrive:
    case Operation::kLoadBox:
      return kCopies;
    case Operation::kInitBarrier:
    case Operation::kArrive:
    case Operation::kWaitFor:
    case Operation::kSyncThreads:
    case Operation::kArriveThreads:
    case Operation::kSyncBlock:
      return kBarriers;
    case Operation::kStoreShared:
    case Operation::kLoadShared:
    case Operation::kLoadWord:
    case Operation::kStoreWord:
    case Operation::kLoadMatrices:
    case Operation::kLoadMatricesTransposed:
    case Operation::kStoreMatrices:
    case Operation::kLoadTensor:
    case Operation::kWaitTensorLoads:
    case Operation::kStoreTensor:
    case Operation::kWaitTensorStores:
      return kShared;
    case Operation::kLoadGlobal:
    case Operation::kStoreGlobal:
    case Operation::kTryLock:
      return kGlobal;
    case Operation::kStoreBox:
      return kStores;
    case Operation::kDraw:
      return kDraws;
    default:
      return kOther;
  }
}

bool is_product(Operation operation) {
  return operation == Operation::kWarpgroupMultiply || operation == Operation::kWarpgroupMultiplyAdd;
}

/// "draws, loads boxes": what tells a warp from others.
std::string role(const std::vector<Event>& events) {
  const auto does = [&](auto... operations) {
    return std::any_of(events.begin(), events.end(),
                       [=](const Event& event) { return ((event.operation == operations) || ...); });
  };
  std::vector<const char*> roles;
  if (does(Operation::kDraw)) roles.push_back("draws");
  if (does(Operation::kLoadBox)) roles.push_back("loads boxes");
  if (does(Operation::kCopyAsync)) roles.push_back("copies");
  if (does(Operation::kStoreBox)) roles.push_back("stores boxes");
  if (does(Operation::kWarpgroupMultiply, Operation::kWarpgroupMultiplyAdd, Operation::kMultiplyAddFloat16,
           Operation::kMultiplyAddBFloat16, Operation::kTensorMultiply)) {
    roles.push_back("multiplies");
  }
  return fmt::format("{}", fmt::join(roles, ", "));
}

std::string stuck_text(const Event& event, const BarrierNames* names) {
  if (event.operation != Operation::kWaitFor) return describe(event, names);
  return fmt::format("{}, parity {}", barrier_name(event.subject, names), event.value);
}

/// The picture of one block, row by row from the top.
class BlockPicture {
 public:
  BlockPicture(const Record& record, int index, bool is_fault) : record_(record), index_(index), is_fault_(is_fault) {
    first_ = record.steps;
    for (const auto& events : record.warps) {
      if (!events.empty()) first_ = std::min(first_, events.front().step);
    }
    if (first_ > 0) --first_;
    scale_ = kPlotWidth / static_cast<double>(record.steps + 1 - first_);
  }

  /// Appends it with its top at y and returns the y below it.
  double draw(double y, std::string& out) {
    draw_warps();
    draw_products();
    draw_barriers();
    draw_flights();
    link_waits();
    out += text(kLeft, y + 14, "head", heading());
    out += fmt::format(
        R"svg(<g transform="translate({} {:.1f})"><clipPath id="clip{}"><rect y="-3" width="{}" height="{:.1f}"/></clipPath>)svg",
        kLeft, y + 26, index_, kPlotWidth, y_ + 6);
    out += fmt::format(R"svg(<g class="plot" data-width="{}" data-end="{}" clip-path="url(#clip{})">)svg", kPlotWidth,
                       record_.steps + 1 - first_, index_);
    out += rows_ + "<g class=\"zoom\" fill=\"none\">\n" + bars_ + "</g></g>\n" + labels_;
    out += fmt::format(
        R"svg(<path class="rule" d="M0 {0:.1f}h{1}"/><g class="axis" transform="translate(0 {0:.1f})"></g></g>)svg"
        "\n",
        y_ + 2, kPlotWidth);
    return y + 26 + y_ + 44;
  }

 private:
  std::string heading() const {
    std::string text =
        fmt::format("block {}: {} steps", record_.block, grouped(static_cast<std::int64_t>(record_.steps)));
    if (first_ > 0)
      text += fmt::format(", shown from {} on, which is 0 below", grouped(static_cast<std::int64_t>(first_)));
    return text;
  }
  double x(std::uint64_t step) const { return static_cast<double>(step < first_ ? 0 : step - first_) * scale_; }
  /// `m`: what is selected together with it, 0: nothing.
  void bar(const std::string& classes, std::uint64_t begin, std::uint64_t end, double y, std::uint32_t m,
           const std::string& tip) {
    const std::string selected = m == 0 ? "" : fmt::format(R"svg( data-m="{}")svg", m);
    bars_ += fmt::format("<path class=\"{}\"{} d=\"M{:.2f} {:.1f}h{:.2f}\"><title>{}</title></path>\n", classes,
                         selected, x(begin), y, x(end) - x(begin), escape(tip));
  }
  void begin_row(double height, const std::string& label, const std::string& more) {
    rows_ +=
        fmt::format(R"svg(<rect class="row" y="{:.1f}" width="{}" height="{:.1f}"/>)svg", y_, kPlotWidth, height - 2);
    const double middle = y_ + height / 2 + 3;
    labels_ += text(-kLeft + 12, middle, "small", label) + text(-8, middle, "small dim", more, "end");
    bars_ += fmt::format("<g data-r=\"\" stroke-width=\"{}\">\n", height - 3);
  }
  void end_row(double height) {
    bars_ += "</g>\n";
    y_ += height;
  }

  void draw_warps() {
    for (std::size_t w = 0; w < record_.warps.size(); ++w) {
      const std::vector<Event>& events = record_.warps[w];
      begin_row(kWarpHeight, fmt::format("warp {}", w), role(events));
      const double middle = y_ + kWarpHeight / 2 - 1;
      for (std::size_t i = 0; i < events.size(); ++i) {
        const Event& event = events[i];
        const bool is_last = i + 1 == events.size();
        const std::string tip = fmt::format("step {}, warp {}\n{}", event.step, w, describe(event, record_.names));
        if (event.kind == Event::Kind::kDoes) {
          bar(fmt::format("c{}", static_cast<int>(colour_of(event.operation))), event.step, event.step + 1, middle,
              is_product(event.operation) ? 0 : event.subject, tip);
          continue;
        }
        const std::uint64_t end = is_last ? record_.steps + 1 : events[i + 1].step;
        const bool stuck = is_last && is_fault_;
        bar(stuck ? "stuck" : "wait", event.step, end, middle, event.subject,
            tip + (stuck ? "\nto the end" : fmt::format("\nfor {} steps", end - event.step)));
        if (stuck) stuck_.push_back({w, middle, event});
      }
      end_row(kWarpHeight);
    }
    y_ += kGap;
  }

  /// Groups of products of each warpgroup, from the first product to the wait that ends it.
  void draw_products() {
    for (std::size_t w = 0; w + 3 < record_.warps.size(); w += 4) {
      std::map<std::uint32_t, std::uint64_t> in_flight;  // by group: since when
      bool any = false;
      const auto end_group = [&](std::uint32_t group, std::uint64_t begin, std::uint64_t end, const char* how) {
        bar("c0", begin, end, y_ + kBarrierHeight / 2 - 1, 0,
            fmt::format("products of group {}\nsteps {} to {}{}", group, begin, end, how));
      };
      for (const Event& event : record_.warps[w]) {
        if (is_product(event.operation)) {
          if (!any) begin_row(kBarrierHeight, fmt::format("warps {}–{}", w, w + 3), "products in flight");
          any = true;
          in_flight.try_emplace(event.subject, event.step);
        } else if (event.operation == Operation::kWarpgroupWait && event.kind == Event::Kind::kDoes) {
          while (!in_flight.empty() && in_flight.begin()->first < event.value) {
            end_group(in_flight.begin()->first, in_flight.begin()->second, event.step, "");
            in_flight.erase(in_flight.begin());
          }
        }
      }
      for (const auto& [group, begin] : in_flight) end_group(group, begin, record_.steps + 1, ", never waited for");
      if (any) end_row(kBarrierHeight);
    }
  }

  /// Phases as bands, arrivals as marks on them.
  void draw_barriers() {
    const std::map<std::uint32_t, BarrierHistory> sorted(record_.barriers.begin(), record_.barriers.end());
    std::size_t idle = 0;
    for (const auto& [key, history] : sorted) {
      if (history.arrived.empty() && !is_waited_for(key)) {
        ++idle;
        continue;
      }
      const double middle = y_ + kBarrierHeight / 2 - 1;
      barrier_y_[key] = middle;
      const bool is_named = history.arrivals == 0;
      begin_row(kBarrierHeight, row_name(key),
                is_named ? "" : fmt::format("{} arrival{}", history.arrivals, history.arrivals == 1 ? "" : "s"));
      std::uint64_t begin = first_;
      auto phase =
          static_cast<std::int64_t>(history.phases) -
          std::count_if(history.arrived.begin(), history.arrived.end(), [](const Arrival& a) { return a.completes; });
      const auto band = [&, barrier = key](std::uint64_t end, const char* how) {
        bar(phase % 2 == 0 ? "even" : "odd", begin, end, middle, barrier,
            fmt::format("{}\nphase {} (parity {}), {}", barrier_name(barrier, record_.names), phase, phase % 2, how));
      };
      for (const Arrival& arrival : history.arrived) {
        if (!arrival.completes) continue;
        band(arrival.step + 1, fmt::format("complete in step {}", arrival.step).c_str());
        begin = arrival.step + 1;
        ++phase;
      }
      band(record_.steps + 1, "not complete");
      for (const Arrival& arrival : history.arrived) {
        bar(arrival.is_copy ? "c1" : "c2", arrival.step, arrival.step + 1, middle, key,
            fmt::format("step {}: {}warp {} arrives at {}{}", arrival.step, arrival.is_copy ? "a copy of " : "",
                        arrival.warp, barrier_name(key, record_.names),
                        arrival.completes ? "\nand completes a phase" : ""));
      }
      end_row(kBarrierHeight);
    }
    if (idle > 0) {
      const char* const nobody =
          idle == 1 ? "1 more barrier, to which nobody came" : "{} more barriers, to which nobody came";
      labels_ += text(4, y_ + 11, "small dim", fmt::format(fmt::runtime(nobody), idle));
      y_ += kBarrierHeight;
    }
    y_ += kGap;
  }
  /// Shorter than barrier_name(), for the narrow column before the rows.
  std::string row_name(std::uint32_t barrier) const {
    const bool has_name = record_.names != nullptr && record_.names->contains(barrier);
    if (has_name || barrier >= named_barrier(0)) return barrier_name(barrier, record_.names);
    return fmt::format("barrier at byte {}", barrier);
  }

  bool is_waited_for(std::uint32_t barrier) const {
    return std::any_of(stuck_.begin(), stuck_.end(),
                       [&](const Stuck& stuck) { return stuck.event.subject == barrier; });
  }

  /// Copies in flight, as few rows as do without overlaps.
  void draw_flights() {
    std::vector<Landing> landings = record_.landings;
    std::sort(landings.begin(), landings.end(), [](const Landing& a, const Landing& b) { return a.issued < b.issued; });
    std::vector<std::vector<const Landing*>> rows;
    const auto end_of = [&](const Landing& landing) {
      return std::max(landing.issued + 1, landing.landed == 0 ? record_.steps + 1 : landing.landed);
    };
    for (const Landing& landing : landings) {
      const auto free = std::find_if(rows.begin(), rows.end(),
                                     [&](const auto& row) { return end_of(*row.back()) <= landing.issued; });
      if (free != rows.end()) {
        free->push_back(&landing);
      } else if (rows.size() < kMostFlightRows) {
        rows.push_back({&landing});
      } else {
        ++hidden_flights_;
      }
    }
    for (std::size_t r = 0; r < rows.size(); ++r) {
      begin_row(kFlightHeight, r == 0 ? "copies in flight" : "",
                r == 0 && hidden_flights_ > 0 ? fmt::format("{} more", hidden_flights_) : "");
      for (const Landing* landing : rows[r]) {
        const std::string landed =
            landing->landed == 0 ? "not landed" : fmt::format("landed after step {}", landing->landed);
        bar("c1 o", landing->issued, end_of(*landing), y_ + kFlightHeight / 2 - 1, landing->barrier,
            fmt::format("{} bytes for {}\nissued in step {} by thread {} (warp {}), {}",
                        landing->bytes == 0 ? "16-byte copies, no" : grouped(landing->bytes),
                        barrier_name(landing->barrier, record_.names), landing->issued, landing->thread,
                        landing->thread / kWarpThreads, landed));
      }
      end_row(kFlightHeight);
    }
  }

  /// From warps that wait to the end to what they wait for.
  void link_waits() {
    double right = kPlotWidth + 4;
    for (const Stuck& stuck : stuck_) {
      const bool at_barrier = barrier_y_.contains(stuck.event.subject);
      labels_ += fmt::format(R"svg(<g class="whole">{}</g>)svg", text(kPlotWidth - 6, stuck.y + 4, "stuck-text",
                                                                      stuck_text(stuck.event, record_.names), "end"));
      if (!at_barrier) continue;
      labels_ += fmt::format(R"svg(<path class="stuck-link" d="M{0} {1:.1f}H{2:.1f}V{3:.1f}H{0}"/>)svg", kPlotWidth,
                             stuck.y, right, barrier_y_[stuck.event.subject]);
      right = std::min(right + 4, kPlotWidth + kRight - 6);
    }
  }

  struct Stuck {
    std::size_t warp;
    double y;
    Event event;
  };

  const Record& record_;
  const int index_;
  const bool is_fault_;
  std::uint64_t first_ = 0;  // step at the left edge
  double scale_ = 1;
  double y_ = 0;
  std::string rows_;
  std::string bars_;
  std::string labels_;
  std::map<std::uint32_t, double> barrier_y_;
  std::vector<Stuck> stuck_;
  std::size_t hidden_flights_ = 0;
};

}  // namespace

std::string trace_legend(double y) {
  std::string out = fmt::format("<g class=\"legend\" transform=\"translate({} {})\">\n", kLeft, y);
  double x = 0;
  const auto entry = [&](const std::string& swatch, const char* label) {
    out += fmt::format(R"svg(<path {} stroke-width="12" d="M{:.1f} 6h12"/>)svg", swatch, x) +
           text(x + 18, 10.5, "dim", label);
    x += 34 + 6.5 * static_cast<double>(std::string_view(label).size());
  };
  for (const auto& [colour, label] : kLegend) entry(fmt::format("class=\"c{}\"", static_cast<int>(colour)), label);
  entry("class=\"wait\"", "waits");
  entry("class=\"stuck\"", "waits to the end");
  return out + "</g>\n";
}

double draw_block(const Record& record, int index, bool is_fault, double y, std::string& out) {
  return BlockPicture(record, index, is_fault).draw(y, out);
}

}  // namespace varlen::gpu::emulator
