// Sums of columns whose lanes are vectors, while blocks are added to them.
#pragma once

#include <math.h>

#include <algorithm>

#include "src/operators/row_sum.h"
#include "src/runtime/dispatch.h"

static inline void smx_begin_column_sums(struct smx_f32_column_sums* sums) {
  sums->lanes = 0;
  std::fill_n(sums->max, SMX_PANEL, -INFINITY);
}

static inline void smx_column_references(const float* max, const struct smx_f32_exponential* exponential,
                                         float* references) {
  for (size_t c = 0; c < SMX_PANEL; c++) references[c] = smx_float_exponent_of(max[c], exponential);
}

// By which a column's terms are scaled that were made under the reference.
static inline void smx_set_column_reciprocal(const struct smx_f32_extended* sum, float* reference, float* hi,
                                             float* lo) {
  const struct smx_f32_reciprocal reciprocal = smx_f32_reciprocal_of(sum);
  *reference = static_cast<float>(reciprocal.exponent);
  *hi = reciprocal.hi * smx_pow2(-SMX_BIAS);
  *lo = reciprocal.lo * smx_pow2(-SMX_BIAS);
}

extern "C" {

// Makes the references hold a block with these maxima; the sums so far follow.
void smx_raise_column_references(const float* max, const struct smx_f32_exponential* exponential,
                                 struct smx_f32_column_sums* sums);

// Adds the sums of a tile to those of as many rows as there are columns.
void smx_add_column_tile(const struct smx_microkernels* kernels, const struct smx_f32_column_sums* sums,
                         size_t columns, struct smx_partial_sum* rows);

}  // extern "C"
