// Softmax over rows of floats. See smx_create_softmax_nc_f32 in include/smxpack.h.
#include <math.h>

#include <algorithm>

#include "src/operators/operator.h"
#include "src/operators/row_sum.h"
#include "src/operators/two_phases.h"
#include "src/plan/softmax_plan.h"
#include "src/runtime/log.h"
#include "src/runtime/parallelize.h"

namespace {

constexpr uint32_t kKnownFlags = SMX_FLAG_MASKED_ROWS_TO_ZERO;

struct SoftmaxOperator {
  smx_operator base;
  uint32_t flags;
  size_t batch_size;
  size_t channels;
  size_t input_stride;
  size_t output_stride;
  const float* input;
  float* output;
  smx_softmax_plan serial_plan;  // for one thread
};

SoftmaxOperator* Softmax(smx_operator* op) {
  return reinterpret_cast<SoftmaxOperator*>(op);
}
const SoftmaxOperator* Softmax(const smx_operator* op) {
  return reinterpret_cast<const SoftmaxOperator*>(op);
}

smx_softmax_plan Plan(const SoftmaxOperator& op, size_t threads) {
  const smx_softmax_shape shape = {op.batch_size, op.channels, 2 * sizeof(float), op.input == op.output};
  return smx_plan_softmax(&shape, &op.base.thresholds, threads);
}

// One row and how to compute it.
struct Row {
  const SoftmaxOperator& op;
  smx_algorithm algorithm;
  bool streams_output;
  const float* x;
  float* y;

  size_t channels() const { return op.channels; }
  const smx_microkernels& kernels() const { return op.base.microkernels; }
};

Row RowAt(const SoftmaxOperator& op, const smx_softmax_plan& plan, size_t index) {
  return {op, plan.algorithm, plan.streams_output, op.input + index * op.input_stride,
          op.output + index * op.output_stride};
}

// A part of a row, its sum, and whether its terms have been stored. Stored spans are single tiles, so that the terms
// have one reference.
struct Span {
  size_t start;
  size_t end;
  smx_row_sum sum;
  bool is_stored;
};

// The sum of a tile. Returns whether its terms are stored: not where the tile is out of range, or its terms have no reference
// in common.
bool SumTile(const Row& row, size_t start, size_t n, smx_f32_extended* sum) {
  if (row.algorithm == smx_algorithm_store_and_rescale) {
    row.kernels().f32_raddstoreextexp(n, row.x + start, row.y + start, sum);
    if (sum->hi == sum->hi) return true;
  }
  row.kernels().f32_raddextexp(n, row.x + start, sum);
  return false;
}

void SumSpan(const Row& row, Span* span) {
  span->sum = smx_empty_row_sum;
  for (size_t i = span->start; i < span->end; i += SMX_TILE) {
    smx_f32_extended tile;
    span->is_stored = SumTile(row, i, std::min<size_t>(SMX_TILE, span->end - i), &tile);
    smx_row_sum_add_tile(&span->sum, &tile);
  }
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
  float* y = row.y + span.start;
  if (span.is_stored) {
    if (span.sum.mantissa == 0.0) return;  // zeros, which have no reference
    const int32_t exponent = reciprocal.exponent - (span.sum.reference - SMX_BIAS);
    ScaleStored(n, y, row.kernels(), {reciprocal.hi, reciprocal.lo, exponent});
  } else {
    const auto scale = row.streams_output ? row.kernels().f32_vstreamextexp : row.kernels().f32_vscaleextexp;
    scale(n, row.x + span.start, y, &reciprocal);
  }
}

bool RunRow(const Row& row);

void Fill(const Row& row, float value) {
  std::fill_n(row.y, row.channels(), value);
}

// A row without a valid sum: it holds NaN or +inf, or -inf only, or its maximum is out of the kernels' range.
void RunOutOfRange(const Row& row) {
  size_t nans = 0;
  for (size_t i = 0; i < row.channels(); i++) nans += row.x[i] != row.x[i];
  float max = NAN;
  if (nans == 0) row.kernels().f32_rmax(row.channels(), row.x, &max);
  if (max != max || max == INFINITY) return Fill(row, NAN);
  if (max == -INFINITY) return Fill(row, row.op.flags & SMX_FLAG_MASKED_ROWS_TO_ZERO ? 0.0f : NAN);
  // Where it matters, the difference is exact; from `kNothing` on, the result is 0.
  constexpr float kNothing = -1024.0f;
  for (size_t i = 0; i < row.channels(); i++) row.y[i] = std::max(row.x[i] - max, kNothing);
  RunRow({row.op, smx_algorithm_two_pass, false, row.y, row.y});
}

// A row of a single tile needs no fold in double.
class SingleTile {
 public:
  void Sum(const Row& row) {
    span_ = {0, row.channels(), smx_empty_row_sum, false};
    span_.is_stored = SumTile(row, 0, row.channels(), &sum_);
    smx_row_sum_add_tile(&span_.sum, &sum_);
  }

