#include "src/operators/rows.h"

#include <float.h>
#include <math.h>

#include <algorithm>

#include "src/operators/row.h"
#include "src/operators/row_sum.h"
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

smx_row RowAt(const smx_rows& op, const smx_softmax_plan& plan, size_t index) {
  void* y = OutputAt(op, index);
  float* logsumexp = op.function == smx_rows_logsumexp ? static_cast<float*>(y) : nullptr;
  return {&op,
          plan.algorithm,
          plan.streams_output,
          InputAt(op, index),
          y,
          op.channels,
          (op.batch_size - 1 - index) * op.input_stride,
          op.results(),
          nullptr,
          logsumexp,
          0.0f,
          false};
}

void RunOneByOne(const smx_rows& op, const smx_softmax_plan& plan, size_t start, size_t end) {
  const size_t together = smx_rows_together(op.channels);
  while (start < end) {
    const size_t count = std::min(together, end - start);
    smx_row rows[SMX_MOST_ROWS_TOGETHER];
    for (size_t i = 0; i < count; i++) rows[i] = RowAt(op, plan, start + i);
    smx_run_rows_together(rows, count);
    start += count;
  }
}

// Converts rows that lie `stride` apart to or from contiguous ones; rows that are contiguous already in one call.
template <class Convert>
void ConvertRows(size_t rows, size_t channels, size_t stride, const Convert& convert) {
  if (stride == channels) return convert(rows * channels, 0, 0);
  for (size_t r = 0; r < rows; r++) convert(channels, r * stride, r * channels);
}

// Those of other types than f32, and under a scale that kernels do not take, are staged: as many as stay in a level 1 cache.
constexpr size_t kStagedElements = 4096;

// By the kernel on several rows that the plan asks for.
void RunKernel(const smx_rows& op, const smx_softmax_plan& plan, size_t rows, const float* x, size_t x_stride,
               float* y, size_t y_stride, size_t* done) {
  const smx_microkernels& kernels = op.base.microkernels;
  const smx_f32_exponential* exponential = &op.scale.exponential;
  const bool is_log = op.function == smx_rows_log_softmax;
  const bool streams = plan.streams_output;
  // A lone row's strides may be any numbers, and kernels ask for what follows.
  if (rows == 1) x_stride = y_stride = op.channels;
  if (plan.algorithm == smx_algorithm_rows_as_lanes) {
    if (is_log) {
      kernels.f32_log_softmax_transposed(rows, op.channels, x, x_stride, y, y_stride, done, exponential);
    } else {
      kernels.f32_softmax_transposed(rows, op.channels, 0, SIZE_MAX, x, x_stride, nullptr, 0, 0, 1.0f, y,
                                     y_stride, done, exponential);
    }
  } else if (is_log) {
    kernels.f32_log_softmax(rows, op.channels, x, x_stride, y, y_stride, streams, done, exponential);
  } else {
    kernels.f32_softmax(rows, op.channels, 0, x, x_stride, nullptr, 0, nullptr, 0, 1.0f, nullptr, 0, y,
                        y_stride, op.channels, streams, done, exponential);
  }
}

// Runs a kernel on several rows over some from *start on, and moves *start behind what it has done. Returns whether it stopped at
// a row that is out of range.
bool RunGroup(const smx_rows& op, const smx_softmax_plan& plan, size_t* start, size_t end) {
  const smx_types& types = *op.types;
  const bool is_direct = smx_scale_is_direct(&op.scale);
  const bool stages_input = types.input != smx_datatype_f32 || !is_direct;
  const bool narrow_output = types.output != smx_datatype_f32;
  const size_t most = stages_input || narrow_output ? kStagedElements / op.channels : end - *start;
  const size_t rows = std::min(end - *start, most);
  alignas(64) float staged[kStagedElements];
  const char* x = static_cast<const char*>(InputAt(op, *start));
  char* y = static_cast<char*>(OutputAt(op, *start));
  if (stages_input) {
    ConvertRows(rows, op.channels, op.input_stride, [&](size_t n, size_t from, size_t to) {
      types.to_f32(op.base.microkernels, n, x + from * types.input_bytes, staged + to);
      if (!is_direct) {
        smx_stage(op.base.microkernels, smx_staging_of(&op.scale, false, 0.0f), n, staged + to);
      }
    });
  }
  size_t done = 0;
  RunKernel(op, plan, rows, stages_input ? staged : reinterpret_cast<const float*>(x),
            stages_input ? op.channels : op.input_stride,
            narrow_output ? staged : reinterpret_cast<float*>(y),
            narrow_output ? op.channels : op.output_stride, &done);
  if (narrow_output && done > 0) {
    ConvertRows(done, op.channels, op.output_stride, [&](size_t n, size_t to, size_t from) {
      types.from_f32(op.base.microkernels, n, staged + from, y + to * types.output_bytes, op.quantizer);
    });
  }
  *start += done;
  return done < rows;
}

