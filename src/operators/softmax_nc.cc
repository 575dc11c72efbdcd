// Softmax, log-softmax, logsumexp and partial sums of rows. See smx_create_softmax_nc and its neighbours in
// include/smxpack.h.
#include <math.h>

#include <algorithm>

#include "src/operators/operator.h"
#include "src/operators/row_sum.h"
#include "src/operators/two_phases.h"
#include "src/operators/types.h"
#include "src/plan/softmax_plan.h"
#include "src/runtime/fp_environment.h"
#include "src/runtime/log.h"
#include "src/runtime/parallelize.h"

namespace {

enum class Function { kSoftmax, kLogSoftmax, kLogSumExp, kPartialSum, kScaleByPartialSum };

// Whether a function has one result a row.
bool Reduces(Function function) {
  return function == Function::kLogSumExp || function == Function::kPartialSum;
}

struct RowsOperator {
  smx_operator base;
  Function function;
  const smx_types* types;
  uint32_t flags;
  size_t batch_size;
  size_t channels;
  size_t input_stride;
  size_t output_stride;
  const void* input;
  const smx_partial_sum* sums;  // of scale_by_partial_sum
  void* output;
  smx_softmax_plan serial_plan;  // for one thread

  size_t results() const { return Reduces(function) ? 1 : channels; }  // of a row
  size_t result_bytes() const {
    return function == Function::kPartialSum ? sizeof(smx_partial_sum) : types->output_bytes;
  }
};

RowsOperator* Rows(smx_operator* op) {
  return reinterpret_cast<RowsOperator*>(op);
}
const RowsOperator* Rows(const smx_operator* op) {
  return reinterpret_cast<const RowsOperator*>(op);
}

smx_softmax_plan Plan(const RowsOperator& op, size_t threads) {
  smx_softmax_shape shape;
  shape.rows = op.batch_size;
  shape.channels = op.channels;
  shape.element_bytes = op.types->input_bytes + op.types->output_bytes;
  shape.in_place = op.input == op.output;
  shape.groups_rows = op.function == Function::kSoftmax;
  shape.stores_terms = op.function == Function::kSoftmax && op.types->is_f32();
  smx_softmax_plan plan = smx_plan_softmax(&shape, &op.base.thresholds, threads);
  plan.streams_output &= op.function == Function::kSoftmax || op.function == Function::kScaleByPartialSum;
  return plan;
}

const void* InputAt(const RowsOperator& op, size_t row) {
  return static_cast<const char*>(op.input) + row * op.input_stride * op.types->input_bytes;
}
void* OutputAt(const RowsOperator& op, size_t row) {
  return static_cast<char*>(op.output) + row * op.output_stride * op.result_bytes();
}

// One row and how to compute it.
struct Row {
  const RowsOperator& op;
  smx_algorithm algorithm;
  bool streams_output;
  const void* x;
  void* y;
  float shift =
      0.0f;  // subtracted from the elements first: the maximum of a row that is out of the kernels' range
  bool is_shifted = false;

