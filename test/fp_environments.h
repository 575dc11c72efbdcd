// Floating-point environments, of which a caller may be in any.
#pragma once

#include <pthreadpool.h>
#include <stdint.h>

#include <functional>
#include <vector>

namespace smx {

// A thread's control register and exception flags.
struct FpEnvironment {
  uint64_t control;
  uint64_t flags;

  friend bool operator==(const FpEnvironment& a, const FpEnvironment& b) {
    return a.control == b.control && a.flags == b.flags;
  }
};

FpEnvironment GetFpEnvironment();
void SetFpEnvironment(const FpEnvironment& environment);

// Every rounding mode with every flush-to-zero, with exceptions that trap, and with flags that are set.
const std::vector<FpEnvironment>& FpEnvironments();

// Calls the function once on each of the pool's threads, in whatever environment they have.
void OnEachThread(pthreadpool_t pool, const std::function<void()>& function);

}  // namespace smx
