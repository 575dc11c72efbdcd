// What fuzz targets read: the fuzzer's bytes, taken one after the other; zeros once they are used up.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <iterator>

namespace smx {

// An oracle: what must hold for every input. The fuzzer keeps the input that ends here.
inline void Require(bool holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "does not hold: %s\n", what);
  abort();
}

class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t size) : next_(data), end_(data + size) {}

  bool IsUsedUp() const { return next_ == end_; }

  // An integer of `bytes` bytes.
  uint64_t Integer(size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) value |= uint64_t{IsUsedUp() ? uint8_t{0} : *next_++} << (8 * i);
    return value;
  }

  // In [0, bound), from as many bytes as that takes.
  size_t Below(size_t bound) { return Integer(bound <= 256 ? 1 : 4) % bound; }

  // As SplitMix64 has it.
  uint64_t Next() { return Integer(8); }

  // Never where the byte is 0, so that an input that is used up gives what is ordinary.
  bool OneIn(size_t n) { return Below(n) == n - 1; }

  template <class Container>
  auto& Pick(Container& from) {
    return *std::next(std::begin(from), static_cast<ptrdiff_t>(Below(std::size(from))));
  }

  // Within 2 of one of the edges, and not below 0.
  template <class Container>
  size_t Around(const Container& edges) {
    const size_t edge = Pick(edges);
    return edge + Below(5) - std::min<size_t>(edge, 2);
  }

  // Any size; those that make arithmetic wrap as often as small ones.
  size_t Size() {
    switch (Below(4)) {
      case 0:
        return Integer(1);
      case 1:
        return (size_t{1} << Below(64)) + Below(5) - 2;
      case 2:
        return SIZE_MAX / (1 + Below(16)) + Below(5) - 2;
      default:
        return Integer(8);
    }
  }

 private:
  const uint8_t* next_;
  const uint8_t* end_;
};

}  // namespace smx
