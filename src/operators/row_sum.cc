// What is done to the sums of tiles, once for each of them or for a row.
#include "src/operators/row_sum.h"

#include <math.h>

namespace {

void smx_partial_sum_raise_top(struct smx_partial_sum* sum, int32_t top) {
  if (top <= sum->top) return;
  const int64_t distance = (int64_t)top - sum->top;
  for (int64_t k = SMX_BINS - 1; k >= 0; k--) sum->bins[k] = k >= distance ? sum->bins[k - distance] : 0;
  sum->top = top;
}

// Adds count * 2^(32 * bin).
void smx_partial_sum_add_to_bin(struct smx_partial_sum* sum, int32_t bin, int64_t count) {
  const int64_t k = (int64_t)sum->top - bin;
  if (k >= 0 && k < SMX_BINS) sum->bins[k] += count;
}

// Adds f * 2^exponent, which is finite.
void smx_partial_sum_add_float(struct smx_partial_sum* sum, float f, int32_t exponent) {
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
[[gnu::noinline]] void smx_partial_sum_add_pair(struct smx_partial_sum* sum, float hi, float lo,
                                                int32_t exponent) {
  uint32_t bits;
  memcpy(&bits, &hi, sizeof(bits));
  if (bits == 0) return;
  smx_partial_sum_raise_top(sum, ((int32_t)(bits >> 23) - 127 + exponent) >> 5);
  smx_partial_sum_add_float(sum, hi, exponent);
  smx_partial_sum_add_float(sum, lo, exponent);
}

// exp(t), |t| <= ln(2) / 2, by its series: off by less than 2^-52.
double smx_exp_reduced(double t) {
  double series = 1.0;
  for (int n = 14; n > 0; n--) series = 1.0 + series * t / n;
  return series;
}

// The same sum under a shift that is larger by `distance`.
void smx_partial_sum_shift(struct smx_partial_sum* sum, double distance) {
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

}  // namespace

void smx_partial_sum_add_tile(struct smx_partial_sum* sum, const struct smx_f32_extended* tile) {
  sum->max = tile->max > sum->max ? tile->max : sum->max;
  if (tile->hi != tile->hi) {
    sum->has_nan = 1;
  } else {
    smx_partial_sum_add_pair(sum, tile->hi, tile->lo, tile->reference - SMX_BIAS);
  }
}

void smx_partial_sum_add(struct smx_partial_sum* sum, const struct smx_partial_sum* term) {
  sum->max = term->max > sum->max ? term->max : sum->max;
  sum->has_nan |= term->has_nan;
  smx_partial_sum_raise_top(sum, term->top);
  for (int32_t k = 0; k < SMX_BINS; k++) smx_partial_sum_add_to_bin(sum, term->top - k, term->bins[k]);
}

struct smx_f32_extended smx_f32_extended_of(const struct smx_partial_sum* sum) {
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

void smx_partial_sum_merge(struct smx_partial_sum* sum, struct smx_partial_sum term,
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
