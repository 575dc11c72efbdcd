#include "src/operators/operator.h"

#include <math.h>
#include <string.h>

#include "src/runtime/fp_environment.h"
#include "src/runtime/log.h"

namespace {

enum smx_status CheckReady(const char* function, const smx_operator* op) {
  if (!smx_is_initialized()) {
    smx_log_error("%s: the library is not initialised", function);
    return smx_status_uninitialized;
  }
  if (op == nullptr) {
    smx_log_error("%s: the operator is NULL", function);
    return smx_status_invalid_parameter;
  }
  return smx_status_success;
}

enum smx_status CheckSetUp(const char* function, const smx_operator* op) {
  const enum smx_status status = CheckReady(function, op);
  if (status != smx_status_success || op->is_set_up) return status;
  smx_log_error("%s: the %s operator has not been set up", function, op->type->name);
  return smx_status_invalid_state;
}

}  // namespace

enum smx_status smx_create_operator(const struct smx_operator_type* type, size_t size,
                                    smx_operator_t* op_out) {
  *op_out = nullptr;
  smx_runtime runtime;
  if (!smx_get_runtime(&runtime)) {
    smx_log_error("create %s: the library is not initialised", type->name);
    return smx_status_uninitialized;
  }
  void* memory = runtime.allocator.allocate(runtime.allocator.context, size);
  if (memory == nullptr) {
    smx_log_error("create %s: the allocator has no %zu bytes", type->name, size);
    return smx_status_out_of_memory;
  }
  memset(memory, 0, size);
  smx_operator* op = static_cast<smx_operator*>(memory);
  op->type = type;
  op->allocator = runtime.allocator;
  op->microkernels = runtime.microkernels;
  op->thresholds = runtime.thresholds;
  *op_out = op;
  return smx_status_success;
}

enum smx_status smx_check_operator(const struct smx_operator* op, const struct smx_operator_type* type) {
  const enum smx_status status = CheckReady(type->name, op);
  if (status != smx_status_success || op->type == type) return status;
  smx_log_error("%s: the operator is of type %s", type->name, op->type->name);
  return smx_status_invalid_state;
}

enum smx_status smx_run_operator(smx_operator_t op, pthreadpool_t threadpool) {
  const enum smx_status status = CheckSetUp("smx_run_operator", op);
  if (status != smx_status_success) return status;
  const smx_fp_environment environment;
  op->type->run(op, threadpool);
  return smx_status_success;
}

enum smx_status smx_set_scale(smx_operator_t op, float scale) {
  const enum smx_status status = CheckReady("smx_set_scale", op);
  if (status != smx_status_success) return status;
  const smx_fp_environment environment;  // comparisons raise exceptions, too
  const char* reason = isfinite(scale) ? op->type->set_scale(op, scale) : "the scale is not finite";
  if (reason == nullptr) return smx_status_success;
  smx_log_error("smx_set_scale: %s", reason);
  return smx_status_invalid_parameter;
}

enum smx_status smx_get_plan(smx_operator_t op, size_t threads, struct smx_plan* plan_out) {
  if (plan_out == nullptr) {
    smx_log_error("smx_get_plan: plan_out is NULL");
    return smx_status_invalid_parameter;
  }
  const enum smx_status status = CheckSetUp("smx_get_plan", op);
  if (status == smx_status_success) op->type->plan(op, threads, plan_out);
  return status;
}

enum smx_status smx_delete_operator(smx_operator_t op) {
  if (op != nullptr) op->allocator.deallocate(op->allocator.context, op);
  return smx_status_success;
}
