// Columns are lanes. A strip of them, side by side in memory, is packed into a panel of floats; there its terms are computed
// and summed; from there they are scaled to the output. Where a panel does not hold whole columns, they are read block by block,
// twice, where they are or by way of the panel: for their sums, and for their results.
#include <math.h>

#include <algorithm>

#include "src/operators/axis.h"
#include "src/operators/column_sums.h"

namespace {

// Floats from step to step of which a page holds some.
constexpr size_t kNearSteps = 256;

// Elements as kernels take them, in a panel or where they are.
struct Elements {
  const float* first;
  size_t stride;  // from step to step
  size_t group_stride;
};

// What a column's elements are replaced by before terms are made of them, as in src/operators/row.cc.
struct Replacement {
  bool is_special;  // by zeros, for the column has no softmax but the result that is given
  float result;
  bool is_shifted;  // by their difference from the largest, which is out of the kernels' range
  float shift;
};

class Strip {
 public:
  Strip(const smx_axis& op, const smx_strip& strip, float* panel)
      : op_(op),
        strip_(strip),
        stores_(smx_columns_are_stored(op)),
        columns_(strip.columns()),
        groups_(smx_divide_round_up(columns_, SMX_PANEL)),
        panel_(panel),
        group_stride_(((stores_ ? op.shape.axis : SMX_BLOCK) | 1) * SMX_PANEL) {}

  void Run() {
    if (!Sum()) {
      Replace();
      Sum();
    }
    for (size_t c = 0; has_replacements_ && c < columns_; c++) {
      if (replacements_[c].is_special) SetResult(c, replacements_[c].result);
    }
    for (size_t b = 0; b < blocks(); b++) is_log() ? Subtract(b) : Scale(b);
  }

 private:
  bool is_log() const { return op_.rows.function == smx_rows_log_softmax; }
  size_t width() const { return groups_ * SMX_PANEL; }
  const smx_types& types() const { return *op_.rows.types; }
  const smx_microkernels& kernels() const { return op_.rows.base.microkernels; }
  const smx_scale& scale() const { return op_.rows.scale; }
  const smx_f32_exponential& exponential() const { return scale().exponential; }
  size_t blocks() const { return smx_divide_round_up(op_.shape.axis, SMX_BLOCK); }
  size_t BlockLength(size_t block) const {
    return std::min<size_t>(SMX_BLOCK, op_.shape.axis - block * SMX_BLOCK);
  }
  // Whether kernels take other numbers than there are in the input.
  bool IsStaged() const { return has_replacements_ || !smx_scale_is_direct(&scale()); }
  // Whether kernels can take elements where they are, which a panel does not hold: once, or as often as a sum does, of which a cache
  // keeps them between groups if their steps are not far apart.
  bool MayReadOnce() const {
    return !stores_ && !IsStaged() && columns_ == width() && !smx_stages_input(op_, strip_);
  }
  bool MayReadTwice() const { return MayReadOnce() && op_.shape.input.axis <= kNearSteps; }
  // Where a block is packed to.
  float* PanelOf(size_t block) const { return panel_ + (stores_ ? block * SMX_BLOCK * SMX_PANEL : 0); }
  Elements ElementsOf(size_t block, bool in_panel) const {
    if (in_panel) return {PanelOf(block), SMX_PANEL, group_stride_};
    const void* first = smx_input_at(op_, strip_, block * SMX_BLOCK);
    return {static_cast<const float*>(first), op_.shape.input.axis, SMX_PANEL};
  }

  // function(its first step, steps) for the steps of a block, as many at a time as are staged.
  template <class Function>
  void ForSteps(size_t block, bool stages, const Function& function) const {
    const size_t most = stages ? kStagedElements / columns_ : SMX_BLOCK;
    for (size_t j = 0; j < BlockLength(block); j += most) function(j, std::min(most, BlockLength(block) - j));
  }

  // A block as it is. Lanes without a column hold zeros.
  [[gnu::noinline]] void Pack(size_t block) const {
    if (columns_ < width()) {
      float* absent = smx_panel_at(PanelOf(block), group_stride_, columns_);
      for (size_t j = 0; j < BlockLength(block); j++)
        std::fill_n(absent + j * SMX_PANEL, width() - columns_, 0.0f);
    }
    const bool stages = smx_stages_input(op_, strip_);
    ForSteps(block, stages, [&](size_t j, size_t n) {
      const size_t step = block * SMX_BLOCK + j;
      const auto pack = [&](const void* x, size_t x_stride) {
        kernels().f32_pack_columns(static_cast<const float*>(x), x_stride, PanelOf(block) + j * SMX_PANEL,
                                   group_stride_, n, columns_);
      };
      if (!stages) return pack(smx_input_at(op_, strip_, step), op_.shape.input.axis);
      float staged[kStagedElements];
      smx_load_columns(&op_, &strip_, step, n, staged);
      pack(staged, columns_);
    });
  }

