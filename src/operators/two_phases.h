// Two phases of work in one parallel region: waking the threads of a pool a second time costs more than a short row takes.
#pragma once

#include <pthreadpool.h>
#include <sched.h>
#include <stddef.h>

#include <algorithm>
#include <atomic>

#include "src/runtime/parallelize.h"

// Each worker has a range of the items, the same in both phases, so that what the first left in a core's caches is
// there in the second; a worker that has done its range helps with the others'. The worker that does the first phase's
// last item calls `between`, and the others wait for it. Whom they wait for is at work: an item that no thread has begun
// is taken by whoever looks for one, so that it does not matter how many of the workers run at the same time.
template <class First, class Between, class Second>
class smx_two_phases {
 public:
  static constexpr size_t kMaxWorkers = 64;

  smx_two_phases(size_t items, size_t workers, First first, Between between, Second second)
      : items_(items), workers_(workers), first_(first), between_(between), second_(second) {
    for (size_t w = 0; w < workers; w++) {
      for (std::atomic<size_t>& next : next_[w]) next.store(Begin(w), std::memory_order_relaxed);
    }
  }

  void Work(size_t worker) {
    TakeItems(0, worker, [this](size_t item) {
      first_(item);
      if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 < items_) return;
      state_.store(between_() ? kSecond : kOver, std::memory_order_release);
    });
    int state = state_.load(std::memory_order_acquire);
    for (int turns = 0; state == kFirst; state = state_.load(std::memory_order_acquire)) Wait(&turns);
    if (state == kSecond) TakeItems(1, worker, second_);
  }

 private:
  enum State { kFirst, kSecond, kOver };

  size_t Begin(size_t worker) const {
    return items_ / workers_ * worker + std::min(items_ % workers_, worker);
  }

  template <class Function>
  void TakeItems(int phase, size_t worker, const Function& function) {
    for (size_t i = 0; i < workers_; i++) {
      const size_t range = (worker + i) % workers_;
      std::atomic<size_t>& next = next_[range][phase];
      const size_t end = Begin(range + 1);
      while (next.load(std::memory_order_relaxed) < end) {
        const size_t item = next.fetch_add(1, std::memory_order_relaxed);
        if (item < end) function(item);
      }
    }
  }

  static void Wait(int* turns) {
    constexpr int kTurnsBeforeYield = 1000;
    if (++*turns > kTurnsBeforeYield) {
      sched_yield();
      return;
    }
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
  }

  const size_t items_;
  const size_t workers_;
  const First first_;
  const Between between_;
  const Second second_;
  std::atomic<size_t> next_[kMaxWorkers][2];
  std::atomic<size_t> done_{0};
  std::atomic<int> state_{kFirst};
};

// first(i) for each i below `items`, then between(), and where that returns true second(i) for each.
template <class First, class Between, class Second>
void smx_run_two_phases(pthreadpool_t threadpool, size_t items, First first, Between between, Second second) {
  using Phases = smx_two_phases<First, Between, Second>;
  const size_t threads = pthreadpool_get_threads_count(threadpool);
  const size_t workers = std::min({threads, items, Phases::kMaxWorkers});
  Phases phases(items, workers, first, between, second);
  smx_parallelize(threadpool, workers, 1, [&](size_t worker, size_t) { phases.Work(worker); });
}
