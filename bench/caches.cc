#include "bench/caches.h"

#include <cpuinfo.h>
#include <unistd.h>

namespace smx_bench {
namespace {

// What the C library is asked for.
#if defined(__GLIBC__)
constexpr int kL1 = _SC_LEVEL1_DCACHE_SIZE;
constexpr int kL2 = _SC_LEVEL2_CACHE_SIZE;
constexpr int kLastLevel = _SC_LEVEL3_CACHE_SIZE;
#else
constexpr int kL1 = -1, kL2 = -1, kLastLevel = -1;
#endif

// The C library asks the processor, and so knows in virtual machines whose kernel lists no caches.
Cache Known(size_t cpuinfo_bytes, int of_c_library, size_t common_bytes) {
  if (cpuinfo_bytes != 0) return {cpuinfo_bytes, "cpuinfo"};
  const long system_bytes = sysconf(of_c_library);
  if (system_bytes > 0) return {static_cast<size_t>(system_bytes), "C library"};
  return {common_bytes, "assumed"};
}

size_t BytesOf(const cpuinfo_cache* cache) {
  return cache != nullptr ? cache->size : 0;
}

Caches FindCaches() {
  const bool ready = cpuinfo_initialize();
  return {Known(ready ? BytesOf(cpuinfo_get_l1d_cache(0)) : 0, kL1, 32 * 1024),
          Known(ready ? BytesOf(cpuinfo_get_l2_cache(0)) : 0, kL2, 256 * 1024),
          Known(ready ? cpuinfo_get_max_cache_size() : 0, kLastLevel, 8 * 1024 * 1024)};
}

}  // namespace

const Caches& GetCaches() {
  static const Caches caches = FindCaches();
  return caches;
}

}  // namespace smx_bench
