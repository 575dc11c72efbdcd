// The one place where work goes to the threads of a pool.
#pragma once

#include <pthreadpool.h>
#include <stddef.h>

#include "src/runtime/fp_environment.h"

#if defined(__SANITIZE_THREAD__)
#define SMX_THREAD_SANITIZER
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SMX_THREAD_SANITIZER
#endif
#endif

// ThreadSanitizer does not see the synchronisation inside a pthreadpool that was built without it, and is told here what
// a pool guarantees: a task begins after its call, and the call returns after its tasks.
#if defined(SMX_THREAD_SANITIZER)
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
inline void smx_acquire_from_pool(void* address) {
  __tsan_acquire(address);
}
inline void smx_release_to_pool(void* address) {
  __tsan_release(address);
}
#else
inline void smx_acquire_from_pool(void*) {}
inline void smx_release_to_pool(void*) {}
#endif

// function(start, count) for tiles of `tile` items and a last one of what remains, on the pool's threads, in the kernels'
// floating-point environment.
template <class Function>
void smx_parallelize(pthreadpool_t threadpool, size_t items, size_t tile, const Function& function) {
  struct Call {
    const Function& function;
  } call = {function};
  smx_release_to_pool(&call);
  pthreadpool_parallelize_1d_tile_1d(
      threadpool,
      [](void* context, size_t start, size_t count) {
        const smx_fp_environment environment;
        smx_acquire_from_pool(context);
        static_cast<const Call*>(context)->function(start, count);
        smx_release_to_pool(context);
      },
      &call, items, tile, 0);
  smx_acquire_from_pool(&call);
}
