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

static inline void smx_partial_sum_raise_top(struct smx_partial_sum* sum, int32_t top) {
  if (top <= sum->top) return;
  const int64_t distance = (int64_t)top - sum->top;
  for (int64_t k = SMX_BINS - 1; k >= 0; k--) sum->bins[k] = k >= distance ? sum->bins[k - distance] : 0;
  sum->top = top;
}

// Adds count * 2^(32 * bin).
static inline void smx_partial_sum_add_to_bin(struct smx_partial_sum* sum, int32_t bin, int64_t count) {
  const int64_t k = (int64_t)sum->top - bin;
  if (k >= 0 && k < SMX_BINS) sum->bins[k] += count;
}

// Adds f * 2^exponent, which is finite.
static inline void smx_partial_sum_add_float(struct smx_partial_sum* sum, float f, int32_t exponent) {
  uint32_t bits;
  memcpy(&bits, &f, sizeof(bits));
  if ((bits & 0x7F800000) == 0) return;
  const int32_t last_bit = (int32_t)(bits >> 23 & 0xFF) - 150 + exponent;
  const uint64_t shifted = (uint64_t)((bits & 0x7FFFFF) | 0x800000) << (last_bit & (SMX_BIN_BITS - 1));
  const int64_t sign = bits >> 31 ? -1 : 1;
  const int32_t bin = last_bit >> 5;
  smx_partial_sum_add_to_bin(sum, bin, sign * (int64_t)(uint32_t)shifted);
  smx_partial_sum_add_to_bin(sum, bin + 1, sign * (int64_t)(shifted >> SMX_BIN_BITS));
}

// Adds (hi + lo) * 2^exponent, hi >= 0, |lo| <= ulp(hi) / 2.
static inline void smx_partial_sum_add_pair(struct smx_partial_sum* sum, float hi, float lo,
                                            int32_t exponent) {
  uint32_t bits;
  memcpy(&bits, &hi, sizeof(bits));
  if (bits == 0) return;
  smx_partial_sum_raise_top(sum, ((int32_t)(bits >> 23) - 127 + exponent) >> 5);
  smx_partial_sum_add_float(sum, hi, exponent);
  smx_partial_sum_add_float(sum, lo, exponent);
}

static inline void smx_partial_sum_add_tile(struct smx_partial_sum* sum,
                                            const struct smx_f32_extended* tile) {
  sum->max = tile->max > sum->max ? tile->max : sum->max;
  if (tile->hi != tile->hi) {
    sum->has_nan = 1;
  } else {
    smx_partial_sum_add_pair(sum, tile->hi, tile->lo, tile->reference - SMX_BIAS);
  }
}

// Of two sums under the same shift.
static inline void smx_partial_sum_add(struct smx_partial_sum* sum, const struct smx_partial_sum* term) {
  sum->max = term->max > sum->max ? term->max : sum->max;
  sum->has_nan |= term->has_nan;
  smx_partial_sum_raise_top(sum, term->top);
  for (int32_t k = 0; k < SMX_BINS; k++) smx_partial_sum_add_to_bin(sum, term->top - k, term->bins[k]);
}

