// The part of the AVX2 vocabulary (src/isa/avx2.py) that takes more than one expression.
#pragma once

#include <immintrin.h>
#include <stddef.h>

#include "src/isa/narrow.h"

// The low n lanes; none where n <= 0, all where n >= 8.
static inline __m256i avx2_tail_mask(ptrdiff_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline __m256 avx2_load_tail(const float* p, ptrdiff_t n, __m256 absent) {
  const __m256i mask = avx2_tail_mask(n);
  return _mm256_blendv_ps(absent, _mm256_maskload_ps(p, mask), _mm256_castsi256_ps(mask));
}

// Without a mask, whose store takes tens of cycles on some processors.
static inline void avx2_store_tail(float* p, ptrdiff_t n, __m256 a) {
  if (n >= 8) return _mm256_storeu_ps(p, a);
  if (n <= 0) return;
  __m128 part = _mm256_castps256_ps128(a);
  if (n >= 4) {
    _mm_storeu_ps(p, part);
    part = _mm256_extractf128_ps(a, 1);
    p += 4;
  }
  if ((n & 2) != 0) {
    _mm_storel_pi((__m64*)p, part);
    part = _mm_movehl_ps(part, part);
    p += 2;
  }
  if ((n & 1) != 0) _mm_store_ss(p, part);
}

// a in the low n lanes, absent in the others.
static inline __m256 avx2_present(ptrdiff_t n, __m256 a, __m256 absent) {
  return _mm256_blendv_ps(absent, a, _mm256_castsi256_ps(avx2_tail_mask(n)));
}

static inline __m128i avx2_load_halves(const uint16_t* p) {
  return _mm_loadu_si128((const __m128i*)p);
}

static inline __m128i avx2_load_halves_tail(const uint16_t* p, ptrdiff_t n) {
  if (n >= 8) return avx2_load_halves(p);
  uint16_t halves[8] = {0};
  smx_copy_tail<8>(halves, p, n);
  return avx2_load_halves(halves);
}

static inline void avx2_store_halves(uint16_t* p, __m128i a) {
  _mm_storeu_si128((__m128i*)p, a);
}

static inline void avx2_store_halves_tail(uint16_t* p, ptrdiff_t n, __m128i a) {
  if (n >= 8) return avx2_store_halves(p, a);
  uint16_t halves[8];
  avx2_store_halves(halves, a);
  smx_copy_tail<8>(p, halves, n);
}

static inline __m128i avx2_to_f16(__m256 a) {
  return _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT);
}

static inline __m256 avx2_from_bf16(__m128i a) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(a), 16));
}

// To nearest even: half a unit of the upper half is added, less one where that half is even.
static inline __m128i avx2_to_bf16(__m256 a) {
  const __m256i bits = _mm256_castps_si256(a);
  const __m256i is_odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(is_odd, _mm256_set1_epi32(0x7FFF)));
  const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
  const __m256i result = _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7FC00000), is_nan);
  const __m256i upper = _mm256_srli_epi32(result, 16);
  const __m256i packed = _mm256_packus_epi32(upper, upper);
  return _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08));
}

static inline __m128i avx2_load_bytes(const void* p) {
  return _mm_loadl_epi64((const __m128i*)p);
}

static inline __m128i avx2_load_bytes_tail(const void* p, ptrdiff_t n) {
  if (n >= 8) return avx2_load_bytes(p);
  uint8_t bytes[8] = {0};
  smx_copy_tail<8>(bytes, (const uint8_t*)p, n);
  return avx2_load_bytes(bytes);
}

static inline void avx2_store_bytes(void* p, __m128i a) {
  _mm_storel_epi64((__m128i*)p, a);
}

static inline void avx2_store_bytes_tail(void* p, ptrdiff_t n, __m128i a) {
  if (n >= 8) return avx2_store_bytes(p, a);
  uint8_t bytes[8];
  avx2_store_bytes(bytes, a);
  smx_copy_tail<8>((uint8_t*)p, bytes, n);
}

static inline __m256 avx2_from_qu8(__m128i a) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(a));
}

static inline __m256 avx2_from_qs8(__m128i a) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(a));
}

// Integers of 16 bits, of elements between least and most; least where an element is NaN.
static inline __m128i avx2_to_integers(__m256 a, float least, float most) {
  const __m256 clamped = _mm256_min_ps(_mm256_max_ps(a, _mm256_set1_ps(least)), _mm256_set1_ps(most));
  const __m256i integers = _mm256_cvtps_epi32(clamped);
  return _mm_packs_epi32(_mm256_castsi256_si128(integers), _mm256_extracti128_si256(integers, 1));
}

static inline __m128i avx2_to_qu8(__m256 a) {
  const __m128i integers = avx2_to_integers(a, 0.0f, 255.0f);
  return _mm_packus_epi16(integers, integers);
}