  size_t channels() const { return op.channels; }
  const smx_types& types() const { return *op.types; }
  const smx_microkernels& kernels() const { return op.base.microkernels; }
  const void* x_at(size_t i) const { return static_cast<const char*>(x) + i * types().input_bytes; }
  void* y_at(size_t i) const { return static_cast<char*>(y) + i * types().output_bytes; }
  float* stored_terms() const { return static_cast<float*>(y); }
};

Row RowAt(const RowsOperator& op, const smx_softmax_plan& plan, size_t index) {
  return {op, plan.algorithm, plan.streams_output, InputAt(op, index), OutputAt(op, index)};
}

// A part of a row, and whether its terms have been stored. Stored spans are single tiles, so that the terms have one
// reference.
struct Span {
  size_t start;
  size_t end;
  smx_f32_extended tile;  // the last
  bool is_stored;
};

// What the second pass takes: the row's sum in one form or the other.
struct Normalizer {
  smx_f32_reciprocal reciprocal;  // softmax
  smx_f32_logarithm logarithm;    // log-softmax, logsumexp
};

// A tile's elements less the shift. Where it matters, the difference is exact; from kNothing on, the result is 0.
void Shift(const Row& row, size_t start, size_t n, float* tile) {
  constexpr float kNothing = -1024.0f;
  row.types().to_f32(row.kernels(), n, row.x_at(start), tile);
  for (size_t i = 0; i < n; i++) tile[i] = std::max(tile[i] - row.shift, kNothing);
}

// Apart, for their frames are large.
[[gnu::noinline]] void SumShiftedTile(const Row& row, size_t start, size_t n, smx_f32_extended* sum) {
  float tile[SMX_TILE];
  Shift(row, start, n, tile);
  row.kernels().f32_raddextexp(n, tile, sum);
}

[[gnu::noinline]] void ScaleShiftedTile(const Row& row, size_t start, size_t n,
                                        const smx_f32_reciprocal& reciprocal) {
  float tile[SMX_TILE];
  Shift(row, start, n, tile);
  row.types().scale_f32(row.kernels(), n, tile, row.y_at(start), reciprocal);
}

// The sum of a tile. Returns whether its terms are stored: not where the tile is out of range, or its terms have no reference
// in common.
bool SumTile(const Row& row, size_t start, size_t n, smx_f32_extended* sum) {
  if (row.is_shifted) {
    SumShiftedTile(row, start, n, sum);
    return false;
  }
  if (row.algorithm == smx_algorithm_store_and_rescale) {
    row.kernels().f32_raddstoreextexp(n, static_cast<const float*>(row.x) + start, row.stored_terms() + start,
                                      sum);
    if (sum->hi == sum->hi) return true;
  }
  row.types().sum(row.kernels(), n, row.x_at(start), sum);
  return false;
}

smx_partial_sum SumSpan(const Row& row, Span* span) {
  smx_partial_sum sum = smx_empty_sum;
  for (size_t i = span->start; i < span->end; i += SMX_TILE) {
    span->is_stored = SumTile(row, i, std::min<size_t>(SMX_TILE, span->end - i), &span->tile);
    smx_partial_sum_add_tile(&sum, &span->tile);
  }
  return sum;
}

// y *= reciprocal, in steps that a float's exponent can hold.
void ScaleStored(size_t n, float* y, const smx_microkernels& kernels, smx_f32_reciprocal reciprocal) {
  constexpr int32_t kNothingIsLeft = 5 * SMX_LARGEST_STEP;
  reciprocal.exponent = std::min(reciprocal.exponent, kNothingIsLeft);
  constexpr smx_f32_reciprocal kStep = {1.0f, 0.0f, SMX_LARGEST_STEP};
  for (; reciprocal.exponent > SMX_LARGEST_STEP; reciprocal.exponent -= SMX_LARGEST_STEP) {
    kernels.f32_vmulextc(n, y, y, &kStep);
  }
  kernels.f32_vmulextc(n, y, y, &reciprocal);
}

void ScaleSpan(const Row& row, const Span& span, const smx_f32_reciprocal& reciprocal) {
  const size_t n = span.end - span.start;
  if (row.is_shifted) {
    for (size_t i = span.start; i < span.end; i += SMX_TILE) {
      ScaleShiftedTile(row, i, std::min<size_t>(SMX_TILE, span.end - i), reciprocal);
    }
  } else if (span.is_stored) {
    if (span.tile.hi == 0.0f) return;  // zeros, which have no reference
    const int32_t exponent = reciprocal.exponent - (span.tile.reference - SMX_BIAS);
    ScaleStored(n, row.stored_terms() + span.start, row.kernels(), {reciprocal.hi, reciprocal.lo, exponent});
  } else {
    row.types().scale(row.kernels(), row.streams_output, n, row.x_at(span.start), row.y_at(span.start),
                      reciprocal);
  }
}

// The second pass.
void NormalizeSpan(const Row& row, const Span& span, const Normalizer& normalizer) {
  switch (row.op.function) {
    case Function::kSoftmax:
      return ScaleSpan(row, span, normalizer.reciprocal);
    case Function::kLogSoftmax:
      return row.types().subtract(row.kernels(), span.end - span.start, row.x_at(span.start),
                                  row.y_at(span.start), normalizer.logarithm);
    default:
      return;
  }
}

void StorePartialSum(const Row& row, smx_partial_sum sum) {
  sum.shift = row.shift;
  sum.max = row.is_shifted ? row.shift : sum.max;
  *static_cast<smx_partial_sum*>(row.y) = sum;
}

// What a valid sum makes of a row before its second pass. logsumexp has its result.
Normalizer NormalizerOf(const Row& row, const smx_f32_extended& sum) {
  if (row.op.function == Function::kSoftmax) return {smx_f32_reciprocal_of(&sum), {}};
  smx_f32_extended largest;
  row.kernels().f32_raddextexp(1, &sum.max, &largest);
  const double above_max = smx_log_above_max(&sum, &largest);
  if (row.op.function == Function::kLogSumExp) {
    *static_cast<float*>(row.y) = static_cast<float>(static_cast<double>(row.shift) + sum.max + above_max);
  }
  // A shift may be so large that it swallows the rest.
  if (row.is_shifted) return {{}, {row.shift, static_cast<float>(sum.max + above_max)}};
  return {{}, smx_f32_logarithm_of(sum.max, above_max)};
}

bool RunRow(const Row& row);

void Fill(const Row& row, float value) {
  row.types().fill(row.op.results(), row.y, value);
}

// A probability of a row that holds NaN, which is its maximum then, or whose maximum is infinite.
float SpecialProbability(const RowsOperator& op, float max) {
  return max == -INFINITY && (op.flags & SMX_FLAG_MASKED_ROWS_TO_ZERO) != 0 ? 0.0f : NAN;
}

// The result of such a row.
void FillSpecial(const Row& row, float max) {
  const float probability = SpecialProbability(row.op, max);
  switch (row.op.function) {
    case Function::kLogSoftmax:
      return Fill(row, probability == 0.0f ? -INFINITY : NAN);
    case Function::kLogSumExp:
      return Fill(row, max);
    case Function::kPartialSum:
      return StorePartialSum(row, smx_partial_sum_without_terms(max));
    default:
      return Fill(row, probability);
  }
}

// A row without a valid sum: it holds NaN or +inf, or -inf only, or its maximum is out of the kernels' range.
void RunOutOfRange(const Row& row) {
  if (row.types().has_nan(row.channels(), row.x)) return FillSpecial(row, NAN);
  float max;
  row.types().max(row.kernels(), row.channels(), row.x, &max);
  if (isinf(max)) return FillSpecial(row, max);
  RunRow({row.op, smx_algorithm_two_pass, false, row.x, row.y, max, true});
}

// A row of a single tile needs no bins.
class SingleTile {
 public:
  void Sum(const Row& row) {
    span_.start = 0;
    span_.end = row.channels();
    span_.is_stored = SumTile(row, 0, row.channels(), &span_.tile);
  }

