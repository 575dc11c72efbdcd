// The sizes of the caches, which the sizes of the benches follow.
#pragma once

#include <stddef.h>

namespace smx_bench {

struct Cache {
  size_t bytes;
  const char* source;  // who says so
};

struct Caches {
  Cache l1;  // data cache of one core
  Cache l2;
  Cache last_level;
};

// As cpuinfo reports them, as the C library does where cpuinfo does not know, or else as processors commonly have them. In
// a virtual machine the last-level cache is the host's whole one.
const Caches& GetCaches();

}  // namespace smx_bench
