// The scalar vocabulary (src/isa/scalar.py): portable loops over the lanes.
#pragma once

#include <fp16.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct f32x16 {
  float lane[16];
};

template <class Operation>
static inline f32x16 scalar_each_lane(Operation operation) {
  f32x16 r;
  for (int i = 0; i < 16; i++) r.lane[i] = operation(i);
  return r;
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
  // Neither holds where the sum is infinite or NaN.
  const uint64_t inexact = (uint64_t)(error > 0.0) | (uint64_t)(error < 0.0);
  const uint64_t to_odd = inexact & ~sum_bits;
  const uint64_t towards_zero = (error_bits ^ sum_bits) >> 63;
  const uint64_t bits = sum_bits + (to_odd & 1) - 2 * (to_odd & towards_zero);
  double odd;
  memcpy(&odd, &bits, sizeof(odd));
  return (float)odd;
}

// Calls, not inlined loops: as fast, for the work takes far longer than a call, and compiled ten times faster.
#define SCALAR_OPERATION [[maybe_unused]] [[gnu::noinline]] static

SCALAR_OPERATION f32x16 scalar_set1(float a) {
  return scalar_each_lane([&](int) { return a; });
}

SCALAR_OPERATION f32x16 scalar_load(const float* p) {
  return scalar_each_lane([&](int i) { return p[i]; });
}

SCALAR_OPERATION f32x16 scalar_load_tail(const float* p, ptrdiff_t n, const f32x16& absent) {
  return scalar_each_lane([&](int i) { return i < n ? p[i] : absent.lane[i]; });
}

SCALAR_OPERATION void scalar_store(float* p, const f32x16& a) {
  memcpy(p, a.lane, sizeof(a.lane));
}

SCALAR_OPERATION void scalar_store_tail(float* p, ptrdiff_t n, const f32x16& a) {
  for (ptrdiff_t i = 0; i < n && i < 16; i++) p[i] = a.lane[i];
}

[[maybe_unused]] static inline float scalar_from_bf16(uint16_t a) {
  const uint32_t bits = (uint32_t)a << 16;
  float f;
  memcpy(&f, &bits, sizeof(f));
  return f;
}

