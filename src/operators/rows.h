// What is computed over rows of a matrix: softmax, log-softmax, logsumexp and partial sums, by the same passes.
#pragma once

#include <pthreadpool.h>
#include <stddef.h>
#include <stdint.h>

#include <algorithm>

#include "src/operators/operator.h"
#include "src/operators/scale.h"
#include "src/operators/types.h"
#include "src/plan/softmax_plan.h"

enum smx_rows_function {
  smx_rows_softmax,
  smx_rows_log_softmax,
  smx_rows_logsumexp,
  smx_rows_partial_sum,
  smx_rows_scale_by_partial_sum,
};

struct smx_rows {
  smx_operator base;
  enum smx_rows_function function;
  const smx_types* types;
  struct smx_scale scale;
  float input_scale;                   // of quantised elements, a factor of `scale`; 1 of others
  struct smx_f32_quantizer quantizer;  // of quantised results
  uint32_t flags;
  size_t batch_size;
  size_t channels;
  size_t input_stride;
  size_t output_stride;
  const void* input;
  const struct smx_partial_sum* sums;  // of smx_rows_scale_by_partial_sum
  void* output;
  struct smx_softmax_plan serial_plan;  // for one thread

  // Whether there is one result a row.
  bool reduces() const { return function == smx_rows_logsumexp || function == smx_rows_partial_sum; }
  size_t results() const { return reduces() ? 1 : channels; }  // of a row
  size_t result_bytes() const {
    return function == smx_rows_partial_sum ? sizeof(struct smx_partial_sum) : types->output_bytes;
  }
};

// What bytes stand for. The output is that of smx_create_softmax_nc_quantized.
struct smx_rows_quantization {
  float input_scale;
  const struct smx_quantization* output;
};

// Whether every row of floats begins where vectors can be written past the caches. Of several strides the bits are in `strides`.
inline bool smx_are_aligned_rows(const void* y, size_t strides) {
  return (reinterpret_cast<uintptr_t>(y) / sizeof(float) | strides) % SMX_LANES == 0;
}

// What kernels take in place of n elements, in their place. The products are those that log-softmax begins with, less nothing.
static inline void smx_stage(const smx_microkernels& kernels, smx_staging staging, size_t n, float* x) {
  const smx_f32_logarithm product = {1.0f, staging.shift, staging.factor, 0.0f, 0.0f};
  kernels.f32_vsubextc(n, x, x, &product);
  if (staging.least == -INFINITY) return;
  for (size_t i = 0; i < n; i++) x[i] = std::max(x[i], staging.least);
}

extern "C" {

// An operator of `size` bytes whose first member is smx_rows, under a scale of 1. The quantization is that of quantised types, and NULL for
// others.
enum smx_status smx_create_rows(const struct smx_operator_type* type, size_t size, const char* op_out_name,
                                enum smx_rows_function function, enum smx_datatype input,
                                enum smx_datatype output, const struct smx_rows_quantization* quantization,
                                uint32_t known_flags, uint32_t flags, smx_operator_t* op_out);

// As smx_operator_type::set_scale.
const char* smx_set_rows_scale(smx_rows* rows, float scale);

struct smx_softmax_plan smx_plan_rows(const smx_rows* rows, size_t threads);

// As smx_get_plan tells it.
void smx_describe_rows_plan(const smx_rows* rows, size_t threads, struct smx_plan* plan_out);

// A probability of a row that holds NaN, which is `max` then, or whose largest element is infinite.
float smx_special_probability(const smx_rows* rows, float max);

// What log-softmax takes off the elements of a row whose sum this is.
struct smx_f32_logarithm smx_rows_logarithm(const smx_rows* rows, const struct smx_f32_extended* sum,
                                            bool is_shifted, float shift);

// Under smx_fp_environment. Rows have been set up, and serial_plan is smx_plan_rows for one thread.
void smx_run_rows(const smx_rows* rows, pthreadpool_t threadpool);

}  // extern "C"
