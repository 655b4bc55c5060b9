#include "cli/process.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

extern char** environ;

namespace varlen::test {

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void Program::SetUp() {
  std::string pattern = (std::filesystem::temp_directory_path() / "varlen_cli_XXXXXX").string();
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  folder_ = pattern;
}

void Program::TearDown() { std::filesystem::remove_all(folder_); }

std::string Program::write(const std::string& name, const std::string& bytes) const {
  std::ofstream(path(name), std::ios::binary) << bytes;
  return path(name);
}

std::vector<std::string> Program::names() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    if (name != "stdout" && name != "stderr") names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Outcome Program::varlen(const std::vector<std::string>& arguments, const std::string& stdout_path) const {
  std::vector<std::string> words{VARLEN_PROGRAM};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return spawn(std::move(words), stdout_path);
}

Outcome Program::shell(const std::string& script, const std::vector<std::string>& arguments) const {
  std::vector<std::string> words{"/bin/sh", "-c",    "cd \"$1\" && varlen=$2 && shift 2\n" + script,
                                 "sh",      folder_, VARLEN_PROGRAM};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return spawn(std::move(words), "");
}

Outcome Program::spawn(std::vector<std::string> words, const std::string& stdout_path) const {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  // Files rather than pipes: neither stream can block the program.
  const std::string out = stdout_path.empty() ? path("stdout") : stdout_path;
  const std::string err = path("stderr");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t child = 0;
  const int failed = posix_spawn(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  Outcome outcome;
  if (failed != 0) {
    ADD_FAILURE() << words[0] << " did not start";
    return outcome;
  }
  int status = 0;
  waitpid(child, &status, 0);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (stdout_path.empty()) outcome.out = read_file(out);
  outcome.err = read_file(err);
  return outcome;
}

nlohmann::json Program::varlen_json(const std::vector<std::string>& arguments) const {
  const Outcome outcome = varlen(arguments);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  auto json = nlohmann::json::parse(outcome.out, nullptr, false);
  EXPECT_TRUE(json.is_object()) << outcome.out;
  return json;
}

void Program::expect_refused(const std::vector<std::string>& arguments, const std::string& message) const {
  const Outcome outcome = varlen(arguments);
  EXPECT_EQ(outcome.out, "");
  expect_complaint(outcome, message);
}

void Program::expect_complaint(const Outcome& outcome, const std::string& message) {
  EXPECT_EQ(outcome.status, 2) << outcome.err;
  EXPECT_EQ(outcome.err.rfind("varlen: ", 0), 0U) << outcome.err;
  EXPECT_NE(outcome.err.find(message), std::string::npos) << outcome.err << "does not say: " << message;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_EQ(outcome.err.empty() ? '\0' : outcome.err.back(), '\n');
}

}  // namespace varlen::test
