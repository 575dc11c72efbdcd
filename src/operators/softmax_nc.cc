// Operators on rows: softmax, log-softmax, logsumexp and partial sums. See smx_create_softmax_nc and its neighbours in
// include/smxpack.h.
#include <float.h>
#include <math.h>
#include <string.h>

#include "src/operators/layout.h"
#include "src/operators/operator.h"
#include "src/operators/row_sum.h"
#include "src/operators/rows.h"
#include "src/runtime/fp_environment.h"
#include "src/runtime/log.h"

namespace {

smx_rows* Rows(smx_operator* op) {
  return reinterpret_cast<smx_rows*>(op);
}
const smx_rows* Rows(const smx_operator* op) {
  return reinterpret_cast<const smx_rows*>(op);
}

void Run(smx_operator* op, pthreadpool_t threadpool) {
  smx_run_rows(Rows(op), threadpool);
}

void DescribePlan(const smx_operator* base, size_t threads, smx_plan* plan_out) {
  smx_describe_rows_plan(Rows(base), threads, plan_out);
}

const char* SetScale(smx_operator* op, float scale) {
  return smx_set_rows_scale(Rows(op), scale);
}

constexpr smx_operator_type kSoftmaxNc = {"softmax_nc", Run, DescribePlan, SetScale};
constexpr smx_operator_type kLogSoftmaxNc = {"log_softmax_nc", Run, DescribePlan, SetScale};
constexpr smx_operator_type kLogSumExpNc = {"logsumexp_nc", Run, DescribePlan, SetScale};
constexpr smx_operator_type kPartialSumNc = {"partial_sum_nc", Run, DescribePlan, SetScale};
constexpr smx_operator_type kScaleByPartialSumNc = {"scale_by_partial_sum_nc", Run, DescribePlan, SetScale};

// Whether rows of the input and the output share an element, other than by being the same.
bool Overlap(const smx_layout& x, const smx_layout& y) {
  const size_t x_stride = x.stride * x.element_bytes;
  const size_t y_stride = y.stride * y.element_bytes;
  const bool same_row = x.first == y.first && x.element_bytes == y.element_bytes && x.channels == y.channels;
  if (same_row && (x_stride == y_stride || x.rows == 1)) return false;
  if (!x.Meets(y)) return false;
  if (x_stride != y_stride) return true;
  // Rows that interleave: one row of the output lies in the gap between two of the input.
  const uintptr_t x_to_y =
      (x.address() < y.address() ? (y.address() - x.address()) % x_stride
                                 : (x_stride - (x.address() - y.address()) % x_stride) % x_stride);
  return x_to_y < x.channels * x.element_bytes || x_stride - x_to_y < y.channels * y.element_bytes;
}

smx_status Create(const smx_operator_type* type, const char* op_out_name, smx_rows_function function,
                  smx_datatype input, smx_datatype output, uint32_t known_flags, uint32_t flags,
                  smx_operator_t* op_out, const smx_rows_quantization* quantization = nullptr) {
  return smx_create_rows(type, sizeof(smx_rows), op_out_name, function, input, output, quantization,
                         known_flags, flags, op_out);
}

smx_status SetUp(smx_rows* op, size_t batch_size, size_t channels, size_t input_stride, size_t output_stride,
                 const void* input, void* output) {
  const size_t results = op->reduces() ? 1 : channels;
  const smx_layout x = {batch_size, channels, input_stride, op->types->input_bytes, input};
  const smx_layout y = {batch_size, results, output_stride, op->result_bytes(), output};
  const char* reason = smx_invalid_layouts(&x, &y, true);
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
  op->serial_plan = smx_plan_rows(op, 1);
  op->base.is_set_up = true;
  return smx_status_success;
}

}  // namespace

[[gnu::noinline]] const char* smx_invalid_layouts(const smx_layout* x, const smx_layout* y,
                                                  bool may_be_in_place) {
  const smx_layout& input = *x;
  const smx_layout& output = *y;
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
  if (may_be_in_place ? Overlap(input, output) : input.Meets(output)) return "output overlaps input";
  return nullptr;
}

enum smx_status smx_create_softmax_nc(enum smx_datatype input_type, enum smx_datatype output_type,
                                      uint32_t flags, smx_operator_t* op_out) {
  return Create(&kSoftmaxNc, "softmax_op_out", smx_rows_softmax, input_type, output_type,
                SMX_FLAG_MASKED_ROWS_TO_ZERO, flags, op_out);
}

enum smx_status smx_create_softmax_nc_quantized(enum smx_datatype input_type, float input_scale,
                                                enum smx_datatype output_type,
                                                const struct smx_quantization* output, uint32_t flags,
                                                smx_operator_t* op_out) {
  const smx_rows_quantization quantization = {input_scale, output};
  return Create(&kSoftmaxNc, "softmax_op_out", smx_rows_softmax, input_type, output_type,
                SMX_FLAG_MASKED_ROWS_TO_ZERO, flags, op_out, &quantization);
}

enum smx_status smx_create_softmax_nc_f32(uint32_t flags, smx_operator_t* softmax_op_out) {
  return smx_create_softmax_nc(smx_datatype_f32, smx_datatype_f32, flags, softmax_op_out);
}

enum smx_status smx_create_log_softmax_nc(enum smx_datatype input_type, enum smx_datatype output_type,
                                          uint32_t flags, smx_operator_t* op_out) {
  return Create(&kLogSoftmaxNc, "log_softmax_op_out", smx_rows_log_softmax, input_type, output_type,
                SMX_FLAG_MASKED_ROWS_TO_ZERO, flags, op_out);
}

enum smx_status smx_create_logsumexp_nc(enum smx_datatype input_type, uint32_t flags,
                                        smx_operator_t* op_out) {
  return Create(&kLogSumExpNc, "logsumexp_op_out", smx_rows_logsumexp, input_type, smx_datatype_f32, 0, flags,
                op_out);
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
  return Create(&kPartialSumNc, "partial_sum_op_out", smx_rows_partial_sum, input_type, smx_datatype_f32, 0,
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
  return Create(&kScaleByPartialSumNc, "scale_op_out", smx_rows_scale_by_partial_sum, input_type, output_type,
                SMX_FLAG_MASKED_ROWS_TO_ZERO, flags, op_out);
}

enum smx_status smx_setup_scale_by_partial_sum_nc(smx_operator_t scale_op, size_t batch_size, size_t channels,
                                                  size_t input_stride, size_t output_stride,
                                                  const void* input, const struct smx_partial_sum* sums,
                                                  void* output) {
  const enum smx_status status = smx_check_operator(scale_op, &kScaleByPartialSumNc);
  if (status != smx_status_success) return status;
  const smx_layout sums_layout = {batch_size, 1, 1, sizeof(smx_partial_sum), sums};
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
  for (size_t i = 0; i < count; i++) {
    if (memcmp(&sums[i].scale, &others[i].scale, sizeof(float)) == 0) continue;
    smx_log_error("smx_merge_partial_sums: the sums %zu are of different scales", i);
    return smx_status_invalid_parameter;
  }
  const smx_fp_environment environment;
  smx_scale scale = smx_scale_of(1.0f);
  for (size_t i = 0; i < count; i++) {
    if (sums[i].scale != scale.value) scale = smx_scale_of(sums[i].scale);
    smx_partial_sum_merge(&sums[i], others[i], &scale);
  }
  return smx_status_success;
}