  // write(elements or terms, steps, to, its stride) for the steps of a block.
  template <class Function>
  void Write(size_t block, const Function& write) const {
    const bool stages = smx_stages_output(op_, strip_);
    const Elements elements = ElementsOf(block, !MayReadOnce());
    ForSteps(block, stages, [&](size_t j, size_t n) {
      const size_t step = block * SMX_BLOCK + j;
      const float* first = elements.first + j * elements.stride;
      const Elements from = {first, elements.stride, elements.group_stride};
      if (!stages) {
        return write(from, n, static_cast<float*>(smx_output_at(op_, strip_, step)), op_.shape.output.axis);
      }
      float staged[kStagedElements];
      write(from, n, staged, columns_);
      smx_store_columns(&op_, &strip_, step, n, staged);
    });
  }

  // A block as kernels take it.
  void LoadElements(size_t block) const {
    Pack(block);
    if (IsStaged()) {
      for (size_t c = 0; c < columns_; c++) {
        constexpr Replacement kNone = {false, 0.0f, false, 0.0f};
        Stage(has_replacements_ ? replacements_[c] : kNone, BlockLength(block),
              smx_panel_at(PanelOf(block), group_stride_, c));
      }
    }
  }

  // And the largest element of each column.
  [[gnu::noinline]] void Load(size_t block, float* max) const {
    if (!MayReadTwice()) LoadElements(block);
    const Elements elements = ElementsOf(block, !MayReadTwice());
    for (size_t g = 0; g < groups_; g++) {
      kernels().f32_rmax_columns(BlockLength(block), elements.first + g * elements.group_stride,
                                 elements.stride, max + g * SMX_PANEL);
    }
  }

  [[gnu::cold]] void Stage(const Replacement& replacement, size_t n, float* column) const {
    const smx_staging staging = smx_staging_of(&scale(), replacement.is_shifted, replacement.shift);
    for (size_t j = 0; j < n; j++) {
      float& x = column[j * SMX_PANEL];
      x = replacement.is_special ? 0.0f : smx_staged(&staging, x);
    }
  }

  // What the columns are scaled by, and of columns that pass block by block, the references of the terms to be scaled. Returns
  // whether all columns have a sum; is_valid_ says which.
  bool Sum() { return stores_ ? SumStored() : SumByBlocks(); }

  bool SumStored() {
    float max[kMostStoredBlocks][kMostColumns];
    float largest[kMostColumns];
    std::fill_n(largest, width(), -INFINITY);
    for (size_t b = 0; b < blocks(); b++) {
      Load(b, max[b]);
      for (size_t c = 0; c < width(); c++) largest[c] = std::max(largest[c], max[b][c]);
    }
    bool all_are_valid = true;
    for (size_t g = 0; g < groups_; g++) {
      const size_t c = g * SMX_PANEL;
      smx_f32_column_sums sums;
      smx_begin_column_sums(&sums);
      smx_column_references(largest + c, &exponential(), sums.reference);
      for (size_t b = 0; b < blocks(); b++) AddBlock(b, g, max[b] + c, &sums);
      smx_f32_column_totals totals;
      kernels().f32_raddlanes_columns(&sums, &totals, is_log() ? &exponential() : nullptr);
      std::copy_n(totals.normalizer_hi, SMX_PANEL, hi_ + c);
      std::copy_n(totals.normalizer_lo, SMX_PANEL, lo_ + c);
      for (size_t i = 0; i < SMX_PANEL; i++) {
        is_valid_[c + i] = smx_is_in_range(largest[c + i], &exponential()) && totals.hi[i] > 0.0f;
        all_are_valid &= is_valid_[c + i];
      }
      if (is_log()) SetLogarithms(c, largest + c, sums, totals);
    }
    return all_are_valid;
  }

