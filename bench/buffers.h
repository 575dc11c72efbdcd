// Inputs and outputs of the benches: memory that was touched before, in huge pages where the kernel gives them.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "include/smxpack.h"

namespace smx_bench {

enum class Buffering {
  kWarm,     // one input and one output, again and again: in cache, where they fit
  kRotated,  // inputs and outputs both taken in turn from so many that caches have lost them
};

// "warm" or "rotated".
const char* BufferingName(Buffering buffering);

// A rotation's inputs and outputs together fill twice RotationBytes(): twice the last-level cache each where both are of
// one type, and no more than this, for in a virtual machine that cache is the host's. A rotation has two inputs and
// outputs at least, however large they are.
constexpr size_t kLargestRotationBytes = size_t{512} << 20;
size_t RotationBytes();

// Inputs are drawn from a normal distribution of this deviation, and clamped to [-kLargestInput, kLargestInput].
constexpr float kInputDeviation = 4.0f;
constexpr float kLargestInput = 32.0f;

// Types of elements, what stands for them in memory, and for them in the C API.
struct F32 {
  using Memory = float;
  static constexpr smx_datatype kDatatype = smx_datatype_f32;
};
struct F16 {
  using Memory = uint16_t;
  static constexpr smx_datatype kDatatype = smx_datatype_f16;
};
struct Bf16 {
  using Memory = uint16_t;
  static constexpr smx_datatype kDatatype = smx_datatype_bf16;
};
// Whole numbers; of Qu8 their magnitudes.
struct Qu8 {
  using Memory = uint8_t;
};
struct Qs8 {
  using Memory = int8_t;
};

// "f32", "f16" or "bf16".
const char* TypeName(smx_datatype type);

// The memory that all Buffers share. It holds logits of the type for which it was asked last, or what was written since.
template <class Type>
typename Type::Memory* SharedInputs(size_t elements);
template <class Type>
typename Type::Memory* SharedOutputs(size_t elements);

// Where each of a rotation's inputs, or outputs, begins: elements that fill whole cache lines.
size_t Stride(size_t elements);
// Pairs of an input and an output of so many bytes together.
size_t PairCount(size_t bytes, Buffering buffering);

// Pairs of an input and an output, each of `elements` elements of a type, aligned to 64 bytes. All Buffers share one memory,
// which stays allocated: at most one is in use at a time.
template <class X = F32, class Y = F32>
class Buffers {
 public:
  struct Pair {
    const typename X::Memory* x;
    typename Y::Memory* y;
  };

  Buffers(size_t elements, Buffering buffering)
      : stride_(Stride(elements)),
        end_(stride_ * PairCount(stride_ * (sizeof(*Pair::x) + sizeof(*Pair::y)), buffering)),
        inputs_(SharedInputs<X>(end_)),
        outputs_(SharedOutputs<Y>(end_)) {}

  // The next pair, the first one after the last.
  Pair Next() {
    const size_t offset = offset_;
    offset_ = offset + stride_ == end_ ? 0 : offset + stride_;
    return {inputs_ + offset, outputs_ + offset};
  }

  // How many pairs there are.
  size_t count() const { return end_ / stride_; }

 private:
  size_t stride_;
  size_t end_;
  size_t offset_ = 0;
  const typename X::Memory* inputs_;
  typename Y::Memory* outputs_;
};

}  // namespace smx_bench
