// The sum of a row: how the sums of its tiles are folded, and its reciprocal. Part of the arithmetic contract.
#pragma once

#include <stdint.h>
#include <string.h>

#include "src/isa/scalar.h"
#include "src/kernels/extended.h"

#ifdef __FAST_MATH__
#error "result bits are part of the contract: build without -ffast-math"
#endif

// mantissa * 2^(reference - SMX_BIAS), and the maximum of the elements.
struct smx_row_sum {
  double mantissa;
  int32_t reference;
  float max;
};

static const struct smx_row_sum smx_empty_row_sum = {0.0, 0, -INFINITY};

// Whether the sum is that of its row: the row's maximum is within range, and no element is NaN.
static inline bool smx_row_sum_is_valid(const struct smx_row_sum* sum) {
  return smx_is_in_range(sum->max) && sum->mantissa > 0.0;
}

// x * 2^-k, k >= 0; 0 where k is so large that it cannot matter. NaN stays NaN.
static inline double smx_scale_down(double x, int32_t k) {
  const uint64_t bits = k > 1000 ? 0 : (uint64_t)(1023 - k) << 52;
  double power;
  memcpy(&power, &bits, sizeof(power));
  return x * power;
}

static inline void smx_row_sum_add(struct smx_row_sum* sum, struct smx_row_sum term) {
  sum->max = term.max > sum->max ? term.max : sum->max;
  if (term.mantissa == 0.0) return;
  if (sum->mantissa == 0.0) {
    sum->mantissa = term.mantissa;
    sum->reference = term.reference;
  } else if (sum->reference < term.reference) {
    sum->mantissa = smx_scale_down(sum->mantissa, term.reference - sum->reference) + term.mantissa;
    sum->reference = term.reference;
  } else {
    sum->mantissa += smx_scale_down(term.mantissa, sum->reference - term.reference);
  }
}

static inline void smx_row_sum_add_tile(struct smx_row_sum* sum, const struct smx_f32_extended* tile) {
  const struct smx_row_sum term = {(double)tile->hi + (double)tile->lo, tile->reference, tile->max};
  smx_row_sum_add(sum, term);
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

// x * 2^k, |k| <= 1000.
static inline double smx_scale(double x, int32_t k) {
  const uint64_t bits = (uint64_t)(1023 + k) << 52;
  double power;
  memcpy(&power, &bits, sizeof(power));
  return x * power;
}

// log(x), x from 1 to 2^1000, off by less than 2^-50 of max(result, 2^-20). No function of the C library's: those differ in
// the last bit. With x = m * 2^k, m in [3/4, 3/2), and s = (m - 1) / (m + 1), log(m) = 2 * (s + s^3/3 + s^5/5 + ...).
static inline double smx_log(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof(bits));
  const uint64_t k = (bits + ((uint64_t)1 << 51)) >> 52;
  bits -= (k - 1023) << 52;
  double m;
  memcpy(&m, &bits, sizeof(m));
  const double s = (m - 1.0) / (m + 1.0);
  const double s2 = s * s;
  double series = 0.0;
  for (int n = 23; n > 1; n -= 2) series = (series + 1.0 / n) * s2;
  const double power = (double)(int64_t)(k - 1023);
  const double ln2_hi = 0x1.62E42FEFA0000p-1;  // times any power is exact
  const double ln2_lo = 0x1.CF79ABC9E3B3Ap-40;
  return power * ln2_hi + (2.0 * s + (2.0 * s * series + power * ln2_lo));
}

// log(sum / exp(sum.max)), where `largest` is the sum of the maximum alone: exactly 0 where nothing else counts.
static inline double smx_row_sum_log_above_max(const struct smx_row_sum* sum,
                                               const struct smx_f32_extended* largest) {
  const double ratio = smx_scale(sum->mantissa / (double)largest->hi, sum->reference - largest->reference);
  return ratio > 1.0 ? smx_log(ratio) : 0.0;
}

// A sum over tiles, above 0, as a pair of floats with hi in [1, 2].
static inline struct smx_f32_extended smx_f32_extended_of(struct smx_row_sum sum) {
  uint64_t bits;
  memcpy(&bits, &sum.mantissa, sizeof(bits));
  const int32_t exponent = (int32_t)(bits >> 52) - 1023;  // not negative: SMX_BIAS sees to it
  const double mantissa = smx_scale_down(sum.mantissa, exponent);
  struct smx_f32_extended extended;
  extended.hi = (float)mantissa;
  extended.lo = (float)(mantissa - (double)extended.hi);
  extended.reference = sum.reference + exponent;
  extended.max = sum.max;
  return extended;
}

// max + above_max, with what a double would lose of the latter.
static inline struct smx_f32_logarithm smx_f32_logarithm_of(float max, double above_max) {
  const float hi = (float)((double)max + above_max);
  const struct smx_f32_logarithm result = {hi, (float)(((double)max - (double)hi) + above_max)};
  return result;
}