  // Returns whether the row is within the kernels' range.
  bool Scale(const Row& row) const {
    const bool is_valid = smx_row_sum_is_valid(&span_.sum);
    if (is_valid) {
      ScaleSpan(row, span_, smx_f32_reciprocal_of(&sum_));
    } else {
      RunOutOfRange(row);
    }
    return is_valid;
  }

 private:
  Span span_;
  smx_f32_extended sum_;
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
    SumSpan(row_, &spans_[i]);
  }

  // Returns whether the row is within the kernels' range.
  bool Fold() {
    smx_row_sum sum = smx_empty_row_sum;
    for (size_t i = 0; i < count_; i++) smx_row_sum_add(&sum, spans_[i].sum);
    is_valid_ = smx_row_sum_is_valid(&sum);
    if (is_valid_) {
      const smx_f32_extended extended = smx_f32_extended_of(sum);
      reciprocal_ = smx_f32_reciprocal_of(&extended);
    }
    return is_valid_;
  }

  void Scale(size_t i) const { ScaleSpan(row_, spans_[i], reciprocal_); }

  bool is_valid() const { return is_valid_; }

 private:
  const Row& row_;
  const size_t length_;
  const size_t count_;
  Span spans_[SMX_MAX_SPANS];
  smx_f32_reciprocal reciprocal_;
  bool is_valid_ = false;
};

// In place, what was overwritten with terms cannot be read again: before anything is, the whole row has to be known to be
// within range. Of a single tile, its kernel sees to that.
bool MayOverwrite(const Row& row) {
  if (row.x != row.y || row.algorithm != smx_algorithm_store_and_rescale) return true;
  float max;
  row.kernels().f32_rmax(row.channels(), row.x, &max);
  return smx_is_in_range(max);
}

// Returns whether the row is within the kernels' range.
bool RunRow(const Row& row) {
  if (row.channels() <= SMX_TILE) {
    SingleTile tile;
    tile.Sum(row);
    return tile.Scale(row);
  }
  if (!MayOverwrite(row)) {
    RunOutOfRange(row);
    return false;
  }
  Spans spans(row);
  for (size_t i = 0; i < spans.count(); i++) spans.Sum(i);
  if (spans.Fold()) {
    for (size_t i = 0; i < spans.count(); i++) spans.Scale(i);
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
      [&spans](size_t i) { spans.Scale(i); });
  if (!spans.is_valid()) RunOutOfRange(row);
}

// Short rows go some at a time, so that the processor finds work in one while it waits for the sum of another; no more than
// the level 1 cache holds.
constexpr size_t kMostTogether = 4;

size_t RowsTogether(size_t channels) {
  constexpr size_t kElementsTogether = 4096;
  return std::clamp<size_t>(kElementsTogether / channels, 1, kMostTogether);
}