  // Returns whether the row is within the kernels' range.
  bool Normalize(const Row& row) const {
    const bool is_valid = smx_is_in_range(span_.tile.max) && span_.tile.hi > 0.0f;
    if (!is_valid) {
      RunOutOfRange(row);
    } else if (row.op.function == Function::kPartialSum) {
      smx_partial_sum sum = smx_empty_sum;
      smx_partial_sum_add_tile(&sum, &span_.tile);
      StorePartialSum(row, sum);
    } else {
      NormalizeSpan(row, span_, NormalizerOf(row, span_.tile));
    }
    return is_valid;
  }

 private:
  Span span_;
};

// A row of several tiles.
class Spans {
 public:
  explicit Spans(const Row& row)
      : row_(row), length_(smx_span_length(row.channels())), count_((row.channels() - 1) / length_ + 1) {}

  size_t count() const { return count_; }

  void Sum(size_t i) {
    spans_[i].start = i * length_;
    spans_[i].end = std::min(row_.channels(), (i + 1) * length_);
    sums_[i] = SumSpan(row_, &spans_[i]);
  }

  // Returns whether the row is within the kernels' range.
  bool Fold() {
    smx_partial_sum sum = smx_empty_sum;
    for (size_t i = 0; i < count_; i++) smx_partial_sum_add(&sum, &sums_[i]);
    is_valid_ = smx_partial_sum_is_valid(&sum);
    if (!is_valid_) return false;
    if (row_.op.function == Function::kPartialSum) {
      StorePartialSum(row_, sum);
    } else {
      normalizer_ = NormalizerOf(row_, smx_f32_extended_of(&sum));
    }
    return is_valid_;
  }

