// What is computed over rows of a matrix: softmax, log-softmax, logsumexp and partial sums, by the same passes.
#pragma once

#include <pthreadpool.h>
#include <stddef.h>
#include <stdint.h>

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

extern "C" {

struct smx_softmax_plan smx_plan_rows(const smx_rows* rows, size_t threads);

// Under smx_fp_environment. Rows have been set up, and serial_plan is smx_plan_rows for one thread.
void smx_run_rows(const smx_rows* rows, pthreadpool_t threadpool);

}  // extern "C"
