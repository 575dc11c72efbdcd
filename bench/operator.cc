#include "bench/operator.h"

#include <stdlib.h>
#include <string.h>

namespace smx_bench {
namespace {

constexpr Traffic kByPlan = {0, 0};

// Of a row of one element, the largest that the benches have: what is scaled by it is at most 1.
smx_partial_sum LargestSum() {
  const float x = kLargestInput;
  smx_partial_sum sum = {};
  smx_operator_t op = nullptr;
  smx_create_partial_sum_nc(smx_datatype_f32, 0, &op);
  smx_setup_partial_sum_nc(op, 1, 1, 1, &x, &sum);
  smx_run_operator(op, nullptr);
  smx_delete_operator(op);
  return sum;
}

}  // namespace

const OperatorKind kSoftmax = {
    "softmax", [](smx_datatype type, smx_operator_t* op) { return smx_create_softmax_nc(type, type, 0, op); },
    [](smx_operator_t op, const Shape& shape, const void* x, void* y, smx_partial_sum*) {
      return smx_setup_softmax_nc(op, shape.rows, shape.channels, shape.channels, shape.channels, x, y);
    },
    kByPlan};

const OperatorKind kLogSoftmax = {
    "log-softmax",
    [](smx_datatype type, smx_operator_t* op) { return smx_create_log_softmax_nc(type, type, 0, op); },
    [](smx_operator_t op, const Shape& shape, const void* x, void* y, smx_partial_sum*) {
      return smx_setup_log_softmax_nc(op, shape.rows, shape.channels, shape.channels, shape.channels, x, y);
    },
    kByPlan};

const OperatorKind kLogSumExp = {
    "logsumexp",
    [](smx_datatype type, smx_operator_t* op) { return smx_create_logsumexp_nc(type, 0, op); },
    [](smx_operator_t op, const Shape& shape, const void* x, void* y, smx_partial_sum*) {
      return smx_setup_logsumexp_nc(op, shape.rows, shape.channels, shape.channels, x,
                                    static_cast<float*>(y));
    },
    {1, 0}};

const OperatorKind kPartialSum = {
    "partial-sum",
    [](smx_datatype type, smx_operator_t* op) { return smx_create_partial_sum_nc(type, 0, op); },
    [](smx_operator_t op, const Shape& shape, const void* x, void*, smx_partial_sum* sums) {
      return smx_setup_partial_sum_nc(op, shape.rows, shape.channels, shape.channels, x, sums);
    },
    {1, 0}};

const OperatorKind kScaleByPartialSum = {
    "scale-by-partial-sum",
    [](smx_datatype type, smx_operator_t* op) {
      return smx_create_scale_by_partial_sum_nc(type, type, 0, op);
    },
    [](smx_operator_t op, const Shape& shape, const void* x, void* y, smx_partial_sum* sums) {
      return smx_setup_scale_by_partial_sum_nc(op, shape.rows, shape.channels, shape.channels, shape.channels,
                                               x, sums, y);
    },
    {1, 1}};

const OperatorKind kSoftmaxAxis = {
    "softmax-axis",
    [](smx_datatype type, smx_operator_t* op) { return smx_create_softmax_axis(type, type, 0, op); },
    [](smx_operator_t op, const Shape& shape, const void* x, void* y, smx_partial_sum*) {
      return smx_setup_softmax_axis(op, 1, shape.channels, shape.rows, shape.elements(), shape.rows,
                                    shape.elements(), shape.rows, x, y);
    },
    kByPlan};

const OperatorKind kLogSoftmaxAxis = {
    "log-softmax-axis",
    [](smx_datatype type, smx_operator_t* op) { return smx_create_log_softmax_axis(type, type, 0, op); },
    [](smx_operator_t op, const Shape& shape, const void* x, void* y, smx_partial_sum*) {
      return smx_setup_log_softmax_axis(op, 1, shape.channels, shape.rows, shape.elements(), shape.rows,
                                        shape.elements(), shape.rows, x, y);
    },
    kByPlan};

ThreadPool MakeThreadPool(size_t threads) {
  return {threads > 1 ? pthreadpool_create(threads) : nullptr, pthreadpool_destroy};
}

Operator::Operator(const char* isa, const OperatorKind& kind, smx_datatype type, size_t rows) : kind_(kind) {
  smx_deinitialize();
  setenv("SMXPACK_ISA", isa, 1);
  smx_initialize(nullptr);
  const char* picked = nullptr;
  smx_get_isa(&picked);
  if (picked == nullptr || strcmp(picked, isa) != 0) return;
  if (rows > 0) sums_.assign(rows, LargestSum());
  kind.create(type, &op_);
}

Operator::~Operator() {
  smx_delete_operator(op_);
  smx_deinitialize();
  unsetenv("SMXPACK_ISA");
}

}  // namespace smx_bench
