// The operator through the C API, held to an instruction set, and the threads that it runs on.
#pragma once

#include <pthreadpool.h>

#include <memory>

#include "bench/shape.h"
#include "include/smxpack.h"

namespace smx_bench {

using ThreadPool = std::unique_ptr<pthreadpool, void (*)(pthreadpool_t)>;

// NULL for one thread, which is the calling one.
ThreadPool MakeThreadPool(size_t threads);

// An operator with the kernels of an ISA, in a library that was initialised for it: one exists at a time.
class Operator {
 public:
  explicit Operator(const char* isa);
  ~Operator();
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;

  // NULL where the ISA could not be forced.
  smx_operator_t get() const { return op_; }

  // For the rows of a dense matrix.
  smx_status SetUp(const Shape& shape, const float* x, float* y) const;

 private:
  smx_operator_t op_ = nullptr;
};

}  // namespace smx_bench
