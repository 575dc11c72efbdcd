// Columns that one kernel takes from elements to results: of f32 where they lie, of other types and scattered ones in a panel,
// where they are floats, step after step.
#include <algorithm>

#include "src/operators/axis.h"

namespace {

// Columns of floats, side by side in memory.
struct Columns {
  size_t count;
  const float* x;
  size_t x_stride;
  float* y;
  size_t y_stride;
  bool streams;
};

// Those from one on that is out of range, which the kernel stops at, up to where it can go on.
[[gnu::noinline]] void RunOutOfRange(const smx_axis& op, const Columns& columns, size_t first, size_t count) {
  smx_axis floats = op;
  floats.rows.types = smx_find_types(smx_datatype_f32, smx_datatype_f32);
  floats.rows.input = columns.x;
  floats.rows.output = columns.y;
  floats.shape = {1, op.shape.axis, columns.count, {0, columns.x_stride}, {0, columns.y_stride}};
  const smx_strip strip = {0, 1, first, count, false, nullptr};
  alignas(64) float panel[(kShortAxis + 2) * SMX_PANEL];
  smx_run_long_columns(&floats, &strip, panel);
}

void RunColumns(const smx_axis& op, const Columns& columns) {
  const smx_microkernels& kernels = op.rows.base.microkernels;
  const bool is_log = op.rows.function == smx_rows_log_softmax;
  for (size_t c = 0; c < columns.count;) {
    size_t done;
    kernels.f32_softmax_columns(columns.count - c, op.shape.axis, columns.x + c, columns.x_stride,
                                columns.y + c, columns.y_stride, is_log, columns.streams, &done,
                                &op.rows.scale.exponential);
    c += done;
    const size_t rest = std::min<size_t>(SMX_PANEL, columns.count - c);
    if (rest > 0) RunOutOfRange(op, columns, c, rest);
    c += rest;
  }
}

}  // namespace

void smx_run_short_columns(const smx_axis* op, const smx_strip* strip, float* panel) {
  const size_t count = strip->columns();
  const bool loads = smx_stages_input(*op, *strip), stores = smx_stages_output(*op, *strip);
  if (loads) smx_load_columns(op, strip, 0, op->shape.axis, panel);
  const Columns columns = {count,
                           loads ? panel : static_cast<const float*>(smx_input_at(*op, *strip, 0)),
                           loads ? count : op->shape.input.axis,
                           stores ? panel : static_cast<float*>(smx_output_at(*op, *strip, 0)),
                           stores ? count : op->shape.output.axis,
                           strip->streams};
  RunColumns(*op, columns);
  if (stores) smx_store_columns(op, strip, 0, op->shape.axis, panel);
}
