// What the program writes: all or nothing, only where it was told to, and never over what is not a file.

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "cli/file.hpp"
#include "cli/output_file.hpp"
#include "cli/process.hpp"
#include "varlen/error.hpp"

namespace varlen::test {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

std::string trace() { return source_path("bench/traces/issue1103_causal.json"); }

class Output : public Program {
 protected:
  // Each output of the program: a command that lacks its file, and how its content begins.
  struct Kind {
    std::vector<std::string> command;
    std::string beginning;
  };
  static std::vector<Kind> kinds() {
    return {{{"run", example(), "--repeat", "1", "--output"}, ""},
            {{"plan", "--trace", trace(), "--svg"}, "<svg"},
            {{"plan", "--trace", trace(), "--html"}, "<!doctype html>"},
            {{"check", "--backend", "emulator", "--cases", "random", "--count", "1", "--seed", "5", "--trace-out"},
             "<!doctype html>"}};
  }
  Outcome write_to(const Kind& kind, const std::string& file) const {
    std::vector<std::string> arguments = kind.command;
    arguments.push_back(file);
    return varlen(arguments);
  }
  static void expect_content(const Kind& kind, const std::string& bytes) {
    if (kind.beginning.empty()) {
      ASSERT_GT(bytes.size(), 8U);
      EXPECT_EQ(ReadBack(bytes).header.size(), 2U);
    } else {
      EXPECT_EQ(bytes.substr(0, kind.beginning.size()), kind.beginning);
      EXPECT_EQ(bytes.substr(bytes.find_last_not_of('\n')).front(), '>') << "it is cut off";
    }
  }
  static mode_t mode_of(const std::string& file) {
    struct stat status {};
    EXPECT_EQ(stat(file.c_str(), &status), 0) << file;
    return status.st_mode & 07777U;
  }
};

TEST_F(Output, KeepsTheModeAndTheNeighbours) {
  for (const Kind& kind : kinds()) {
    SCOPED_TRACE(kind.command.back());
    const std::string file = write("file", "old");
    fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
    write("file.partial", "the user's own");
    EXPECT_EQ(write_to(kind, file).status, 0);
    expect_content(kind, read_file(file));
    EXPECT_EQ(mode_of(file), 0600U);
    EXPECT_EQ(read_file(path("file.partial")), "the user's own");
    EXPECT_EQ(names(), (Names{"file", "file.partial"}));
  }
}

TEST_F(Output, NewFilesObeyTheUmask) {
  const Outcome outcome = shell(R"(umask 027; exec "$varlen" plan --trace "$1" --svg new.svg)", {trace()});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(mode_of(path("new.svg")), 0640U);
}

TEST_F(Output, FollowsLinks) {
  for (const Kind& kind : kinds()) {
    SCOPED_TRACE(kind.command.back());
    fs::create_directory(path("folder"));
    write("folder/target", "old");
    fs::create_symlink("folder/target", path("inner"));
    fs::create_symlink("inner", path("link"));
    fs::create_symlink("folder/fresh", path("dangling"));
    for (const char* link : {"link", "dangling"}) {
      EXPECT_EQ(write_to(kind, path(link)).status, 0);
      EXPECT_TRUE(fs::is_symlink(path(link))) << link;
      expect_content(kind, read_file(path(link)));
    }
    EXPECT_TRUE(fs::is_symlink(path("inner")));
    expect_content(kind, read_file(path("folder/target")));
    EXPECT_EQ(names(), (Names{"dangling", "folder", "inner", "link"}));
    for (const std::string& name : names()) fs::remove_all(path(name));
  }
}

TEST_F(Output, LinksInACircleAreRefused) {
  fs::create_symlink("b", path("a"));
  fs::create_symlink("a", path("b"));
  expect_refused({"plan", "--trace", trace(), "--svg", path("a")}, "levels of symbolic links");
}

TEST_F(Output, DevicesStayDevices) {
  for (const Kind& kind : kinds()) {
    SCOPED_TRACE(kind.command.back());
    // A link is replaced where the device itself would be, too, and is no loss if it is.
    fs::create_symlink("/dev/null", path("null"));
    EXPECT_EQ(write_to(kind, path("null")).status, 0);
    EXPECT_TRUE(fs::is_symlink(path("null")));
    fs::create_symlink("/dev/full", path("full"));
    expect_complaint(write_to(kind, path("full")), path("full") + ": cannot be written: No space left on device");
    EXPECT_TRUE(fs::is_symlink(path("full")));
    EXPECT_EQ(names(), (Names{"full", "null"}));
    for (const std::string& name : names()) fs::remove(path(name));
  }
}

TEST_F(Output, FifosTakeTheBytes) {
  for (const Kind& kind : kinds()) {
    SCOPED_TRACE(kind.command.back());
    const Outcome outcome = shell(
        R"(mkfifo fifo; cat fifo >got & "$varlen" "$@" fifo; status=$?; wait; test -p fifo || exit 9; exit $status)",
        kind.command);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    expect_content(kind, read_file(path("got")));
    EXPECT_EQ(names(), (Names{"fifo", "got"}));
    for (const std::string& name : names()) fs::remove(path(name));
  }
}

TEST_F(Output, StandardOutputHoldsTheFileAlone) {
  for (const Kind& kind : kinds()) {
    for (const char* name : {"-", "/dev/stdout", "/proc/self/fd/1"}) {
      SCOPED_TRACE(kind.command.back() + " " + name);
      const Outcome outcome = write_to(kind, name);
      EXPECT_EQ(outcome.status, 0) << outcome.err;
      expect_content(kind, outcome.out);
      EXPECT_NE(outcome.err, "") << "the report goes to stderr";
    }
    std::vector<std::string> arguments = kind.command;
    arguments.insert(arguments.end(), {"-", "--json"});
    expect_refused(arguments, "--json prints there, too");
  }
  const Outcome full = shell(R"("$varlen" plan --trace "$1" --svg - >/dev/full)", {trace()});
  EXPECT_EQ(full.status, 2);
  EXPECT_NE(full.err.find("standard output: cannot be written: No space left on device"), std::string::npos)
      << full.err;
}

TEST_F(Output, AnInputIsNoOutput) {
  fs::copy_file(example(), path("in"));
  fs::copy_file(trace(), path("trace.json"));
  fs::create_symlink("in", path("link"));
  fs::create_hard_link(path("in"), path("hard"));
  const std::string before = read_file(path("in"));
  for (const std::string& same : {path("in"), path("./in"), path("link"), path("hard")}) {
    expect_refused({"run", path("in"), "--output", same}, "is the input " + path("in"));
    expect_refused({"run", path("in"), "--backend", "emulator", "--trace-out", same}, "is the input " + path("in"));
  }
  for (const char* option : {"--svg", "--html"}) {
    expect_refused({"plan", "--trace", path("trace.json"), option, path("trace.json")}, "is the input");
  }
  expect_complaint(shell(R"("$varlen" run - --output in <in)"), "--output in: is the input standard input");
  EXPECT_EQ(read_file(path("in")), before);
  EXPECT_EQ(read_file(path("trace.json")), read_file(trace()));
}

TEST_F(Output, TwoOutputsAreTwoFiles) {
  const auto plan = [](const std::string& svg, const std::string& html) {
    return std::vector<std::string>{"plan", "--trace", trace(), "--svg", svg, "--html", html};
  };
  write("old", "old");
  fs::create_symlink("old", path("link"));
  fs::create_symlink("new", path("dangling"));
  for (const auto& [svg, html] :
       {std::pair("new", "new"), std::pair("new", "./new"), std::pair("old", "link"), std::pair("new", "dangling")}) {
    expect_refused(plan(path(svg), path(html)), "is the same file");
  }
  expect_refused({"run", example(), "--backend", "emulator", "--trace-out", path("new"), "--output", path("new")},
                 "--trace-out " + path("new") + ": --output " + path("new") + " is the same file");
  expect_refused(plan("-", "-"), "is the same file");
  expect_refused(plan("-", "/dev/stdout"), "is the same file");
  EXPECT_EQ(read_file(path("old")), "old");
  EXPECT_EQ(names(), (Names{"dangling", "link", "old"}));
  EXPECT_EQ(varlen(plan("/dev/null", "/dev/null")).status, 0) << "nothing is lost there";
  const Outcome redirected = shell(R"("$varlen" plan --trace "$1" --svg report >report)", {trace()});
  expect_complaint(redirected, "--svg report: standard output goes to this file, too");
}

TEST_F(Output, WhereNothingCanBeWritten) {
  for (const Kind& kind : kinds()) {
    SCOPED_TRACE(kind.command.back());
    const Outcome folder = write_to(kind, path(""));
    expect_complaint(folder, "cannot be written: it is a folder");
    EXPECT_EQ(folder.out, "") << "known before anything is computed";
    const Outcome missing = write_to(kind, path("no/such/file"));
    expect_complaint(missing, "cannot be written: " + path("no/such") + ": No such file or directory");
    EXPECT_EQ(missing.out, "");
    write("file", "old");
    expect_complaint(write_to(kind, path("file/below")), "file/below: Not a directory");
    EXPECT_EQ(names(), Names{"file"});
  }
}

TEST_F(Output, AFullDiskKeepsTheOldFile) {
  for (const Kind& kind : kinds()) {
    SCOPED_TRACE(kind.command.back());
    write("old", "old");
    for (const char* name : {"old", "new"}) {
      std::vector<std::string> arguments = kind.command;
      arguments.emplace_back(name);
      // At most 4 KiB a file; the report is shorter.
      const Outcome outcome = shell(R"(ulimit -f 8; exec "$varlen" "$@")", arguments);
      expect_complaint(outcome, fmt::format("{}: cannot be written: File too large", name));
    }
    EXPECT_EQ(read_file(path("old")), "old");
    EXPECT_EQ(names(), Names{"old"});
  }
}

// Runs `body` in a child process; returns how it ended, as waitpid() says.
template <typename Body>
int in_child(const Body& body) {
  std::fflush(stdout);  // or the child writes it, too
  const pid_t child = fork();
  if (child == 0) {
    body();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

TEST_F(Output, SignalsLeaveNothingBehind) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT}) {
    SCOPED_TRACE(strsignal(signal));
    for (const char* name : {"old", "new"}) {
      write("old", "old");
      const int status = in_child([&] {
        cli::OutputFile file(path(name));
        file.write("half", 4);
        std::raise(signal);
      });
      EXPECT_TRUE(WIFSIGNALED(status)) << status;
      EXPECT_EQ(WTERMSIG(status), signal);
      EXPECT_EQ(read_file(path("old")), "old");
      EXPECT_EQ(names(), Names{"old"});
    }
  }
}

