// Which tensors softmax over an axis takes.
#include <stdint.h>

#include <utility>

#include "src/operators/axis.h"

namespace {

// Runs of `inner` elements in memory, at multiples of two strides: those of the smaller one lie within one of the larger.
struct Layout {
  struct Dimension {
    size_t size;
    size_t stride;  // elements
  };
  Dimension large;
  Dimension small;
  size_t inner;
  size_t element_bytes;
  const void* first;

  Layout(Dimension a, Dimension b, size_t inner, size_t element_bytes, const void* first)
      : large(a), small(b), inner(inner), element_bytes(element_bytes), first(first) {
    if (large.size == 1 || (small.size > 1 && small.stride > large.stride)) std::swap(large, small);
    if (small.size == 1) small.stride = inner;
    if (large.size == 1) large.stride = PTRDIFF_MAX;
  }

  uintptr_t address() const { return reinterpret_cast<uintptr_t>(first); }
  // Elements from the first to the end of the last of (size - 1) * stride + last; 0 where they overflow.
  size_t Extent(const Dimension& dimension, size_t last) const {
    const size_t largest = PTRDIFF_MAX / element_bytes;
    if (last == 0 || last > largest) return 0;
    if (dimension.size == 1 || dimension.stride == 0) return last;
    return dimension.size - 1 > (largest - last) / dimension.stride
               ? 0
               : (dimension.size - 1) * dimension.stride + last;
  }
  size_t SmallExtent() const { return Extent(small, inner); }
  size_t Bytes() const { return Extent(large, SmallExtent()) * element_bytes; }
  bool IsNested() const {
    return small.stride >= inner && (large.size == 1 || large.stride >= SmallExtent());
  }
  bool HasEnd() const { return Bytes() <= UINTPTR_MAX - address(); }
  bool IsAligned() const { return address() % element_bytes == 0; }
};

bool IsSame(const Layout::Dimension& a, const Layout::Dimension& b) {
  return a.size == b.size && (a.size == 1 || a.stride == b.stride);
}

// Whether a run of y, `distance` bytes from the first of x, shares an element with one of x.
bool MeetsRun(const Layout& x, ptrdiff_t distance) {
  const ptrdiff_t run = static_cast<ptrdiff_t>(x.inner * x.element_bytes);
  const ptrdiff_t stride = static_cast<ptrdiff_t>(x.small.stride * x.element_bytes);
  const ptrdiff_t size = static_cast<ptrdiff_t>(x.small.size);
  const ptrdiff_t before = distance / stride - (distance % stride < 0);
  for (ptrdiff_t steps : {before, before + 1}) {
    const ptrdiff_t apart = distance - steps * stride;
    if (-size < steps && steps < size && -run < apart && apart < run) return true;
  }
  return false;
}

// Whether the input and the output share an element, other than by being the same. Runs may lie in the gaps of others.
bool Overlap(const Layout& x, const Layout& y) {
  const bool are_alike =
      x.element_bytes == y.element_bytes && IsSame(x.large, y.large) && IsSame(x.small, y.small);
  if (are_alike && x.first == y.first) return false;
  if (x.address() + x.Bytes() <= y.address() || y.address() + y.Bytes() <= x.address()) return false;
  if (!are_alike) return true;
  const ptrdiff_t distance = static_cast<ptrdiff_t>(y.address() - x.address());
  if (x.large.size == 1) return MeetsRun(x, distance);
  const ptrdiff_t stride = static_cast<ptrdiff_t>(x.large.stride * x.element_bytes);
  const ptrdiff_t before = distance / stride - (distance % stride < 0);
  return MeetsRun(x, distance - before * stride) || MeetsRun(x, distance - (before + 1) * stride);
}

}  // namespace

const char* smx_invalid_axis(const smx_axis_shape* shape, const smx_types* types, const void* x,
                             const void* y) {
  const size_t outer = shape->outer, axis = shape->axis, inner = shape->inner;
  const Layout input({outer, shape->input.outer}, {axis, shape->input.axis}, inner, types->input_bytes, x);
  const Layout output({outer, shape->output.outer}, {axis, shape->output.axis}, inner, types->output_bytes,
                      y);
  if (input.SmallExtent() == 0 || input.Bytes() == 0) return "the input's size in bytes overflows";
  if (output.SmallExtent() == 0 || output.Bytes() == 0) return "the output's size in bytes overflows";
  if (!input.IsNested()) return "input strides let elements overlap";
  if (!output.IsNested()) return "output strides let elements overlap";
  if (input.first == nullptr) return "input is NULL";
  if (output.first == nullptr) return "output is NULL";
  if (!input.IsAligned()) return "input is not aligned to its elements";
  if (!output.IsAligned()) return "output is not aligned to its elements";
  if (!input.HasEnd()) return "the input's end is beyond the last address";
  if (!output.HasEnd()) return "the output's end is beyond the last address";
  if (Overlap(input, output)) return "output overlaps input";
  return nullptr;
}
