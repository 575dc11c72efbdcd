// The part of the AVX512F vocabulary (src/isa/avx512f.py) that takes more than one expression.
#pragma once

#include <stddef.h>

#include "src/isa/narrow.h"

// GCC 12 takes the undefined operands inside its own intrinsics for uninitialised ones (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

// The low n lanes; none where n <= 0, all where n >= 16.
static inline __mmask16 avx512f_tail_mask(ptrdiff_t n) {
  return n <= 0 ? 0 : n >= 16 ? 0xFFFF : (__mmask16)((1u << n) - 1);
}

static inline __m512 avx512f_load_tail(const float* p, ptrdiff_t n, __m512 absent) {
  return _mm512_mask_loadu_ps(absent, avx512f_tail_mask(n), p);
}

static inline void avx512f_store_tail(float* p, ptrdiff_t n, __m512 a) {
  _mm512_mask_storeu_ps(p, avx512f_tail_mask(n), a);
}

// a in the low n lanes, absent in the others.
static inline __m512 avx512f_present(ptrdiff_t n, __m512 a, __m512 absent) {
  return _mm512_mask_mov_ps(absent, avx512f_tail_mask(n), a);
}

static inline __m256i avx512f_load_halves(const uint16_t* p) {
  return _mm256_loadu_si256((const __m256i*)p);
}

static inline __m256i avx512f_load_halves_tail(const uint16_t* p, ptrdiff_t n) {
  if (n >= 16) return avx512f_load_halves(p);
  uint16_t halves[16] = {0};
  smx_copy_tail<16>(halves, p, n);
  return avx512f_load_halves(halves);
}

static inline void avx512f_store_halves(uint16_t* p, __m256i a) {
  _mm256_storeu_si256((__m256i*)p, a);
}

static inline void avx512f_store_halves_tail(uint16_t* p, ptrdiff_t n, __m256i a) {
  if (n >= 16) return avx512f_store_halves(p, a);
  uint16_t halves[16];
  avx512f_store_halves(halves, a);
  smx_copy_tail<16>(p, halves, n);
}

static inline __m256i avx512f_to_f16(__m512 a) {
  return _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT);
}

static inline __m512 avx512f_from_bf16(__m256i a) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(a), 16));
}

// To nearest even: half a unit of the upper half is added, less one where that half is even.
static inline __m256i avx512f_to_bf16(__m512 a) {
  const __m512i bits = _mm512_castps_si512(a);
  const __m512i is_odd = _mm512_and_epi32(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(is_odd, _mm512_set1_epi32(0x7FFF)));
  const __mmask16 is_nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
  const __m512i result = _mm512_mask_mov_epi32(rounded, is_nan, _mm512_set1_epi32(0x7FC00000));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(result, 16));
}

static inline __m128i avx512f_load_bytes(const void* p) {
  return _mm_loadu_si128((const __m128i*)p);
}

static inline __m128i avx512f_load_bytes_tail(const void* p, ptrdiff_t n) {
  if (n >= 16) return avx512f_load_bytes(p);
  uint8_t bytes[16] = {0};
  smx_copy_tail<16>(bytes, (const uint8_t*)p, n);
  return avx512f_load_bytes(bytes);
}

static inline void avx512f_store_bytes(void* p, __m128i a) {
  _mm_storeu_si128((__m128i*)p, a);
}

static inline void avx512f_store_bytes_tail(void* p, ptrdiff_t n, __m128i a) {
  if (n >= 16) return avx512f_store_bytes(p, a);
  uint8_t bytes[16];
  avx512f_store_bytes(bytes, a);
  smx_copy_tail<16>((uint8_t*)p, bytes, n);
}

static inline __m512 avx512f_from_qu8(__m128i a) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(a));
}

static inline __m512 avx512f_from_qs8(__m128i a) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(a));
}

// The low bytes of integers, of elements between least and most; least where an element is NaN.
static inline __m128i avx512f_to_bytes(__m512 a, float least, float most) {
  const __m512 clamped = _mm512_min_ps(_mm512_max_ps(a, _mm512_set1_ps(least)), _mm512_set1_ps(most));
  return _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(clamped));
}

static inline __m512 avx512f_inverse_power(__m512 a) {
  const __m512i exponent = _mm512_and_epi32(_mm512_castps_si512(a), _mm512_set1_epi32(0x7F800000));
  return _mm512_castsi512_ps(_mm512_sub_epi32(_mm512_set1_epi32(0x7F000000), exponent));
}