// Rows by a kernel on several at a time; where it stops, one by one until a row is within range again.
void RunTogether(const smx_rows& op, const smx_softmax_plan& plan, size_t start, size_t end) {
  smx_softmax_plan one_by_one = plan;
  one_by_one.streams_output = false;
  one_by_one.algorithm =
      op.function == smx_rows_softmax ? smx_algorithm_store_and_rescale : smx_algorithm_two_pass;
  while (start < end) {
    bool is_within_range = !RunGroup(op, plan, &start, end);
    for (; start < end && !is_within_range; start++) {
      const smx_row row = RowAt(op, one_by_one, start);
      is_within_range = smx_run_row(&row);
    }
  }
}

void RunRows(const smx_rows& op, const smx_softmax_plan& plan, size_t start, size_t end) {
  const bool together =
      plan.algorithm == smx_algorithm_rows_as_lanes || plan.algorithm == smx_algorithm_several_rows;
  if (together) return RunTogether(op, plan, start, end);
  RunOneByOne(op, plan, start, end);
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
  for (size_t i = spread_rows; i < op.batch_size; i++) {
    const smx_row row = RowAt(op, plan, i);
    smx_run_row_split(&row, threadpool);
  }
}

void RunScaleByPartialSum(const smx_rows& op, pthreadpool_t threadpool) {
  const size_t threads = pthreadpool_get_threads_count(threadpool);
  const smx_softmax_plan plan = smx_plan_rows(&op, threads);
  const size_t length = smx_span_length(op.channels);
  const size_t pieces = (op.channels - 1) / length + 1;
  const auto scale = [&](size_t start, size_t count) {
    for (size_t i = start; i < start + count; i++) {
      smx_row row = RowAt(op, plan, i / pieces);
      const smx_partial_sum& sum = op.sums[i / pieces];
      row.is_shifted = !smx_holds_max(&op.scale, sum.max);
      row.shift = row.is_shifted ? op.scale.direction * sum.max : 0.0f;
      const size_t first = i % pieces * length;
      smx_scale_row_part(&row, first, std::min(op.channels, first + length), &sum);
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

struct smx_softmax_plan smx_plan_rows(const smx_rows* rows, size_t threads) {
  const bool is_softmax = rows->function == smx_rows_softmax;
  smx_softmax_shape shape;
  shape.rows = rows->batch_size;
  shape.channels = rows->channels;
  shape.element_bytes = rows->types->input_bytes + rows->types->output_bytes;
  shape.in_place = rows->input == rows->output;
  shape.grouped_channels = is_softmax ? SMX_GROUPED : rows->function == smx_rows_log_softmax ? SMX_BLOCK : 0;
  shape.varies = false;
  shape.stores_terms = is_softmax && (smx_scale_is_direct(&rows->scale) || rows->channels <= SMX_TILE);
  shape.aligned_rows =
      rows->types->output == smx_datatype_f32 && smx_are_aligned_rows(rows->output, rows->output_stride);
  smx_softmax_plan plan = smx_plan_softmax(&shape, &rows->base.thresholds, threads);
  const bool streams_row = is_softmax || rows->function == smx_rows_scale_by_partial_sum;
  plan.streams_output &=
      plan.algorithm == smx_algorithm_several_rows || (streams_row && !rows->types->is_quantized());
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
