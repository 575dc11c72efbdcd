#include "test/fp_environments.h"

#include <atomic>
#include <thread>

#include "src/runtime/parallelize.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace smx {
namespace {

#if defined(__x86_64__)
constexpr int kRoundingShift = 13;
constexpr uint64_t kFlushes[] = {0, 0x8000, 0x0040, 0x8040};  // FZ, DAZ
// Masked: all, none, and all but each.
constexpr uint64_t kTraps[] = {0x1F80, 0, 0x1F00, 0x1E80, 0x1D80, 0x1B80, 0x1780, 0x0F80};
constexpr uint64_t kExceptionFlags[] = {0, 0x3F, 0x04};
#else
constexpr int kRoundingShift = 22;
constexpr uint64_t kFlushes[] = {0, 1 << 24, 1 << 25, 3 << 24};  // FZ, DN
// Trapped: none, all, and each.
constexpr uint64_t kTraps[] = {0, 0x9F00, 0x0100, 0x0200, 0x0400, 0x0800, 0x1000, 0x8000};
constexpr uint64_t kExceptionFlags[] = {0, 0x9F, 0x04};
#endif

}  // namespace

#if defined(__x86_64__)
FpEnvironment GetFpEnvironment() {
  const uint32_t csr = _mm_getcsr();
  return {csr & ~0x3Fu, csr & 0x3Fu};
}
void SetFpEnvironment(const FpEnvironment& environment) {
  _mm_setcsr(static_cast<uint32_t>(environment.control | environment.flags));
}
#else
FpEnvironment GetFpEnvironment() {
  FpEnvironment environment;
  __asm__ volatile("mrs %0, fpcr" : "=r"(environment.control));
  __asm__ volatile("mrs %0, fpsr" : "=r"(environment.flags));
  return environment;
}
void SetFpEnvironment(const FpEnvironment& environment) {
  __asm__ volatile("msr fpcr, %0" : : "r"(environment.control));
  __asm__ volatile("msr fpsr, %0" : : "r"(environment.flags));
}
#endif

const std::vector<FpEnvironment>& FpEnvironments() {
  static const std::vector<FpEnvironment> environments = [] {
    std::vector<FpEnvironment> made;
    for (uint64_t rounding = 0; rounding < 4; rounding++) {
      for (uint64_t flush : kFlushes) {
        for (uint64_t traps : kTraps) {
          for (uint64_t flags : kExceptionFlags) {
            made.push_back({rounding << kRoundingShift | flush | traps, flags});
          }
        }
      }
    }
    return made;
  }();
  return environments;
}

void OnEachThread(pthreadpool_t pool, const std::function<void()>& function) {
  struct Call {
    const std::function<void()>& function;
    const size_t threads;
    std::atomic<size_t> arrived;
  } call = {function, pthreadpool_get_threads_count(pool), {0}};
  smx_release_to_pool(&call);
  pthreadpool_parallelize_1d(
      pool,
      [](void* context, size_t) {
        smx_acquire_from_pool(context);
        Call& call = *static_cast<Call*>(context);
        call.function();
        call.arrived++;
        while (call.arrived < call.threads) std::this_thread::yield();  // holds this thread
        smx_release_to_pool(context);
      },
      &call, call.threads, 0);
  smx_acquire_from_pool(&call);
}

}  // namespace smx
