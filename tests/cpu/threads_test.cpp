// The CPU backend's threads: several callers at once, children of fork(), threads that cannot be started, and how many
// there are.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <thread>
#include <vector>

#include "backend/cpu/thread_pool.hpp"
#include "cpu/small_case.hpp"
#include "plan/cpu_quota.hpp"
#include "plan/offered_threads.hpp"

namespace varlen::cpu {
namespace {

constexpr unsigned kLimitSeconds = 20;

/// Whether `body` returns true in a child of fork(). A child that hangs is ended by its alarm.
bool true_in_child(const std::function<bool()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(kLimitSeconds);
    _exit(body() ? 0 : 1);
  }
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// Draws `count` numbers on up to `threads` threads. Returns how often each was drawn.
std::vector<int> draw(std::int32_t threads, std::size_t count) {
  std::vector<int> drawn(count);
  std::atomic<std::size_t> next{0};
  run_on_threads(threads, [&](std::int32_t /*thread*/) noexcept {
    for (std::size_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) ++drawn[i];
  });
  return drawn;
}

/// Whether `threads` threads work together: each waits for all others, within the limit.
bool all_join(std::int32_t threads) {
  std::atomic<std::int32_t> joined{0};
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(kLimitSeconds / 2);
  run_on_threads(threads, [&](std::int32_t /*thread*/) noexcept {
    joined.fetch_add(1);
    while (joined.load() < threads && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  });
  return joined.load() == threads;
}

/// A batch with split tiles, so that merges are drawn as well.
Case split_case() { return {{5, 120, 1}, {900, 300, 2500}, {11, 12, 13}, Mask::causal()}; }
PlanTarget split_target() { return target_of({{64, 16}, {16, 8}}, 16, 4); }

/// Whether this thread computes what `expected` holds.
bool computes(const Case& expected) {
  Case again = split_case();
  again.run(split_target());
  return std::memcmp(again.out.data(), expected.out.data(), expected.out.size() * sizeof(float)) == 0;
}

/// Threads that would need more stack than there are addresses cannot be started.
class NoNewThreads {
 public:
  NoNewThreads() {
    pthread_getattr_default_np(&before_);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, std::size_t{1} << 50);
    pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
  }
  ~NoNewThreads() {
    pthread_setattr_default_np(&before_);
    pthread_attr_destroy(&before_);
  }
  NoNewThreads(const NoNewThreads&) = delete;
  NoNewThreads& operator=(const NoNewThreads&) = delete;

 private:
  pthread_attr_t before_{};
};

TEST(Threads, TestsDrawMerges) { EXPECT_FALSE(make_plan(split_case().batch, split_target()).merges().empty()); }

TEST(ThreadPool, DrawsEverythingOnce) {
  for (const std::int32_t threads : {-1, 0, 1, 2, 5}) {
    EXPECT_EQ(draw(threads, 1000), std::vector<int>(1000, 1)) << threads;
  }
}

TEST(ThreadPool, NumbersItsThreads) {
  const std::thread::id caller = std::this_thread::get_id();
  constexpr std::int32_t kThreads = 4;
  std::vector<std::atomic<int>> joined(kThreads);
  std::atomic<bool> caller_is_zero{false};
  run_on_threads(kThreads, [&](std::int32_t thread) noexcept {
    joined.at(static_cast<std::size_t>(thread)).fetch_add(1);
    if (thread == 0) caller_is_zero = std::this_thread::get_id() == caller;
  });
  EXPECT_TRUE(caller_is_zero);
  for (const auto& times : joined) EXPECT_LE(times, 1);
}

TEST(ThreadPool, StartsAsManyAsAreAskedFor) {
  EXPECT_TRUE(all_join(2));
  EXPECT_TRUE(all_join(6));
  EXPECT_TRUE(all_join(3));
}

TEST(ThreadPool, ServesCallersAtTheSameTime) {
  constexpr int kCallers = 6;
  std::vector<int> wrong(kCallers);
  std::vector<std::thread> callers;
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&wrong, caller] {
      for (int repeat = 0; repeat < 300; ++repeat) {
        const auto count = static_cast<std::size_t>(repeat % 7);
        if (draw(2 + caller % 3, count) != std::vector<int>(count, 1)) ++wrong[static_cast<std::size_t>(caller)];
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(std::accumulate(wrong.begin(), wrong.end(), 0), 0);
}

TEST(ThreadPool, HelpersTakeNoSignals) {
  std::atomic<int> unblocked{0};
  ASSERT_TRUE(all_join(2));
  run_on_threads(2, [&](std::int32_t thread) noexcept {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    if (thread > 0 && (sigismember(&mask, SIGINT) == 0 || sigismember(&mask, SIGSEGV) == 1)) ++unblocked;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  });
  EXPECT_EQ(unblocked, 0);
}

TEST(Fork, ChildComputesAfterItsParentDid) {
  Case before = split_case();
  before.run(split_target());
  ASSERT_TRUE(all_join(2));
  EXPECT_TRUE(true_in_child([&] { return computes(before); }));
  EXPECT_TRUE(true_in_child([] { return all_join(3); })) << "no helpers in the child";
  EXPECT_TRUE(true_in_child([&] { return computes(before) && true_in_child([&] { return computes(before); }); }));
  EXPECT_TRUE(computes(before)) << "the parent afterwards";
}

TEST(Fork, ChildComputesWhileItsParentDoes) {
  Case before = split_case();
  before.run(split_target());
  // The busy thread neither allocates nor starts threads: a child of fork() would find the locks of AddressSanitizer,
  // which knows nothing of fork(), as they were.
  ASSERT_TRUE(all_join(3));
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> drawn{0};
  std::thread busy([&] {
    while (!stop) run_on_threads(3, [&](std::int32_t /*thread*/) noexcept { drawn.fetch_add(1); });
  });
  for (int child = 0; child < 20; ++child) {
    EXPECT_TRUE(true_in_child([&] { return computes(before) && all_join(2); })) << child;
  }
  stop = true;
  busy.join();
}

TEST(Fork, SiblingsComputeAtTheSameTime) {
  Case before = split_case();
  before.run(split_target());
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    children.push_back(fork());
    if (children.back() == 0) {
      alarm(kLimitSeconds);
      _exit(computes(before) ? 0 : 1);
    }
  }
  for (const pid_t child : children) {
    int status = 1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
}

/// In a child, whose pool has no helpers yet.
TEST(NoThreads, CallerComputesAlone) {
  Case before = split_case();
  before.run(split_target());
  EXPECT_TRUE(true_in_child([&] {
    {
      const NoNewThreads limit;
      if (!computes(before)) return false;
      std::atomic<int> helpers{0};
      run_on_threads(3, [&](std::int32_t thread) noexcept { helpers += thread > 0 ? 1 : 0; });
      if (helpers != 0) return false;  // the limit had no effect
    }
    return all_join(3);  // started as soon as they can be
  }));
}

TEST(OfferedThreads, FollowTheCpuSetOfTheCaller) {
  if (std::getenv("OMP_NUM_THREADS") != nullptr) GTEST_SKIP() << "OMP_NUM_THREADS decides";
  EXPECT_TRUE(true_in_child([] {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return false;
    const std::int32_t quota = cpu_quota();
    const std::int32_t cpus = CPU_COUNT(&set);
    if (offered_threads() != (quota > 0 ? std::min(quota, cpus) : cpus)) return false;
    std::size_t first = 0;
    while (!CPU_ISSET(first, &set)) ++first;
    CPU_ZERO(&set);
    CPU_SET(first, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0 && offered_threads() == 1 && PlanTarget::cpu(0).workers == 1;
  }));
}

TEST(OfferedThreads, DoNotDecideTheWorkspace) {
  Case small = split_case();
  const Plan plan = make_plan(small.batch, split_target());
  const std::int64_t bytes = cpu::workspace_bytes(plan);
  std::int64_t elsewhere = 0;
  std::thread pinned([&] {
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    std::size_t first = 0;
    while (!CPU_ISSET(first, &set)) ++first;
    CPU_ZERO(&set);
    CPU_SET(first, &set);
    sched_setaffinity(0, sizeof set, &set);
    elsewhere = cpu::workspace_bytes(plan);
  });
  pinned.join();
  EXPECT_EQ(elsewhere, bytes);
}

}  // namespace
}  // namespace varlen::cpu
