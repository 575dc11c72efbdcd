#include "src/operators/column_sums.h"

void smx_raise_column_references(const float* max, const smx_f32_exponential* exponential,
                                 smx_f32_column_sums* sums) {
  float largest[SMX_PANEL], reference[SMX_PANEL];
  for (size_t i = 0; i < SMX_PANEL; i++) largest[i] = std::max(sums->max[i], max[i]);
  smx_column_references(largest, exponential, reference);
  for (size_t i = 0; i < SMX_PANEL && sums->lanes > 0; i++) {
    const int32_t down = std::max(static_cast<int32_t>(sums->reference[i] - reference[i]), -252);
    const float half = smx_pow2(down / 2), rest = smx_pow2(down - down / 2);
    for (size_t l = 0; down < 0 && l < sums->lanes; l++) {
      sums->hi[l][i] = sums->hi[l][i] * half * rest;
      sums->lo[l][i] = sums->lo[l][i] * half * rest;
    }
  }
  std::copy_n(reference, SMX_PANEL, sums->reference);
}

void smx_add_column_tile(const smx_microkernels* kernels, const smx_f32_column_sums* sums, size_t columns,
                         smx_partial_sum* rows) {
  smx_f32_column_totals totals;
  kernels->f32_raddlanes_columns(sums, &totals, nullptr);
  for (size_t c = 0; c < columns; c++) {
    const smx_f32_extended sum = {totals.hi[c], totals.lo[c], static_cast<int32_t>(sums->reference[c]),
                                  sums->max[c]};
    smx_partial_sum_add_tile(&rows[c], &sum);
  }
}
