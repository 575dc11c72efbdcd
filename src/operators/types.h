// The types of elements that operators read and write, and the microkernels for each pair of them.
#pragma once

#include <stddef.h>

#include "include/smxpack.h"
#include "src/kernels/extended.h"
#include "src/runtime/runtime.h"

// An input and an output type. Functions take the microkernels that dispatch picked; strides and n count elements.
struct smx_types {
  enum smx_datatype input;
  enum smx_datatype output;
  size_t input_bytes;
  size_t output_bytes;

  void (*sum)(const smx_microkernels& kernels, size_t n, const void* x, size_t following,
              smx_f32_extended* sum, const smx_f32_exponential& exponential);
  void (*max)(const smx_microkernels& kernels, size_t n, const void* x, float* max);
  bool (*has_nan)(size_t n, const void* x);
  // y[i] = exp(scale * x[i]) * reciprocal, past the caches where it streams. The quantizer is that of quantised outputs, here
  // and below; others do not look at it.
  void (*scale)(const smx_microkernels& kernels, bool streams, size_t n, const void* x, void* y,
                const smx_f32_reciprocal& reciprocal, const smx_f32_exponential& exponential,
                const smx_f32_quantizer& quantizer);
  // The same of what is made of the elements, which is f32 whatever the input is.
  // It may be overwritten.
  void (*scale_f32)(const smx_microkernels& kernels, size_t n, float* x, void* y,
                    const smx_f32_reciprocal& reciprocal, const smx_f32_exponential& exponential,
                    const smx_f32_quantizer& quantizer);
  // y[i] = scale * (factor * x[i] - shift) - logarithm; NULL for quantised types.
  void (*subtract)(const smx_microkernels& kernels, size_t n, const void* x, void* y,
                   const smx_f32_logarithm& logarithm);
  // Results of rows that hold NaN or infinities; NULL for quantised types, which have none.
  void (*fill)(size_t n, void* y, float value);
  void (*to_f32)(const smx_microkernels& kernels, size_t n, const void* x,
                 float* y);  // copies where x is f32
  void (*from_f32)(const smx_microkernels& kernels, size_t n, const float* x, void* y,
                   const smx_f32_quantizer& quantizer);  // NULL where y is f32

  bool is_f32() const { return input == smx_datatype_f32 && output == smx_datatype_f32; }
  bool is_quantized() const { return input_bytes == 1; }
  bool has_quantized_output() const { return output_bytes == 1; }
};

// NULL where there are no kernels for the two.
extern "C" const smx_types* smx_find_types(enum smx_datatype input, enum smx_datatype output);
