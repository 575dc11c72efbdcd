// The extended representation: what microkernels exchange, and the reference exponent of a sum.
//
// exp(x) = p * 2^n, with n = rint(x / ln 2) and p in [sqrt(1/2), sqrt(2)]. A sum of exponentials is a pair
// (mantissa, exponent); its mantissa is a pair of floats, so that the error does not grow with the row.
// Dukhan and Ablavatski, The Two-Pass Softmax Algorithm, arXiv:2001.04438.
//
// Terms enter a sum as p * 2^(n - reference + SMX_BIAS). Scaling by a power of two is exact: which reference a
// sum has chosen does not change a bit of the result while the row's largest n stays within
// [reference - 16, reference + 44]. Nothing underflows then that could reach the result:
// - a term that is flushed is below 2^(-126 - SMX_BIAS + 16) of the largest, and the sum keeps 2^-70 of it;
// - for a result of FLT_MIN or more the stored term times the low part of the reciprocal (a multiple of 2^-45)
//   is at least 2^(-127 - 16 + SMX_BIAS - 45) = 2^-124;
// - a tile's sum is at most sqrt(2) * 2^(44 + SMX_BIAS + 14), below FLT_MAX.
#pragma once

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SMX_BIAS 64

// The sum of exp(x) over a tile: (hi + lo) * 2^(reference - SMX_BIAS), |lo| <= ulp(hi) / 2, and the tile's maximum.
//
// The sum is NaN where the tile holds NaN or its maximum is above smx_range. Elements below -smx_range - 256 count as 0
// unless the sum has moved its reference down to them. Both are right for a row whose maximum is within
// [-smx_range, smx_range]; from any other row, the caller subtracts the maximum first. So the choice depends on the row
// alone. Of a tile that holds NaN, the maximum may be any number.
struct smx_f32_extended {
  float hi;
  float lo;
  int32_t reference;
  float max;
};

// Within it n * ln(2) is exact enough: the low part of ln(2) is off by 2^-45, and n by 2^-30 at most.
static const float smx_range = 0x1p+14f;

static inline bool smx_is_in_range(float max) {
  return -smx_range <= max && max <= smx_range;
}

// No sum, for the tile's maximum is out of range.
static inline void smx_f32_extended_refuse(struct smx_f32_extended* sum) {
  sum->hi = NAN;
  sum->lo = NAN;
  sum->reference = 0;
}

// (hi + lo) * 2^-exponent, with hi in (1/2, 1] and lo a multiple of 2^-45.
struct smx_f32_reciprocal {
  float hi;
  float lo;
  int32_t exponent;
};

static const float smx_ln2 = 0x1.62E430p-1f;

// 1.5 * 2^23 + offset: adding it to x * log2(e) rounds to an integer, and leaves that integer plus the offset in the
// low bits. With offset = 127 + k they are, shifted by 23, the float 2^(n + k).
static inline float smx_rounding_bias(int32_t k) {
  return 12582912.0f + (float)(127 + k);
}

// The x whose n is -127 - k: there the float 2^(n + k) is 0. Kernels clamp to it, so that all below gives 0.
static inline float smx_lower_bound(int32_t k) {
  return (float)(-127 - k) * smx_ln2;
}

static inline float smx_pow2(int32_t k) {  // k in [-126, 127]
  const uint32_t bits = (uint32_t)(k + 127) << 23;
  float f;
  memcpy(&f, &bits, sizeof(f));
  return f;
}

// The reference of a sum while it is formed, and the maxima of blocks that may enter under it.
struct smx_f32_reference {
  int32_t exponent;
  float floor;    // -16 ln 2 above the reference, or -inf once a block has been within the window
  float ceiling;  // 44 ln 2 above the reference
  float rescale;  // what the last move asks sums so far to be multiplied by, twice
};

static inline void smx_f32_reference_init(struct smx_f32_reference* reference) {
  reference->exponent = 0;
  reference->floor = -16.0f * smx_ln2;
  reference->ceiling = 44.0f * smx_ln2;
  reference->rescale = 1.0f;
}

// Whether a block with this maximum may enter under the reference. A NaN maximum may: the sum will tell.
static inline bool smx_f32_reference_holds(const struct smx_f32_reference* reference, float block_max) {
  return !(block_max > reference->ceiling || block_max < reference->floor);
}

// Moves the reference to a block's maximum that it does not hold, or lets a block enter as zeros that is too low to count
// beside a maximum within the range. Returns false where the maximum is above the range.
static inline bool smx_f32_reference_move(struct smx_f32_reference* reference, float block_max) {
  if (block_max > smx_range) return false;
  if (block_max < -smx_range - 256.0f) return true;
  const int32_t exponent = (int32_t)(block_max / smx_ln2) & ~1;  // even, so that the move halves
  int32_t half = (reference->exponent - exponent) / 2;
  half = half < -126 ? -126 : half > 0 ? 0 : half;  // sums so far are 0 where the reference moves down
  reference->rescale = smx_pow2(half);
  reference->exponent = exponent;
  reference->floor = -INFINITY;
  reference->ceiling = (float)(exponent + 44) * smx_ln2;
  return true;
}

// The result of a row that holds NaN.
static inline void smx_fill_nan(size_t n, float* y) {
  for (size_t i = 0; i < n; i++) y[i] = NAN;
}

// Elements from y up to the next multiple of `count` floats.
static inline size_t smx_elements_to_boundary(const float* y, size_t count) {
  return (count - (uintptr_t)y / sizeof(float) % count) % count;
}