static inline __m128i avx2_to_qs8(__m256 a) {
  const __m128i integers = avx2_to_integers(a, -128.0f, 127.0f);
  return _mm_packs_epi16(integers, integers);
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

// Four vectors of two lanes of four elements: each lane's elements become those of four vectors. Its own inverse.
static inline void avx2_transpose(__m256* v) {
  const __m256 a = _mm256_unpacklo_ps(v[0], v[1]);
  const __m256 b = _mm256_unpackhi_ps(v[0], v[1]);
  const __m256 c = _mm256_unpacklo_ps(v[2], v[3]);
  const __m256 d = _mm256_unpackhi_ps(v[2], v[3]);
  v[0] = _mm256_shuffle_ps(a, c, 0x44);
  v[1] = _mm256_shuffle_ps(a, c, 0xEE);
  v[2] = _mm256_shuffle_ps(b, d, 0x44);
  v[3] = _mm256_shuffle_ps(b, d, 0xEE);
}

// Fewer than four columns. These two are not inlined, so that the addresses of others stay in registers.
template <class Columns>
[[gnu::noinline]] static void avx2_load_few_columns(ptrdiff_t n, const Columns columns_of, __m256* columns) {
  const __m128i mask = _mm256_castsi256_si128(avx2_tail_mask(n));
  for (size_t i = 0; i < 4; i++) {
    columns[i] = columns_of([=](const float* p, size_t stride) {
      p += i * stride;
      return _mm256_set_m128(_mm_maskload_ps(p + 4 * stride, mask), _mm_maskload_ps(p, mask));
    });
  }
  avx2_transpose(columns);
}

static inline void avx2_store_few(float* p, ptrdiff_t n, __m128 a) {
  if (n > 1) _mm_storel_pi((__m64*)p, a);
  if (n == 1) _mm_store_ss(p, a);
  if (n == 3) _mm_store_ss(p + 2, _mm_movehl_ps(a, a));
}

[[maybe_unused, gnu::noinline]] static void avx2_store_few_columns(float* p, size_t stride, ptrdiff_t n,
                                                                   const __m256* v) {
  for (size_t i = 0; i < 4; i++, p += stride) {
    avx2_store_few(p, n, _mm256_castps256_ps128(v[i]));
    avx2_store_few(p + 4 * stride, n, _mm256_extractf128_ps(v[i], 1));
  }
}

// columns[c] = element c of 8 rows, c < 4; absent where c >= n. Returns how many columns it has taken.
template <class Columns>
static inline size_t avx2_load_columns(ptrdiff_t n, const Columns& columns_of, __m256* columns) {
  if (n < 4) {
    avx2_load_few_columns(n, columns_of, columns);
    return 4;
  }
  __m256 v[4];
  for (size_t i = 0; i < 4; i++) {
    v[i] = columns_of([=](const float* p, size_t stride) {
      const float* q = p + 4 * stride;
      return _mm256_set_m128(_mm_loadu_ps(q + i * stride), _mm_loadu_ps(p + i * stride));
    });
  }
  avx2_transpose(v);
  for (int c = 0; c < 4; c++) columns[c] = v[c];
  return 4;
}

template <class Columns>
static inline void avx2_store_8_columns(float* p, size_t stride, const Columns& column) {
  __m256 v[8];
  for (size_t c = 0; c < 4; c++) {
    const __m256 a = column(c);
    const __m256 b = column(c + 4);
    v[c] = _mm256_permute2f128_ps(a, b, 0x20);
    v[c + 4] = _mm256_permute2f128_ps(a, b, 0x31);
  }
  avx2_transpose(v);
  avx2_transpose(v + 4);
  for (size_t i = 0; i < 8; i++) _mm256_storeu_ps(p + i * stride, v[i]);
}

// The inverse; column(c) is column c < 4, or c < 8 where n >= 8. Returns how many columns it has stored.
template <class Columns>
static inline size_t avx2_store_columns(float* p, size_t stride, ptrdiff_t n, const Columns& column) {
  if (n >= 8) {
    avx2_store_8_columns(p, stride, column);
    return 8;
  }
  __m256 v[4] = {column(0), column(1), column(2), column(3)};
  avx2_transpose(v);
  if (n < 4) {
    avx2_store_few_columns(p, stride, n, v);
    return 4;
  }
  for (size_t i = 0; i < 4; i++, p += stride) {
    _mm_storeu_ps(p, _mm256_castps256_ps128(v[i]));
    _mm_storeu_ps(p + 4 * stride, _mm256_extractf128_ps(v[i], 1));
  }
  return 4;
}

// Zeros and denormals are one number, and so is NaN.
static inline void avx2_to_keys(__m256 a, double b, __m256d* keys) {
  const __m256i bits = _mm256_castps_si256(_mm256_add_ps(a, _mm256_setzero_ps()));
  const __m256i order = _mm256_xor_si256(bits, _mm256_srli_epi32(_mm256_srai_epi32(bits, 31), 1));
  const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
  const __m256i canonical = _mm256_blendv_epi8(order, _mm256_set1_epi32(INT32_MAX), is_nan);
  const __m256d low = _mm256_cvtepi32_pd(_mm256_castsi256_si128(canonical));
  const __m256d high = _mm256_cvtepi32_pd(_mm256_extracti128_si256(canonical, 1));
  keys[0] = _mm256_fmadd_pd(low, _mm256_set1_pd(512.0), _mm256_set1_pd(b));
  keys[1] = _mm256_fmadd_pd(high, _mm256_set1_pd(512.0), _mm256_set1_pd(b));
}
