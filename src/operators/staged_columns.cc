// Columns that kernels do not take where they lie: of other types than f32, and few of each of several slices.
#include <stdint.h>
#include <string.h>

#include "src/operators/axis.h"

namespace {

// Bytes from one step, and from one slice, to the next.
struct ByteStrides {
  size_t step;
  size_t slice;
};

template <size_t kBytes>
void MovePieces(size_t steps, size_t slices, const char* from, ByteStrides from_stride, char* to,
                ByteStrides to_stride) {
  for (size_t s = 0; s < slices; s++) {
    for (size_t j = 0; j < steps; j++) {
      memcpy(to + j * to_stride.step, from + j * from_stride.step, kBytes);
    }
    from += from_stride.slice;
    to += to_stride.slice;
  }
}

// Runs of bytes, each in pieces that a processor moves at once.
void MoveRuns(size_t run, size_t steps, size_t slices, const char* from, ByteStrides from_stride, char* to,
              ByteStrides to_stride) {
  size_t at = 0;
  for (; run - at >= 16; at += 16) MovePieces<16>(steps, slices, from + at, from_stride, to + at, to_stride);
  for (; run - at >= 8; at += 8) MovePieces<8>(steps, slices, from + at, from_stride, to + at, to_stride);
  for (; run - at >= 4; at += 4) MovePieces<4>(steps, slices, from + at, from_stride, to + at, to_stride);
  for (; run - at >= 2; at += 2) MovePieces<2>(steps, slices, from + at, from_stride, to + at, to_stride);
}

ByteStrides InMemory(const smx_axis_strides& stride, size_t element_bytes) {
  return {stride.axis * element_bytes, stride.outer * element_bytes};
}

ByteStrides SideBySide(const smx_strip& strip, size_t element_bytes) {
  return {strip.columns() * element_bytes, strip.slice_columns * element_bytes};
}

void Gather(const smx_axis& op, const smx_strip& strip, size_t step, size_t n, void* to) {
  const size_t bytes = op.rows.types->input_bytes;
  const char* from = static_cast<const char*>(smx_input_at(op, strip, step));
  MoveRuns(strip.slice_columns * bytes, n, strip.slices, from, InMemory(op.shape.input, bytes),
           static_cast<char*>(to), SideBySide(strip, bytes));
}

void Scatter(const smx_axis& op, const smx_strip& strip, size_t step, size_t n, const void* from) {
  const size_t bytes = op.rows.types->output_bytes;
  char* to = static_cast<char*>(smx_output_at(op, strip, step));
  MoveRuns(strip.slice_columns * bytes, n, strip.slices, static_cast<const char*>(from),
           SideBySide(strip, bytes), to, InMemory(op.shape.output, bytes));
}

}  // namespace

void smx_load_columns(const smx_axis* op, const smx_strip* strip, size_t step, size_t n, float* to) {
  const smx_types& types = *op->rows.types;
  const smx_microkernels& kernels = op->rows.base.microkernels;
  const size_t columns = strip->columns();
  if (strip->slices == 1) {
    for (size_t j = 0; j < n; j++) {
      types.to_f32(kernels, columns, smx_input_at(*op, *strip, step + j), to + j * columns);
    }
  } else if (types.input == smx_datatype_f32) {
    Gather(*op, *strip, step, n, to);
  } else {
    uint16_t gathered[kStagedElements];
    Gather(*op, *strip, step, n, gathered);
    types.to_f32(kernels, n * columns, gathered, to);
  }
}

void smx_store_columns(const smx_axis* op, const smx_strip* strip, size_t step, size_t n, const float* from) {
  const smx_types& types = *op->rows.types;
  const smx_microkernels& kernels = op->rows.base.microkernels;
  const size_t columns = strip->columns();
  if (strip->slices == 1) {
    for (size_t j = 0; j < n; j++) {
      types.from_f32(kernels, columns, from + j * columns, smx_output_at(*op, *strip, step + j),
                     op->rows.quantizer);
    }
  } else if (types.output == smx_datatype_f32) {
    Scatter(*op, *strip, step, n, from);
  } else {
    uint16_t gathered[kStagedElements];
    types.from_f32(kernels, n * columns, from, gathered, op->rows.quantizer);
    Scatter(*op, *strip, step, n, gathered);
  }
}
