// What the memory can do at best, the yardstick of every other figure: reading, copying, copying past the caches.
#pragma once

#include <pthreadpool.h>
#include <stddef.h>

#include "bench/measure.h"

namespace smx_bench {

struct Roofline {
  const char* name;
  const char* method;
  void (*run)(size_t n, const float* x, float* y);
  Traffic traffic;
};

constexpr size_t kRooflineCount = 3;

// "read", "copy" and "stream-copy". x and y are aligned to 16 bytes.
const Roofline* GetRooflines();

// Each thread of the pool takes a contiguous part; NULL runs on the calling thread.
void RunRoofline(const Roofline& roofline, pthreadpool_t threadpool, size_t n, const float* x, float* y);

}  // namespace smx_bench
