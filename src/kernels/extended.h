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

// The sum of exp(scale * x) over a tile: (hi + lo) * 2^(reference - SMX_BIAS), |lo| <= ulp(hi) / 2, and the largest x.
//
// The sum is NaN where the tile holds NaN or its maximum is above `range`. Elements below `lowest` count as 0 (both are
// members of smx_f32_exponential). Both are right for a row whose maximum is within [-range, range]; from any other row,
// the caller subtracts the maximum first. So the choice depends on the row alone. Of a tile that holds NaN, the maximum may
// be any number.
struct smx_f32_extended {
  float hi;
  float lo;
  int32_t reference;
  float max;
};

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

// What log-softmax takes off: (x * factor - shift) * scale - hi - lo, in this order, the products not rounded. The factor is 1,
// or 1/2 where a difference from the shift would overflow that the scale brings back.
struct smx_f32_logarithm {
  float factor;
  float shift;
  float scale;
  float hi;
  float lo;
};

// Quantised results: rint(y * inverse_scale) + zero_point, or what is nearest to it that the type has.
struct smx_f32_quantizer {
  float inverse_scale;
  float zero_point;  // an integer that the type has
};

// Exponents of reciprocals that f32-vmulextc takes: both parts of a reciprocal are floats of FLT_MIN and more then.
#define SMX_LARGEST_STEP 80

// Within it n * ln(2) is exact enough: the two parts of ln(2) / 8 are off by 2^-52, and 8 n is at most 2^17.6.
static const float smx_range = 0x1p+14f;

// Below this, elements count as 0 beside a maximum within the range.
static const float smx_lowest = -smx_range - 256.0f;

// The element function (src/kernels/extexp.j2), x -> exp(scale * x): with N = rint(8 scale x / ln 2) it is s + s * u, where
// s = 2^(N/8) is rounded to a float, and u = exp(scale t) - 1, t = x - N ln(2) / (8 scale), also holds what that rounding
// lost. The scale is a matter of constants, and costs nothing: t is exact but for the last rounding, whatever the scale.
struct smx_f32_exponential {
  float scale;            // in [SMX_SMALLEST_SCALE, SMX_LARGEST_SCALE]
  float square;           // of the polynomial: about scale^2 / 2
  float cube;             // about scale^3 / 6
  float log2e;            // scale * log2(e)
  float ln2;              // ln(2) / scale
  float minus_eighth_hi;  // -ln(2) / (8 scale) in two parts
  float minus_eighth_lo;
  float range;   // smx_range / scale
  float lowest;  // smx_lowest / scale
};

// The constants' exponents, among them three times the scale's, find room within these.
#define SMX_SMALLEST_SCALE 0x1p-40f
#define SMX_LARGEST_SCALE 0x1p+40f

static inline struct smx_f32_exponential smx_f32_exponential_of(float scale) {
  const double ln2 = 0x1.62E42FEFA39EFp-1;
  const double ln2_rest = 0x1.ABC9E3B39803Fp-56;
  const double a = scale;
  struct smx_f32_exponential exponential;
  exponential.scale = scale;
  exponential.square = (float)(0x1.000A4Ap-1 * (a * a));
  exponential.cube = (float)(0x1.555854p-3 * (a * a * a));
  exponential.log2e = (float)(0x1.71547652B82FEp+0 * a);
  exponential.ln2 = (float)(ln2 / a);
  exponential.minus_eighth_hi = (float)(-ln2 / 8.0 / a);
  const double residual = ln2 / 8.0 + a * (double)exponential.minus_eighth_hi;  // exact
  exponential.minus_eighth_lo = (float)(-(residual + ln2_rest / 8.0) / a);
  exponential.range = smx_range / scale;
  exponential.lowest = smx_lowest / scale;
  return exponential;
}

static inline bool smx_is_in_range(float max, const struct smx_f32_exponential* exponential) {
  return -exponential->range <= max && max <= exponential->range;
}

