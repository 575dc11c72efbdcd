// Softmax over an axis: what it is computed of, and the parts that softmax_axis.cc puts together.
#pragma once

#include <stddef.h>

#include "src/operators/rows.h"

// Elements from one slice, and from one step, to the next.
struct smx_axis_strides {
  size_t outer;
  size_t axis;
};

// Element i of step a of slice o is at o * outer + a * axis + i, by the strides of its tensor.
struct smx_axis_shape {
  size_t outer;
  size_t axis;
  size_t inner;
  struct smx_axis_strides input;
  struct smx_axis_strides output;
};

struct smx_axis {
  struct smx_rows
      rows;  // types, flags, scale, tensors; and what is to be done where columns are contiguous rows
  struct smx_axis_shape shape;
};

// Columns that are computed together: a part of a slice, or few columns of each of several slices.
struct smx_strip {
  size_t first_slice;
  size_t slices;
  size_t first_column;
  size_t slice_columns;
  bool streams;           // the output is written past the caches
  const smx_strip* next;  // whose elements are fetched meanwhile, or NULL

  size_t columns() const { return slices * slice_columns; }
};

// A panel's floats fit a level 2 cache and a thread's stack; kernels write whole vectors of it.
constexpr size_t kPanelFloats = 65536;
constexpr size_t kMostColumns = 256;  // of a strip that a panel holds
constexpr size_t kPanelRoom = kPanelFloats + kMostColumns + SMX_PANEL;
constexpr size_t kMostStoredBlocks = 4;  // of columns that it holds whole, for SMX_PANEL of them
constexpr size_t kColumnsInBlocks = kPanelFloats / SMX_BLOCK;  // of a strip that passes block by block
static_assert(kMostStoredBlocks * SMX_BLOCK * SMX_PANEL == kPanelFloats,
              "a group of the longest that are stored");

// Whether a strip's terms, or elements, are kept in a panel. It holds two groups of columns this long, or one: where steps are so far
// apart, two exponentials of more columns at a time take less time, if elements need not be converted twice.
constexpr size_t kFarSteps = 512;
static inline bool smx_columns_are_stored(const smx_axis& op) {
  const size_t groups = kPanelFloats / SMX_PANEL / op.shape.axis;
  return groups > 2 || (groups > 0 && (op.shape.input.axis < kFarSteps || !op.rows.types->is_f32()));
}

// Of columns that one kernel takes from elements to results.
constexpr size_t kShortAxis = 4 * SMX_LANES;

// Of columns that are transposed to rows of a panel, so many together.
constexpr size_t kShortestTransposed = SMX_LANES;
constexpr size_t kTransposedTogether = 4;

// Elements of a strip that are brought side by side, as floats, at a time: they stay in a level 1 cache.
constexpr size_t kStagedElements = 4096;

// Floats from one row of a panel to the next: whole cache lines, and not so that all rows are in the same sets of a cache.
static inline size_t smx_transposed_stride(size_t axis) {
  const size_t whole = smx_divide_round_up(axis, SMX_PANEL) * SMX_PANEL;
  constexpr size_t kSets = 16 * SMX_PANEL;
  return whole % kSets == 0 ? whole + SMX_PANEL : whole;
}

// How many columns of slices of `inner` a panel holds as rows; 0 where it is fewer than are transposed together.
static inline size_t smx_transposed_columns(size_t axis, size_t inner) {
  const size_t together = inner < kTransposedTogether ? inner : kTransposedTogether;
  return kPanelRoom / smx_transposed_stride(axis) / together * together;
}

// Whether elements, or results, are to be staged, for kernels take floats that lie side by side.
static inline bool smx_stages_input(const smx_axis& op, const smx_strip& strip) {
  return strip.slices > 1 || op.rows.types->input != smx_datatype_f32;
}
static inline bool smx_stages_output(const smx_axis& op, const smx_strip& strip) {
  return strip.slices > 1 || op.rows.types->output != smx_datatype_f32;
}

// The first element of a step of a strip.
static inline const void* smx_input_at(const smx_axis& op, const smx_strip& strip, size_t step) {
  const smx_axis_strides& stride = op.shape.input;
  const size_t at = strip.first_slice * stride.outer + step * stride.axis + strip.first_column;
  return static_cast<const char*>(op.rows.input) + at * op.rows.types->input_bytes;
}
static inline void* smx_output_at(const smx_axis& op, const smx_strip& strip, size_t step) {
  const smx_axis_strides& stride = op.shape.output;
  const size_t at = strip.first_slice * stride.outer + step * stride.axis + strip.first_column;
  return static_cast<char*>(op.rows.output) + at * op.rows.types->output_bytes;
}

extern "C" {

// Why there are no such tensors, or NULL.
const char* smx_invalid_axis(const smx_axis_shape* shape, const smx_types* types, const void* input,
                             const void* output);

// Brings n steps from `step` on side by side, as floats. Of a scattered strip they are at most kStagedElements.
void smx_load_columns(const smx_axis* op, const smx_strip* strip, size_t step, size_t n, float* to);
// Takes their results to where they belong.
void smx_store_columns(const smx_axis* op, const smx_strip* strip, size_t step, size_t n, const float* from);

// Computes columns of any length by way of a panel, which holds them whole or, block by block, twice.
void smx_run_long_columns(const smx_axis* op, const smx_strip* strip, float* panel);

// Computes a slice's columns, a divisor of SMX_PANEL of them and without gaps, of floats under a scale that kernels take as it is.
void smx_run_folded_columns(const smx_axis* op, const smx_strip* strip, float* panel);

// Computes columns of at most kShortAxis steps, under a scale that kernels take as it is.
void smx_run_short_columns(const smx_axis* op, const smx_strip* strip, float* panel);

// Computes columns of at least kShortestTransposed steps as rows: whole ones, as many as smx_transposed_columns tells, or, where that
// is 0, at most kTransposedTogether of one slice by their tiles.
void smx_run_transposed_columns(const smx_axis* op, const smx_strip* strip, float* panel);

}  // extern "C"