// A sum above 0 as a pair of floats, hi in [1, 2]: of a single tile, its own, scaled by a power of two.
static inline struct smx_f32_extended smx_f32_extended_of(const struct smx_partial_sum* sum) {
  // Carried: limbs of 32 bits, the first of which takes what has left the first bin.
  uint32_t limbs[SMX_BINS + 1];
  int64_t carry = 0;
  for (int k = SMX_BINS - 1; k >= 0; k--) {
    carry += sum->bins[k];
    limbs[k + 1] = (uint32_t)carry;
    carry >>= SMX_BIN_BITS;
  }
  limbs[0] = (uint32_t)carry;
  int first = 0;
  while (first < SMX_BINS && limbs[first] == 0) first++;
  // The leading 128 bits, from the first that is 1 on.
  __extension__ typedef unsigned __int128 uint128;
  uint128 leading = 0;
  for (int i = first; i < first + 4; i++) leading = leading << 32 | (i <= SMX_BINS ? limbs[i] : 0);
  const int zeros = limbs[first] != 0 ? __builtin_clz(limbs[first]) : 0;
  leading <<= zeros;
  const int32_t exponent = 32 * (sum->top + 1 - first) + 31 - zeros;
  // 24 of them, rounded to nearest even, and what that is off by.
  const uint128 rest = leading & (((uint128)1 << 104) - 1);
  const uint128 half = (uint128)1 << 103;
  const uint32_t truncated = (uint32_t)(leading >> 104);
  const bool up = rest > half || (rest == half && truncated % 2 == 1);
  const uint128 magnitude = up ? ((uint128)1 << 104) - rest : rest;
  // Its leading 64 bits round as all of it does, with the last of them set for those that are left out.
  int dropped = 0;
  while (magnitude >> dropped > UINT64_MAX) dropped++;
  const uint64_t kept = (uint64_t)(magnitude >> dropped) | ((magnitude & (((uint128)1 << dropped) - 1)) != 0);
  const float lo = (float)kept * smx_pow2(-64) * smx_pow2(dropped - 63);
  struct smx_f32_extended extended;
  extended.hi = (float)(truncated + up) * smx_pow2(-23);
  extended.lo = up ? -lo : lo;
  extended.reference = exponent + SMX_BIAS;
  extended.max = sum->max;
  return extended;
}

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

// exp(t), |t| <= ln(2) / 2, by its series: off by less than 2^-52.
static inline double smx_exp_reduced(double t) {
  double series = 1.0;
  for (int n = 14; n > 0; n--) series = 1.0 + series * t / n;
  return series;
}

// The same sum under a shift that is larger by `distance`.
static inline void smx_partial_sum_shift(struct smx_partial_sum* sum, double distance) {
  const double nothing = 1e5;  // 2^-144269 is below all bins of what it may be added to
  const struct smx_partial_sum from = *sum;
  memcpy(sum->bins, smx_empty_sum.bins, sizeof(sum->bins));
  sum->top = smx_empty_sum.top;
  if (from.top == smx_empty_sum.top || distance > nothing) return;
  const struct smx_f32_extended pair = smx_f32_extended_of(&from);
  const double rounding = 0x1.8p+52;
  const double ln2_hi = 0x1.62E42FEFA0000p-1;  // times n, exact
  const double ln2_lo = 0x1.CF79ABC9E3B3Ap-40;
  const double n = (-distance * 0x1.71547652B82FEp+0 + rounding) - rounding;
  const double t = (-distance - n * ln2_hi) - n * ln2_lo;
  const double product = ((double)pair.hi + (double)pair.lo) * smx_exp_reduced(t);
  const float hi = (float)product;
  smx_partial_sum_add_pair(sum, hi, (float)(product - (double)hi), pair.reference - SMX_BIAS + (int32_t)n);
}

// Whether kernels take a row whose largest element, times the sign of the scale, is `max`.
static inline bool smx_holds_max(const struct smx_scale* scale, float max) {
  return smx_is_in_range(max * scale->power, &scale->exponential);
}

static inline float smx_shift_for(const struct smx_scale* scale, float max) {
  return smx_holds_max(scale, max) ? 0.0f : max;
}

// Of two pieces of a row. Where both maxima are within range, or one piece counts for nothing, the sum is that of the bins; from
// other pieces, the larger maximum's shift is taken off first.
static inline void smx_partial_sum_merge(struct smx_partial_sum* sum, struct smx_partial_sum term,
                                         const struct smx_scale* scale) {
  sum->has_nan |= term.has_nan;
  if (term.max == -INFINITY) return;
  if (sum->max == -INFINITY) {
    term.has_nan |= sum->has_nan;
    *sum = term;
    return;
  }
  const float max = term.max > sum->max ? term.max : sum->max;
  if (max < INFINITY) {
    const double shift = (double)smx_shift_for(scale, max);
    const double sum_shift = (double)smx_shift_for(scale, sum->max);
    const double term_shift = (double)smx_shift_for(scale, term.max);
    const double magnitude = fabs((double)scale->value);
    if (sum_shift != shift) smx_partial_sum_shift(sum, (shift - sum_shift) * magnitude);
    if (term_shift != shift) smx_partial_sum_shift(&term, (shift - term_shift) * magnitude);
    smx_partial_sum_add(sum, &term);
  }
  sum->max = max;
}
