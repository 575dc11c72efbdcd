// The scalar vocabulary (src/isa/scalar.py): portable loops over the lanes.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct f32x16 {
  float lane[16];
};

static inline f32x16 scalar_set1(float a) {
  f32x16 r;
  for (int i = 0; i < 16; i++) r.lane[i] = a;
  return r;
}

static inline f32x16 scalar_load(const float* p) {
  f32x16 r;
  memcpy(r.lane, p, sizeof(r.lane));
  return r;
}

static inline f32x16 scalar_load_tail(const float* p, ptrdiff_t n, f32x16 absent) {
  for (ptrdiff_t i = 0; i < n && i < 16; i++) absent.lane[i] = p[i];
  return absent;
}

static inline void scalar_store(float* p, f32x16 a) {
  memcpy(p, a.lane, sizeof(a.lane));
}

static inline void scalar_store_tail(float* p, ptrdiff_t n, f32x16 a) {
  for (ptrdiff_t i = 0; i < n && i < 16; i++) p[i] = a.lane[i];
}

static inline f32x16 scalar_add(f32x16 a, f32x16 b) {
  for (int i = 0; i < 16; i++) a.lane[i] += b.lane[i];
  return a;
}

static inline f32x16 scalar_sub(f32x16 a, f32x16 b) {
  for (int i = 0; i < 16; i++) a.lane[i] -= b.lane[i];
  return a;
}

static inline f32x16 scalar_mul(f32x16 a, f32x16 b) {
  for (int i = 0; i < 16; i++) a.lane[i] *= b.lane[i];
  return a;
}

// a * b + c with one rounding and without a libm call: the product is exact in double, and a sum in double that
// is rounded to odd keeps what the rounding to float needs to know.
// S. Boldo, G. Melquiond: Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to odd.
static inline float scalar_fma1(float a, float b, float c) {
  const double product = (double)a * (double)b;
  const double addend = (double)c;
  const double sum = product + addend;
  const double z = sum - product;
  const double error = (product - (sum - z)) + (addend - z);
  uint64_t sum_bits, error_bits;
  memcpy(&sum_bits, &sum, sizeof(sum_bits));
  memcpy(&error_bits, &error, sizeof(error_bits));
  const uint64_t inexact =
      (uint64_t)(error > 0.0) | (uint64_t)(error < 0.0);  // not where the sum is infinite or NaN
  const uint64_t to_odd = inexact & ~sum_bits;
  const uint64_t towards_zero = (error_bits ^ sum_bits) >> 63;
  const uint64_t bits = sum_bits + (to_odd & 1) - 2 * (to_odd & towards_zero);
  double odd;
  memcpy(&odd, &bits, sizeof(odd));
  return (float)odd;
}

static inline f32x16 scalar_fma(f32x16 a, f32x16 b, f32x16 c) {
  for (int i = 0; i < 16; i++) a.lane[i] = scalar_fma1(a.lane[i], b.lane[i], c.lane[i]);
  return a;
}

static inline f32x16 scalar_max(f32x16 a, f32x16 b) {
  for (int i = 0; i < 16; i++) a.lane[i] = a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i];
  return a;
}

static inline f32x16 scalar_shift_to_exponent(f32x16 a) {
  for (int i = 0; i < 16; i++) {
    uint32_t bits;
    memcpy(&bits, &a.lane[i], sizeof(bits));
    bits <<= 23;
    memcpy(&a.lane[i], &bits, sizeof(bits));
  }
  return a;
}

static inline f32x16 scalar_zero_below(f32x16 a, f32x16 b, f32x16 c) {
  for (int i = 0; i < 16; i++) c.lane[i] = a.lane[i] < b.lane[i] ? 0.0f : c.lane[i];
  return c;
}

static inline f32x16 scalar_upper(f32x16 a, int distance) {
  for (int i = 0; i < distance; i++) a.lane[i] = a.lane[i + distance];
  return a;
}

static inline float scalar_reduce_max(f32x16 a) {
  for (int distance = 8; distance > 0; distance /= 2) a = scalar_max(a, scalar_upper(a, distance));
  return a.lane[0];
}

static inline float scalar_reduce_add(f32x16 a) {
  for (int distance = 8; distance > 0; distance /= 2) a = scalar_add(a, scalar_upper(a, distance));
  return a.lane[0];
}
