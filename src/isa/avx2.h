// The part of the AVX2 vocabulary (src/isa/avx2.py) that takes more than one expression.
#pragma once

#include <immintrin.h>
#include <stddef.h>

// The low n lanes; none where n <= 0, all where n >= 8.
static inline __m256i avx2_tail_mask(ptrdiff_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline __m256 avx2_load_tail(const float* p, ptrdiff_t n, __m256 absent) {
  const __m256i mask = avx2_tail_mask(n);
  return _mm256_blendv_ps(absent, _mm256_maskload_ps(p, mask), _mm256_castsi256_ps(mask));
}

static inline void avx2_store_tail(float* p, ptrdiff_t n, __m256 a) {
  _mm256_maskstore_ps(p, avx2_tail_mask(n), a);
}

static inline float avx2_reduce_max(__m256 a) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

static inline float avx2_reduce_add(__m256 a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

static inline __m256 avx2_inverse_power(__m256 a) {
  const __m256i exponent = _mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32(0x7F800000));
  return _mm256_castsi256_ps(_mm256_sub_epi32(_mm256_set1_epi32(0x7F000000), exponent));
}

static inline bool avx2_all_within(__m256 a, __m256 bound) {
  const __m256 magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
  return _mm256_movemask_ps(_mm256_cmp_ps(magnitude, bound, _CMP_LE_OQ)) == 0xFF;
}
