#include "src/operators/rows.h"

#include <float.h>
#include <math.h>

#include <algorithm>

#include "src/operators/row_sum.h"
#include "src/operators/two_phases.h"
#include "src/runtime/fp_environment.h"
#include "src/runtime/log.h"
#include "src/runtime/parallelize.h"

namespace {

const void* InputAt(const smx_rows& op, size_t row) {
  return static_cast<const char*>(op.input) + row * op.input_stride * op.types->input_bytes;
}
void* OutputAt(const smx_rows& op, size_t row) {
  return static_cast<char*>(op.output) + row * op.output_stride * op.result_bytes();
}

// One row and how to compute it.
struct Row {
  const smx_rows& op;
  smx_algorithm algorithm;
  bool streams_output;
  const void* x;
  void* y;
  // Subtracted from the elements first: the maximum of a row that is out of the kernels' range.
  float shift = 0.0f;
  bool is_shifted = false;

  size_t channels() const { return op.channels; }
  const smx_types& types() const { return *op.types; }
  const smx_microkernels& kernels() const { return op.base.microkernels; }
  const smx_scale& scale() const { return op.scale; }
  const smx_f32_exponential& exponential() const { return op.scale.exponential; }
  // Whether kernels take what is made of the elements in place of them.
  bool is_staged() const { return is_shifted || !smx_scale_is_direct(&op.scale); }
  const void* x_at(size_t i) const { return static_cast<const char*>(x) + i * types().input_bytes; }
  void* y_at(size_t i) const { return static_cast<char*>(y) + i * types().output_bytes; }
  float* stored_terms() const { return static_cast<float*>(y); }
};

Row RowAt(const smx_rows& op, const smx_softmax_plan& plan, size_t index) {
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

// What kernels take of a tile in place of its elements.
void Stage(const Row& row, size_t start, size_t n, float* tile) {
  const smx_staging staging = smx_staging_of(&row.scale(), row.is_shifted, row.shift);
  row.types().to_f32(row.kernels(), n, row.x_at(start), tile);
  for (size_t i = 0; i < n; i++) tile[i] = smx_staged(&staging, tile[i]);
}

// Apart, for their frames are large.
[[gnu::noinline]] void SumStagedTile(const Row& row, size_t start, size_t n, smx_f32_extended* sum) {
  float tile[SMX_TILE];
  Stage(row, start, n, tile);
  row.kernels().f32_raddextexp(n, tile, sum, &row.exponential());
}

[[gnu::noinline]] void ScaleStagedTile(const Row& row, size_t start, size_t n,
                                       const smx_f32_reciprocal& reciprocal) {
  float tile[SMX_TILE];
  Stage(row, start, n, tile);
  row.types().scale_f32(row.kernels(), n, tile, row.y_at(start), reciprocal, row.exponential(),
                        row.op.quantizer);
}

// The largest element times the sign of the scale, of a row without NaN.
[[gnu::noinline]] float DirectedMax(const Row& row) {
  float max = -INFINITY;
  if (row.scale().direction > 0.0f) {
    row.types().max(row.kernels(), row.channels(), row.x, &max);
    return max;
  }
  float tile[SMX_TILE];
  for (size_t start = 0; start < row.channels(); start += SMX_TILE) {
    const size_t n = std::min<size_t>(SMX_TILE, row.channels() - start);
    row.types().to_f32(row.kernels(), n, row.x_at(start), tile);
    for (size_t i = 0; i < n; i++) max = std::max(max, -tile[i]);
  }
  return max;
}

// The sum of a tile. Returns whether its terms are stored: not where the tile is out of range, or its terms have no reference
// in common.
bool SumTile(const Row& row, size_t start, size_t n, smx_f32_extended* sum) {
  if (row.is_staged()) {
    SumStagedTile(row, start, n, sum);
    return false;
  }
  if (row.algorithm == smx_algorithm_store_and_rescale) {
    row.kernels().f32_raddstoreextexp(n, static_cast<const float*>(row.x) + start, row.stored_terms() + start,
                                      sum, &row.exponential());
    if (sum->hi == sum->hi) return true;
  }
  row.types().sum(row.kernels(), n, row.x_at(start), sum, row.exponential());
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
  if (row.is_staged()) {
    for (size_t i = span.start; i < span.end; i += SMX_TILE) {
      ScaleStagedTile(row, i, std::min<size_t>(SMX_TILE, span.end - i), reciprocal);
    }
  } else if (span.is_stored) {
    if (span.tile.hi == 0.0f) return;  // zeros, which have no reference
    const int32_t exponent = reciprocal.exponent - (span.tile.reference - SMX_BIAS);
    ScaleStored(n, row.stored_terms() + span.start, row.kernels(), {reciprocal.hi, reciprocal.lo, exponent});
  } else {
    row.types().scale(row.kernels(), row.streams_output, n, row.x_at(span.start), row.y_at(span.start),
                      reciprocal, row.exponential(), row.op.quantizer);
  }
}

// The second pass.
void NormalizeSpan(const Row& row, const Span& span, const Normalizer& normalizer) {
  switch (row.op.function) {
    case smx_rows_softmax:
      return ScaleSpan(row, span, normalizer.reciprocal);
    case smx_rows_log_softmax:
      return row.types().subtract(row.kernels(), span.end - span.start, row.x_at(span.start),
                                  row.y_at(span.start), normalizer.logarithm);
    default:
      return;
  }
}

void StorePartialSum(const Row& row, smx_partial_sum sum) {
  sum.scale = row.scale().value;
  sum.max = row.is_shifted ? row.scale().direction * row.shift : sum.max / row.scale().power;
  *static_cast<smx_partial_sum*>(row.y) = sum;
}

// Of a row that is shifted: the shift may be so large that it swallows the rest.
smx_f32_logarithm LogarithmAboveShift(float scale, float shift, double logarithm) {
  const float factor = fabsf(scale) < 1.0f ? 0.5f : 1.0f;
  return {factor, shift * factor, scale / factor, static_cast<float>(logarithm), 0.0f};
}

// log(sum) = max + above_max, without the shift.
struct SumLogarithm {
  double max;
  double above_max;
};

SumLogarithm SumLogarithmOf(const smx_rows& op, const smx_f32_extended& sum) {
  smx_f32_extended largest;
  op.base.microkernels.f32_raddextexp(1, &sum.max, &largest, &op.scale.exponential);
  return {static_cast<double>(op.scale.exponential.scale) * sum.max, smx_log_above_max(&sum, &largest)};
}

// What a valid sum makes of a row before its second pass. logsumexp has its result.
Normalizer NormalizerOf(const Row& row, const smx_f32_extended& sum) {
  if (row.op.function == smx_rows_softmax) return {smx_f32_reciprocal_of(&sum), {}};
  if (row.op.function == smx_rows_log_softmax) {
    return {{}, smx_rows_logarithm(&row.op, &sum, row.is_shifted, row.shift)};
  }
  const SumLogarithm logarithm = SumLogarithmOf(row.op, sum);
  *static_cast<float*>(row.y) = static_cast<float>(static_cast<double>(row.scale().value) * row.shift +
                                                   logarithm.max + logarithm.above_max);
  return {};
}

bool RunRow(const Row& row);

void Fill(const Row& row, float value) {
  row.types().fill(row.op.results(), row.y, value);
}

// The result of a row that holds NaN, which is its maximum then, or whose maximum is infinite.
void FillSpecial(const Row& row, float max) {
  const float probability = smx_special_probability(&row.op, max);
  switch (row.op.function) {
    case smx_rows_log_softmax:
      return Fill(row, probability == 0.0f ? -INFINITY : NAN);
    case smx_rows_logsumexp:
      return Fill(row, max);
    case smx_rows_partial_sum:
      return StorePartialSum(row, smx_partial_sum_without_terms(max));
    default:
      return Fill(row, probability);
  }
}

// A row without a valid sum: it holds NaN or +inf, or -inf only, or its maximum is out of the kernels' range.
void RunOutOfRange(const Row& row) {
  // Under a scale of 0, the row is here for an infinite element.
  const bool has_nan = row.scale().direction == 0.0f || row.types().has_nan(row.channels(), row.x);
  const float max = has_nan ? NAN : DirectedMax(row);
  if (has_nan || isinf(max)) return FillSpecial(row, max);
  RunRow({row.op, smx_algorithm_two_pass, false, row.x, row.y, row.scale().direction * max, true});
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
    const bool is_valid = smx_is_in_range(span_.tile.max, &row.exponential()) && span_.tile.hi > 0.0f;
    if (!is_valid) {
      RunOutOfRange(row);
    } else if (row.op.function == smx_rows_partial_sum) {
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
    is_valid_ = smx_partial_sum_is_valid(&sum, &row_.exponential());
    if (!is_valid_) return false;
    if (row_.op.function == smx_rows_partial_sum) {
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
  if (row.x != row.y || row.algorithm != smx_algorithm_store_and_rescale || row.is_staged()) return true;
  float max;
  row.types().max(row.kernels(), row.channels(), row.x, &max);
  return smx_is_in_range(max, &row.exponential());
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

void RunOneByOne(const smx_rows& op, const smx_softmax_plan& plan, size_t start, size_t end) {
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

// Those of other types than f32, and under a scale that kernels do not take, are staged: as many as stay in a level 1 cache.
constexpr size_t kStagedElements = 4096;

// Runs a kernel on several rows over some from *start on, and moves *start behind what it has done. Returns whether it stopped at
// a row that is out of range.
bool RunGroup(const smx_rows& op, smx_f32_softmax_ukernel_fn* softmax, size_t* start, size_t end) {
  const smx_types& types = *op.types;
  const bool is_direct = smx_scale_is_direct(&op.scale);
  const bool stages_input = types.input != smx_datatype_f32 || !is_direct;
  const bool narrow_output = types.output != smx_datatype_f32;
  const size_t most = stages_input || narrow_output ? kStagedElements / op.channels : end - *start;
  const size_t rows = std::min(end - *start, most);
  float staged[kStagedElements];
  const char* x = static_cast<const char*>(InputAt(op, *start));
  char* y = static_cast<char*>(OutputAt(op, *start));
  if (stages_input) {
    ConvertRows(rows, op.channels, op.input_stride, [&](size_t n, size_t from, size_t to) {
      types.to_f32(op.base.microkernels, n, x + from * types.input_bytes, staged + to);
    });
  }
  if (!is_direct) {
    const smx_staging staging = smx_staging_of(&op.scale, false, 0.0f);
    for (size_t i = 0; i < rows * op.channels; i++) staged[i] = smx_staged(&staging, staged[i]);
  }
  size_t done = 0;
  softmax(rows, op.channels, stages_input ? staged : reinterpret_cast<const float*>(x),
          stages_input ? op.channels : op.input_stride, narrow_output ? staged : reinterpret_cast<float*>(y),
          narrow_output ? op.channels : op.output_stride, &done, &op.scale.exponential);
  if (narrow_output && done > 0) {
    ConvertRows(done, op.channels, op.output_stride, [&](size_t n, size_t to, size_t from) {
      types.from_f32(op.base.microkernels, n, staged + from, y + to * types.output_bytes, op.quantizer);
    });
  }
  *start += done;
  return done < rows;
}

// Rows by a kernel on several at a time; where it stops, one by one until a row is within range again.
void RunTogether(const smx_rows& op, const smx_softmax_plan& plan, smx_f32_softmax_ukernel_fn* softmax,
                 size_t start, size_t end) {
  smx_softmax_plan one_by_one = plan;
  const bool stores_terms = op.function == smx_rows_softmax && op.types->is_f32();
  one_by_one.algorithm = stores_terms ? smx_algorithm_store_and_rescale : smx_algorithm_two_pass;
  while (start < end) {
    bool is_within_range = !RunGroup(op, softmax, &start, end);
    for (; start < end && !is_within_range; start++) is_within_range = RunRow(RowAt(op, one_by_one, start));
  }
}

void RunRows(const smx_rows& op, const smx_softmax_plan& plan, size_t start, size_t end) {
  const smx_microkernels& kernels = op.base.microkernels;
  const bool is_log = op.function == smx_rows_log_softmax;
  switch (plan.algorithm) {
    case smx_algorithm_rows_as_lanes:
      return RunTogether(
          op, plan, is_log ? kernels.f32_log_softmax_transposed : kernels.f32_softmax_transposed, start, end);
    case smx_algorithm_several_rows:
      return RunTogether(op, plan, is_log ? kernels.f32_log_softmax : kernels.f32_softmax, start, end);
    default:
      return RunOneByOne(op, plan, start, end);
  }
}

void Spread(const smx_rows& op, const smx_softmax_plan& plan, size_t rows, pthreadpool_t threadpool) {
  if (rows <= plan.rows_per_task) return RunRows(op, plan, 0, rows);
  smx_parallelize(threadpool, rows, plan.rows_per_task,
                  [&](size_t start, size_t count) { RunRows(op, plan, start, start + count); });
}

void RunWholeRows(const smx_rows& op, pthreadpool_t threadpool) {
  const size_t threads = pthreadpool_get_threads_count(threadpool);
  if (threads == 1) return RunRows(op, op.serial_plan, 0, op.batch_size);
  const smx_softmax_plan plan = smx_plan_rows(&op, threads);
  const size_t spread_rows = op.batch_size - plan.split_rows;
  Spread(op, plan, spread_rows, threadpool);
  for (size_t i = spread_rows; i < op.batch_size; i++) RunSplit(RowAt(op, plan, i), threadpool);
}

// The second pass of softmax over pieces of rows whose sums are known.
void ScalePiece(const Row& row, const smx_partial_sum& sum, size_t start, size_t end) {
  if (sum.has_nan || isinf(sum.max)) {
    const float probability = smx_special_probability(&row.op, sum.has_nan ? NAN : sum.max);
    return row.types().fill(end - start, row.y_at(start), probability);
  }
  const smx_f32_extended extended = smx_f32_extended_of(&sum);
  ScaleSpan(row, {start, end, {}, false}, smx_f32_reciprocal_of(&extended));
}

void RunScaleByPartialSum(const smx_rows& op, pthreadpool_t threadpool) {
  const size_t threads = pthreadpool_get_threads_count(threadpool);
  const smx_softmax_plan plan = smx_plan_rows(&op, threads);
  const size_t length = smx_span_length(op.channels);
  const size_t pieces = (op.channels - 1) / length + 1;
  const auto scale = [&](size_t start, size_t count) {
    for (size_t i = start; i < start + count; i++) {
      Row row = RowAt(op, plan, i / pieces);
      const smx_partial_sum sum = op.sums[i / pieces];
      row.is_shifted = !smx_holds_max(&op.scale, sum.max);
      row.shift = row.is_shifted ? op.scale.direction * sum.max : 0.0f;
      const size_t first = i % pieces * length;
      ScalePiece(row, sum, first, std::min(op.channels, first + length));
    }
  };
  const size_t tasks = op.batch_size * pieces;
  if (threads == 1 || tasks <= plan.rows_per_task) return scale(0, tasks);
  smx_parallelize(threadpool, tasks, plan.rows_per_task, scale);
}

bool IsPositiveNormal(float scale) {
  return scale >= FLT_MIN && scale <= FLT_MAX;
}

const char* InvalidQuantization(const smx_types& types, const smx_rows_quantization& quantization) {
  const smx_fp_environment environment;  // comparisons raise exceptions, too
  if (!IsPositiveNormal(quantization.input_scale)) return "input_scale is not positive, normal and finite";
  if (!types.has_quantized_output()) return nullptr;
  if (quantization.output == nullptr) return "output is NULL";
  if (!IsPositiveNormal(quantization.output->scale))
    return "output->scale is not positive, normal and finite";
  const int32_t least = types.output == smx_datatype_qu8 ? 0 : INT8_MIN;
  const int32_t zero_point = quantization.output->zero_point;
  if (zero_point < least || zero_point > least + UINT8_MAX)
    return "output->zero_point is not one of the type's numbers";
  return nullptr;
}

// The types are quantised where there is a quantization.
smx_status CheckTypes(const char* name, smx_datatype input, smx_datatype output, const smx_types* types,
                      const smx_rows_quantization* quantization) {
  if (types == nullptr) {
    smx_log_error("create %s: no kernels for types %d and %d", name, static_cast<int>(input),
                  static_cast<int>(output));
    return smx_status_unsupported_parameter;
  }
  if (types->is_quantized() != (quantization != nullptr)) {
    smx_log_error("create %s: types %d and %d are those of %s", name, static_cast<int>(input),
                  static_cast<int>(output),
                  types->is_quantized() ? "smx_create_softmax_nc_quantized" : "smx_create_softmax_nc");
    return smx_status_unsupported_parameter;
  }
  const char* reason = quantization != nullptr ? InvalidQuantization(*types, *quantization) : nullptr;
  if (reason == nullptr) return smx_status_success;
  smx_log_error("create %s: %s", name, reason);
  return smx_status_invalid_parameter;
}

void SetQuantization(const smx_rows_quantization& quantization, smx_rows* op) {
  op->input_scale = quantization.input_scale;
  op->scale = smx_scale_of(op->input_scale);
  if (!op->types->has_quantized_output()) return;
  op->quantizer.inverse_scale = 1.0f / quantization.output->scale;
  op->quantizer.zero_point = static_cast<float>(quantization.output->zero_point);
}

}  // namespace

enum smx_status smx_create_rows(const struct smx_operator_type* type, size_t size, const char* op_out_name,
                                enum smx_rows_function function, enum smx_datatype input,
                                enum smx_datatype output, const struct smx_rows_quantization* quantization,
                                uint32_t known_flags, uint32_t flags, smx_operator_t* op_out) {
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
  if (smx_is_initialized()) {
    const smx_status status = CheckTypes(type->name, input, output, types, quantization);
    if (status != smx_status_success) return status;
  }
  const enum smx_status status = smx_create_operator(type, size, op_out);
  if (status != smx_status_success) return status;
  smx_rows* op = reinterpret_cast<smx_rows*>(*op_out);
  op->function = function;
  op->types = types;
  op->flags = flags;
  constexpr smx_rows_quantization kNone = {1.0f, nullptr};
  const smx_fp_environment environment;
  SetQuantization(quantization != nullptr ? *quantization : kNone, op);
  return smx_status_success;
}

const char* smx_set_rows_scale(smx_rows* rows, float scale) {
  const float factor = rows->input_scale * scale;
  if (!isfinite(factor)) return "the product with the scale of the input is not finite";
  rows->scale = smx_scale_of(factor);
  if (rows->base.is_set_up) rows->serial_plan = smx_plan_rows(rows, 1);
  return nullptr;
}

float smx_special_probability(const smx_rows* rows, float max) {
  return max == -INFINITY && (rows->flags & SMX_FLAG_MASKED_ROWS_TO_ZERO) != 0 ? 0.0f : NAN;
}

struct smx_f32_logarithm smx_rows_logarithm(const smx_rows* rows, const struct smx_f32_extended* sum,
                                            bool is_shifted, float shift) {
  const SumLogarithm logarithm = SumLogarithmOf(*rows, *sum);
  const float scale = rows->scale.value;
  if (is_shifted) return LogarithmAboveShift(scale, shift, logarithm.max + logarithm.above_max);
  return smx_f32_logarithm_of(scale, logarithm.max, logarithm.above_max);
}

struct smx_softmax_plan smx_plan_rows(const smx_rows* rows, size_t threads) {
  const bool is_softmax = rows->function == smx_rows_softmax;
  smx_softmax_shape shape;
  shape.rows = rows->batch_size;
  shape.channels = rows->channels;
  shape.element_bytes = rows->types->input_bytes + rows->types->output_bytes;
  shape.in_place = rows->input == rows->output;
  shape.groups_rows = is_softmax || rows->function == smx_rows_log_softmax;
  shape.stores_terms = is_softmax && rows->types->is_f32() && smx_scale_is_direct(&rows->scale);
  smx_softmax_plan plan = smx_plan_softmax(&shape, &rows->base.thresholds, threads);
  const bool has_streams = is_softmax || rows->function == smx_rows_scale_by_partial_sum;
  plan.streams_output &= has_streams && !rows->types->is_quantized();
  return plan;
}

void smx_describe_rows_plan(const smx_rows* rows, size_t threads, struct smx_plan* plan_out) {
  const smx_softmax_plan plan = smx_plan_rows(rows, threads);
  *plan_out = {smx_algorithm_name(plan.algorithm), plan.reason, plan.streams_output, plan.split_rows,
               plan.rows_per_task};
}

void smx_run_rows(const smx_rows* rows, pthreadpool_t threadpool) {
  if (rows->batch_size == 0) return;
  if (rows->function == smx_rows_scale_by_partial_sum) return RunScaleByPartialSum(*rows, threadpool);
  RunWholeRows(*rows, threadpool);
}
