#include "bench/buffers.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <memory>
#include <new>
#include <random>
#include <vector>

#include "bench/caches.h"

namespace smx_bench {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;
constexpr size_t kFloatsPerCacheLine = 16;

size_t DivideRoundUp(size_t n, size_t q) {
  return (n + q - 1) / q;
}

size_t RoundUp(size_t n, size_t q) {
  return DivideRoundUp(n, q) * q;
}

// Logits that repeat after a while, for drawing them takes longer than most benchmarks.
void Fill(float* p, size_t n) {
  static const std::vector<float> logits = [] {
    std::vector<float> drawn(size_t{1} << 20);
    std::mt19937 engine(2001);
    std::normal_distribution<float> distribution(0.0f, kInputDeviation);
    for (float& x : drawn) x = std::clamp(distribution(engine), -kLargestInput, kLargestInput);
    return drawn;
  }();
  for (size_t i = 0; i < n; i += logits.size()) {
    memcpy(p + i, logits.data(), std::min(logits.size(), n - i) * sizeof(float));
  }
}

// Floats that grow in number as they are asked for. Growing moves them.
class Memory {
 public:
  float* AtLeast(size_t floats) {
    if (floats > floats_) Allocate(floats);
    return data_.get();
  }

 private:
  struct Free {
    void operator()(float* p) const { free(p); }
  };

  void Allocate(size_t floats) {
    data_.reset();
    floats_ = 0;
    const size_t bytes = RoundUp(floats * sizeof(float), kHugePageBytes);
    data_.reset(static_cast<float*>(aligned_alloc(kHugePageBytes, bytes)));
    if (data_ == nullptr) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
    madvise(data_.get(), bytes, MADV_HUGEPAGE);  // without huge pages it goes on all the same
#endif
    floats_ = bytes / sizeof(float);
    Fill(data_.get(), floats_);
  }

  std::unique_ptr<float, Free> data_;
  size_t floats_ = 0;
};

size_t PairCount(size_t stride, Buffering buffering) {
  if (buffering == Buffering::kWarm) return 1;
  return std::max<size_t>(2, DivideRoundUp(RotationBytes(), stride * sizeof(float)));
}

}  // namespace

const char* BufferingName(Buffering buffering) {
  return buffering == Buffering::kWarm ? "warm" : "rotated";
}

size_t RotationBytes() {
  return std::min(2 * GetCaches().last_level.bytes, kLargestRotationBytes);
}

Buffers::Buffers(size_t elements, Buffering buffering)
    : stride_(RoundUp(elements, kFloatsPerCacheLine)), end_(stride_ * PairCount(stride_, buffering)) {
  static Memory inputs, outputs;
  inputs_ = inputs.AtLeast(end_);
  outputs_ = outputs.AtLeast(end_);
}

}  // namespace smx_bench
