// Softmax over any axis. See smx_create_softmax_axis in include/smxpack.h.
//
// Columns are lanes. A strip of columns, side by side in memory, is packed into a panel of floats; there its terms are computed
// and summed; from there they are scaled to the output. Where a panel does not hold whole columns, they pass through it block by
// block, twice: for their sums, and for their results.
#include <math.h>

#include <algorithm>

#include "src/operators/row_sum.h"
#include "src/operators/rows.h"
#include "src/runtime/fp_environment.h"
#include "src/runtime/log.h"
#include "src/runtime/parallelize.h"

namespace {

// Element i of step a of slice o is at o * outer_stride + a * axis_stride + i.
struct smx_axis {
  smx_rows rows;  // types, flags, scale; and what is to be done where columns are contiguous rows
  size_t outer;
  size_t axis;
  size_t inner;
  size_t input_outer_stride;
  size_t input_axis_stride;
  size_t output_outer_stride;
  size_t output_axis_stride;

  bool columns_are_rows() const {
    return inner == 1 && (axis == 1 || (input_axis_stride == 1 && output_axis_stride == 1));
  }
};

smx_axis* Axis(smx_operator* op) {
  return reinterpret_cast<smx_axis*>(op);
}
const smx_axis* Axis(const smx_operator* op) {
  return reinterpret_cast<const smx_axis*>(op);
}

// A panel's floats fit a level 2 cache and a thread's stack. Strips are as wide as it holds: memory is read in longer runs.
constexpr size_t kPanelFloats = 65536;
constexpr size_t kMostColumns = 512;     // of a strip
constexpr size_t kMostStoredBlocks = 4;  // of columns that a panel holds whole, for SMX_PANEL of them
constexpr size_t kColumnsInBlocks = kPanelFloats / SMX_BLOCK;  // of a strip that passes block by block
static_assert(kMostStoredBlocks * SMX_BLOCK * SMX_PANEL == kPanelFloats,
              "a group of the longest that are stored");

size_t DivideRoundUp(size_t n, size_t q) {
  return n / q + (n % q != 0);
}

// How columns are cut into strips: a part of a slice, or several slices of few columns.
struct Plan {
  bool stores;           // a panel holds whole columns
  size_t strip_columns;  // of one slice
  size_t strip_slices;
  size_t strips_of_slice;
  size_t strips;
};

Plan PlanStrips(const smx_axis& op, size_t threads) {
  Plan plan;
  plan.stores = op.axis <= kMostStoredBlocks * SMX_BLOCK;
  if (op.inner <= SMX_PANEL / 2) {
    plan.strip_columns = op.inner;
    plan.strip_slices = SMX_PANEL / op.inner;
    plan.strips_of_slice = 1;
    plan.strips = DivideRoundUp(op.outer, plan.strip_slices);
    return plan;
  }
  const size_t columns = plan.stores ? std::min(kMostColumns, kPanelFloats / op.axis) : kColumnsInBlocks;
  const size_t most_groups = columns / SMX_PANEL;
  // Fewer where threads would go without.
  const size_t groups = DivideRoundUp(op.inner, SMX_PANEL);
  const size_t groups_of_thread =
      std::max<size_t>(1, op.outer < threads ? op.outer * groups / threads : most_groups);
  plan.strip_columns = std::min(most_groups, groups_of_thread) * SMX_PANEL;
  plan.strip_slices = 1;
  plan.strips_of_slice = DivideRoundUp(op.inner, plan.strip_columns);
  plan.strips = op.outer * plan.strips_of_slice;
  return plan;
}

size_t StripsPerTask(const smx_axis& op, const Plan& plan) {
  const size_t columns = plan.strip_columns * plan.strip_slices;
  return std::max<size_t>(1, op.rows.base.thresholds.task_elements / op.axis / columns);
}

void References(const float* max, const smx_f32_exponential& exponential, float* references) {
  for (size_t c = 0; c < SMX_PANEL; c++) references[c] = smx_float_exponent_of(max[c], &exponential);
}

// What a column's elements are replaced by before terms are made of them, as in src/operators/rows.cc.
struct Replacement {
  bool is_special;  // by zeros, for the column has no softmax but the result that is given
  float result;
  bool is_shifted;  // by their difference from the largest, which is out of the kernels' range
  float shift;
};

class Strip {
 public:
  Strip(const smx_axis& op, const Plan& plan, size_t index, float* panel)
      : op_(op),
        stores_(plan.stores),
        first_slice_(index / plan.strips_of_slice * plan.strip_slices),
        first_column_(index % plan.strips_of_slice * plan.strip_columns),
        slices_(std::min(plan.strip_slices, op.outer - first_slice_)),
        slice_columns_(std::min(plan.strip_columns, op.inner - first_column_)),
        columns_(slices_ * slice_columns_),
        groups_(DivideRoundUp(columns_, SMX_PANEL)),
        panel_(panel),
        group_stride_((plan.stores ? op.axis : SMX_BLOCK) * SMX_PANEL) {}

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
  size_t blocks() const { return DivideRoundUp(op_.axis, SMX_BLOCK); }
  size_t BlockLength(size_t block) const { return std::min<size_t>(SMX_BLOCK, op_.axis - block * SMX_BLOCK); }
  // Where a block is packed to.
  float* PanelOf(size_t block) const { return panel_ + (stores_ ? block * SMX_BLOCK * SMX_PANEL : 0); }

