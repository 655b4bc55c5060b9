#include "plan/timeline_draw.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "plan/timeline_markup.hpp"

namespace varlen::timeline {
namespace {

constexpr std::ptrdiff_t kMaxLinks = 64;  // more lines from parts to merges would hide the boxes

/// Whole pixels, or neighbouring lanes would show seams; but no picture is higher than 600 pixels a panel.
double lane_height(std::int32_t workers) {
  if (workers > 600) return 600.0 / workers;
  return std::clamp(std::floor(300.0 / std::max(1, workers)), 1.0, 26.0);
}

/// About eight round numbers from 0 to `end`.
std::string axis(double end) {
  const double raw = end / 8;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * power >= raw) step = factor * power;
  }
  const int digits = std::max(0, static_cast<int>(std::ceil(-std::log10(step) - 1e-9)));
  std::string out;
  for (int tick = 0; tick * step <= end * 1.0001; ++tick) {
    const double x = tick * step / end * kPlotWidth;
    out += fmt::format(R"svg(<path class="rule" d="M{:.1f} 0v4"/>)svg", x);
    out +=
        text(x, 17, "dim num",
             digits > 0 ? fmt::format("{:.{}f}", tick * step, digits) : grouped(std::llround(tick * step)), "middle");
  }
  return out;
}

std::string box_path(const Box& box, double scale, double y, bool shade_heads) {
  double width = (box.end - box.begin) * scale;
  if (width > 2.5) width -= 0.6;  // a gap tells neighbours apart
  std::string classes = "w";
  if (!box.wasted) {
    classes = fmt::format("{}{}{}", box.merge >= 0 ? "h" : "c", box.request % kColours,
                          box.odd_head && shade_heads ? " o" : "");
  }
  const std::string part = box.merge >= 0 ? fmt::format(R"svg( data-m="{}")svg", box.merge) : "";
  return fmt::format("<path class=\"{}\"{} d=\"M{:.2f} {:.1f}h{:.2f}\"><title>{}</title></path>\n", classes, part,
                     box.begin * scale, y, width, box.label);
}

/// A dot where the last part of a split tile ends, and, if there are few, lines to it from the other parts.
std::string merge_marks(const Panel& panel, double scale, double height) {
  std::string out;
  const auto middle = [&](std::int32_t worker) { return (worker + 0.5) * height; };
  const auto is_part = [](const Box& box) { return box.merge >= 0; };
  if (std::count_if(panel.boxes.begin(), panel.boxes.end(), is_part) <= kMaxLinks) {
    for (const Box& box : panel.boxes) {
      const auto mark = std::find_if(panel.marks.begin(), panel.marks.end(),
                                     [&](const MergeMark& m) { return is_part(box) && m.merge == box.merge; });
      if (mark == panel.marks.end() || mark->worker == box.worker) continue;
      out += fmt::format("<path class=\"link\" d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\"/>\n", box.end * scale,
                         middle(box.worker), mark->time * scale, middle(mark->worker));
    }
  }
  const double radius = std::clamp(height * 0.3, 1.6, 4.0);
  for (const MergeMark& mark : panel.marks) {
    out += fmt::format("<circle class=\"mark\" cx=\"{0:.1f}\" cy=\"{1:.1f}\" r=\"{2:.1f}\" data-x=\"{0:.1f}\"/>\n",
                       mark.time * scale, middle(mark.worker), radius);
  }
  return out;
}

std::string worker_labels(std::int32_t workers, double height) {
  std::string out;
  const double total = workers * height;
  const std::int32_t step = height >= 12 ? 1 : std::max(1, workers - 1);
  for (std::int32_t worker = 0; worker < workers; worker += step) {
    out += text(-8, std::clamp((worker + 0.5) * height + 4, 9.0, total), "dim num", fmt::format("{}", worker), "end");
  }
  if (step > 1) {
    out += fmt::format(R"svg(<text class="dim" transform="translate(-14 {:.1f}) rotate(-90)" text-anchor="middle">)svg"
                       "workers</text>",
                       total / 2);
  }
  return out;
}

