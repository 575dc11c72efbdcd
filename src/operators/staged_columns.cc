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

// How elements of another type than f32 are converted.
enum class Conversion { kAtOnce, kStepByStep, kGathered };

Conversion ConversionOf(const smx_strip& strip, const smx_axis_strides& stride) {
  if (strip.slices > 1) return Conversion::kGathered;
  if (strip.slice_columns == stride.axis) return Conversion::kAtOnce;
  return strip.slice_columns < SMX_PANEL ? Conversion::kGathered : Conversion::kStepByStep;
}

}  // namespace

void smx_load_columns(const smx_axis* op, const smx_strip* strip, size_t step, size_t n, float* to) {
  if (op->rows.types->input == smx_datatype_f32) return Gather(*op, *strip, step, n, to);
  const size_t columns = strip->columns();
  const auto convert = [&](size_t count, const void* x, float* y) {
    op->rows.types->to_f32(op->rows.base.microkernels, count, x, y);
  };
  uint16_t gathered[kStagedElements];
  switch (ConversionOf(*strip, op->shape.input)) {
    case Conversion::kAtOnce:
      return convert(n * columns, smx_input_at(*op, *strip, step), to);
    case Conversion::kStepByStep:
      for (size_t j = 0; j < n; j++) convert(columns, smx_input_at(*op, *strip, step + j), to + j * columns);
      return;
    case Conversion::kGathered:
      Gather(*op, *strip, step, n, gathered);
      return convert(n * columns, gathered, to);
  }
}

void smx_store_columns(const smx_axis* op, const smx_strip* strip, size_t step, size_t n, const float* from) {
  if (op->rows.types->output == smx_datatype_f32) return Scatter(*op, *strip, step, n, from);
  const size_t columns = strip->columns();
  const auto convert = [&](size_t count, const float* x, void* y) {
    op->rows.types->from_f32(op->rows.base.microkernels, count, x, y, op->rows.quantizer);
  };
  uint16_t gathered[kStagedElements];
  switch (ConversionOf(*strip, op->shape.output)) {
    case Conversion::kAtOnce:
      return convert(n * columns, from, smx_output_at(*op, *strip, step));
    case Conversion::kStepByStep:
      for (size_t j = 0; j < n; j++)
        convert(columns, from + j * columns, smx_output_at(*op, *strip, step + j));
      return;
    case Conversion::kGathered:
      convert(n * columns, from, gathered);
      return Scatter(*op, *strip, step, n, gathered);
  }
}
