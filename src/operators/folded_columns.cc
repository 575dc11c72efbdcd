// Few columns, one behind the other in memory: a vector holds several steps of all of them. A group's lanes are the columns several
// times over, then, each with steps that lie a vector apart, and the lanes of one column are put together in the end. Columns are read
// where they are, twice: for their sums, and for their results.
#include <math.h>

#include <algorithm>

#include "src/operators/axis.h"
#include "src/operators/column_sums.h"

namespace {

class Folded {
 public:
  Folded(const smx_axis& op, const smx_strip& strip, float* panel)
      : op_(op),
        columns_(op.shape.inner),
        elements_(op.shape.axis * columns_),
        x_(static_cast<const float*>(smx_input_at(op, strip, 0))),
        y_(static_cast<float*>(smx_output_at(op, strip, 0))),
        streams_(strip.streams),
        panel_(panel) {}

  // Returns whether it has: not where a column is out of the kernels' range.
  bool Run() {
    smx_f32_extended sums[SMX_PANEL];
    if (!Sum(sums)) return false;
    is_log() ? Subtract(sums) : Scale(sums);
    return true;
  }

 private:
  bool is_log() const { return op_.rows.function == smx_rows_log_softmax; }
  const smx_microkernels& kernels() const { return op_.rows.base.microkernels; }
  const smx_f32_exponential& exponential() const { return op_.rows.scale.exponential; }
  // Of a vector, which holds an element of a group's column.
  size_t ColumnOf(size_t element) const { return element % columns_; }

  bool Sum(smx_f32_extended* sums) const {
    smx_partial_sum partial[SMX_PANEL];
    std::fill_n(partial, columns_, smx_empty_sum);
    for (size_t first = 0; first < elements_; first += SMX_TILE * columns_) {
      AddTile(first, std::min(SMX_TILE * columns_, elements_ - first), partial);
    }
    for (size_t c = 0; c < columns_; c++) {
      if (!smx_partial_sum_is_valid(&partial[c], &exponential())) return false;
      sums[c] = smx_f32_extended_of(&partial[c]);
    }
    return true;
  }

  void AddTile(size_t first, size_t count, smx_partial_sum* partial) const {
    const size_t block = SMX_BLOCK * columns_;
    smx_f32_column_sums sums;
    smx_begin_column_sums(&sums);
    for (size_t i = first; i < first + count; i += block)
      AddBlock(i, std::min(block, first + count - i), &sums);
    const smx_f32_column_sums unfolded = Unfolded(sums);
    smx_add_column_tile(&kernels(), &unfolded, columns_, partial);
  }

  void AddBlock(size_t first, size_t count, smx_f32_column_sums* sums) const {
    const float* x = WholeVectors(first, count);
    const size_t vectors = smx_divide_round_up(count, SMX_PANEL);
    float max[SMX_PANEL], dropped[SMX_PANEL];
    kernels().f32_rmax_columns(vectors, x, SMX_PANEL, max);
    for (size_t i = columns_; i < SMX_PANEL; i++) {
      max[ColumnOf(i)] = std::max(max[ColumnOf(i)], max[i]);
    }
    for (size_t i = columns_; i < SMX_PANEL; i++) max[i] = max[ColumnOf(i)];
    smx_raise_column_references(max, &exponential(), sums);
    kernels().f32_raddstoreextexp_columns(vectors, x, SMX_PANEL, dropped, 0, max, columns_, sums,
                                          reinterpret_cast<const char*>(panel_), 0, &exponential());
  }

  // Elements, behind the last ones others that count as 0.
  const float* WholeVectors(size_t first, size_t count) const {
    if (count % SMX_PANEL == 0) return x_ + first;
    std::fill_n(std::copy_n(x_ + first, count, panel_), SMX_PANEL - count % SMX_PANEL, -INFINITY);
    return panel_;
  }

  // Lane l of column c, in the order of summation, is element (l * columns + c) of the vectors.
  smx_f32_column_sums Unfolded(const smx_f32_column_sums& folded) const {
    smx_f32_column_sums sums = folded;
    sums.lanes = folded.lanes * SMX_PANEL / columns_;
    for (size_t l = 0; l < sums.lanes; l++) {
      for (size_t c = 0; c < columns_; c++) {
        const size_t element = l * columns_ + c;
        sums.hi[l][c] = folded.hi[element / SMX_PANEL][element % SMX_PANEL];
        sums.lo[l][c] = folded.lo[element / SMX_PANEL][element % SMX_PANEL];
      }
    }
    return sums;
  }

  // write(first of x, first of y, vectors, their elements)
  template <class Write>
  void ForVectors(const Write& write) const {
    const size_t whole = elements_ / SMX_PANEL, rest = elements_ % SMX_PANEL;
    write(x_, y_, whole, SMX_PANEL);
    if (rest > 0) write(WholeVectors(whole * SMX_PANEL, rest), y_ + whole * SMX_PANEL, 1, rest);
  }

  void Scale(const smx_f32_extended* sums) const {
    float reference[SMX_PANEL], hi[SMX_PANEL], lo[SMX_PANEL];
    for (size_t i = 0; i < SMX_PANEL; i++) {
      smx_set_column_reciprocal(&sums[ColumnOf(i)], &reference[i], &hi[i], &lo[i]);
    }
    ForVectors([&](const float* x, float* y, size_t n, size_t count) {
      kernels().f32_vscaleextexp_columns(x, SMX_PANEL, y, SMX_PANEL, SMX_PANEL, n, count, reference, hi, lo,
                                         streams_, &exponential());
    });
  }

  void Subtract(const smx_f32_extended* sums) const {
    float factor[SMX_PANEL], shift[SMX_PANEL], scale[SMX_PANEL], hi[SMX_PANEL], lo[SMX_PANEL];
    for (size_t i = 0; i < SMX_PANEL; i++) {
      const smx_f32_logarithm logarithm = smx_rows_logarithm(&op_.rows, &sums[ColumnOf(i)], false, 0.0f);
      factor[i] = logarithm.factor;
      shift[i] = logarithm.shift;
      scale[i] = logarithm.scale;
      hi[i] = logarithm.hi;
      lo[i] = logarithm.lo;
    }
    const smx_f32_column_logarithms logarithms = {factor, shift, scale, hi, lo};
    ForVectors([&](const float* x, float* y, size_t n, size_t count) {
      kernels().f32_vsubextc_columns(x, SMX_PANEL, y, SMX_PANEL, SMX_PANEL, n, count, &logarithms, streams_);
    });
  }

  const smx_axis& op_;
  const size_t columns_;
  const size_t elements_;
  const float* const x_;
  float* const y_;
  const bool streams_;
  float* const panel_;
};

}  // namespace

void smx_run_folded_columns(const smx_axis* op, const smx_strip* strip, float* panel) {
  if (!Folded(*op, *strip, panel).Run()) smx_run_long_columns(op, strip, panel);
}