  void Normalize(size_t i) const { NormalizeSpan(row_, spans_[i], normalizer_); }

  bool is_valid() const { return is_valid_; }

 private:
  const Row& row_;
  const size_t length_;
  const size_t count_;
  Span spans_[SMX_MAX_SPANS];
  smx_partial_sum sums_[SMX_MAX_SPANS];
  Normalizer normalizer_;
  bool is_valid_ = false;
};

// In place, what was overwritten with terms cannot be read again: before anything is, the whole row has to be known to be
// within range. Of a single tile, its kernel sees to that.
bool MayOverwrite(const Row& row) {
  if (row.x != row.y || row.algorithm != smx_algorithm_store_and_rescale) return true;
  float max;
  row.types().max(row.kernels(), row.channels(), row.x, &max);
  return smx_is_in_range(max);
}

// Returns whether the row is within the kernels' range.
bool RunRow(const Row& row) {
  if (row.channels() <= SMX_TILE) {
    SingleTile tile;
    tile.Sum(row);
    return tile.Normalize(row);
  }
  if (!MayOverwrite(row)) {
    RunOutOfRange(row);
    return false;
  }
  Spans spans(row);
  for (size_t i = 0; i < spans.count(); i++) spans.Sum(i);
  if (spans.Fold()) {
    for (size_t i = 0; i < spans.count(); i++) spans.Normalize(i);
  } else {
    RunOutOfRange(row);
  }
  return spans.is_valid();
}

// One row over all threads of a pool.
void RunSplit(const Row& row, pthreadpool_t threadpool) {
  if (!MayOverwrite(row)) return RunOutOfRange(row);
  Spans spans(row);
  smx_run_two_phases(
      threadpool, spans.count(), [&spans](size_t i) { spans.Sum(i); }, [&spans] { return spans.Fold(); },
      [&spans](size_t i) { spans.Normalize(i); });
  if (!spans.is_valid()) RunOutOfRange(row);
}

// Short rows go some at a time, so that the processor finds work in one while it waits for the sum of another; no more than
// the level 1 cache holds.
constexpr size_t kMostTogether = 4;

size_t RowsTogether(size_t channels) {
  constexpr size_t kElementsTogether = 4096;
  return std::clamp<size_t>(kElementsTogether / channels, 1, kMostTogether);
}

void RunOneByOne(const RowsOperator& op, const smx_softmax_plan& plan, size_t start, size_t end) {
  const size_t together = RowsTogether(op.channels);
  for (; together > 1 && start + together <= end; start += together) {
    SingleTile tiles[kMostTogether];
    for (size_t i = 0; i < together; i++) tiles[i].Sum(RowAt(op, plan, start + i));
    for (size_t i = 0; i < together; i++) tiles[i].Normalize(RowAt(op, plan, start + i));
  }
  for (; start < end; start++) RunRow(RowAt(op, plan, start));
}

// Rows of f32 that a kernel on several of them takes.
struct Group {
  const float* x;
  size_t x_stride;
  float* y;
  size_t y_stride;
};

// Converts rows that lie `stride` apart to or from contiguous ones; rows that are contiguous already in one call.
template <class Convert>
void ConvertRows(size_t rows, size_t channels, size_t stride, const Convert& convert) {
  if (stride == channels) return convert(rows * channels, 0, 0);
  for (size_t r = 0; r < rows; r++) convert(channels, r * stride, r * channels);
}

// Those of other types than f32 are converted on the way, as many as stay in a level 1 cache.
constexpr size_t kStagedElements = 4096;

// Runs a kernel on several rows over some from *start on, and moves *start behind what it has done. Returns whether it stopped at
// a row that is out of range.
bool RunGroup(const RowsOperator& op, smx_f32_softmax_ukernel_fn* softmax, size_t* start, size_t end) {
  const smx_types& types = *op.types;
  const bool narrow_input = types.input != smx_datatype_f32;
  const bool narrow_output = types.output != smx_datatype_f32;
  const size_t most = narrow_input || narrow_output ? kStagedElements / op.channels : end - *start;
  const size_t rows = std::min(end - *start, most);
  float staged[kStagedElements];
  const char* x = static_cast<const char*>(InputAt(op, *start));
  char* y = static_cast<char*>(OutputAt(op, *start));
  if (narrow_input) {
    ConvertRows(rows, op.channels, op.input_stride, [&](size_t n, size_t from, size_t to) {
      types.to_f32(op.base.microkernels, n, x + from * types.input_bytes, staged + to);
    });
  }
  size_t done = 0;
  softmax(rows, op.channels, narrow_input ? staged : reinterpret_cast<const float*>(x),
          narrow_input ? op.channels : op.input_stride, narrow_output ? staged : reinterpret_cast<float*>(y),
          narrow_output ? op.channels : op.output_stride, &done);
  if (narrow_output && done > 0) {
    ConvertRows(done, op.channels, op.output_stride, [&](size_t n, size_t to, size_t from) {
      types.from_f32(op.base.microkernels, n, staged + from, y + to * types.output_bytes);
    });
  }
  *start += done;
  return done < rows;
}

// Rows by a kernel on several at a time; where it stops, one by one until a row is within range again.
void RunTogether(const RowsOperator& op, const smx_softmax_plan& plan, smx_f32_softmax_ukernel_fn* softmax,
                 size_t start, size_t end) {
  smx_softmax_plan one_by_one = plan;
  one_by_one.algorithm = op.types->is_f32() ? smx_algorithm_store_and_rescale : smx_algorithm_two_pass;
  while (start < end) {
    bool is_within_range = !RunGroup(op, softmax, &start, end);
    for (; start < end && !is_within_range; start++) is_within_range = RunRow(RowAt(op, one_by_one, start));
  }
}

void RunRows(const RowsOperator& op, const smx_softmax_plan& plan, size_t start, size_t end) {
  switch (plan.algorithm) {
    case smx_algorithm_rows_as_lanes:
      return RunTogether(op, plan, op.base.microkernels.f32_softmax_transposed, start, end);
    case smx_algorithm_several_rows:
      return RunTogether(op, plan, op.base.microkernels.f32_softmax, start, end);
    default:
      return RunOneByOne(op, plan, start, end);
  }
}

void Spread(const RowsOperator& op, const smx_softmax_plan& plan, size_t rows, pthreadpool_t threadpool) {
  if (rows <= plan.rows_per_task) return RunRows(op, plan, 0, rows);
  smx_parallelize(threadpool, rows, plan.rows_per_task,
                  [&](size_t start, size_t count) { RunRows(op, plan, start, start + count); });
}

void Run(smx_operator* base, pthreadpool_t threadpool) {
  const RowsOperator& op = *Rows(base);
  if (op.batch_size == 0) return;
  const size_t threads = pthreadpool_get_threads_count(threadpool);
  if (threads == 1) return RunRows(op, op.serial_plan, 0, op.batch_size);
  const smx_softmax_plan plan = Plan(op, threads);
  const size_t spread_rows = op.batch_size - plan.split_rows;
  Spread(op, plan, spread_rows, threadpool);
  for (size_t i = spread_rows; i < op.batch_size; i++) RunSplit(RowAt(op, plan, i), threadpool);
}

// The second pass of softmax over pieces of rows whose sums are known.
void ScalePiece(const Row& row, const smx_partial_sum& sum, size_t start, size_t end) {
  if (sum.has_nan || isinf(sum.max)) {
    const float probability = SpecialProbability(row.op, sum.has_nan ? NAN : sum.max);
    return row.types().fill(end - start, row.y_at(start), probability);
  }
  const smx_f32_extended extended = smx_f32_extended_of(&sum);
  ScaleSpan(row, {start, end, {}, false}, smx_f32_reciprocal_of(&extended));
}

void RunScaleByPartialSum(smx_operator* base, pthreadpool_t threadpool) {
  const RowsOperator& op = *Rows(base);
  if (op.batch_size == 0) return;
  const size_t threads = pthreadpool_get_threads_count(threadpool);
  const smx_softmax_plan plan = Plan(op, threads);
  const size_t length = smx_span_length(op.channels);
  const size_t pieces = (op.channels - 1) / length + 1;
  const auto scale = [&](size_t start, size_t count) {
    for (size_t i = start; i < start + count; i++) {
      Row row = RowAt(op, plan, i / pieces);
      const smx_partial_sum sum = op.sums[i / pieces];
      row.shift = sum.shift;
      row.is_shifted = sum.shift != 0.0f;
      const size_t first = i % pieces * length;
      ScalePiece(row, sum, first, std::min(op.channels, first + length));
    }
  };
  const size_t tasks = op.batch_size * pieces;
  if (threads == 1 || tasks <= plan.rows_per_task) return scale(0, tasks);
  smx_parallelize(threadpool, tasks, plan.rows_per_task, scale);
}

void DescribePlan(const smx_operator* base, size_t threads, smx_plan* plan_out) {
  const smx_softmax_plan plan = Plan(*Rows(base), threads);
  *plan_out = {smx_algorithm_name(plan.algorithm), plan.reason, plan.streams_output, plan.split_rows,
               plan.rows_per_task};
}

constexpr smx_operator_type kSoftmaxNc = {"softmax_nc", Run, DescribePlan};
constexpr smx_operator_type kLogSoftmaxNc = {"log_softmax_nc", Run, DescribePlan};
constexpr smx_operator_type kLogSumExpNc = {"logsumexp_nc", Run, DescribePlan};
constexpr smx_operator_type kPartialSumNc = {"partial_sum_nc", Run, DescribePlan};
constexpr smx_operator_type kScaleByPartialSumNc = {"scale_by_partial_sum_nc", RunScaleByPartialSum,
                                                    DescribePlan};

// Rows of elements in memory.
struct Layout {
  size_t rows;
  size_t channels;
  size_t stride;  // elements
  size_t element_bytes;
  const void* first;

