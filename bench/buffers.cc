#include "bench/buffers.h"

#include <fp16.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <memory>
#include <new>
#include <random>
#include <vector>

#include "bench/caches.h"
#include "src/isa/scalar.h"

namespace smx_bench {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;
constexpr size_t kBytesPerCacheLine = 64;

size_t DivideRoundUp(size_t n, size_t q) {
  return (n + q - 1) / q;
}

size_t RoundUp(size_t n, size_t q) {
  return DivideRoundUp(n, q) * q;
}

float Convert(F32, float x) {
  return x;
}

uint16_t Convert(F16, float x) {
  return fp16_ieee_from_fp32_value(x);
}

uint16_t Convert(Bf16, float x) {
  return scalar_to_bf16(x);
}

uint8_t Convert(Qu8, float x) {
  return static_cast<uint8_t>(fabsf(x));
}

int8_t Convert(Qs8, float x) {
  return static_cast<int8_t>(x);
}

// Logits that repeat after a while, for drawing them takes longer than most benchmarks.
template <class Type>
void Fill(void* p, size_t bytes) {
  using Element = typename Type::Memory;
  static const std::vector<Element> logits = [] {
    std::vector<Element> drawn(size_t{1} << 20);
    std::mt19937 engine(2001);
    std::normal_distribution<float> distribution(0.0f, kInputDeviation);
    for (Element& x : drawn) {
      x = Convert(Type(), std::clamp(distribution(engine), -kLargestInput, kLargestInput));
    }
    return drawn;
  }();
  const size_t drawn_bytes = logits.size() * sizeof(Element);
  for (size_t i = 0; i < bytes; i += drawn_bytes) {
    memcpy(static_cast<unsigned char*>(p) + i, logits.data(), std::min(drawn_bytes, bytes - i));
  }
}

// Memory that grows as it is asked for. Growing moves it.
class Memory {
 public:
  template <class Type>
  typename Type::Memory* Holding(size_t elements) {
    const size_t bytes = elements * sizeof(typename Type::Memory);
    if (bytes > bytes_) Allocate(bytes);
    if (fill_ != Fill<Type> || bytes > filled_bytes_) {
      fill_ = Fill<Type>;
      filled_bytes_ = bytes;
      fill_(data_.get(), bytes);
    }
    return static_cast<typename Type::Memory*>(data_.get());
  }

 private:
  struct Free {
    void operator()(void* p) const { free(p); }
  };

  void Allocate(size_t bytes) {
    data_.reset();
    filled_bytes_ = 0;
    bytes_ = RoundUp(bytes, kHugePageBytes);
    data_.reset(aligned_alloc(kHugePageBytes, bytes_));
    if (data_ == nullptr) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
    madvise(data_.get(), bytes_, MADV_HUGEPAGE);  // without huge pages it goes on all the same
#endif
  }

  std::unique_ptr<void, Free> data_;
  size_t bytes_ = 0;
  void (*fill_)(void* p, size_t bytes) = nullptr;
  size_t filled_bytes_ = 0;
};

Memory inputs, outputs;

}  // namespace

const char* BufferingName(Buffering buffering) {
  return buffering == Buffering::kWarm ? "warm" : "rotated";
}

const char* TypeName(smx_datatype type) {
  return type == smx_datatype_f32 ? "f32" : type == smx_datatype_f16 ? "f16" : "bf16";
}

size_t RotationBytes() {
  return std::min(2 * GetCaches().last_level.bytes, kLargestRotationBytes);
}

size_t Stride(size_t elements) {
  return RoundUp(elements, kBytesPerCacheLine);
}

size_t PairCount(size_t bytes, Buffering buffering) {
  if (buffering == Buffering::kWarm) return 1;
  return std::max<size_t>(2, DivideRoundUp(2 * RotationBytes(), bytes));
}

template <class Type>
typename Type::Memory* SharedInputs(size_t elements) {
  return inputs.Holding<Type>(elements);
}

template <class Type>
typename Type::Memory* SharedOutputs(size_t elements) {
  return outputs.Holding<Type>(elements);
}

#define SMX_INSTANTIATE(Type)                        \
  template Type::Memory* SharedInputs<Type>(size_t); \
  template Type::Memory* SharedOutputs<Type>(size_t);
SMX_INSTANTIATE(F32)
SMX_INSTANTIATE(F16)
SMX_INSTANTIATE(Bf16)
SMX_INSTANTIATE(Qu8)
SMX_INSTANTIATE(Qs8)
#undef SMX_INSTANTIATE

}  // namespace smx_bench