  const void* InputAt(size_t step) const {
    const size_t at = first_slice_ * op_.input_outer_stride + step * op_.input_axis_stride + first_column_;
    return static_cast<const char*>(op_.rows.input) + at * types().input_bytes;
  }
  void* OutputAt(size_t step) const {
    const size_t at = first_slice_ * op_.output_outer_stride + step * op_.output_axis_stride + first_column_;
    return static_cast<char*>(op_.rows.output) + at * types().output_bytes;
  }

  smx_slices SlicesOf(size_t block, size_t slice_stride) const {
    return {group_stride_, BlockLength(block), slices_, slice_columns_, slice_stride};
  }

  // A block as it is. Lanes without a column hold zeros.
  void Pack(size_t block) const {
    if (columns_ < width()) {
      float* absent = smx_panel_at(PanelOf(block), group_stride_, columns_);
      for (size_t j = 0; j < BlockLength(block); j++)
        std::fill_n(absent + j * SMX_PANEL, width() - columns_, 0.0f);
    }
    types().pack(kernels(), InputAt(block * SMX_BLOCK), op_.input_axis_stride, PanelOf(block),
                 SlicesOf(block, op_.input_outer_stride));
  }

  // A block as kernels take it, and the largest element of each column.
  void Load(size_t block, float* max) const {
    Pack(block);
    if (has_replacements_ || !smx_scale_is_direct(&scale())) {
      for (size_t c = 0; c < columns_; c++) {
        constexpr Replacement kNone = {false, 0.0f, false, 0.0f};
        Stage(has_replacements_ ? replacements_[c] : kNone, BlockLength(block),
              smx_panel_at(PanelOf(block), group_stride_, c));
      }
    }
    for (size_t g = 0; g < groups_; g++) {
      kernels().f32_rmax_columns(BlockLength(block), PanelOf(block) + g * group_stride_, max + g * SMX_PANEL);
    }
  }

  void Stage(const Replacement& replacement, size_t n, float* column) const {
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
      Begin(&sums);
      References(largest + c, exponential(), sums.reference);
      for (size_t b = 0; b < blocks(); b++) AddBlock(b, g, max[b] + c, &sums);
      smx_f32_column_totals totals;
      kernels().f32_raddlanes_columns(&sums, &totals);
      std::copy_n(totals.reciprocal_hi, SMX_PANEL, hi_ + c);
      std::copy_n(totals.reciprocal_lo, SMX_PANEL, lo_ + c);
      for (size_t i = 0; i < SMX_PANEL; i++) {
        is_valid_[c + i] = smx_is_in_range(largest[c + i], &exponential()) && totals.hi[i] > 0.0f;
        all_are_valid &= is_valid_[c + i];
        if (is_log() && is_valid_[c + i]) {
          SetLogarithm(c + i,
                       {totals.hi[i], totals.lo[i], static_cast<int32_t>(sums.reference[i]), largest[c + i]});
        }
      }
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
    const smx_f32_reciprocal reciprocal = smx_f32_reciprocal_of(&sum);
    reference_[c] = static_cast<float>(reciprocal.exponent);
    hi_[c] = reciprocal.hi * smx_pow2(-SMX_BIAS);
    lo_[c] = reciprocal.lo * smx_pow2(-SMX_BIAS);
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
    for (size_t g = 0; g < groups_; g++) Begin(&sums[g]);
    for (size_t b = tile; b < std::min(blocks(), tile + SMX_TILE / SMX_BLOCK); b++) {
      Load(b, max);
      for (size_t g = 0; g < groups_; g++) {
        Raise(max + g * SMX_PANEL, &sums[g]);
        AddBlock(b, g, max + g * SMX_PANEL, &sums[g]);
      }
    }
    for (size_t g = 0; g < groups_; g++) {
      smx_f32_column_totals totals;
      kernels().f32_raddlanes_columns(&sums[g], &totals);
      for (size_t i = 0; i < SMX_PANEL; i++) {
        const smx_f32_extended sum = {totals.hi[i], totals.lo[i], static_cast<int32_t>(sums[g].reference[i]),
                                      sums[g].max[i]};
        smx_partial_sum_add_tile(&rows[g * SMX_PANEL + i], &sum);
      }
    }
  }