// Eight words, twice: the fourth bit of an index does not matter.
static inline __m512 avx512f_load_table(const void* p) {
  return _mm512_castsi512_ps(_mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i*)p)));
}

// Four vectors of four lanes of four elements: each lane's elements become those of four vectors. Its own inverse.
static inline void avx512f_transpose(__m512* v) {
  const __m512 a = _mm512_unpacklo_ps(v[0], v[1]);
  const __m512 b = _mm512_unpackhi_ps(v[0], v[1]);
  const __m512 c = _mm512_unpacklo_ps(v[2], v[3]);
  const __m512 d = _mm512_unpackhi_ps(v[2], v[3]);
  v[0] = _mm512_shuffle_ps(a, c, 0x44);
  v[1] = _mm512_shuffle_ps(a, c, 0xEE);
  v[2] = _mm512_shuffle_ps(b, d, 0x44);
  v[3] = _mm512_shuffle_ps(b, d, 0xEE);
}

// Parts of four rows, four rows apart, are the lanes of a vector. Those of fewer than four elements, below, are not inlined, so that
// the addresses of others stay in registers.
static inline __m512 avx512f_load_parts(const float* p, size_t stride) {
  __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(p));
  v = _mm512_insertf32x4(v, _mm_loadu_ps(p + 4 * stride), 1);
  v = _mm512_insertf32x4(v, _mm_loadu_ps(p + 8 * stride), 2);
  return _mm512_insertf32x4(v, _mm_loadu_ps(p + 12 * stride), 3);
}

static inline void avx512f_store_parts(float* p, size_t stride, __m512 v) {
  _mm_storeu_ps(p, _mm512_castps512_ps128(v));
  _mm_storeu_ps(p + 4 * stride, _mm512_extractf32x4_ps(v, 1));
  _mm_storeu_ps(p + 8 * stride, _mm512_extractf32x4_ps(v, 2));
  _mm_storeu_ps(p + 12 * stride, _mm512_extractf32x4_ps(v, 3));
}

static inline __m128i avx512f_mask_of_part(ptrdiff_t n) {
  return _mm_cmpgt_epi32(_mm_set1_epi32((int)n), _mm_setr_epi32(0, 1, 2, 3));
}

static inline void avx512f_store_few(float* p, ptrdiff_t n, __m128 a) {
  if (n > 1) _mm_storel_pi((__m64*)p, a);
  if (n == 1) _mm_store_ss(p, a);
  if (n == 3) _mm_store_ss(p + 2, _mm_movehl_ps(a, a));
}

[[maybe_unused, gnu::noinline]] static void avx512f_store_few_columns(float* p, size_t stride, ptrdiff_t n,
                                                                      const __m512* v) {
  for (size_t i = 0; i < 4; i++, p += stride) {
    avx512f_store_few(p, n, _mm512_castps512_ps128(v[i]));
    avx512f_store_few(p + 4 * stride, n, _mm512_extractf32x4_ps(v[i], 1));
    avx512f_store_few(p + 8 * stride, n, _mm512_extractf32x4_ps(v[i], 2));
    avx512f_store_few(p + 12 * stride, n, _mm512_extractf32x4_ps(v[i], 3));
  }
}

template <class Columns>
[[gnu::noinline]] static void avx512f_load_few_columns(ptrdiff_t n, const Columns columns_of,
                                                       __m512* columns) {
  const __m128i mask = avx512f_mask_of_part(n);
  for (size_t i = 0; i < 4; i++) {
    columns[i] = columns_of([=](const float* p, size_t stride) {
      p += i * stride;
      __m512 v = _mm512_castps128_ps512(_mm_maskload_ps(p, mask));
      v = _mm512_insertf32x4(v, _mm_maskload_ps(p + 4 * stride, mask), 1);
      v = _mm512_insertf32x4(v, _mm_maskload_ps(p + 8 * stride, mask), 2);
      return _mm512_insertf32x4(v, _mm_maskload_ps(p + 12 * stride, mask), 3);
    });
  }
  avx512f_transpose(columns);
}

// Halves of two rows, eight elements, are the halves of a vector.
static inline __m512 avx512f_load_halves_of(const float* p, const float* q) {
  const __m512d low = _mm512_castpd256_pd512(_mm256_loadu_pd((const double*)p));
  return _mm512_castpd_ps(_mm512_insertf64x4(low, _mm256_loadu_pd((const double*)q), 1));
}