  uintptr_t address() const { return reinterpret_cast<uintptr_t>(first); }
  // Bytes from the first element of the first row to the end of the last one; 0 where they overflow.
  size_t Extent() const {
    const size_t largest = PTRDIFF_MAX / element_bytes;
    if (channels > largest || (rows - 1) > (largest - channels) / stride) return 0;
    return ((rows - 1) * stride + channels) * element_bytes;
  }
  // Whether the last element's address can be told in a pointer.
  bool HasEnd() const { return Extent() <= UINTPTR_MAX - address(); }
  bool IsAligned() const { return address() % std::min(element_bytes, alignof(smx_partial_sum)) == 0; }
};

// Whether rows of the input and the output share an element, other than by being the same.
bool Overlap(const Layout& x, const Layout& y) {
  const size_t x_stride = x.stride * x.element_bytes;
  const size_t y_stride = y.stride * y.element_bytes;
  const bool same_row = x.first == y.first && x.element_bytes == y.element_bytes && x.channels == y.channels;
  if (same_row && (x_stride == y_stride || x.rows == 1)) return false;
  if (x.address() + x.Extent() <= y.address() || y.address() + y.Extent() <= x.address()) return false;
  if (x_stride != y_stride) return true;
  // Rows that interleave: one row of the output lies in the gap between two of the input.
  const uintptr_t x_to_y =
      (x.address() < y.address() ? (y.address() - x.address()) % x_stride
                                 : (x_stride - (x.address() - y.address()) % x_stride) % x_stride);
  return x_to_y < x.channels * x.element_bytes || x_stride - x_to_y < y.channels * y.element_bytes;
}

const char* InvalidShape(const Layout& input, const Layout& output) {
  if (input.channels == 0) return "channels is 0";
  if (input.stride < input.channels) return "input_stride is below channels";
  if (output.stride < output.channels) return "output_stride is below channels";
  if (input.rows == 0) return nullptr;
  if (input.first == nullptr) return "input is NULL";
  if (output.first == nullptr) return "output is NULL";
  if (!input.IsAligned()) return "input is not aligned to its elements";
  if (!output.IsAligned()) return "output is not aligned to its elements";
  if (input.Extent() == 0) return "the input's size in bytes overflows";
  if (output.Extent() == 0) return "the output's size in bytes overflows";
  if (!input.HasEnd()) return "the input's end is beyond the last address";
  if (!output.HasEnd()) return "the output's end is beyond the last address";
  if (Overlap(input, output)) return "output overlaps input";
  return nullptr;
}

smx_status Create(const smx_operator_type* type, const char* op_out_name, Function function,
                  smx_datatype input, smx_datatype output, uint32_t known_flags, uint32_t flags,
                  smx_operator_t* op_out) {
  if (op_out == nullptr) {
    smx_log_error("create %s: %s is NULL", type->name, op_out_name);
    return smx_status_invalid_parameter;
  }
  *op_out = nullptr;
  if (smx_is_initialized() && (flags & ~known_flags) != 0) {
    smx_log_error("create %s: unknown flags 0x%08x", type->name, static_cast<unsigned>(flags & ~known_flags));
    return smx_status_invalid_parameter;
  }
  const smx_types* types = smx_find_types(input, output);
  if (smx_is_initialized() && types == nullptr) {
    smx_log_error("create %s: no kernels for types %d and %d", type->name, static_cast<int>(input),
                  static_cast<int>(output));
    return smx_status_unsupported_parameter;
  }
  const smx_status status = smx_create_operator(type, sizeof(RowsOperator), op_out);
  if (status != smx_status_success) return status;
  RowsOperator* op = Rows(*op_out);
  op->function = function;
  op->types = types;
  op->flags = flags;
  return smx_status_success;
}

smx_status SetUp(RowsOperator* op, size_t batch_size, size_t channels, size_t input_stride,
                 size_t output_stride, const void* input, void* output) {
  const size_t results = Reduces(op->function) ? 1 : channels;
  const Layout x = {batch_size, channels, input_stride, op->types->input_bytes, input};
  const Layout y = {batch_size, results, output_stride, op->result_bytes(), output};
  const char* reason = InvalidShape(x, y);
  if (reason != nullptr) {
    smx_log_error("setup %s: %s", op->base.type->name, reason);
    return smx_status_invalid_parameter;
  }
  op->batch_size = batch_size;
  op->channels = channels;
  op->input_stride = input_stride;
  op->output_stride = output_stride;
  op->input = input;
  op->output = output;
  op->serial_plan = Plan(*op, 1);
  op->base.is_set_up = true;
  return smx_status_success;
}

}  // namespace

