// What the program says about itself: help, man page, completion, and words that it does not know.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <sstream>

#include "cli/process.hpp"

namespace varlen::test {
namespace {

class Help : public Program {
 protected:
  std::string help(const std::vector<std::string>& arguments) const {
    const Outcome outcome = varlen(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    return outcome.out;
  }

  /// The first word of each line of the section `Commands:`.
  std::vector<std::string> commands() const {
    std::istringstream text(help({"--help"}));
    std::vector<std::string> names;
    std::string line;
    bool listed = false;
    while (std::getline(text, line)) {
      if (listed && line.rfind("  ", 0) == 0 && line[2] != ' ') names.push_back(line.substr(2, line.find(' ', 2) - 2));
      if (line == "Commands:") listed = true;
    }
    return names;
  }

  /// Every "--word" at the beginning of an entry of a command's help.
  std::set<std::string> long_options(const std::string& command) const {
    std::istringstream text(help({command, "--help"}));
    std::set<std::string> names;
    std::string line;
    while (std::getline(text, line)) {
      if (line.rfind("  -", 0) != 0) continue;
      const std::size_t begin = line.find("--");
      names.insert(line.substr(begin, line.find_first_of(" ,", begin) - begin));
    }
    return names;
  }

  /// Sets COLUMNS for the program while it lives.
  class Columns {
   public:
    explicit Columns(const char* width) { setenv("COLUMNS", width, 1); }
    ~Columns() { unsetenv("COLUMNS"); }
    Columns(const Columns&) = delete;
    Columns& operator=(const Columns&) = delete;
  };

  static std::size_t longest_line(const std::string& text) {
    std::istringstream lines(text);
    std::size_t longest = 0;
    for (std::string line; std::getline(lines, line);) longest = std::max(longest, line.size());
    return longest;
  }
};

TEST_F(Help, ListsTheCommands) {
  EXPECT_EQ(commands(),
            (std::vector<std::string>{"run", "plan", "check", "bench", "model", "info", "help", "generate"}));
  for (const std::string& command : commands()) {
    EXPECT_EQ(help({"help", command}), help({command, "--help"}));
    EXPECT_NE(help({command, "--help"}).find("Usage: varlen " + command), std::string::npos);
  }
  EXPECT_EQ(help({"help"}), help({"--help"}));
  expect_refused({"help", "rum"}, "did you mean 'run'?");
}

TEST_F(Help, WrapsAtTheWidth) {
  for (const std::string& command : commands()) {
    EXPECT_LE(longest_line(help({command, "--help"})), 80U) << command;
    const Columns narrow("60");
    EXPECT_LE(longest_line(help({command, "--help"})), 60U) << command;
  }
  const Columns wide("150");
  const std::size_t longest = longest_line(help({"run", "--help"}));
  EXPECT_GT(longest, 100U);
  EXPECT_LE(longest, 150U);
}

TEST_F(Help, VersionHasAShortName) { EXPECT_EQ(help({"-V"}), help({"--version"})); }

TEST_F(Help, SaysWhatFilesHold) {
  for (const char* tensor :
       {"q", "k", "v", "query_indptr", "query_lengths", "key_indptr", "key_lengths", "block_table", "block_table_rows",
        "page_indptr", "page_indices", "sinks", "query_scale", "key_scale", "value_scale"}) {
    EXPECT_NE(help({"run", "--help"}).find("\n  " + std::string(tensor) + " "), std::string::npos) << tensor;
    EXPECT_NE(read_file(source_path("docs/formats.md")).find("| `" + std::string(tensor) + "` |"), std::string::npos);
  }
  for (const char* key : {"name", "query_lengths", "kv_lengths", "query_heads", "kv_heads", "head_dim_qk",
                          "head_dim_vo", "causal", "window", "soft_cap", "page_size"}) {
    EXPECT_NE(help({"plan", "--help"}).find("\n  " + std::string(key) + " "), std::string::npos) << key;
    EXPECT_NE(read_file(source_path("docs/formats.md")).find("| `" + std::string(key) + "` |"), std::string::npos);
  }
}

TEST_F(Help, ManPageAndCompletionsListEveryOption) {
  for (const std::string what : {"man", "bash", "zsh", "fish"}) {
    const std::string text = help({"generate", what});
    for (const std::string& command : commands()) {
      EXPECT_NE(text.find(command), std::string::npos) << what;
      const std::set<std::string> options = long_options(command);
      EXPECT_TRUE(options.contains("--help")) << command;
      for (std::string option : options) {
        if (what == "fish") option = "-l " + option.substr(2) + " ";
        if (what == "man") {
          std::string escaped;
          for (const char character : option)
            escaped += character == '-' ? std::string("\\-") : std::string(1, character);
          option = escaped;
        }
        EXPECT_NE(text.find(option), std::string::npos) << what << " " << command << " " << option;
      }
    }
  }
  expect_refused({"generate", "tcsh"}, "man, bash, zsh, fish");
}

TEST_F(Help, BashCompletes) {
  const std::string script = write("completion.bash", help({"generate", "bash"}));
  const auto completed = [&](const std::string& words) {
    const std::string command = "bash -c 'source " + script + "; COMP_WORDS=(" + words +
                                "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _varlen; echo \"${COMPREPLY[@]}\"'";
    FILE* const pipe = popen(command.c_str(), "r");
    std::array<char, 4096> line{};
    const char* const read = std::fgets(line.data(), line.size(), pipe);
    pclose(pipe);
    return std::string(read == nullptr ? "" : read);
  };
  EXPECT_EQ(completed("varlen ch"), "check\n");
  EXPECT_EQ(completed("varlen run --back"), "--backend\n");
  EXPECT_EQ(completed("varlen run x --backend c"), "cpu cuda\n");
  EXPECT_EQ(completed("varlen run x --output-dtype \"\""), "fp32 fp16 bf16\n");
  EXPECT_EQ(completed("varlen help mo"), "model\n");
  EXPECT_EQ(completed("varlen plan --trace " + script.substr(0, script.size() - 3)), script + "\n");
}

TEST_F(Help, UnknownWordsNameTheNearest) {
  expect_refused({"chekc"}, "'chekc' is no command (did you mean 'check'?");
  expect_refused({"run", example(), "--chek"}, "run: '--chek' is no option (did you mean '--check'?");
  expect_refused({"--versoin"}, "'--versoin' is no option (did you mean '--version'?");
  expect_refused({"run", example(), "--backend", "cudda"}, "did you mean 'cuda'?");
  expect_refused({"bench", "--trace", source_path("bench/traces"), "--dtype", "bf61"},
                 "(did you mean 'bf16'?); 'varlen bench --help'");
  expect_refused({"plan", "--target", "h10"}, "did you mean 'h100'?");
  expect_refused({"run", example(), "--repeat"}, "run: --repeat: its value is missing");
  expect_refused({"run", "--chek"}, "'--chek' is no option");  // rather than: the input is missing
  expect_refused({"info", "extra"}, "info: 'extra' is one argument too many");
}

TEST_F(Help, UsageErrorsSayHowToGetHelp) {
  const std::vector<std::vector<std::string>> ofRun = {{"run"},
                                                       {"run", example(), "--chek"},
                                                       {"run", example(), "--backend", "cudda"},
                                                       {"run", example(), "--window", "1"},
                                                       {"run", example(), "--scale", "0"},
                                                       {"run", example(), "--backend", "reference", "--threads", "2"}};
  for (const auto& arguments : ofRun) expect_refused(arguments, "; 'varlen run --help' explains its options");
  expect_refused({}, "; 'varlen --help' lists what there is");
  expect_refused({"fly"}, "; 'varlen --help' lists what there is");
}

}  // namespace
}  // namespace varlen::test
