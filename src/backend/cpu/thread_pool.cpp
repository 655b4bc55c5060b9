#include "backend/cpu/thread_pool.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <mutex>
#include <new>
#include <thread>

namespace varlen::cpu {
namespace {

/// How long a thread looks for work, or for the end of it, before it sleeps. Waking a thread takes about as long; the
/// layers of a model call one after another, and then helpers are still awake.
constexpr std::chrono::microseconds kAwake{50};

/// Whether `done` came true within kAwake. Yields meanwhile: on a machine with other work the wait is given to that.
template <class Done>
bool came_true(const Done& done) {
  const auto deadline = std::chrono::steady_clock::now() + kAwake;
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) {
      return false;
    }
    std::this_thread::yield();
  }
  return true;
}

/// One run_on_threads(), on the stack of its caller.
struct Job {
  ThreadBody body;
  std::int32_t wanted;                  ///< helpers that may still join; 0: not listed
  std::int32_t joined = 0;              ///< helpers that ever did
  std::atomic<std::int32_t> inside{0};  ///< helpers that have joined and not returned
  Job* next = nullptr;
};

/// Helpers, started when they are first wanted and never stopped. They belong to no caller: each serves the oldest job
/// that wants one.
class ThreadPool {
 public:
  void run(Job& job) {
    std::int32_t woken = 0;
    {
      const std::lock_guard lock(mutex_);
      list(job);
      start_helpers(job.wanted);
      woken = std::min(job.wanted, asleep_);
    }
    for (; woken > 0; --woken) {
      work_.notify_one();
    }
    job.body.run(job.body.context, 0);
    {
      const std::lock_guard lock(mutex_);
      close(job);
    }
    const auto done = [&job] { return job.inside.load(std::memory_order_acquire) == 0; };
    if (!came_true(done)) {
      std::unique_lock lock(mutex_);
      finished_.wait(lock, done);
    }
  }

 private:
  void list(Job& job) {
    Job** end = &jobs_;
    while (*end != nullptr) {
      end = &(*end)->next;
    }
    *end = &job;
    has_jobs_.store(true, std::memory_order_relaxed);
  }

  /// No helper joins any more.
  void close(Job& job) {
    if (job.wanted == 0) {
      return;
    }
    job.wanted = 0;
    Job** link = &jobs_;
    while (*link != &job) {
      link = &(*link)->next;
    }
    *link = job.next;
    has_jobs_.store(jobs_ != nullptr, std::memory_order_relaxed);
  }

  /// Sees to it that there are `count` helpers. Where a thread cannot be started, those that there are do its work.
  void start_helpers(std::int32_t count) {
    if (helpers_ >= count) {
      return;
    }
    // Helpers leave signals to the program's own threads, except those that a fault of their own raises.
    sigset_t blocked;
    sigset_t before;
    sigfillset(&blocked);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) {
      sigdelset(&blocked, fault);
    }
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    const auto serve = [](void* pool) -> void* { static_cast<ThreadPool*>(pool)->serve(); };
    pthread_t thread{};
    while (helpers_ < count && pthread_create(&thread, nullptr, serve, this) == 0) {
      pthread_detach(thread);
      ++helpers_;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  [[noreturn]] void serve() {
    std::unique_lock lock(mutex_);
    while (true) {
      while (jobs_ != nullptr) {
        help(*jobs_, lock);
      }
      lock.unlock();
      came_true([this] { return has_jobs_.load(std::memory_order_relaxed); });
      lock.lock();
      ++asleep_;
      work_.wait(lock, [this] { return jobs_ != nullptr; });
      --asleep_;
    }
  }

  void help(Job& job, std::unique_lock<std::mutex>& lock) {
    const std::int32_t thread = ++job.joined;
    job.inside.fetch_add(1, std::memory_order_relaxed);
    if (job.wanted == 1) {
      close(job);
    } else {
      --job.wanted;
    }
    lock.unlock();
    job.body.run(job.body.context, thread);
    lock.lock();
    close(job);
    // The caller may return, and the job end, as soon as the count is 0.
    if (job.inside.fetch_sub(1, std::memory_order_release) == 1) {
      finished_.notify_all();
    }
  }

  std::mutex mutex_;                  ///< guards everything below, and jobs but for `inside`
  std::condition_variable work_;      ///< for helpers: a job wants one
  std::condition_variable finished_;  ///< for callers: the last helper has left a job
  Job* jobs_ = nullptr;               ///< those that want helpers, oldest first
  std::atomic<bool> has_jobs_{false};
  std::int32_t helpers_ = 0;
  std::int32_t asleep_ = 0;
};

/// Never destroyed: helpers sleep in it while the process ends.
alignas(ThreadPool) std::byte pool_memory[sizeof(ThreadPool)];

ThreadPool& pool() {
  // A child of fork() has none of its parent's helpers, and the pool perhaps half changed by another thread. It gets a
  // new one in the same place.
  const auto make = []() noexcept { new (pool_memory) ThreadPool; };
  static const int made = (make(), pthread_atfork(nullptr, nullptr, make));
  static_cast<void>(made);
  return *std::launder(reinterpret_cast<ThreadPool*>(pool_memory));
}

/// Made while the library is loaded: no fork() can come while the first call makes it.
[[maybe_unused]] const ThreadPool& made_at_load = pool();

}  // namespace

void run_on_threads(std::int32_t threads, ThreadBody body) noexcept {
  if (threads <= 1) {
    body.run(body.context, 0);
    return;
  }
  Job job{body, threads - 1};
  pool().run(job);
}

}  // namespace varlen::cpu