/// A jagged right edge: the picture ends before the work does.
std::string torn_edge(double total) {
  std::string path = fmt::format("M{:.1f} -2", kPlotWidth + 1);
  const double tooth = (total + 4) / 24;
  for (int i = 0; i < 12; ++i) path += fmt::format("l-5 {0:.2f}l5 {0:.2f}", tooth);
  return fmt::format(R"svg(<path class="bg whole" d="{}h12V-2z"/>)svg", path);
}

}  // namespace

std::string grouped(std::int64_t value) {
  const std::string digits = fmt::format("{}", value);
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

std::string rounded(double value) {
  return value < 999.95 ? fmt::format("{:.4g}", value) : grouped(std::llround(value));
}

std::string escape(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string text(double x, double y, const char* classes, const std::string& content, const char* anchor) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"{}\" text-anchor=\"{}\">{}</text>\n", x, y, classes,
                     anchor, escape(content));
}

double draw_panel(const Panel& panel, double y, int index, double plan_done, std::string& out) {
  out += text(kLeft, y + 14, "head", panel.heading);
  out += text(kWidth - kRight, y + 14, "dim num", panel.figures, "end");
  y += 26;
  if (panel.boxes.empty()) {
    out += fmt::format("<rect class=\"lane\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"48\"/>\n", kLeft, y, kPlotWidth);
    out += text(kLeft + kPlotWidth / 2, y + 28, "dim", "no items: there is nothing to compute", "middle");
    return y + 76;
  }

  const double height = lane_height(panel.workers);
  const double gap = height > 8 ? 2 : (height > 4 ? 0.6 : 0);
  const double total = panel.workers * height;
  const double scale = kPlotWidth / panel.scale_end;
  out += fmt::format(R"svg(<g transform="translate({} {:.1f})">)svg", kLeft, y);
  out += fmt::format(R"svg(<clipPath id="clip{}"><rect y="-3" width="{}" height="{:.1f}"/></clipPath>)svg", index,
                     kPlotWidth + 4, total + 6);
  out += fmt::format(R"svg(<g class="plot" data-width="{}" data-end="{:.6g}" clip-path="url(#clip{})">)svg", kPlotWidth,
                     panel.scale_end, index);
  out += fmt::format(R"svg(<rect class="lane" width="{}" height="{:.1f}"/>)svg", kPlotWidth, total);
  out += fmt::format("<g class=\"zoom\" fill=\"none\" stroke-width=\"{:.2f}\">\n", height - gap);
  std::int32_t worker = -1;
  for (const Box& box : panel.boxes) {
    if (box.worker != worker) {
      if (worker >= 0) out += "</g>\n";
      worker = box.worker;
      out += fmt::format("<g data-w=\"{}\">\n", worker);
    }
    out += box_path(box, scale, (worker + 0.5) * height, height > 4);  // in thin lanes shades would be noise
  }
  out += "</g>\n" + merge_marks(panel, scale, height);
  std::string below;
  if (plan_done > 0 && plan_done < panel.scale_end * 0.995) {
    const double x = plan_done * scale;
    out += fmt::format(R"svg(<path class="done" d="M{:.1f} -2v{:.1f}"/>)svg", x, total + 4);
    const double behind_unit = 75 + 6.5 * static_cast<double>(panel.unit.size());
    below += text(std::clamp(x, behind_unit, kPlotWidth - 150), total + 34, "num whole",
                  "plan done: " + rounded(plan_done), "middle");
  }
  out += "</g></g>\n";  // zoom, plot
  if (!panel.continues_to.empty()) {
    out += torn_edge(total);
    below += text(kPlotWidth, total + 34, "num whole", "goes on to " + panel.continues_to + " →", "end");
  }
  out += worker_labels(panel.workers, height);
  out += fmt::format(
      R"svg(<path class="rule" d="M0 {0:.1f}h{1}"/><g class="axis" transform="translate(0 {0:.1f})">{2}</g>)svg",
      total + 2, kPlotWidth, axis(panel.scale_end));
  out += text(0, total + 34, "dim", panel.unit) + below + "</g>\n";
  return y + total + 56;
}

}  // namespace varlen::timeline
