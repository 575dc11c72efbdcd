// Columns that would leave lanes empty are transposed to rows of floats in a panel, computed there in place, and transposed back.
#include <algorithm>

#include "src/operators/axis.h"

namespace {

// A slice of a strip, its rows in the panel, and their stride there.
struct Slice {
  const smx_axis& op;
  const smx_strip strip;
  float* rows;
  size_t stride;

  size_t columns() const { return strip.slice_columns; }
  size_t steps() const { return op.shape.axis; }
  const smx_microkernels& kernels() const { return op.rows.base.microkernels; }

  // function(first step, steps): as many at a time as are staged, the last ones a second time rather than fewer.
  template <class Function>
  void ForStagedSteps(const Function& function) const {
    const size_t n = std::min(kStagedElements / columns(), steps());
    for (size_t j = 0; j < steps(); j += n) function(std::min(j, steps() - n), n);
  }

  void Load() const {
    const auto transpose = [&](size_t step, size_t n, const float* x, size_t x_stride) {
      kernels().f32_columns_to_rows(n, columns(), x, x_stride, rows + step, stride);
    };
    if (!smx_stages_input(op, strip)) {
      const auto* x = static_cast<const float*>(smx_input_at(op, strip, 0));
      return transpose(0, steps(), x, op.shape.input.axis);
    }
    float staged[kStagedElements];
    ForStagedSteps([&](size_t step, size_t n) {
      smx_load_columns(&op, &strip, step, n, staged);
      transpose(step, n, staged, columns());
    });
  }

  void Store() const {
    const auto transpose = [&](size_t step, size_t n, float* y, size_t y_stride) {
      kernels().f32_rows_to_columns(n, columns(), rows + step, stride, y, y_stride);
    };
    if (!smx_stages_output(op, strip)) {
      return transpose(0, steps(), static_cast<float*>(smx_output_at(op, strip, 0)), op.shape.output.axis);
    }
    float staged[kStagedElements];
    ForStagedSteps([&](size_t step, size_t n) {
      transpose(step, n, staged, columns());
      smx_store_columns(&op, &strip, step, n, staged);
    });
  }
};

Slice SliceAt(const smx_axis& op, const smx_strip& strip, size_t i, float* panel) {
  const size_t stride = smx_transposed_stride(op.shape.axis);
  const smx_strip slice = {strip.first_slice + i, 1, strip.first_column, strip.slice_columns, false, nullptr};
  return {op, slice, panel + i * strip.slice_columns * stride, stride};
}

}  // namespace

void smx_run_transposed_columns(const smx_axis* op, const smx_strip* strip, float* panel) {
  for (size_t i = 0; i < strip->slices; i++) SliceAt(*op, *strip, i, panel).Load();
  smx_rows rows = op->rows;
  rows.types = smx_find_types(smx_datatype_f32, smx_datatype_f32);
  rows.batch_size = strip->columns();
  rows.input_stride = rows.output_stride = smx_transposed_stride(op->shape.axis);
  rows.input = rows.output = panel;
  rows.serial_plan = smx_plan_rows(&rows, 1);
  smx_run_rows(&rows, nullptr);
  for (size_t i = 0; i < strip->slices; i++) SliceAt(*op, *strip, i, panel).Store();
}
