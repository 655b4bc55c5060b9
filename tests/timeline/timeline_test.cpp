// Timelines: well-formed, self-contained, small, and everything of the plan in them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "varlen/plan.hpp"

namespace varlen {
namespace {

Plan plan_of(const std::vector<std::int64_t>& queries, const std::vector<std::int64_t>& keys, const PlanTarget& target,
             Mask mask = Mask::causal()) {
  Batch batch;
  batch.query_lengths = std::span<const std::int64_t>(queries);
  batch.key_lengths = std::span<const std::int64_t>(keys);
  batch.query_heads = 8;
  batch.kv_heads = 2;
  batch.head_dim_qk = 64;
  batch.mask = mask;
  return make_plan(batch, target);
}

std::int64_t occurrences(std::string_view text, std::string_view what) {
  std::int64_t count = 0;
  for (auto at = text.find(what); at != std::string_view::npos; at = text.find(what, at + what.size())) ++count;
  return count;
}

/// "" if every element of the markup is closed in order, otherwise what is wrong.
std::string markup_fault(std::string_view markup) {
  std::vector<std::string> open;
  for (auto at = markup.find('<'); at != std::string_view::npos; at = markup.find('<', at + 1)) {
    const auto end = markup.find('>', at);
    if (end == std::string_view::npos) return "an element without end";
    const std::string_view element = markup.substr(at + 1, end - at - 1);
    if (element.find('<') != std::string_view::npos) return "< inside " + std::string(element);
    if (occurrences(element, "\"") % 2 != 0) return "odd quotes in " + std::string(element);
    const std::string name(element.substr(0, element.find_first_of(" \n")));
    if (element.ends_with('/')) continue;
    if (!name.starts_with('/')) {
      open.push_back(name);
    } else if (open.empty() || "/" + open.back() != name) {
      return "unexpected " + name;
    } else {
      open.pop_back();
    }
  }
  return open.empty() ? "" : "not closed: " + open.back();
}

void expect_self_contained(const std::string& text) {
  EXPECT_EQ(occurrences(text, "http"), 1) << "nothing but the namespace of SVG";
  EXPECT_EQ(occurrences(text, "http://www.w3.org/2000/svg"), 1);
  EXPECT_EQ(occurrences(text, " src="), 0);
  EXPECT_EQ(occurrences(text, "@import"), 0);
  EXPECT_EQ(occurrences(text, "<link"), 0);
}

void expect_sound(const Plan& plan, const TimelineOptions& options) {
  const std::string svg = timeline_svg(plan, options);
  EXPECT_EQ(markup_fault(svg), "");
  EXPECT_EQ(occurrences(svg, "<script"), 0);
  EXPECT_EQ(occurrences(svg, "nan"), 0);
  EXPECT_EQ(occurrences(svg, "inf"), 0);
  expect_self_contained(svg);
  const std::string html = timeline_html(plan, options);
  EXPECT_NE(html.find(svg), std::string::npos);
  expect_self_contained(html);
}

TEST(Timeline, OfOddPlansIsSound) {
  for (const PlanTarget& target : {PlanTarget::cpu(1), PlanTarget::cpu(7), PlanTarget::h100(), PlanTarget::b200()}) {
    expect_sound(plan_of({}, {}, target), {});
    expect_sound(plan_of({0, 0}, {9, 0}, target), {});
    expect_sound(plan_of({5, 0, 300}, {0, 7, 200}, target), {});
    expect_sound(plan_of({1, 1}, {100000, 3}, target, Mask::full()), {});
    expect_sound(plan_of({3000, 1}, {3000, 40000}, target, Mask::window(512, 3)), {});
    TimelineOptions options;
    options.title = "a < b & \"c\"";
    options.padded_contrast = false;
    expect_sound(plan_of({300, 17}, {300, 17}, target), options);
  }
}

TEST(Timeline, ShowsEveryItemOfASmallPlan) {
  const Plan plan = plan_of({700, 64, 1}, {700, 5000, 9000}, PlanTarget::cpu(7), Mask::full());
  ASSERT_GT(plan.merges().size(), 0U);
  TimelineOptions options;
  options.padded_contrast = false;
  const std::string svg = timeline_svg(plan, options);
  EXPECT_EQ(occurrences(svg, "<title>"), plan.item_count());
  EXPECT_EQ(occurrences(svg, "<circle"), std::ssize(plan.merges()) + 1) << "one for each merge, one in the legend";
  for (std::int64_t i = 0; i < plan.item_count(); ++i) {
    const WorkItem item = plan.item(i);
    std::string label =
        fmt::format("request {} · KV head {} (query heads {}–{})\nquery rows {}–{} · keys {}–{}\ncost ", item.request,
                    item.kv_head, item.query_head_begin, item.query_head_begin + item.query_head_count - 1,
                    item.query_begin, item.query_begin + item.query_count - 1, item.key_begin, item.key_end - 1);
    const auto at = svg.find(label);
    ASSERT_NE(at, std::string::npos) << label;
    if (item.parts == 1) continue;
    const std::string part = fmt::format(" · part {} of {}</title>", item.part + 1, item.parts);
    EXPECT_LT(svg.find(part, at), svg.find("<path", at)) << label << part;
  }
}

TEST(Timeline, ContrastsWithThePaddedGrid) {
  const Plan plan = plan_of({300, 20, 20, 20}, {300, 20, 20, 20}, PlanTarget::cpu(2));
  TimelineOptions options;
  options.padded_contrast = false;
  const std::string alone = timeline_svg(plan, options);
  const std::string beside = timeline_svg(plan, {});
  EXPECT_EQ(alone.find("padded grid<"), std::string::npos);
  EXPECT_EQ(occurrences(alone, "class=\"w\""), 0);
  EXPECT_NE(beside.find("the same batch as a padded grid<"), std::string::npos);
  EXPECT_NE(beside.find("no rows: the tile begins at token"), std::string::npos);
  EXPECT_GT(occurrences(beside, "<path class=\"w\""), 0);
}

TEST(Timeline, ShowsMeasuredTimes) {
  const Plan plan = plan_of({300, 200}, {300, 200}, PlanTarget::cpu(2));
  TimelineOptions options;
  options.padded_contrast = false;
  double now = 0;
  for (std::int64_t i = 0; i < plan.item_count(); ++i) {
    options.measured.push_back({static_cast<std::int32_t>(i % 3), now, now + 0.002});
    now += 0.001;
  }
  expect_sound(plan, options);
  const std::string svg = timeline_svg(plan, options);
  EXPECT_NE(svg.find("as it ran"), std::string::npos);
  EXPECT_EQ(occurrences(svg, "<title>"), 2 * plan.item_count());
  EXPECT_EQ(occurrences(svg, "\n2 ms</title>"), plan.item_count());
}

TEST(Timeline, OfManyItemsStaysSmall) {
  std::vector<std::int64_t> lengths;
  for (std::int64_t i = 0; i < 8000; ++i) lengths.push_back(1 + i * 7919 % 900);
  const Plan plan = plan_of(lengths, lengths, PlanTarget::b200());
  ASSERT_GT(plan.item_count(), 100'000);
  const std::string svg = timeline_svg(plan, {});
  EXPECT_EQ(markup_fault(svg), "");
  EXPECT_LT(svg.size(), 2'000'000U);
  EXPECT_NE(svg.find("too narrow to tell apart"), std::string::npos);
  // Nothing disappears: the boxes that stand for several say for how many, and with the others they are all items.
  TimelineOptions options;
  options.padded_contrast = false;
  const std::string alone = timeline_svg(plan, options);
  std::int64_t shown = occurrences(alone, "<title>request ");
  for (auto at = alone.find(" neighbours drawn as one"); at != std::string::npos;
       at = alone.find(" neighbours drawn as one", at + 1)) {
    shown += std::stoll(alone.substr(alone.rfind('>', at) + 1));
  }
  EXPECT_EQ(shown, plan.item_count());
}

TEST(Timeline, TheAxisSaysWhatAKeyBlockIs) {
  for (const PlanTarget& target : {PlanTarget::h100(), PlanTarget::cpu(4)}) {
    const std::string svg = timeline_svg(plan_of({300, 900}, {300, 900}, target), {});
    const std::string unit =
        fmt::format(">key blocks of {} rows × {} keys<", target.tile_shapes.front().rows, target.key_block);
    EXPECT_EQ(occurrences(svg, unit), 2) << "below the plan and below the padded grid";
  }
}

}  // namespace
}  // namespace varlen
