// What all operators have in common.
#pragma once

#include <pthreadpool.h>

#include "include/smxpack.h"
#include "src/runtime/runtime.h"

struct smx_operator;

// The functions of a type of operator.
struct smx_operator_type {
  const char* name;
  void (*run)(struct smx_operator* op, pthreadpool_t threadpool);
  void (*plan)(const struct smx_operator* op, size_t threads, struct smx_plan* plan);
  void (*set_scale)(struct smx_operator* op, float scale);  // finite; under smx_fp_environment
};

// The first member of every operator.
struct smx_operator {
  const struct smx_operator_type* type;
  struct smx_allocator allocator;
  struct smx_microkernels microkernels;
  struct smx_thresholds thresholds;
  bool is_set_up;
};

#ifdef __cplusplus
extern "C" {
#endif

// Allocates an operator of `size` bytes, with its common part filled in and the rest zero; NULL in *op_out on failure.
enum smx_status smx_create_operator(const struct smx_operator_type* type, size_t size,
                                    smx_operator_t* op_out);

// Whether a function of operators of this type may use the operator; logs the reason where it may not.
enum smx_status smx_check_operator(const struct smx_operator* op, const struct smx_operator_type* type);

#ifdef __cplusplus
}  // extern "C"
#endif
