// The sum of a row: how the sums of its tiles are folded, and its reciprocal. Part of the arithmetic contract.
#pragma once

#include <stdint.h>
#include <string.h>

#include "include/smxpack.h"
#include "src/isa/scalar.h"
#include "src/kernels/extended.h"
#include "src/kernels/logarithm.h"
#include "src/operators/scale.h"

#ifdef __FAST_MATH__
#error "result bits are part of the contract: build without -ffast-math"
#endif

// A sum over tiles is exact but for what is far below its largest part, so that tiles and pieces of a row may be added in any
// order and in any grouping. It consists of bins at fixed exponents: bins[k] counts multiples of 2^(32 * (top - k)), and
// top is the bin of the largest tile's leading bit. What lies below the last bin is dropped, which depends on no order,
// for bins that have been dropped once would be in the end. A tile adds less than 2^32 to a bin: 2^31 tiles find room.
// J. Demmel, H. D. Nguyen: Parallel Reproducible Summation.
#define SMX_BINS 4
#define SMX_BIN_BITS 32

static const struct smx_partial_sum smx_empty_sum = {{0, 0, 0, 0}, INT32_MIN / 2, 0, -INFINITY, 1.0f};

// Of elements that are -inf only, or among which one is NaN, which is the maximum then, or +inf.
static inline struct smx_partial_sum smx_partial_sum_without_terms(float max) {
  struct smx_partial_sum sum = smx_empty_sum;
  sum.has_nan = max != max;
  sum.max = sum.has_nan ? -INFINITY : max;
  return sum;
}

// Whether the sum is that of its row: the row's maximum is within range, and no element is NaN.
static inline bool smx_partial_sum_is_valid(const struct smx_partial_sum* sum,
                                            const struct smx_f32_exponential* exponential) {
  return smx_is_in_range(sum->max, exponential) && !sum->has_nan;
}

#ifdef __cplusplus
extern "C" {
#endif

void smx_partial_sum_add_tile(struct smx_partial_sum* sum, const struct smx_f32_extended* tile);

// Of two sums under the same shift.
void smx_partial_sum_add(struct smx_partial_sum* sum, const struct smx_partial_sum* term);

// Of two pieces of a row. Where both maxima are within range, or one piece counts for nothing, the sum is that of the bins; from
// other pieces, the larger maximum's shift is taken off first.
void smx_partial_sum_merge(struct smx_partial_sum* sum, struct smx_partial_sum term,
                           const struct smx_scale* scale);

// A sum above 0 as a pair of floats, hi in [1, 2]: of a single tile, its own, scaled by a power of two.
struct smx_f32_extended smx_f32_extended_of(const struct smx_partial_sum* sum);

#ifdef __cplusplus
}  // extern "C"
#endif

// The reciprocal of (hi + lo) * 2^(reference - SMX_BIAS), hi > 0, in two floats from one division and its residual.
static inline struct smx_f32_reciprocal smx_f32_reciprocal_of(const struct smx_f32_extended* sum) {
  uint32_t bits;
  memcpy(&bits, &sum->hi, sizeof(bits));
  const int32_t exponent = (int32_t)(bits >> 23) - 127;
  const float power = smx_pow2(-exponent);
  const float hi = sum->hi * power;
  const float lo = sum->lo * power;
  struct smx_f32_reciprocal reciprocal;
  reciprocal.hi = 1.0f / hi;
  float residual =
      (float)(1.0 - (double)hi * (double)reciprocal.hi);  // the product and the difference are exact
  residual = scalar_fma1(-lo, reciprocal.hi, residual);
  const float to_multiple_of_2_to_minus_45 = 0x1.8p-22f;
  reciprocal.lo = (reciprocal.hi * residual + to_multiple_of_2_to_minus_45) - to_multiple_of_2_to_minus_45;
  reciprocal.exponent = exponent + sum->reference - SMX_BIAS;
  return reciprocal;
}

// Whether kernels take a row whose largest element, times the sign of the scale, is `max`.
static inline bool smx_holds_max(const struct smx_scale* scale, float max) {
  return smx_is_in_range(max * scale->power, &scale->exponential);
}

static inline float smx_shift_for(const struct smx_scale* scale, float max) {
  return smx_holds_max(scale, max) ? 0.0f : max;
}