// Of 2^(j/8), j = 0 ... 7: the mantissa's bits less j * 2^20, so that adding N * 2^20 to them makes 2^(N/8).
static const uint32_t smx_exp2_mantissas[8] = {0x00000000, 0xFFFB95C2, 0xFFF837F0, 0xFFF5FED7,
                                               0xFFF504F3, 0xFFF5672A, 0xFFF744FD, 0xFFFAC0C7};
// 2^(j/8) * (1 - 2^-25.66) / float(2^(j/8)) - 1; the constant centres the polynomial's error.
static const float smx_exp2_residuals[8] = {-0x1.430228p-26f, -0x1.08841Cp-25f, 0x1.C33BB4p-27f,
                                            -0x1.ABB664p-25f, -0x1.CFCCC8p-30f, -0x1.D2336Cp-27f,
                                            -0x1.1FF1D6p-25f, -0x1.AC4A88p-26f};

// 1.5 * 2^23 + 8 * (127 + k): adding it to 8 scale x * log2(e) rounds to an integer, and leaves that integer N plus the offset in
// the low bits, which are, shifted by 20, the exponent of 2^(N/8 + k).
static inline float smx_rounding_bias(int32_t k) {
  return 12582912.0f + (float)(8 * (127 + k));
}

// The x where that exponent is 0, and 2^(N/8 + k) the float 0. Kernels clamp to it, so that all below gives 0.
static inline float smx_lower_bound(int32_t k, const struct smx_f32_exponential* exponential) {
  return (float)(-127 - k) * exponential->ln2;
}

static inline float smx_pow2(int32_t k) {  // k in [-126, 127]
  const uint32_t bits = (uint32_t)(k + 127) << 23;
  float f;
  memcpy(&f, &bits, sizeof(f));
  return f;
}

// The n of a maximum; what is NaN or below `lowest` counts as that, and above `range` as that.
static inline float smx_float_exponent_of(float max, const struct smx_f32_exponential* exponential) {
  const float x = max > exponential->lowest ? max : exponential->lowest;
  const float within = x < exponential->range ? x : exponential->range;
  const float rounding = 12582912.0f;
  return (within * exponential->log2e + rounding) - rounding;
}

static inline int32_t smx_exponent_of(float max, const struct smx_f32_exponential* exponential) {
  return (int32_t)smx_float_exponent_of(max, exponential);
}

// An anchor is 2^SMX_ANCHOR_SHIFT above the n of the largest element so far: above any pair of terms, sqrt(2) for the
// rounding of n and 2 for the pair.
#define SMX_ANCHOR_SHIFT 2

// The reference and the anchor of a sum while it is formed, and the maxima of blocks that may enter under them.
struct smx_f32_reference {
  const struct smx_f32_exponential* exponential;
  int32_t exponent;
  float
      floor;  // +inf until the first move, then -inf: a block may be far below a reference that another has set
  float ceiling;   // 44 above the reference, in units of x
  float rescale;   // what the last move asks sums so far to be multiplied by, twice
  int32_t anchor;  // n of the largest element
};

static inline void smx_f32_reference_init(struct smx_f32_reference* reference,
                                          const struct smx_f32_exponential* exponential) {
  reference->exponential = exponential;
  reference->exponent = 0;
  reference->floor = INFINITY;
  reference->ceiling = INFINITY;
  reference->rescale = 1.0f;
  reference->anchor = smx_exponent_of(-INFINITY, exponential);
}

// Whether a block with this maximum may enter under the reference. A NaN maximum may: the sum will tell. One that is too low
// to count beside a maximum within the range may enter as zeros.
static inline bool smx_f32_reference_holds(const struct smx_f32_reference* reference, float block_max) {
  return !(block_max > reference->ceiling ||
           (block_max < reference->floor && block_max >= reference->exponential->lowest));
}