  bool SumByBlocks() {
    smx_partial_sum rows[kColumnsInBlocks];
    std::fill_n(rows, width(), smx_empty_sum);
    for (size_t tile = 0; tile < blocks(); tile += SMX_TILE / SMX_BLOCK) AddTile(tile, rows);
    bool all_are_valid = true;
    for (size_t c = 0; c < width(); c++) {
      is_valid_[c] = smx_partial_sum_is_valid(&rows[c], &exponential());
      all_are_valid &= is_valid_[c];
      if (!is_valid_[c]) continue;
      const smx_f32_extended sum = smx_f32_extended_of(&rows[c]);
      is_log() ? SetLogarithm(c, sum) : SetReciprocal(c, sum);
    }
    return all_are_valid;
  }

  // The terms are to be scaled by the reciprocal's exponent.
  void SetReciprocal(size_t c, const smx_f32_extended& sum) {
    smx_set_column_reciprocal(&sum, &reference_[c], &hi_[c], &lo_[c]);
  }

  // Of a group from column `first` on, whose logarithms are there; those of shifted columns one by one.
  void SetLogarithms(size_t first, const float* max, const smx_f32_column_sums& sums,
                     const smx_f32_column_totals& totals) {
    std::fill_n(factor_ + first, SMX_PANEL, 1.0f);
    std::fill_n(shift_ + first, SMX_PANEL, 0.0f);
    std::fill_n(scale_ + first, SMX_PANEL, scale().value);
    for (size_t i = 0; has_replacements_ && i < SMX_PANEL; i++) {
      if (!is_valid_[first + i]) continue;
      SetLogarithm(first + i, {totals.hi[i], totals.lo[i], static_cast<int32_t>(sums.reference[i]), max[i]});
    }
  }

  void SetLogarithm(size_t c, const smx_f32_extended& sum) {
    const bool is_shifted = has_replacements_ && c < columns_ && replacements_[c].is_shifted;
    const smx_f32_logarithm logarithm =
        smx_rows_logarithm(&op_.rows, &sum, is_shifted, is_shifted ? replacements_[c].shift : 0.0f);
    factor_[c] = logarithm.factor;
    shift_[c] = logarithm.shift;
    scale_[c] = logarithm.scale;
    hi_[c] = logarithm.hi;
    lo_[c] = logarithm.lo;
  }

  // Of a column of zeros in place of its elements, whose terms and sum are finite.
  void SetResult(size_t c, float probability) {
    hi_[c] = lo_[c] = probability;
    if (!is_log()) return;
    hi_[c] = probability == 0.0f ? INFINITY : NAN;  // is taken off
    lo_[c] = 0.0f;
  }

  // Adds a tile to the sums of its rows.
  void AddTile(size_t tile, smx_partial_sum* rows) const {
    smx_f32_column_sums sums[kColumnsInBlocks / SMX_PANEL];
    float max[kColumnsInBlocks];
    for (size_t g = 0; g < groups_; g++) smx_begin_column_sums(&sums[g]);
    for (size_t b = tile; b < std::min(blocks(), tile + SMX_TILE / SMX_BLOCK); b++) {
      Load(b, max);
      for (size_t g = 0; g < groups_; g++) {
        smx_raise_column_references(max + g * SMX_PANEL, &exponential(), &sums[g]);
        AddBlock(b, g, max + g * SMX_PANEL, &sums[g]);
      }
    }
    for (size_t g = 0; g < groups_; g++) {
      smx_add_column_tile(&kernels(), &sums[g], SMX_PANEL, rows + g * SMX_PANEL);
    }
  }

  // Terms are stored in place of elements where they become the results.
  void AddBlock(size_t block, size_t group, const float* max, smx_f32_column_sums* sums) const {
    const Elements elements = ElementsOf(block, !MayReadTwice());
    const float* x = elements.first + group * elements.group_stride;
    // Of the strip that follows, the same steps and columns.
    const bool fetches = strip_.next != nullptr && strip_.slices == 1 && stores_;
    const size_t bytes = types().input_bytes;
    const void* strip_next = fetches ? smx_input_at(op_, *strip_.next, block * SMX_BLOCK) : panel_;
    const char* next = static_cast<const char*>(strip_next) + (fetches ? group * SMX_PANEL * bytes : 0);
    const size_t next_stride = fetches ? op_.shape.input.axis * bytes : 0;
    const bool keeps_terms = stores_ && !is_log();
    float dropped[SMX_PANEL];
    kernels().f32_raddstoreextexp_columns(BlockLength(block), x, elements.stride,
                                          keeps_terms ? PanelOf(block) + group * group_stride_ : dropped,
                                          keeps_terms ? SMX_PANEL : 0, max, SMX_LANES, sums, next,
                                          next_stride, &exponential());
  }

