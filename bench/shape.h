// What softmax is computed over: rows of a matrix.
#pragma once

#include <stddef.h>

#include <string>

namespace smx_bench {

struct Shape {
  size_t rows;
  size_t channels;

  size_t elements() const { return rows * channels; }
};

// "16x32000".
std::string ToString(const Shape& shape);

// The shape that ToString gives this text for. Whether there is one: both numbers are positive, and their product is at
// most `most` elements.
bool ParseShape(const std::string& text, size_t most, Shape* shape);

}  // namespace smx_bench
