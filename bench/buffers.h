// Inputs and outputs of the benches: memory that was touched before, in huge pages where the kernel gives them.
#pragma once

#include <stddef.h>

namespace smx_bench {

enum class Buffering {
  kWarm,     // one input and one output, again and again: in cache, where they fit
  kRotated,  // inputs and outputs both taken in turn from RotationBytes() each, so that caches have lost them
};

// "warm" or "rotated".
const char* BufferingName(Buffering buffering);

// A rotation's inputs, and its outputs, fill as much: twice the last-level cache, and no more than this, for in a
// virtual machine that cache is the host's. A rotation has two inputs and outputs at least, however large they are.
constexpr size_t kLargestRotationBytes = size_t{512} << 20;
size_t RotationBytes();

// Inputs are drawn from a normal distribution of this deviation, and clamped to [-kLargestInput, kLargestInput].
constexpr float kInputDeviation = 4.0f;
constexpr float kLargestInput = 32.0f;

// Pairs of an input and an output, each of `elements` floats, aligned to 64 bytes. All Buffers share one memory, which
// stays allocated: at most one is in use at a time.
class Buffers {
 public:
  struct Pair {
    const float* x;
    float* y;
  };

  Buffers(size_t elements, Buffering buffering);

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
  const float* inputs_;
  float* outputs_;
};

}  // namespace smx_bench
