#include "bench/operator.h"

#include <stdlib.h>
#include <string.h>

namespace smx_bench {

ThreadPool MakeThreadPool(size_t threads) {
  return {threads > 1 ? pthreadpool_create(threads) : nullptr, pthreadpool_destroy};
}

Operator::Operator(const char* isa) {
  smx_deinitialize();
  setenv("SMXPACK_ISA", isa, 1);
  smx_initialize(nullptr);
  const char* picked = nullptr;
  smx_get_isa(&picked);
  if (picked == nullptr || strcmp(picked, isa) != 0) return;
  smx_create_softmax_nc_f32(0, &op_);
}

Operator::~Operator() {
  smx_delete_operator(op_);
  smx_deinitialize();
  unsetenv("SMXPACK_ISA");
}

smx_status Operator::SetUp(const Shape& shape, const float* x, float* y) const {
  return smx_setup_softmax_nc_f32(op_, shape.rows, shape.channels, shape.channels, shape.channels, x, y);
}

}  // namespace smx_bench