TEST_F(Output, IgnoredSignalsStayIgnored) {
  const int status = in_child([&] {
    std::signal(SIGHUP, SIG_IGN);
    cli::OutputFile file(path("file"));
    file.write("whole", 5);
    std::raise(SIGHUP);
    file.commit();
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read_file(path("file")), "whole");
}

TEST_F(Output, WithoutCommitTheOldFileStays) {
  write("old", "old");
  {
    cli::OutputFile file(path("old"));
    file.write("new", 3);
  }
  EXPECT_EQ(read_file(path("old")), "old");
  EXPECT_EQ(names(), Names{"old"});
}

TEST_F(Output, ReadOnlyFilesAndFoldersAreRefused) {
  write("file", "old");
  fs::permissions(path("file"), fs::perms::owner_read);
  fs::create_directory(path("folder"));
  fs::permissions(path("folder"), fs::perms::owner_read | fs::perms::owner_exec);
  fs::permissions(path(""), fs::perms::all);
  const auto refused = [&](const std::string& name) {
    return in_child([&] {
      // root may write everywhere.
      constexpr uid_t kNobody = 65534;
      if (geteuid() == 0 && setuid(kNobody) != 0) _exit(3);
      try {
        cli::write_text_file(path(name), "new");
      } catch (const Error& error) {
        _exit(std::string(error.what()).find("Permission denied") == std::string::npos ? 2 : 1);
      }
    });
  };
  EXPECT_EQ(WEXITSTATUS(refused("file")), 1);
  EXPECT_EQ(WEXITSTATUS(refused("folder/file")), 1);
  EXPECT_EQ(read_file(path("file")), "old");
  EXPECT_EQ(names(), (Names{"file", "folder"}));
}

}  // namespace
}  // namespace varlen::test
