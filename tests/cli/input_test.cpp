// Where inputs come from: files, standard input, and what is neither.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>

#include "cli/input_file.hpp"
#include "cli/output_file.hpp"
#include "cli/process.hpp"

namespace varlen::test {
namespace {

std::string trace() { return source_path("bench/traces/issue1103_causal.json"); }

class Input : public Program {
 protected:
  // Every option that reads a file, with what stands before the file.
  static std::vector<std::vector<std::string>> readers() {
    return {{"run"},
            {"plan", "--trace"},
            {"bench", "--trace"},
            {"model", "--trace"},
            {"model", "--trace", trace(), "--measured"}};
  }
  void expect_each_refuses(const std::string& file, const std::string& message) const {
    for (std::vector<std::string> arguments : readers()) {
      SCOPED_TRACE(arguments.back());
      arguments.push_back(file);
      expect_refused(arguments, message);
    }
  }
};

TEST_F(Input, MissingFilesFoldersFifosAndDevicesAreToldApart) {
  expect_each_refuses(path("absent"), path("absent") + ": no such file");
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  expect_each_refuses(path("fifo"), path("fifo") + ": is a FIFO, not a file");
  expect_each_refuses("/dev/null", "/dev/null: is a device, not a file");
  expect_refused({"run", path("")}, ": is a folder, not a file");
  expect_refused({"plan", "--trace", path("")}, ": is a folder, not a file");
  expect_refused({"model", "--trace", trace(), "--measured", path("")}, ": is a folder, not a file");
  expect_refused({"bench", "--trace", path("")}, "no .json file in this folder");
}

TEST_F(Input, StandardInput) {
  const Outcome from_file = shell(R"("$varlen" run "$1" --output a >/dev/null)", {example()});
  EXPECT_EQ(from_file.status, 0) << from_file.err;
  for (const char* script :
       {R"("$varlen" run - --output b <"$1" >/dev/null)", R"(cat "$1" | "$varlen" run - --output b)",
        R"(cat "$1" | "$varlen" run /dev/stdin --output b)"}) {
    const Outcome outcome = shell(script, {example()});
    EXPECT_EQ(outcome.status, 0) << script << outcome.err;
    EXPECT_EQ(read_file(path("a")), read_file(path("b"))) << script;
    std::filesystem::remove(path("b"));
  }
  // One open file, two commands: each reads it from its beginning.
  const Outcome twice =
      shell(R"(exec 3<"$1"; "$varlen" plan --trace /dev/fd/3 && "$varlen" plan --trace /dev/fd/3)", {trace()});
  EXPECT_EQ(twice.status, 0) << twice.err;
  for (const char* command : {"plan", "model"}) {
    const Outcome outcome = shell(R"(cat "$2" | "$varlen" "$1" --trace - --json)", {command, trace()});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_NE(outcome.out.find("issue1103_causal"), std::string::npos);
  }
}

TEST_F(Input, StandardInputInMessages) {
  expect_complaint(shell(R"(echo '{' | "$varlen" plan --trace -)"), "standard input: not JSON");
  expect_complaint(shell(R"(echo | "$varlen" run -)"), "standard input: the file ended early");
  expect_complaint(shell(R"((cat "$1"; echo more) | "$varlen" run -)", {example()}),
                   "standard input: bytes after the last tensor");
  expect_complaint(shell(R"(head -c 30000 "$1" | "$varlen" run -)", {example()}),
                   "standard input: the file ended early");
  expect_complaint(shell(R"("$varlen" run - <.)"), "standard input: ");
  expect_complaint(shell(R"("$varlen" run - <&-)"), "standard input: ");
  expect_complaint(shell(R"(echo '{"rows":[]}' | "$varlen" model --trace - --measured -)"),
                   "standard input is named twice");
}

TEST_F(Input, AFileOfGigabytesIsRefusedByItsHeader) {
  const std::string header =
      R"({"model.embed_tokens.weight":{"dtype":"BF16","shape":[3221225472],"data_offsets":[0,6442450944]}})";
  std::string bytes(8, '\0');
  bytes[0] = static_cast<char>(header.size());
  const std::string checkpoint = write("checkpoint.safetensors", bytes + header);
  std::filesystem::resize_file(checkpoint, 8 + header.size() + 6442450944);
  const std::string zeros = write("zeros", "");
  std::filesystem::resize_file(zeros, 6442450944);
  // Neither reading 6 GB nor memory for them: one second of processor time, 500 MB of addresses.
  const std::string limits = kAddressSanitizer ? "ulimit -t 2; " : "ulimit -t 1; ulimit -v 500000; ";
  for (const auto& [file, message] :
       {std::pair(checkpoint, "tensor 'model.embed_tokens.weight' is unknown"), std::pair(zeros, "not JSON")}) {
    expect_complaint(shell(limits + R"(exec "$varlen" run "$1")", {file}), message);
  }
  for (const char* command : {"plan", "bench", "model"}) {
    expect_complaint(shell(limits + R"(exec "$varlen" "$1" --trace zeros)", {command}),
                     "zeros: has 6442450944 bytes, more than the");
  }
}

// Whoever starts the program may have set its descriptors so; then "Resource temporarily unavailable" is no error.
TEST_F(Input, DescriptorsThatDoNotWait) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe2(ends.data(), O_NONBLOCK), 0);
  const std::string text(1'000'000, 'x');  // more than a pipe holds
  std::fflush(stdout);                     // or the child writes it, too
  const pid_t writer = fork();
  if (writer == 0) {
    usleep(50'000);
    cli::write_text_file(fmt::format("/dev/fd/{}", ends[1]), text);
    _exit(0);
  }
  close(ends[1]);
  EXPECT_EQ(cli::read_text(fmt::format("/dev/fd/{}", ends[0]), text.size()), text);
  int status = 0;
  waitpid(writer, &status, 0);
  EXPECT_EQ(status, 0);
  close(ends[0]);
}

TEST_F(Input, ForeignNamesAreShownAndEscaped) {
  const std::string name = "caf\xe9\x1b[31m\n.safetensors";
  std::filesystem::copy_file(example(), path(name));
  const auto json = varlen_json({"run", path(name), "--repeat", "1", "--json"});
  EXPECT_EQ(json["input"], path(R"(caf\xe9\x1b[31m\x0a.safetensors)"));
  const Outcome table = varlen({"run", path(name), "--repeat", "1", "--output", path(name + "\x1b")});
  EXPECT_EQ(table.status, 0) << table.err;
  EXPECT_EQ(table.out.find('\x1b'), std::string::npos);
  EXPECT_NE(table.out.find(R"(caf\xe9\x1b[31m\x0a.safetensors\x1b)"), std::string::npos) << table.out;
  expect_refused({"run", path("\xff\n")}, R"(\xff\x0a: no such file)");
}

}  // namespace
}  // namespace varlen::test
