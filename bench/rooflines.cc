#include "bench/rooflines.h"

#include <benchmark/benchmark.h>
#include <cpuinfo.h>
#include <stdint.h>
#include <string.h>

#include <algorithm>

#include "src/runtime/dispatch.h"

#if defined(__x86_64__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace smx_bench {
namespace {

// Defines a function that sums n words in vectors of `bytes` bytes, with so many accumulators that loads wait for none of
// them; names, for an array of them would be kept in memory. A macro, because a template cannot take an instruction set as its
// argument.
#define SMX_DEFINE_READ(function, bytes, attributes)                                                    \
  attributes void function(size_t n, const float* x, float*) {                                          \
    typedef uint32_t Vector __attribute__((vector_size(bytes)));                                        \
    typedef uint32_t Loaded __attribute__((vector_size(bytes), aligned(4), may_alias));                 \
    typedef uint32_t Word __attribute__((may_alias));                                                   \
    constexpr size_t kWidth = (bytes) / sizeof(float);                                                  \
    Vector sum0 = {}, sum1 = {}, sum2 = {}, sum3 = {};                                                  \
    const float* end = x + n;                                                                           \
    for (; end - x >= 4 * (ptrdiff_t)kWidth; x += 4 * kWidth) {                                         \
      const Loaded* v = reinterpret_cast<const Loaded*>(x);                                             \
      sum0 += v[0];                                                                                     \
      sum1 += v[1];                                                                                     \
      sum2 += v[2];                                                                                     \
      sum3 += v[3];                                                                                     \
    }                                                                                                   \
    for (; end - x >= (ptrdiff_t)kWidth; x += kWidth) sum0 += *reinterpret_cast<const Loaded*>(x);      \
    uint32_t rest = 0;                                                                                  \
    for (; x < end; x++) rest += *reinterpret_cast<const Word*>(x);                                     \
    Vector total =                                                                                      \
        (sum0 + sum1) + (sum2 + sum3); /* whose address is taken, so that the sums stay in registers */ \
    benchmark::DoNotOptimize(total);                                                                    \
    benchmark::DoNotOptimize(rest);                                                                     \
  }

SMX_DEFINE_READ(Read16, 16, )
#if defined(__x86_64__)
SMX_DEFINE_READ(Read32, 32, __attribute__((target("avx2"))))
SMX_DEFINE_READ(Read64, 64, __attribute__((target("avx512f"))))
#endif
#undef SMX_DEFINE_READ

// With the widest loads that the processor has: narrower ones do not reach the limit of L1 and L2.
Roofline WidestRead() {
  constexpr Traffic kReads = {1, 0};
#if defined(__x86_64__)
  const bool cpuinfo_ready = cpuinfo_initialize();
  if (smx_isa_is_available("avx512f", cpuinfo_ready)) return {"read", "64-byte loads", Read64, kReads};
  if (smx_isa_is_available("avx2", cpuinfo_ready)) return {"read", "32-byte loads", Read32, kReads};
#endif
  return {"read", "16-byte loads", Read16, kReads};
}

void Copy(size_t n, const float* x, float* y) {
  memcpy(y, x, n * sizeof(float));
}

// 64 bytes, of which y is not to be kept in cache.
#if defined(__x86_64__)
constexpr const char* kStreamMethod = "movntps, 16 bytes";
void StreamLine(const float* x, float* y) {
  const __m128 a = _mm_loadu_ps(x);
  const __m128 b = _mm_loadu_ps(x + 4);
  const __m128 c = _mm_loadu_ps(x + 8);
  const __m128 d = _mm_loadu_ps(x + 12);
  _mm_stream_ps(y, a);
  _mm_stream_ps(y + 4, b);
  _mm_stream_ps(y + 8, c);
  _mm_stream_ps(y + 12, d);
}
void StreamEnd() {
  _mm_sfence();
}
#elif defined(__aarch64__)
constexpr const char* kStreamMethod = "stnp, 32 bytes";
void StreamLine(const float* x, float* y) {
  const float32x4_t a = vld1q_f32(x);
  const float32x4_t b = vld1q_f32(x + 4);
  const float32x4_t c = vld1q_f32(x + 8);
  const float32x4_t d = vld1q_f32(x + 12);
  __asm__ volatile("stnp %q0, %q1, [%2]" : : "w"(a), "w"(b), "r"(y) : "memory");
  __asm__ volatile("stnp %q0, %q1, [%2, #32]" : : "w"(c), "w"(d), "r"(y) : "memory");
}
void StreamEnd() {}
#endif

void StreamCopy(size_t n, const float* x, float* y) {
  constexpr size_t kFloats = 16;
  size_t i = 0;
  for (; i + kFloats <= n; i += kFloats) StreamLine(x + i, y + i);
  StreamEnd();
  memcpy(y + i, x + i, (n - i) * sizeof(float));
}

// Parts begin at a page, so that threads share no cache line.
constexpr size_t kFloatsPerPage = 1024;

}  // namespace

const Roofline* GetRooflines() {
  static const Roofline rooflines[kRooflineCount] = {
      WidestRead(),
      {"copy", "memcpy", Copy, {1, 1}},
      {"stream-copy", kStreamMethod, StreamCopy, {1, 1}},
  };
  return rooflines;
}

void RunRoofline(const Roofline& roofline, pthreadpool_t threadpool, size_t n, const float* x, float* y) {
  const size_t threads = pthreadpool_get_threads_count(threadpool);
  if (threads == 1)
    return roofline.run(n, x, y);  // a pool's call takes as long as some KiB in a level 1 cache
  const size_t pages = (n + kFloatsPerPage - 1) / kFloatsPerPage;
  struct Task {
    const Roofline& roofline;
    size_t n;
    size_t part;
    const float* x;
    float* y;
  } task = {roofline, n, (pages + threads - 1) / threads * kFloatsPerPage, x, y};
  pthreadpool_parallelize_1d(
      threadpool,
      [](void* context, size_t index) {
        const Task& task = *static_cast<const Task*>(context);
        const size_t start = std::min(task.n, index * task.part);
        const size_t end = std::min(task.n, start + task.part);
        task.roofline.run(end - start, task.x + start, task.y + start);
      },
      &task, threads, 0);
}

}  // namespace smx_bench
