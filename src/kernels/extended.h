// The extended representation: what microkernels exchange, and the reference exponent of a sum.
//
// exp(x) = p * 2^n, with n = rint(x / ln 2) and p in [sqrt(1/2), sqrt(2)]. A sum of exponentials is a pair
// (mantissa, exponent); its mantissa is a pair of floats, so that the error does not grow with the row.
// Dukhan and Ablavatski, The Two-Pass Softmax Algorithm, arXiv:2001.04438.
//
// Terms enter a sum as exp(x) * 2^(SMX_BIAS - reference). Scaling by a power of two is exact: which reference a sum has
// chosen does not change a bit of the result while the row's largest n stays within [reference - 16, reference + 45].
// Nothing underflows then that could reach the result:
// - a term that is flushed is below 2^(-126 - SMX_BIAS + 16) of the largest, and the sum keeps 2^-70 of it;
// - a tile's sum is at most sqrt(2) * 2^(44 + SMX_BIAS + 14), below FLT_MAX.
//
// An addition of a term is compensated at the cost of three operations: where |a| >= |b|, s = a + b is off by exactly
// b - (s - a) (Dekker's Fast2Sum). The sums of a block begin at its anchor, a power of two above its pairs of terms, so
// that this holds from the first addition on; in the end the anchor is taken off again. Result bits do depend on
// anchors, so they are a function of the maxima of the tile's blocks alone.
#pragma once

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "src/gen/microkernels.h"

#define SMX_BIAS 64

// The sum of exp(x) over a tile: (hi + lo) * 2^(reference - SMX_BIAS), |lo| <= ulp(hi) / 2, and the tile's maximum.
//
// The sum is NaN where the tile holds NaN or its maximum is above smx_range. Elements below smx_lowest count as 0. Both
// are right for a row whose maximum is within [-smx_range, smx_range]; from any other row, the caller subtracts the
// maximum first. So the choice depends on the row alone. Of a tile that holds NaN, the maximum may be any number.
struct smx_f32_extended {
  float hi;
  float lo;
  int32_t reference;
  float max;
};

// Within it n * ln(2) is exact enough: the two parts of ln(2) / 8 are off by 2^-57, and 8 n is at most 2^17.6.
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

// hi + lo, the logarithm of a row's sum. Kernels subtract hi first.
struct smx_f32_logarithm {
  float hi;
  float lo;
};

// Exponents of reciprocals that f32-vmulextc takes: both parts of a reciprocal are floats of FLT_MIN and more then.
#define SMX_LARGEST_STEP 80

static const float smx_ln2 = 0x1.62E430p-1f;
static const float smx_log2e = 0x1.715476p+0f;

// The element function (src/kernels/extexp.j2): exp(x) = s + s * u, where s = 2^(N/8), N = rint(8 x / ln 2), is rounded to
// a float, and u = exp(t) - 1, t = x - N ln(2)/8, also holds what that rounding lost.
//
// Of 2^(j/8), j = 0 ... 7: the mantissa's bits less j * 2^20, so that adding N * 2^20 to them makes 2^(N/8).
static const uint32_t smx_exp2_mantissas[8] = {0x00000000, 0xFFFB95C2, 0xFFF837F0, 0xFFF5FED7,
                                               0xFFF504F3, 0xFFF5672A, 0xFFF744FD, 0xFFFAC0C7};
// 2^(j/8) * (1 - 2^-25.66) / float(2^(j/8)) - 1; the constant centres the polynomial's error.
static const float smx_exp2_residuals[8] = {-0x1.430228p-26f, -0x1.08841Cp-25f, 0x1.C33BB4p-27f,
                                            -0x1.ABB664p-25f, -0x1.CFCCC8p-30f, -0x1.D2336Cp-27f,
                                            -0x1.1FF1D6p-25f, -0x1.AC4A88p-26f};

// 1.5 * 2^23 + 8 * (127 + k): adding it to 8 x * log2(e) rounds to an integer, and leaves that integer N plus the offset in
// the low bits, which are, shifted by 20, the exponent of 2^(N/8 + k).
static inline float smx_rounding_bias(int32_t k) {
  return 12582912.0f + (float)(8 * (127 + k));
}