// To nearest even: half a unit of the upper half is added, less one where that half is even.
[[maybe_unused]] static inline uint16_t scalar_to_bf16(float a) {
  uint32_t bits;
  memcpy(&bits, &a, sizeof(bits));
  if (a != a) return 0x7FC0;
  return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

SCALAR_OPERATION f32x16 scalar_load_f16(const uint16_t* p) {
  return scalar_each_lane([&](int i) { return fp16_ieee_to_fp32_value(p[i]); });
}

SCALAR_OPERATION f32x16 scalar_load_tail_f16(const uint16_t* p, ptrdiff_t n, const f32x16& absent) {
  return scalar_each_lane([&](int i) { return i < n ? fp16_ieee_to_fp32_value(p[i]) : absent.lane[i]; });
}

SCALAR_OPERATION void scalar_store_tail_f16(uint16_t* p, ptrdiff_t n, const f32x16& a) {
  for (ptrdiff_t i = 0; i < n && i < 16; i++) p[i] = fp16_ieee_from_fp32_value(a.lane[i]);
}

SCALAR_OPERATION f32x16 scalar_load_bf16(const uint16_t* p) {
  return scalar_each_lane([&](int i) { return scalar_from_bf16(p[i]); });
}

SCALAR_OPERATION f32x16 scalar_load_tail_bf16(const uint16_t* p, ptrdiff_t n, const f32x16& absent) {
  return scalar_each_lane([&](int i) { return i < n ? scalar_from_bf16(p[i]) : absent.lane[i]; });
}

SCALAR_OPERATION void scalar_store_tail_bf16(uint16_t* p, ptrdiff_t n, const f32x16& a) {
  for (ptrdiff_t i = 0; i < n && i < 16; i++) p[i] = scalar_to_bf16(a.lane[i]);
}

template <class Byte>
SCALAR_OPERATION f32x16 scalar_load_bytes(const Byte* p) {
  return scalar_each_lane([&](int i) { return (float)p[i]; });
}

template <class Byte>
SCALAR_OPERATION f32x16 scalar_load_tail_bytes(const Byte* p, ptrdiff_t n, const f32x16& absent) {
  return scalar_each_lane([&](int i) { return i < n ? (float)p[i] : absent.lane[i]; });
}

// Integers, of elements between least and most, which Byte has; least where an element is NaN.
template <class Byte>
SCALAR_OPERATION void scalar_store_tail_bytes(Byte* p, ptrdiff_t n, const f32x16& a, float least,
                                              float most) {
  const float rounding = 12582912.0f;  // 1.5 * 2^23
  for (ptrdiff_t i = 0; i < n && i < 16; i++) {
    const float raised = a.lane[i] > least ? a.lane[i] : least;
    const float clamped = raised < most ? raised : most;
    p[i] = (Byte)((clamped + rounding) - rounding);
  }
}

SCALAR_OPERATION f32x16 scalar_add(const f32x16& a, const f32x16& b) {
  return scalar_each_lane([&](int i) { return a.lane[i] + b.lane[i]; });
}

SCALAR_OPERATION f32x16 scalar_sub(const f32x16& a, const f32x16& b) {
  return scalar_each_lane([&](int i) { return a.lane[i] - b.lane[i]; });
}

SCALAR_OPERATION f32x16 scalar_mul(const f32x16& a, const f32x16& b) {
  return scalar_each_lane([&](int i) { return a.lane[i] * b.lane[i]; });
}

SCALAR_OPERATION f32x16 scalar_fma(const f32x16& a, const f32x16& b, const f32x16& c) {
  return scalar_each_lane([&](int i) { return scalar_fma1(a.lane[i], b.lane[i], c.lane[i]); });
}

SCALAR_OPERATION f32x16 scalar_max(const f32x16& a, const f32x16& b) {
  return scalar_each_lane([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}

SCALAR_OPERATION f32x16 scalar_min(const f32x16& a, const f32x16& b) {
  return scalar_each_lane([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}

SCALAR_OPERATION f32x16 scalar_shift_to_exponent(const f32x16& a) {
  return scalar_each_lane([&](int i) {
    uint32_t bits;
    memcpy(&bits, &a.lane[i], sizeof(bits));
    bits <<= 23;
    float power;
    memcpy(&power, &bits, sizeof(power));
    return power;
  });
}

// Eight words.
struct scalar_table {
  uint32_t word[8];
};

template <class Word>
[[maybe_unused]] static scalar_table scalar_load_table(const Word* p) {
  scalar_table table;
  memcpy(table.word, p, sizeof(table.word));
  return table;
}

SCALAR_OPERATION f32x16 scalar_look_up(const scalar_table& table, const f32x16& index) {
  return scalar_each_lane([&](int i) {
    uint32_t bits;
    memcpy(&bits, &index.lane[i], sizeof(bits));
    float word;
    memcpy(&word, &table.word[bits % 8], sizeof(word));
    return word;
  });
}

SCALAR_OPERATION f32x16 scalar_shift_to_exponent_and_add(const f32x16& a, const f32x16& b) {
  return scalar_each_lane([&](int i) {
    uint32_t a_bits, b_bits;
    memcpy(&a_bits, &a.lane[i], sizeof(a_bits));
    memcpy(&b_bits, &b.lane[i], sizeof(b_bits));
    a_bits = (a_bits << 20) + b_bits;
    float sum;
    memcpy(&sum, &a_bits, sizeof(sum));
    return sum;
  });
}

// a * b + a * c, each flushed below FLT_MIN after it has been rounded. Processors differ in whether they flush before or
// after; the last operation before a flush is therefore a product with a power of two.
SCALAR_OPERATION f32x16 scalar_scaled(const f32x16& a, const f32x16& b, const f32x16& c) {
  return scalar_each_lane([&](int i) {
    const float low = a.lane[i] * (c.lane[i] * 0x1p32f) * 0x1p-32f;
    return scalar_fma1(a.lane[i], b.lane[i] * 0x1p32f, low * 0x1p32f) * 0x1p-32f;
  });
}

SCALAR_OPERATION f32x16 scalar_masked_fma(const f32x16& a, const f32x16& b, const f32x16& c) {
  return scalar_each_lane([&](int i) {
    return c.lane[i] == -INFINITY ? c.lane[i] : scalar_fma1(a.lane[i], b.lane[i], c.lane[i]);
  });
}

SCALAR_OPERATION f32x16 scalar_zero_below(const f32x16& a, const f32x16& b, const f32x16& c) {
  return scalar_each_lane([&](int i) { return a.lane[i] < b.lane[i] ? 0.0f : c.lane[i]; });
}

SCALAR_OPERATION f32x16 scalar_upper(const f32x16& a, int distance) {
  return scalar_each_lane([&](int i) { return a.lane[i ^ distance]; });
}

SCALAR_OPERATION float scalar_reduce_max(const f32x16& a) {
  f32x16 m = a;
  for (int distance = 8; distance > 0; distance /= 2) m = scalar_max(m, scalar_upper(m, distance));
  return m.lane[0];
}

SCALAR_OPERATION float scalar_reduce_add(const f32x16& a) {
  f32x16 s = a;
  for (int distance = 8; distance > 0; distance /= 2) s = scalar_add(s, scalar_upper(s, distance));
  return s.lane[0];
}

SCALAR_OPERATION f32x16 scalar_div(const f32x16& a, const f32x16& b) {
  return scalar_each_lane([&](int i) { return a.lane[i] / b.lane[i]; });
}

SCALAR_OPERATION f32x16 scalar_inverse_power(const f32x16& a) {
  return scalar_each_lane([&](int i) {
    uint32_t bits;
    memcpy(&bits, &a.lane[i], sizeof(bits));
    bits = 0x7F000000 - (bits & 0x7F800000);
    float power;
    memcpy(&power, &bits, sizeof(power));
    return power;
  });
}

SCALAR_OPERATION bool scalar_all_within(const f32x16& a, const f32x16& bound) {
  bool within = true;
  for (int i = 0; i < 16; i++) within &= -bound.lane[i] <= a.lane[i] && a.lane[i] <= bound.lane[i];
  return within;
}

// Of each group of 2 * distance lanes of a, then of b, the `distance` lanes from `first` on.
SCALAR_OPERATION f32x16 scalar_half(const f32x16& a, const f32x16& b, int distance, int first) {
  return scalar_each_lane([&](int i) {
    const int at = 2 * (i % 8 - i % 8 % distance) + first + i % distance;
    return i < 8 ? a.lane[at] : b.lane[at];
  });
}

// columns[c] = element c of 16 rows, c < 4; absent where c >= n. Returns how many columns it has taken.
template <class Columns>
static size_t scalar_load_columns(ptrdiff_t n, const Columns& columns_of, f32x16* columns) {
  for (size_t c = 0; c < 4; c++) {
    columns[c] = columns_of([=](const float* p, size_t stride) {
      return scalar_each_lane([&](int i) { return (ptrdiff_t)c < n ? p[(size_t)i * stride + c] : 0.0f; });
    });
  }
  return 4;
}

// The inverse; column(c) is column c. Returns how many columns it has stored.
template <class Columns>
static size_t scalar_store_columns(float* p, size_t stride, ptrdiff_t n, const Columns& column) {
  for (size_t c = 0; c < 4 && (ptrdiff_t)c < n; c++) {
    const f32x16 elements = column(c);
    for (size_t i = 0; i < 16; i++) p[i * stride + c] = elements.lane[i];
  }
  return 4;
}

struct f64x8 {
  double lane[8];
};

// Zeros and denormals are one number, and so is NaN.
[[maybe_unused]] static inline double scalar_to_key(float a, double b) {
  const float canonical = a + 0.0f;
  int32_t bits;
  memcpy(&bits, &canonical, sizeof(bits));
  const int32_t order = a != a ? INT32_MAX : bits < 0 ? bits ^ INT32_MAX : bits;
  return 512.0 * order + b;
}

SCALAR_OPERATION void scalar_to_keys(const f32x16& a, double b, f64x8* keys) {
  for (int i = 0; i < 16; i++) keys[i / 8].lane[i % 8] = scalar_to_key(a.lane[i], b);
}

SCALAR_OPERATION f64x8 scalar_set1_keys(double a) {
  f64x8 r;
  for (double& lane : r.lane) lane = a;
  return r;
}

SCALAR_OPERATION f64x8 scalar_max_keys(const f64x8& a, const f64x8& b) {
  f64x8 r;
  for (int i = 0; i < 8; i++) r.lane[i] = a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i];
  return r;
}

SCALAR_OPERATION f64x8 scalar_min_keys(const f64x8& a, const f64x8& b) {
  f64x8 r;
  for (int i = 0; i < 8; i++) r.lane[i] = a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i];
  return r;
}

SCALAR_OPERATION void scalar_store_keys(double* p, const f64x8& a) {
  memcpy(p, a.lane, sizeof(a.lane));
}
