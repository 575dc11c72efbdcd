// The operators that operator_fuzzer.cc calls: a new one is a row of the table in operators.cc.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <vector>

#include "include/smxpack.h"

namespace smx {

struct FuzzedOperator {
  const char* name;
  uint32_t flags;  // all that it knows
  size_t input_bytes;
  size_t output_bytes;  // of an element

  enum smx_status (*create)(uint32_t flags, smx_operator_t* op_out);
  enum smx_status (*setup)(smx_operator_t op, size_t rows, size_t channels, size_t input_stride,
                           size_t output_stride, const void* input, void* output);

  // Rounds values to the input's type.
  void (*encode)(const std::vector<float>& values, void* input);
  // Whether a row's output is what include/smxpack.h promises for its input.
  bool (*is_right)(const void* input, const void* output, size_t channels, uint32_t flags, float scale);
};

const std::vector<FuzzedOperator>& FuzzedOperators();

}  // namespace smx