void RunOneByOne(const SoftmaxOperator& op, const smx_softmax_plan& plan, size_t start, size_t end) {
  const size_t together = RowsTogether(op.channels);
  for (; together > 1 && start + together <= end; start += together) {
    SingleTile tiles[kMostTogether];
    for (size_t i = 0; i < together; i++) tiles[i].Sum(RowAt(op, plan, start + i));
    for (size_t i = 0; i < together; i++) tiles[i].Scale(RowAt(op, plan, start + i));
  }
  for (; start < end; start++) RunRow(RowAt(op, plan, start));
}

// Rows by a kernel on several at a time; where it stops, one by one until a row is within range again.
void RunTogether(const SoftmaxOperator& op, const smx_softmax_plan& plan, smx_f32_softmax_ukernel_fn* softmax,
                 size_t start, size_t end) {
  smx_softmax_plan one_by_one = plan;
  one_by_one.algorithm = smx_algorithm_store_and_rescale;
  while (start < end) {
    size_t done = 0;
    softmax(end - start, op.channels, op.input + start * op.input_stride, op.input_stride,
            op.output + start * op.output_stride, op.output_stride, &done);
    start += done;
    bool is_within_range = false;
    for (; start < end && !is_within_range; start++) is_within_range = RunRow(RowAt(op, one_by_one, start));
  }
}

void RunRows(const SoftmaxOperator& op, const smx_softmax_plan& plan, size_t start, size_t end) {
  switch (plan.algorithm) {
    case smx_algorithm_rows_as_lanes:
      return RunTogether(op, plan, op.base.microkernels.f32_softmax_transposed, start, end);
    case smx_algorithm_several_rows:
      return RunTogether(op, plan, op.base.microkernels.f32_softmax, start, end);
    default:
      return RunOneByOne(op, plan, start, end);
  }
}

void Spread(const SoftmaxOperator& op, const smx_softmax_plan& plan, size_t rows, pthreadpool_t threadpool) {
  if (rows <= plan.rows_per_task) return RunRows(op, plan, 0, rows);
  smx_parallelize(threadpool, rows, plan.rows_per_task,
                  [&](size_t start, size_t count) { RunRows(op, plan, start, start + count); });
}

void Run(smx_operator* base, pthreadpool_t threadpool) {
  const SoftmaxOperator& op = *Softmax(base);
  if (op.batch_size == 0) return;
  const size_t threads = pthreadpool_get_threads_count(threadpool);
  if (threads == 1) return RunRows(op, op.serial_plan, 0, op.batch_size);
  const smx_softmax_plan plan = Plan(op, threads);
  const size_t spread_rows = op.batch_size - plan.split_rows;
  Spread(op, plan, spread_rows, threadpool);
  for (size_t i = spread_rows; i < op.batch_size; i++) RunSplit(RowAt(op, plan, i), threadpool);
}

void DescribePlan(const smx_operator* base, size_t threads, smx_plan* plan_out) {
  const smx_softmax_plan plan = Plan(*Softmax(base), threads);
  *plan_out = {smx_algorithm_name(plan.algorithm), plan.reason, plan.streams_output, plan.split_rows,
               plan.rows_per_task};
}

constexpr smx_operator_type kSoftmaxNcF32 = {"softmax_nc_f32", Run, DescribePlan};

// Elements from the first of the first row to the last of the last one; 0 where their bytes overflow.
size_t Extent(size_t rows, size_t channels, size_t stride) {
  constexpr size_t kLargest = PTRDIFF_MAX / sizeof(float);
  if (channels > kLargest || (rows - 1) > (kLargest - channels) / stride) return 0;
  return (rows - 1) * stride + channels;
}

// Whether the last element's address can be told in a pointer.
bool HasEnd(size_t rows, size_t channels, size_t stride, const float* first) {
  return Extent(rows, channels, stride) * sizeof(float) <= UINTPTR_MAX - reinterpret_cast<uintptr_t>(first);
}

