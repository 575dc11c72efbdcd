// Operators through the C API, held to an instruction set, and the threads that they run on.
#pragma once

#include <pthreadpool.h>

#include <memory>
#include <vector>

#include "bench/measure.h"
#include "bench/shape.h"
#include "include/smxpack.h"

namespace smx_bench {

using ThreadPool = std::unique_ptr<pthreadpool, void (*)(pthreadpool_t)>;

// NULL for one thread, which is the calling one.
ThreadPool MakeThreadPool(size_t threads);

// What the C API offers for a dense matrix: elements of one type, of the output too where that is a matrix. It is rows x
// channels; that of the kinds of an axis is its transpose, whose elements of a row lie `rows` apart.
struct OperatorKind {
  const char* name;
  smx_status (*create)(smx_datatype type, smx_operator_t* op);
  // `sums` are of the rows: written by kPartialSum, read by kScaleByPartialSum.
  smx_status (*set_up)(smx_operator_t op, const Shape& shape, const void* x, void* y, smx_partial_sum* sums);
  Traffic traffic;  // {0, 0} where the plan decides
};

extern const OperatorKind kSoftmax, kLogSoftmax, kLogSumExp, kPartialSum, kScaleByPartialSum, kSoftmaxAxis,
    kLogSoftmaxAxis;
constexpr const OperatorKind* kOperatorKinds[] = {
    &kSoftmax, &kLogSoftmax, &kLogSumExp, &kPartialSum, &kScaleByPartialSum, &kSoftmaxAxis, &kLogSoftmaxAxis};

// An operator with the kernels of an ISA, in a library that was initialised for it: one exists at a time.
class Operator {
 public:
  // `rows` are the most that it is set up for, where it reads or writes their sums.
  Operator(const char* isa, const OperatorKind& kind, smx_datatype type, size_t rows = 0);
  ~Operator();
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;

  // NULL where the ISA could not be forced.
  smx_operator_t get() const { return op_; }

  smx_status SetUp(const Shape& shape, const void* x, void* y) {
    return kind_.set_up(op_, shape, x, y, sums_.data());
  }

 private:
  const OperatorKind& kind_;
  std::vector<smx_partial_sum> sums_;
  smx_operator_t op_ = nullptr;
};

}  // namespace smx_bench