// The x where that exponent is 0, and 2^(N/8 + k) the float 0. Kernels clamp to it, so that all below gives 0.
static inline float smx_lower_bound(int32_t k) {
  return (float)(-127 - k) * smx_ln2;
}

static inline float smx_pow2(int32_t k) {  // k in [-126, 127]
  const uint32_t bits = (uint32_t)(k + 127) << 23;
  float f;
  memcpy(&f, &bits, sizeof(f));
  return f;
}

// Below this, elements count as 0 beside a maximum within the range.
static const float smx_lowest = -smx_range - 256.0f;

// The n of a maximum; what is NaN or below smx_lowest counts as smx_lowest, and above smx_range as smx_range.
static inline int32_t smx_exponent_of(float max) {
  const float x = max > smx_lowest ? max : smx_lowest;
  const float within = x < smx_range ? x : smx_range;
  const float rounding = 12582912.0f;
  return (int32_t)((within * smx_log2e + rounding) - rounding);
}

// An anchor is 2^SMX_ANCHOR_SHIFT above the n of the largest element so far: above any pair of terms, sqrt(2) for the
// rounding of n and 2 for the pair.
#define SMX_ANCHOR_SHIFT 2

// The reference and the anchor of a sum while it is formed, and the maxima of blocks that may enter under them.
struct smx_f32_reference {
  int32_t exponent;
  float
      floor;  // +inf until the first move, then -inf: a block may be far below a reference that another has set
  float ceiling;   // 44 ln 2 above the reference
  float rescale;   // what the last move asks sums so far to be multiplied by, twice
  int32_t anchor;  // n of the largest element
};

static inline void smx_f32_reference_init(struct smx_f32_reference* reference) {
  reference->exponent = 0;
  reference->floor = INFINITY;
  reference->ceiling = INFINITY;
  reference->rescale = 1.0f;
  reference->anchor = smx_exponent_of(-INFINITY);
}

// Whether a block with this maximum may enter under the reference. A NaN maximum may: the sum will tell. One that is too low
// to count beside a maximum within the range may enter as zeros.
static inline bool smx_f32_reference_holds(const struct smx_f32_reference* reference, float block_max) {
  return !(block_max > reference->ceiling || (block_max < reference->floor && block_max >= smx_lowest));
}

// Moves the reference to a block's maximum that it does not hold. Returns false where the maximum is above the range.
static inline bool smx_f32_reference_move(struct smx_f32_reference* reference, float block_max) {
  if (block_max > smx_range) return false;
  const int32_t exponent = smx_exponent_of(block_max) & ~1;  // even, so that the move halves
  int32_t half = (reference->exponent - exponent) / 2;
  half = half < -126 ? -126 : half > 0 ? 0 : half;  // sums so far are 0 where the reference moves down
  reference->rescale = smx_pow2(half);
  reference->exponent = exponent;
  reference->floor = -INFINITY;
  reference->ceiling = (float)(exponent + 44) * smx_ln2;
  return true;
}

// Makes the anchor hold the next block.
static inline void smx_f32_anchor_move(struct smx_f32_reference* reference, float block_max) {
  const int32_t exponent = smx_exponent_of(block_max);
  if (exponent > reference->anchor) reference->anchor = exponent;
}

// What the lanes of a block of n elements begin at, scaled as its terms are. No lane of a short block has more than a pair.
static inline float smx_f32_anchor(const struct smx_f32_reference* reference, int32_t anchor, size_t n) {
  if (n <= 2 * SMX_LANES) return 0.0f;
  const int32_t exponent = anchor + SMX_ANCHOR_SHIFT + SMX_BIAS - reference->exponent;
  return smx_pow2(exponent < -126 ? -126 : exponent);
}

// How many rows there are before the first whose maximum is out of range.
static inline size_t smx_rows_within_range(size_t rows, const float* maxima) {
  size_t r = 0;
  while (r < rows && smx_is_in_range(maxima[r])) r++;
  return r;
}

// The result of a row that holds NaN.
static inline void smx_fill_nan(size_t n, float* y) {
  for (size_t i = 0; i < n; i++) y[i] = NAN;
}

// Elements of so many bytes from y up to the next multiple of `count` of them.
static inline size_t smx_elements_to_boundary(const void* y, size_t bytes, size_t count) {
  return (count - (uintptr_t)y / bytes % count) % count;
}