// Moves the reference to a block's maximum that it does not hold. Returns false where the maximum is above the range.
static inline bool smx_f32_reference_move(struct smx_f32_reference* reference, float block_max) {
  if (block_max > reference->exponential->range) return false;
  const int32_t exponent =
      smx_exponent_of(block_max, reference->exponential) & ~1;  // even, so that the move halves
  int32_t half = (reference->exponent - exponent) / 2;
  half = half < -126 ? -126 : half > 0 ? 0 : half;  // sums so far are 0 where the reference moves down
  reference->rescale = smx_pow2(half);
  reference->exponent = exponent;
  reference->floor = -INFINITY;
  reference->ceiling = (float)(exponent + 44) * reference->exponential->ln2;
  return true;
}

// Makes the anchor hold the next block.
static inline void smx_f32_anchor_move(struct smx_f32_reference* reference, float block_max) {
  const int32_t exponent = smx_exponent_of(block_max, reference->exponential);
  if (exponent > reference->anchor) reference->anchor = exponent;
}

// 2^(anchor + SMX_ANCHOR_SHIFT), scaled as terms are under the reference.
static inline float smx_f32_anchor_under(int32_t reference, int32_t anchor) {
  const int32_t exponent = anchor + SMX_ANCHOR_SHIFT + SMX_BIAS - reference;
  return smx_pow2(exponent < -126 ? -126 : exponent);
}

// What the lanes of a block of n elements begin at, scaled as its terms are. No lane of a short block has more than a pair.
static inline float smx_f32_anchor(const struct smx_f32_reference* reference, int32_t anchor, size_t n) {
  if (n <= 2 * SMX_LANES) return 0.0f;
  return smx_f32_anchor_under(reference->exponent, anchor);
}

// Columns of a matrix as lanes: they are computed in panels of floats. Groups of SMX_PANEL columns lie group_stride apart, and in
// each of them its steps, of which a column has one an element, follow one another.
#ifdef __cplusplus
template <class Float>
static inline Float* smx_panel_at(Float* panel, size_t group_stride, size_t column) {
  return panel + column / SMX_PANEL * group_stride + column % SMX_PANEL;
}
#endif

// The sums of a group's columns over the blocks of a tile so far. Terms are scaled by 2^(SMX_BIAS - reference); as the
// reference of a tile, it is at least the n of what is added and at most 45 above that of the tile's maximum.
struct smx_f32_column_sums {
  float hi[SMX_LANES][SMX_PANEL];  // of the first `lanes`, the lanes in the order of summation
  float lo[SMX_LANES][SMX_PANEL];
  size_t lanes;                // 0 before the first block
  float max[SMX_PANEL];        // of the elements so far
  float reference[SMX_PANEL];  // integers
};

// The sum of a column: hi + lo, |lo| <= ulp(hi) / 2, and its reciprocal or logarithm.
struct smx_f32_column_totals {
  float hi[SMX_PANEL];
  float lo[SMX_PANEL];
  float normalizer_hi[SMX_PANEL];
  float normalizer_lo[SMX_PANEL];
};

// The members of smx_f32_logarithm, of each column.
struct smx_f32_column_logarithms {
  const float* factor;
  const float* shift;
  const float* scale;
  const float* hi;
  const float* lo;
};

// Of rows of which each has `growth` elements more than the one before, and the first one as many again after `period` of them.
struct smx_row_lengths {
  size_t first;
  size_t growth;
  size_t period;
};

static inline size_t smx_length_of(const struct smx_row_lengths* lengths, size_t row) {
  return lengths->first + row % lengths->period * lengths->growth;
}

// How many rows there are before the first whose maximum is out of range.
static inline size_t smx_rows_within_range(size_t rows, const float* maxima,
                                           const struct smx_f32_exponential* exponential) {
  size_t r = 0;
  while (r < rows && smx_is_in_range(maxima[r], exponential)) r++;
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
