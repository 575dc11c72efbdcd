#include "bench/caches.h"

#include <cpuinfo.h>
#include <unistd.h>

namespace smx_bench {
namespace {

// Taken where cpuinfo does not know.
constexpr size_t kDefaultL1Bytes = 32 * 1024;
constexpr size_t kDefaultL2Bytes = 256 * 1024;
constexpr size_t kDefaultLastLevelBytes = 8 * 1024 * 1024;

size_t L1Bytes() {
  const cpuinfo_cache* l1 = cpuinfo_initialize() ? cpuinfo_get_l1d_cache(0) : nullptr;
  return l1 != nullptr && l1->size != 0 ? l1->size : kDefaultL1Bytes;
}

size_t L2Bytes() {
  const cpuinfo_cache* l2 = cpuinfo_initialize() ? cpuinfo_get_l2_cache(0) : nullptr;
  return l2 != nullptr && l2->size != 0 ? l2->size : kDefaultL2Bytes;
}

size_t LastLevelBytes() {
  const size_t bytes = cpuinfo_initialize() ? cpuinfo_get_max_cache_size() : 0;
  if (bytes != 0) return bytes;
#if defined(__GLIBC__)
  // It asks the processor, and so knows in virtual machines whose kernel lists no caches.
  const long system_bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
  if (system_bytes > 0) return static_cast<size_t>(system_bytes);
#endif
  return kDefaultLastLevelBytes;
}

}  // namespace

const Caches& GetCaches() {
  static const Caches caches = {L1Bytes(), L2Bytes(), LastLevelBytes()};
  return caches;
}

}  // namespace smx_bench
