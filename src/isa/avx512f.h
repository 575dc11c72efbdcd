// The part of the AVX512F vocabulary (src/isa/avx512f.py) that takes more than one expression.
#pragma once

#include <stddef.h>

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

static inline __m512 avx512f_inverse_power(__m512 a) {
  const __m512i exponent = _mm512_and_epi32(_mm512_castps_si512(a), _mm512_set1_epi32(0x7F800000));
  return _mm512_castsi512_ps(_mm512_sub_epi32(_mm512_set1_epi32(0x7F000000), exponent));
}

// Eight words, twice: the fourth bit of an index does not matter.
static inline __m512 avx512f_load_table(const void* p) {
  return _mm512_castsi512_ps(_mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i*)p)));
}