// Whether rows of the input and the output share an element, other than by being the same.
bool Overlap(size_t rows, size_t channels, size_t input_stride, size_t output_stride, const float* input,
             const float* output) {
  const uintptr_t x = reinterpret_cast<uintptr_t>(input);
  const uintptr_t y = reinterpret_cast<uintptr_t>(output);
  if (x == y && (input_stride == output_stride || rows == 1)) return false;
  const uintptr_t x_end = x + Extent(rows, channels, input_stride) * sizeof(float);
  const uintptr_t y_end = y + Extent(rows, channels, output_stride) * sizeof(float);
  if (x_end <= y || y_end <= x) return false;
  if (input_stride != output_stride) return true;
  // Rows that interleave: one row of the output lies in the gap between two of the input.
  const uintptr_t stride = input_stride * sizeof(float);
  const uintptr_t row = channels * sizeof(float);
  const uintptr_t distance = x < y ? (y - x) % stride : (stride - (x - y) % stride) % stride;
  return distance < row || stride - distance < row;
}

const char* InvalidShape(size_t rows, size_t channels, size_t input_stride, size_t output_stride,
                         const float* input, const float* output) {
  if (channels == 0) return "channels is 0";
  if (input_stride < channels) return "input_stride is below channels";
  if (output_stride < channels) return "output_stride is below channels";
  if (rows == 0) return nullptr;
  if (input == nullptr) return "input is NULL";
  if (output == nullptr) return "output is NULL";
  if (reinterpret_cast<uintptr_t>(input) % sizeof(float) != 0) return "input is not aligned to 4 bytes";
  if (reinterpret_cast<uintptr_t>(output) % sizeof(float) != 0) return "output is not aligned to 4 bytes";
  if (Extent(rows, channels, input_stride) == 0) return "the input's size in bytes overflows";
  if (Extent(rows, channels, output_stride) == 0) return "the output's size in bytes overflows";
  if (!HasEnd(rows, channels, input_stride, input)) return "the input's end is beyond the last address";
  if (!HasEnd(rows, channels, output_stride, output)) return "the output's end is beyond the last address";
  if (Overlap(rows, channels, input_stride, output_stride, input, output)) return "output overlaps input";
  return nullptr;
}

}  // namespace

enum smx_status smx_create_softmax_nc_f32(uint32_t flags, smx_operator_t* softmax_op_out) {
  if (softmax_op_out == nullptr) {
    smx_log_error("create %s: softmax_op_out is NULL", kSoftmaxNcF32.name);
    return smx_status_invalid_parameter;
  }
  *softmax_op_out = nullptr;
  if (smx_is_initialized() && (flags & ~kKnownFlags) != 0) {
    smx_log_error("create %s: unknown flags 0x%08x", kSoftmaxNcF32.name,
                  static_cast<unsigned>(flags & ~kKnownFlags));
    return smx_status_invalid_parameter;
  }
  const enum smx_status status = smx_create_operator(&kSoftmaxNcF32, sizeof(SoftmaxOperator), softmax_op_out);
  if (status == smx_status_success) Softmax(*softmax_op_out)->flags = flags;
  return status;
}

enum smx_status smx_setup_softmax_nc_f32(smx_operator_t softmax_op, size_t batch_size, size_t channels,
                                         size_t input_stride, size_t output_stride, const float* input,
                                         float* output) {
  const enum smx_status status = smx_check_operator(softmax_op, &kSoftmaxNcF32);
  if (status != smx_status_success) return status;
  const char* reason = InvalidShape(batch_size, channels, input_stride, output_stride, input, output);
  if (reason != nullptr) {
    smx_log_error("setup %s: %s", kSoftmaxNcF32.name, reason);
    return smx_status_invalid_parameter;
  }
  SoftmaxOperator* op = Softmax(softmax_op);
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
