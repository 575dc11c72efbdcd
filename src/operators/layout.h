// Rows of elements in memory, and whether they can be used.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <algorithm>

#include "include/smxpack.h"

struct smx_layout {
  size_t rows;
  size_t channels;
  size_t stride;  // elements
  size_t element_bytes;
  const void* first;

  uintptr_t address() const { return reinterpret_cast<uintptr_t>(first); }
  // Bytes from the first element of the first row to the end of the last one; 0 where they overflow.
  size_t Extent() const {
    const size_t largest = PTRDIFF_MAX / element_bytes;
    if (channels > largest || (rows - 1) > (largest - channels) / stride) return 0;
    return ((rows - 1) * stride + channels) * element_bytes;
  }
  // Whether the last element's address can be told in a pointer.
  bool HasEnd() const { return Extent() <= UINTPTR_MAX - address(); }
  bool IsAligned() const { return address() % std::min(element_bytes, alignof(smx_partial_sum)) == 0; }
  // Whether any byte from the first to the last is one of the other's.
  bool Meets(const smx_layout& other) const {
    return address() < other.address() + other.Extent() && other.address() < address() + Extent();
  }
};

// Why rows of an input and an output cannot be used, or NULL. In place they may be the same rows, or interleave.
extern "C" const char* smx_invalid_layouts(const smx_layout* input, const smx_layout* output,
                                           bool may_be_in_place);
