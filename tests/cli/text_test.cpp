// Text from outside, as messages show it.

#include "cli/text.hpp"

#include <gtest/gtest.h>

namespace varlen::cli {
namespace {

TEST(Text, PrintableKeepsTextAndEscapesTheRest) {
  for (const char* same : {"", "plain", "Größe", "日本語", "😀", R"(\x1b)"}) EXPECT_EQ(printable(same), same);
  EXPECT_EQ(printable("a\nb\tc\x1b[31m\x7f"), R"(a\x0ab\x09c\x1b[31m\x7f)");
  EXPECT_EQ(printable(std::string_view("\0", 1)), R"(\x00)");
  EXPECT_EQ(printable("\xc2\x9b"), R"(\xc2\x9b)") << "a control character of two bytes";
  EXPECT_EQ(printable("\xe2\x80\xae"), R"(\xe2\x80\xae)") << "U+202E turns the text around";
  EXPECT_EQ(printable("\xe2\x80\xa8"), R"(\xe2\x80\xa8)") << "U+2028 separates lines";
}

TEST(Text, PrintableEscapesWhatIsNotUtf8) {
  for (const auto& [bytes, shown] :
       {std::pair("\xff", R"(\xff)"), std::pair("\x80", R"(\x80)"), std::pair("\xc3", R"(\xc3)"),
        std::pair("\xc3z", R"(\xc3z)"), std::pair("\xc0\xaf", R"(\xc0\xaf)"),  // overlong
        std::pair("\xe0\x80\xaf", R"(\xe0\x80\xaf)"),                          // overlong
        std::pair("\xed\xa0\x80", R"(\xed\xa0\x80)"),                          // a surrogate
        std::pair("\xf4\x90\x80\x80", R"(\xf4\x90\x80\x80)"),                  // past U+10FFFF
        std::pair("\xf0\x9f\x98", R"(\xf0\x9f\x98)")}) {                       // cut off
    EXPECT_EQ(printable(bytes), shown);
  }
}

TEST(Text, ShortenedKeepsBothEndsAndWholeCharacters) {
  EXPECT_EQ(shortened("twelve bytes", 12), "twelve bytes");
  EXPECT_EQ(shortened("0123456789abcdef", 12), "01234567...cdef");
  std::string umlauts;
  for (int i = 0; i < 100; ++i) umlauts += "ä";
  for (std::size_t limit = 6; limit < 30; ++limit) {
    const std::string result = shortened(umlauts, limit);
    EXPECT_EQ(printable(result), result) << "no character is cut";
    EXPECT_LE(result.size(), limit + 3);
  }
}

TEST(Text, QuotesAreBounded) {
  EXPECT_EQ(in_quotes("q\n"), R"('q\x0a')");
  EXPECT_LE(in_quotes(std::string(1'000'000, 'x')).size(), 90U);
  EXPECT_LE(in_quotes(std::string(1'000'000, '\x1b')).size(), 90U);
}

}  // namespace
}  // namespace varlen::cli
