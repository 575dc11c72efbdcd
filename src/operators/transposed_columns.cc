// Columns that would leave lanes empty, or as lanes take two exponentials where rows take one, are transposed to rows of floats in a
// panel, computed there in place, and transposed back. Those that a panel does not hold pass through it a tile at a time, twice: for
// their sums, and for their results.
#include <algorithm>

#include "src/operators/axis.h"
#include "src/operators/row_sum.h"

namespace {

// Columns of one slice, and the rows of the panel that they become.
struct Columns {
  const smx_axis& op;
  const smx_strip strip;
  float* rows;
  size_t stride;

  size_t count() const { return strip.slice_columns; }
  float* row(size_t c) const { return rows + c * stride; }
  const smx_microkernels& kernels() const { return op.rows.base.microkernels; }

  // n steps from `first` on become the first elements of the rows.
  void Load(size_t first, size_t n) const {
    const auto transpose = [&](size_t step, size_t some, const float* x, size_t x_stride) {
      kernels().f32_columns_to_rows(some, count(), x, x_stride, rows + step - first, stride);
    };
    if (!smx_stages_input(op, strip)) {
      const auto* x = static_cast<const float*>(smx_input_at(op, strip, first));
      return transpose(first, n, x, op.shape.input.axis);
    }
    float staged[kStagedElements];
    ForStagedSteps(first, n, [&](size_t step, size_t some) {
      smx_load_columns(&op, &strip, step, some, staged);
      transpose(step, some, staged, count());
    });
  }

  // And back.
  void Store(size_t first, size_t n) const {
    const auto transpose = [&](size_t step, size_t some, float* y, size_t y_stride) {
      kernels().f32_rows_to_columns(some, count(), rows + step - first, stride, y, y_stride);
    };
    if (!smx_stages_output(op, strip)) {
      return transpose(first, n, static_cast<float*>(smx_output_at(op, strip, first)), op.shape.output.axis);
    }
    float staged[kStagedElements];
    ForStagedSteps(first, n, [&](size_t step, size_t some) {
      transpose(step, some, staged, count());
      smx_store_columns(&op, &strip, step, some, staged);
    });
  }

 private:
  template <class Function>
  void ForStagedSteps(size_t first, size_t n, const Function& function) const {
    const size_t most = kStagedElements / count();
    for (size_t j = 0; j < n; j += most) function(first + j, std::min(most, n - j));
  }
};

Columns ColumnsOf(const smx_axis& op, const smx_strip& strip, size_t slice, float* panel) {
  const size_t stride = smx_transposed_stride(op.shape.axis);
  const smx_strip one = {strip.first_slice + slice, 1,     strip.first_column,
                         strip.slice_columns,       false, nullptr};
  return {op, one, panel + slice * strip.slice_columns * stride, stride};
}

void RunWhole(const smx_axis& op, const smx_strip& strip, float* panel) {
  for (size_t i = 0; i < strip.slices; i++) ColumnsOf(op, strip, i, panel).Load(0, op.shape.axis);
  smx_rows rows = op.rows;
  rows.types = smx_find_types(smx_datatype_f32, smx_datatype_f32);
  rows.batch_size = strip.columns();
  rows.input_stride = rows.output_stride = smx_transposed_stride(op.shape.axis);
  rows.input = rows.output = panel;
  rows.serial_plan = smx_plan_rows(&rows, 1);
  smx_run_rows(&rows, nullptr);
  for (size_t i = 0; i < strip.slices; i++) ColumnsOf(op, strip, i, panel).Store(0, op.shape.axis);
}

// function(first step, steps) for each tile.
template <class Function>
void ForTiles(const smx_axis& op, const Function& function) {
  for (size_t first = 0; first < op.shape.axis; first += SMX_TILE) {
    function(first, std::min<size_t>(SMX_TILE, op.shape.axis - first));
  }
}

// Returns whether each column has a valid sum.
bool SumTiles(const Columns& columns, smx_f32_extended* sums) {
  const smx_f32_exponential& exponential = columns.op.rows.scale.exponential;
  smx_partial_sum partial[kTransposedTogether];
  std::fill_n(partial, columns.count(), smx_empty_sum);
  ForTiles(columns.op, [&](size_t first, size_t n) {
    columns.Load(first, n);
    for (size_t c = 0; c < columns.count(); c++) {
      smx_f32_extended tile;
      columns.kernels().f32_raddextexp(n, columns.row(c), 0, &tile, &exponential);
      smx_partial_sum_add_tile(&partial[c], &tile);
    }
  });
  for (size_t c = 0; c < columns.count(); c++) {
    if (!smx_partial_sum_is_valid(&partial[c], &exponential)) return false;
    sums[c] = smx_f32_extended_of(&partial[c]);
  }
  return true;
}

// Results of tiles in place of them: results(column, elements, its row).
template <class Results>
void WriteTiles(const Columns& columns, const Results& results) {
  ForTiles(columns.op, [&](size_t first, size_t n) {
    columns.Load(first, n);
    for (size_t c = 0; c < columns.count(); c++) results(c, n, columns.row(c));
    columns.Store(first, n);
  });
}

// Returns whether it has: not where the scale is none that kernels take, or a column is out of their range.
bool RunTiles(const Columns& columns) {
  const smx_rows& rows = columns.op.rows;
  const smx_microkernels& kernels = columns.kernels();
  smx_f32_extended sums[kTransposedTogether];
  if (!smx_scale_is_direct(&rows.scale) || !SumTiles(columns, sums)) return false;
  if (rows.function == smx_rows_log_softmax) {
    smx_f32_logarithm logarithms[kTransposedTogether];
    for (size_t c = 0; c < columns.count(); c++) {
      logarithms[c] = smx_rows_logarithm(&rows, &sums[c], false, 0.0f);
    }
    WriteTiles(columns,
               [&](size_t c, size_t n, float* row) { kernels.f32_vsubextc(n, row, row, &logarithms[c]); });
  } else {
    smx_f32_reciprocal reciprocals[kTransposedTogether];
    for (size_t c = 0; c < columns.count(); c++) reciprocals[c] = smx_f32_reciprocal_of(&sums[c]);
    WriteTiles(columns, [&](size_t c, size_t n, float* row) {
      kernels.f32_vscaleextexp(n, row, row, &reciprocals[c], &rows.scale.exponential);
    });
  }
  return true;
}

}  // namespace

void smx_run_transposed_columns(const smx_axis* op, const smx_strip* strip, float* panel) {
  if (smx_transposed_columns(op->shape.axis, op->shape.inner) > 0) return RunWhole(*op, *strip, panel);
  if (!RunTiles({*op, *strip, panel, smx_transposed_stride(SMX_TILE)}))
    smx_run_long_columns(op, strip, panel);
}