enum smx_status smx_create_softmax_nc(enum smx_datatype input_type, enum smx_datatype output_type,
                                      uint32_t flags, smx_operator_t* op_out) {
  return Create(&kSoftmaxNc, "softmax_op_out", Function::kSoftmax, input_type, output_type,
                SMX_FLAG_MASKED_ROWS_TO_ZERO, flags, op_out);
}

enum smx_status smx_create_softmax_nc_f32(uint32_t flags, smx_operator_t* softmax_op_out) {
  return smx_create_softmax_nc(smx_datatype_f32, smx_datatype_f32, flags, softmax_op_out);
}

enum smx_status smx_create_log_softmax_nc(enum smx_datatype input_type, enum smx_datatype output_type,
                                          uint32_t flags, smx_operator_t* op_out) {
  return Create(&kLogSoftmaxNc, "log_softmax_op_out", Function::kLogSoftmax, input_type, output_type,
                SMX_FLAG_MASKED_ROWS_TO_ZERO, flags, op_out);
}

enum smx_status smx_create_logsumexp_nc(enum smx_datatype input_type, uint32_t flags,
                                        smx_operator_t* op_out) {
  return Create(&kLogSumExpNc, "logsumexp_op_out", Function::kLogSumExp, input_type, smx_datatype_f32, 0,
                flags, op_out);
}