template <class Columns>
static inline void avx512f_load_8_columns(const Columns& columns_of, __m512* columns) {
  __m512 v[8];
  for (size_t i = 0; i < 8; i++) {
    const size_t row = i < 4 ? i : i + 4;
    v[i] = columns_of([=](const float* p, size_t stride) {
      return avx512f_load_halves_of(p + row * stride, p + (row + 4) * stride);
    });
  }
  avx512f_transpose(v);
  avx512f_transpose(v + 4);
  for (int c = 0; c < 4; c++) {
    columns[c] = _mm512_shuffle_f32x4(v[c], v[c + 4], 0x88);
    columns[c + 4] = _mm512_shuffle_f32x4(v[c], v[c + 4], 0xDD);
  }
}

// columns[c] = element c of 16 rows, c < 4, or c < 8 where n >= 8; absent where c >= n. Returns how many columns it has taken.
template <class Columns>
static inline size_t avx512f_load_columns(ptrdiff_t n, const Columns& columns_of, __m512* columns) {
  if (n >= 8) {
    avx512f_load_8_columns(columns_of, columns);
    return 8;
  }
  if (n < 4) {
    avx512f_load_few_columns(n, columns_of, columns);
    return 4;
  }
  __m512 v[4];
  for (size_t i = 0; i < 4; i++) {
    v[i] =
        columns_of([=](const float* p, size_t stride) { return avx512f_load_parts(p + i * stride, stride); });
  }
  avx512f_transpose(v);
  for (int c = 0; c < 4; c++) columns[c] = v[c];
  return 4;
}

// Quarters of two columns: those of rows 0 to 7 or 8 to 15, side by side.
static inline __m512 avx512f_side_by_side(__m512 a, __m512 b, __m512i quarters) {
  return _mm512_castpd_ps(_mm512_permutex2var_pd(_mm512_castps_pd(a), quarters, _mm512_castps_pd(b)));
}

template <class Columns>
static inline void avx512f_store_8_columns(float* p, size_t stride, const Columns& column) {
  const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
  const __m512i high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
  __m512 v[8];
  for (size_t c = 0; c < 4; c++) {
    const __m512 a = column(c);
    const __m512 b = column(c + 4);
    v[c] = avx512f_side_by_side(a, b, low);
    v[c + 4] = avx512f_side_by_side(a, b, high);
  }
  avx512f_transpose(v);
  avx512f_transpose(v + 4);
  for (size_t i = 0; i < 8; i++) {
    float* const row = p + (i < 4 ? i : i + 4) * stride;
    _mm256_storeu_ps(row, _mm512_castps512_ps256(v[i]));
    _mm256_storeu_pd((double*)(row + 4 * stride), _mm512_extractf64x4_pd(_mm512_castps_pd(v[i]), 1));
  }
}

// The inverse; column(c) is column c < 4, or c < 8 where n >= 8. Returns how many columns it has stored.
template <class Columns>
static inline size_t avx512f_store_columns(float* p, size_t stride, ptrdiff_t n, const Columns& column) {
  if (n >= 8) {
    avx512f_store_8_columns(p, stride, column);
    return 8;
  }
  __m512 v[4] = {column(0), column(1), column(2), column(3)};
  avx512f_transpose(v);
  if (n < 4) {
    avx512f_store_few_columns(p, stride, n, v);
    return 4;
  }
  for (size_t i = 0; i < 4; i++) avx512f_store_parts(p + i * stride, stride, v[i]);
  return 4;
}

// Zeros and denormals are one number, and so is NaN.
static inline void avx512f_to_keys(__m512 a, double b, __m512d* keys) {
  const __m512i bits = _mm512_castps_si512(_mm512_add_ps(a, _mm512_setzero_ps()));
  const __m512i negative = _mm512_srli_epi32(_mm512_srai_epi32(bits, 31), 1);
  const __mmask16 is_number = _mm512_cmp_ps_mask(a, a, _CMP_ORD_Q);
  const __m512i order = _mm512_mask_xor_epi32(_mm512_set1_epi32(INT32_MAX), is_number, bits, negative);
  const __m512d low = _mm512_cvtepi32_pd(_mm512_castsi512_si256(order));
  const __m512d high = _mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(order, 1));
  keys[0] = _mm512_fmadd_pd(low, _mm512_set1_pd(512.0), _mm512_set1_pd(b));
  keys[1] = _mm512_fmadd_pd(high, _mm512_set1_pd(512.0), _mm512_set1_pd(b));
}
