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

// log(a / b), a and b within 2^1000 of each other, 0 where a < b; off by less than 2^-35 of the result. No function of the C library's: those
// differ in the last bit. With m = a / (2^k b) in (2/3, 3/2) and s = (m - 1) / (m + 1), log(m) = 2 * (s + s^3/3 + s^5/5 + ...), of which s takes
// the only division, and the polynomial minimises the largest error, its terms added in pairs, so that they do not wait for one another. The
// difference of two numbers' bits, as a fixed-point number, is the logarithm of their quotient to base 2 within 0.09; comparisons are those of
// integers, for compilers do not compare floats some at a time where they might trap.
static inline double smx_log_above(double a, double b) {
  uint64_t a_bits, b_bits;
  memcpy(&a_bits, &a, sizeof(a_bits));
  memcpy(&b_bits, &b, sizeof(b_bits));
  const uint64_t is_less = (uint64_t)0 - (uint64_t)((int64_t)a_bits < (int64_t)b_bits);  // all bits
  a_bits = (a_bits & ~is_less) | (b_bits & is_less);
  const uint64_t k = (a_bits - b_bits + ((uint64_t)1 << 51)) >> 52;
  b_bits += k << 52;
  memcpy(&a, &a_bits, sizeof(a));
  memcpy(&b, &b_bits, sizeof(b));
  const double s = (a - b) / (a + b);  // the difference is exact
  const double t = s * s;
  const double cubic = 0x1.555554229E678p-2 + 0x1.999BDB3FBA53Cp-3 * t;
  const double rest = 0x1.23E9BA757A126p-3 + 0x1.ED89A25C4F997p-4 * t;
  const double series = t * (cubic + rest * (t * t));
  const double ln2 = 0x1.62E42FEFA39EFp-1;
  return smx_integer_to_double(k) * ln2 + (2.0 * s + 2.0 * s * series);
}

// Of a row's sum over the sum of its largest element alone: exactly 0 where nothing else counts.
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
