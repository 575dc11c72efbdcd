// The logarithm of a row's sum. Part of the arithmetic contract.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "src/kernels/extended.h"

// x * 2^k, |k| <= 1000.
static inline double smx_ldexp(double x, int32_t k) {
  const uint64_t bits = (uint64_t)(1023 + k) << 52;
  double power;
  memcpy(&power, &bits, sizeof(power));
  return x * power;
}

// Of k < 2^52, by its bits: few processors convert 64-bit integers, some at a time.
static inline double smx_integer_to_double(uint64_t k) {
  const uint64_t bits = k | (uint64_t)1075 << 52;
  double above_2_to_52;
  memcpy(&above_2_to_52, &bits, sizeof(above_2_to_52));
  return above_2_to_52 - 0x1p52;
}

// ln(2) in two parts; the first times an exponent is exact.
static const double smx_ln2_hi = 0x1.62E42FEFA0000p-1;
static const double smx_ln2_lo = 0x1.CF79ABC9E3B3Ap-40;

// log(x), x up to 2^1000, 0 below 1; off by less than 2^-50 of max(result, 2^-20). No function of the C library's: those differ in
// the last bit. With x = m * 2^k, m in [3/4, 3/2), and s = (m - 1) / (m + 1), log(m) = 2 * (s + s^3/3 + s^5/5 + ...). Comparisons are those
// of integers, for compilers do not compare floats some at a time where they might trap.
static inline double smx_log(double x) {
  const int64_t one = (int64_t)1023 << 52;
  int64_t clamped;
  memcpy(&clamped, &x, sizeof(clamped));
  clamped = clamped > one ? clamped : one;
  uint64_t bits = (uint64_t)clamped;
  const uint64_t k = (bits + ((uint64_t)1 << 51)) >> 52;
  bits -= (k - 1023) << 52;
  double m;
  memcpy(&m, &bits, sizeof(m));
  const double s = (m - 1.0) / (m + 1.0);
  const double s2 = s * s;
  double series = 0.0;
  for (int n = 23; n > 1; n -= 2) series = (series + 1.0 / n) * s2;
  const double power = smx_integer_to_double(k) - 1023.0;
  return power * smx_ln2_hi + (2.0 * s + (2.0 * s * series + power * smx_ln2_lo));
}

// log(sum / largest), where `largest` is the sum of the row's largest element alone: exactly 0 where nothing else counts.
static inline double smx_log_above(double sum, double largest) {
  return smx_log(sum / largest);
}

static inline double smx_log_above_max(const struct smx_f32_extended* sum,
                                       const struct smx_f32_extended* largest) {
  const double above_reference = (double)sum->hi + (double)sum->lo;
  return smx_log_above(smx_ldexp(above_reference, sum->reference - largest->reference), (double)largest->hi);
}

// max + above_max, with what a double would lose of the latter, for elements times the scale.
static inline struct smx_f32_logarithm smx_f32_logarithm_of(float scale, double max, double above_max) {
  const float hi = (float)(max + above_max);
  const struct smx_f32_logarithm result = {1.0f, 0.0f, scale, hi, (float)((max - (double)hi) + above_max)};
  return result;
}

// Those of rows whose largest elements are `max`: `largest` are these elements' terms, and (sum_hi, sum_lo) the sums of terms, which a
// row has under one reference.
static inline void smx_f32_logarithms(size_t rows, const float* max, const float* largest,
                                      const float* sum_hi, const float* sum_lo, float scale, float* hi,
                                      float* lo) {
  for (size_t r = 0; r < rows; r++) {
    const double above_max = smx_log_above((double)sum_hi[r] + (double)sum_lo[r], (double)largest[r]);
    const struct smx_f32_logarithm logarithm =
        smx_f32_logarithm_of(scale, (double)scale * (double)max[r], above_max);
    hi[r] = logarithm.hi;
    lo[r] = logarithm.lo;
  }
}