  // Of columns without a sum: how RunOutOfRange of src/operators/row.cc has one.
  [[gnu::cold]] void Replace() {
    for (size_t c = 0; c < columns_; c++) replacements_[c] = {false, 0.0f, false, 0.0f};
    float directed_max[kMostColumns];
    bool has_nan[kMostColumns];
    std::fill_n(directed_max, columns_, -INFINITY);
    std::fill_n(has_nan, columns_, scale().direction == 0.0f);
    for (size_t b = 0; b < blocks(); b++) {
      Pack(b);
      for (size_t c = 0; c < columns_; c++) {
        if (!is_valid_[c]) Inspect(b, c, &directed_max[c], &has_nan[c]);
      }
    }
    for (size_t c = 0; c < columns_; c++) {
      if (!is_valid_[c]) replacements_[c] = ReplacementOf(has_nan[c] ? NAN : directed_max[c]);
    }
    has_replacements_ = true;
  }

  void Inspect(size_t block, size_t c, float* directed_max, bool* has_nan) const {
    const float* column = smx_panel_at(PanelOf(block), group_stride_, c);
    for (size_t j = 0; j < BlockLength(block); j++) {
      const float x = column[j * SMX_PANEL];
      *directed_max = std::max(*directed_max, scale().direction * x);
      *has_nan |= x != x;
    }
  }

  Replacement ReplacementOf(float directed_max) const {
    if (isfinite(directed_max)) return {false, 0.0f, true, scale().direction * directed_max};
    return {true, smx_special_probability(&op_.rows, directed_max), false, 0.0f};
  }

  // The results of the terms in the panel or, where it does not hold them all, of the elements.
  void Scale(size_t block) const {
    if (!stores_ && !MayReadOnce()) LoadElements(block);
    Write(block, [this](const Elements& from, size_t n, float* y, size_t y_stride) {
      if (stores_) {
        return kernels().f32_vmulextc_columns(from.first, y, y_stride, from.group_stride, n, columns_, hi_,
                                              lo_, strip_.streams);
      }
      kernels().f32_vscaleextexp_columns(from.first, from.stride, y, y_stride, from.group_stride, n, columns_,
                                         reference_, hi_, lo_, strip_.streams, &exponential());
    });
  }

  // The results of the elements themselves, which the panel holds if they are not staged, and it holds them all.
  void Subtract(size_t block) const {
    if (!MayReadOnce() && (!stores_ || IsStaged())) Pack(block);
    for (size_t c = 0; has_replacements_ && c < columns_; c++) {
      if (replacements_[c].is_special) {
        Stage(replacements_[c], BlockLength(block), smx_panel_at(PanelOf(block), group_stride_, c));
      }
    }
    const smx_f32_column_logarithms logarithms = {factor_, shift_, scale_, hi_, lo_};
    Write(block, [&](const Elements& from, size_t n, float* y, size_t y_stride) {
      kernels().f32_vsubextc_columns(from.first, from.stride, y, y_stride, from.group_stride, n, columns_,
                                     &logarithms, strip_.streams);
    });
  }

  const smx_axis& op_;
  const smx_strip& strip_;
  const bool stores_;
  const size_t columns_, groups_;
  float* const panel_;
  const size_t group_stride_;
  // What results are made with. Kernels read whole vectors.
  float hi_[kMostColumns + SMX_PANEL], lo_[kMostColumns + SMX_PANEL];
  float factor_[kMostColumns + SMX_PANEL], shift_[kMostColumns + SMX_PANEL], scale_[kMostColumns + SMX_PANEL];
  float reference_[kColumnsInBlocks];
  bool is_valid_[kMostColumns];
  bool has_replacements_ = false;
  Replacement replacements_[kMostColumns];
};

}  // namespace

void smx_run_long_columns(const smx_axis* op, const smx_strip* strip, float* panel) {
  const bool in_groups = smx_columns_are_stored(*op) || strip->slices > 1;
  const size_t rest = in_groups ? 0 : strip->slice_columns % SMX_PANEL;
  // By themselves, whole groups may be read where they are.
  smx_strip part = *strip;
  for (size_t columns : {strip->slice_columns - rest, rest}) {
    part.slice_columns = columns;
    if (columns > 0) Strip(*op, part, panel).Run();
    part.first_column += columns;
  }
}