enum smx_status smx_setup_softmax_nc(smx_operator_t softmax_op, size_t batch_size, size_t channels,
                                     size_t input_stride, size_t output_stride, const void* input,
                                     void* output) {
  const enum smx_status status = smx_check_operator(softmax_op, &kSoftmaxNc);
  if (status != smx_status_success) return status;
  return SetUp(Rows(softmax_op), batch_size, channels, input_stride, output_stride, input, output);
}

enum smx_status smx_setup_softmax_nc_f32(smx_operator_t softmax_op, size_t batch_size, size_t channels,
                                         size_t input_stride, size_t output_stride, const float* input,
                                         float* output) {
  const enum smx_status status = smx_check_operator(softmax_op, &kSoftmaxNc);
  if (status != smx_status_success) return status;
  if (!Rows(softmax_op)->types->is_f32()) {
    smx_log_error("setup softmax_nc_f32: the operator is of other types");
    return smx_status_invalid_state;
  }
  return SetUp(Rows(softmax_op), batch_size, channels, input_stride, output_stride, input, output);
}

enum smx_status smx_setup_log_softmax_nc(smx_operator_t log_softmax_op, size_t batch_size, size_t channels,
                                         size_t input_stride, size_t output_stride, const void* input,
                                         void* output) {
  const enum smx_status status = smx_check_operator(log_softmax_op, &kLogSoftmaxNc);
  if (status != smx_status_success) return status;
  return SetUp(Rows(log_softmax_op), batch_size, channels, input_stride, output_stride, input, output);
}

