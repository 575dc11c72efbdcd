// The sizes of the caches, which the sizes of the benches follow.
#pragma once

#include <stddef.h>

namespace smx_bench {

struct Caches {
  size_t l1_bytes;  // data cache of one core
  size_t l2_bytes;
  size_t last_level_bytes;
};

// As cpuinfo reports them, the last level's as the C library does where cpuinfo does not know. In a virtual machine the last-level cache is the host's whole one.
const Caches& GetCaches();

}  // namespace smx_bench