  static void Begin(smx_f32_column_sums* sums) {
    sums->lanes = 0;
    std::fill_n(sums->max, SMX_PANEL, -INFINITY);
  }

  // Makes the references hold a block with these maxima; the sums so far follow.
  void Raise(const float* max, smx_f32_column_sums* sums) const {
    float largest[SMX_PANEL], reference[SMX_PANEL];
    for (size_t i = 0; i < SMX_PANEL; i++) largest[i] = std::max(sums->max[i], max[i]);
    References(largest, exponential(), reference);
    for (size_t i = 0; i < SMX_PANEL && sums->lanes > 0; i++) {
      const int32_t down = std::max(static_cast<int32_t>(sums->reference[i] - reference[i]), -252);
      const float half = smx_pow2(down / 2), rest = smx_pow2(down - down / 2);
      for (size_t l = 0; down < 0 && l < sums->lanes; l++) {
        sums->hi[l][i] = sums->hi[l][i] * half * rest;
        sums->lo[l][i] = sums->lo[l][i] * half * rest;
      }
    }
    std::copy_n(reference, SMX_PANEL, sums->reference);
  }

  void AddBlock(size_t block, size_t group, const float* max, smx_f32_column_sums* sums) const {
    float* at = PanelOf(block) + group * group_stride_;
    kernels().f32_raddstoreextexp_columns(BlockLength(block), at, at, max, sums, &exponential());
  }