enum smx_status smx_setup_logsumexp_nc(smx_operator_t logsumexp_op, size_t batch_size, size_t channels,
                                       size_t input_stride, const void* input, float* output) {
  const enum smx_status status = smx_check_operator(logsumexp_op, &kLogSumExpNc);
  if (status != smx_status_success) return status;
  return SetUp(Rows(logsumexp_op), batch_size, channels, input_stride, 1, input, output);
}

enum smx_status smx_create_partial_sum_nc(enum smx_datatype input_type, uint32_t flags,
                                          smx_operator_t* op_out) {
  return Create(&kPartialSumNc, "partial_sum_op_out", Function::kPartialSum, input_type, smx_datatype_f32, 0,
                flags, op_out);
}

enum smx_status smx_setup_partial_sum_nc(smx_operator_t partial_sum_op, size_t batch_size, size_t channels,
                                         size_t input_stride, const void* input,
                                         struct smx_partial_sum* output) {
  const enum smx_status status = smx_check_operator(partial_sum_op, &kPartialSumNc);
  if (status != smx_status_success) return status;
  return SetUp(Rows(partial_sum_op), batch_size, channels, input_stride, 1, input, output);
}

enum smx_status smx_create_scale_by_partial_sum_nc(enum smx_datatype input_type,
                                                   enum smx_datatype output_type, uint32_t flags,
                                                   smx_operator_t* op_out) {
  return Create(&kScaleByPartialSumNc, "scale_op_out", Function::kScaleByPartialSum, input_type, output_type,
                SMX_FLAG_MASKED_ROWS_TO_ZERO, flags, op_out);
}

enum smx_status smx_setup_scale_by_partial_sum_nc(smx_operator_t scale_op, size_t batch_size, size_t channels,
                                                  size_t input_stride, size_t output_stride,
                                                  const void* input, const struct smx_partial_sum* sums,
                                                  void* output) {
  const enum smx_status status = smx_check_operator(scale_op, &kScaleByPartialSumNc);
  if (status != smx_status_success) return status;
  const Layout sums_layout = {batch_size, 1, 1, sizeof(smx_partial_sum), sums};
  const char* reason = batch_size == 0             ? nullptr
                       : sums == nullptr           ? "sums is NULL"
                       : !sums_layout.IsAligned()  ? "sums is not aligned to 8 bytes"
                       : sums_layout.Extent() == 0 ? "the sums' size in bytes overflows"
                       : !sums_layout.HasEnd()     ? "the sums' end is beyond the last address"
                                                   : nullptr;
  if (reason != nullptr) {
    smx_log_error("setup %s: %s", kScaleByPartialSumNc.name, reason);
    return smx_status_invalid_parameter;
  }
  const enum smx_status set_up =
      SetUp(Rows(scale_op), batch_size, channels, input_stride, output_stride, input, output);
  if (set_up == smx_status_success) Rows(scale_op)->sums = sums;
  return set_up;
}

enum smx_status smx_merge_partial_sums(size_t count, struct smx_partial_sum* sums,
                                       const struct smx_partial_sum* others) {
  if (count > 0 && (sums == nullptr || others == nullptr)) {
    smx_log_error("smx_merge_partial_sums: sums or others is NULL");
    return smx_status_invalid_parameter;
  }
  const smx_fp_environment environment;
  for (size_t i = 0; i < count; i++) smx_partial_sum_merge(&sums[i], others[i]);
  return smx_status_success;
}