  // Of columns without a sum: how RunOutOfRange of src/operators/rows.cc has one.
  void Replace() {
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

  // The results of the terms in the panel, which pass through it once more where it does not hold them all.
  void Scale(size_t block) const {
    if (!stores_) MakeTerms(block);
    types().scale_columns(kernels(), PanelOf(block), OutputAt(block * SMX_BLOCK), op_.output_axis_stride,
                          SlicesOf(block, op_.output_outer_stride), hi_, lo_);
  }

  // The results of the elements themselves.
  void Subtract(size_t block) const {
    Pack(block);
    for (size_t c = 0; has_replacements_ && c < columns_; c++) {
      if (replacements_[c].is_special) {
        Stage(replacements_[c], BlockLength(block), smx_panel_at(PanelOf(block), group_stride_, c));
      }
    }
    types().subtract_columns(kernels(), PanelOf(block), OutputAt(block * SMX_BLOCK), op_.output_axis_stride,
                             SlicesOf(block, op_.output_outer_stride), {factor_, shift_, scale_, hi_, lo_});
  }

  void MakeTerms(size_t block) const {
    float max[kColumnsInBlocks];
    Load(block, max);
    for (size_t g = 0; g < groups_; g++) {
      smx_f32_column_sums sums;
      Begin(&sums);
      std::copy_n(reference_ + g * SMX_PANEL, SMX_PANEL, sums.reference);
      AddBlock(block, g, max + g * SMX_PANEL, &sums);
    }
  }

  const smx_axis& op_;
  const bool stores_;
  const size_t first_slice_, first_column_, slices_, slice_columns_, columns_, groups_;
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

void RunStrips(const smx_axis& op, const Plan& plan, size_t start, size_t end) {
  alignas(64) float panel[kPanelFloats + SMX_PANEL];  // kernels write whole vectors
  for (size_t i = start; i < end; i++) Strip(op, plan, i, panel).Run();
}

void Run(smx_operator* base, pthreadpool_t threadpool) {
  const smx_axis& op = *Axis(base);
  if (op.outer == 0 || op.inner == 0) return;
  if (op.columns_are_rows()) return smx_run_rows(&op.rows, threadpool);
  const size_t threads = pthreadpool_get_threads_count(threadpool);
  const Plan plan = PlanStrips(op, threads);
  const size_t strips_per_task = StripsPerTask(op, plan);
  if (threads == 1 || plan.strips <= strips_per_task) return RunStrips(op, plan, 0, plan.strips);
  smx_parallelize(threadpool, plan.strips, strips_per_task,
                  [&](size_t start, size_t count) { RunStrips(op, plan, start, start + count); });
}

void DescribePlan(const smx_operator* base, size_t threads, smx_plan* plan_out) {
  const smx_axis& op = *Axis(base);
  if (op.columns_are_rows()) return smx_describe_rows_plan(&op.rows, threads, plan_out);
  const Plan plan = PlanStrips(op, threads);
  const size_t columns = StripsPerTask(op, plan) * plan.strip_columns * plan.strip_slices;
  if (plan.stores) {
    *plan_out = {"columns-as-lanes", "columns are no longer than a panel holds", false, 0, columns};
  } else {
    *plan_out = {"columns-by-blocks", "columns are longer than a panel holds", false, 0, columns};
  }
}

const char* SetScale(smx_operator* base, float scale) {
  return smx_set_rows_scale(&Axis(base)->rows, scale);
}

constexpr smx_operator_type kSoftmaxAxis = {"softmax_axis", Run, DescribePlan, SetScale};
constexpr smx_operator_type kLogSoftmaxAxis = {"log_softmax_axis", Run, DescribePlan, SetScale};

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

const char* InvalidLayout(const Layout& input, const Layout& output) {
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

smx_status SetUp(smx_axis* op, size_t outer, size_t axis, size_t inner, size_t input_outer_stride,
                 size_t input_axis_stride, size_t output_outer_stride, size_t output_axis_stride,
                 const void* input, void* output) {
  const smx_types& types = *op->rows.types;
  const char* reason = axis == 0 ? "axis is 0" : nullptr;
  if (reason == nullptr && outer > 0 && inner > 0) {
    const Layout x({outer, input_outer_stride}, {axis, input_axis_stride}, inner, types.input_bytes, input);
    const Layout y({outer, output_outer_stride}, {axis, output_axis_stride}, inner, types.output_bytes,
                   output);
    reason = InvalidLayout(x, y);
  }
  if (reason != nullptr) {
    smx_log_error("setup %s: %s", op->rows.base.type->name, reason);
    return smx_status_invalid_parameter;
  }
  op->outer = outer;
  op->axis = axis;
  op->inner = inner;
  op->input_outer_stride = input_outer_stride;
  op->input_axis_stride = input_axis_stride;
  op->output_outer_stride = output_outer_stride;
  op->output_axis_stride = output_axis_stride;
  op->rows.batch_size = outer;
  op->rows.channels = axis;
  op->rows.input_stride = input_outer_stride;
  op->rows.output_stride = output_outer_stride;
  op->rows.input = input;
  op->rows.output = output;
  op->rows.serial_plan = smx_plan_rows(&op->rows, 1);
  op->rows.base.is_set_up = true;
  return smx_status_success;
}

}  // namespace

enum smx_status smx_create_softmax_axis(enum smx_datatype input_type, enum smx_datatype output_type,
                                        uint32_t flags, smx_operator_t* op_out) {
  return smx_create_rows(&kSoftmaxAxis, sizeof(smx_axis), "softmax_op_out", smx_rows_softmax, input_type,
                         output_type, nullptr, SMX_FLAG_MASKED_ROWS_TO_ZERO, flags, op_out);
}

enum smx_status smx_create_log_softmax_axis(enum smx_datatype input_type, enum smx_datatype output_type,
                                            uint32_t flags, smx_operator_t* op_out) {
  return smx_create_rows(&kLogSoftmaxAxis, sizeof(smx_axis), "log_softmax_op_out", smx_rows_log_softmax,
                         input_type, output_type, nullptr, SMX_FLAG_MASKED_ROWS_TO_ZERO, flags, op_out);
}

enum smx_status smx_setup_softmax_axis(smx_operator_t softmax_op, size_t outer, size_t axis, size_t inner,
                                       size_t input_outer_stride, size_t input_axis_stride,
                                       size_t output_outer_stride, size_t output_axis_stride,
                                       const void* input, void* output) {
  const enum smx_status status = smx_check_operator(softmax_op, &kSoftmaxAxis);
  if (status != smx_status_success) return status;
  return SetUp(Axis(softmax_op), outer, axis, inner, input_outer_stride, input_axis_stride,
               output_outer_stride, output_axis_stride, input, output);
}

enum smx_status smx_setup_log_softmax_axis(smx_operator_t log_softmax_op, size_t outer, size_t axis,
                                           size_t inner, size_t input_outer_stride, size_t input_axis_stride,
                                           size_t output_outer_stride, size_t output_axis_stride,
                                           const void* input, void* output) {
  const enum smx_status status = smx_check_operator(log_softmax_op, &kLogSoftmaxAxis);
  if (status != smx_status_success) return status;
  return SetUp(Axis(log_softmax_op), outer, axis, inner, input_outer_stride, input_axis_stride,
               output_outer_stride, output_axis_stride, input, output);
}
