// The part of the NEON vocabulary (src/isa/neon.py) that takes more than one expression.
#pragma once

#include <arm_neon.h>
#include <stddef.h>

#include "src/isa/narrow.h"

// The first n elements at p, n from 0 (or less: none) to 4 (or more: all).
static inline float32x4_t neon_load_tail(const float* p, ptrdiff_t n, float32x4_t absent) {
  if (n >= 4) return vld1q_f32(p);
  if (n >= 1) absent = vld1q_lane_f32(p, absent, 0);
  if (n >= 2) absent = vld1q_lane_f32(p + 1, absent, 1);
  if (n >= 3) absent = vld1q_lane_f32(p + 2, absent, 2);
  return absent;
}

static inline void neon_store_tail(float* p, ptrdiff_t n, float32x4_t a) {
  if (n >= 4) {
    vst1q_f32(p, a);
    return;
  }
  if (n >= 1) vst1q_lane_f32(p, a, 0);
  if (n >= 2) vst1q_lane_f32(p + 1, a, 1);
  if (n >= 3) vst1q_lane_f32(p + 2, a, 2);
}

// a in the low n lanes, absent in the others.
static inline float32x4_t neon_present(ptrdiff_t n, float32x4_t a, float32x4_t absent) {
  const int32_t lanes[4] = {0, 1, 2, 3};
  return vbslq_f32(vcltq_s32(vld1q_s32(lanes), vdupq_n_s32(n > 4 ? 4 : (int32_t)n)), a, absent);
}

static inline uint16x4_t neon_load_halves_tail(const uint16_t* p, ptrdiff_t n) {
  if (n >= 4) return vld1_u16(p);
  uint16_t halves[4] = {0};
  smx_copy_tail<4>(halves, p, n);
  return vld1_u16(halves);
}

static inline void neon_store_halves_tail(uint16_t* p, ptrdiff_t n, uint16x4_t a) {
  if (n >= 4) return vst1_u16(p, a);
  uint16_t halves[4];
  vst1_u16(halves, a);
  smx_copy_tail<4>(p, halves, n);
}

static inline float32x4_t neon_from_f16(uint16x4_t a) {
  return vcvt_f32_f16(vreinterpret_f16_u16(a));
}

static inline uint16x4_t neon_to_f16(float32x4_t a) {
  return vreinterpret_u16_f16(vcvt_f16_f32(a));
}

static inline float32x4_t neon_from_bf16(uint16x4_t a) {
  return vreinterpretq_f32_u32(vshll_n_u16(a, 16));
}

// To nearest even: half a unit of the upper half is added, less one where that half is even.
static inline uint16x4_t neon_to_bf16(float32x4_t a) {
  const uint32x4_t bits = vreinterpretq_u32_f32(a);
  const uint32x4_t is_odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(is_odd, vdupq_n_u32(0x7FFF)));
  return vshrn_n_u32(vbslq_u32(vceqq_f32(a, a), rounded, vdupq_n_u32(0x7FC00000)), 16);
}

static inline uint8x8_t neon_load_bytes(const void* p) {
  uint32_t bytes;
  memcpy(&bytes, p, sizeof(bytes));
  return vreinterpret_u8_u32(vdup_n_u32(bytes));
}

static inline uint8x8_t neon_load_bytes_tail(const void* p, ptrdiff_t n) {
  if (n >= 4) return neon_load_bytes(p);
  uint8_t bytes[4] = {0};
  smx_copy_tail<4>(bytes, (const uint8_t*)p, n);
  return neon_load_bytes(bytes);
}

static inline void neon_store_bytes(void* p, uint8x8_t a) {
  const uint32_t bytes = vget_lane_u32(vreinterpret_u32_u8(a), 0);
  memcpy(p, &bytes, sizeof(bytes));
}

static inline void neon_store_bytes_tail(void* p, ptrdiff_t n, uint8x8_t a) {
  if (n >= 4) return neon_store_bytes(p, a);
  uint8_t bytes[4];
  neon_store_bytes(bytes, a);
  smx_copy_tail<4>((uint8_t*)p, bytes, n);
}

static inline float32x4_t neon_from_qu8(uint8x8_t a) {
  return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(a))));
}

static inline float32x4_t neon_from_qs8(uint8x8_t a) {
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(a)))));
}

// The low bytes of integers, of elements between least and most; least where an element is NaN.
static inline uint8x8_t neon_to_bytes(float32x4_t a, float least, float most) {
  const float32x4_t clamped = vminq_f32(vmaxnmq_f32(a, vdupq_n_f32(least)), vdupq_n_f32(most));
  const uint16x4_t halves = vmovn_u32(vreinterpretq_u32_s32(vcvtnq_s32_f32(clamped)));
  return vmovn_u16(vcombine_u16(halves, halves));
}

static inline float32x4_t neon_inverse_power(float32x4_t a) {
  const uint32x4_t exponent = vandq_u32(vreinterpretq_u32_f32(a), vdupq_n_u32(0x7F800000));
  return vreinterpretq_f32_u32(vsubq_u32(vdupq_n_u32(0x7F000000), exponent));
}

// The bytes of word a % 8, in each lane.
static inline uint8x16_t neon_table_index(float32x4_t a) {
  const uint32x4_t word = vandq_u32(vreinterpretq_u32_f32(a), vdupq_n_u32(7));
  return vreinterpretq_u8_u32(vmlaq_u32(vdupq_n_u32(0x03020100), word, vdupq_n_u32(0x04040404)));
}

// a * b + a * c as x86 computes it. Arm flushes a result that is below FLT_MIN before it is rounded, x86 after: the
// last operation before a flush is therefore a product with a power of two.
static inline float32x4_t neon_scaled(float32x4_t a, float32x4_t b, float32x4_t c) {
  const float32x4_t low = vmulq_n_f32(vmulq_f32(a, vmulq_n_f32(c, 0x1p32f)), 0x1p-32f);
  return vmulq_n_f32(vfmaq_f32(vmulq_n_f32(low, 0x1p32f), a, vmulq_n_f32(b, 0x1p32f)), 0x1p-32f);
}

// Its own inverse.
static inline void neon_transpose(float32x4_t* v) {
  const float32x4_t a = vzip1q_f32(v[0], v[2]);
  const float32x4_t b = vzip2q_f32(v[0], v[2]);
  const float32x4_t c = vzip1q_f32(v[1], v[3]);
  const float32x4_t d = vzip2q_f32(v[1], v[3]);
  v[0] = vzip1q_f32(a, c);
  v[1] = vzip2q_f32(a, c);
  v[2] = vzip1q_f32(b, d);
  v[3] = vzip2q_f32(b, d);
}

// columns[c] = element c of 4 rows, c < 4; absent where c >= n. Returns how many columns it has taken.
template <class Columns>
static inline size_t neon_load_columns(ptrdiff_t n, const Columns& columns_of, float32x4_t* columns) {
  for (size_t i = 0; i < 4; i++) {
    columns[i] = columns_of(
        [=](const float* p, size_t stride) { return neon_load_tail(p + i * stride, n, vdupq_n_f32(0.0f)); });
  }
  neon_transpose(columns);
  return 4;
}

// The inverse; column(c) is column c. Returns how many columns it has stored.
template <class Columns>
static inline size_t neon_store_columns(float* p, size_t stride, ptrdiff_t n, const Columns& column) {
  float32x4_t v[4] = {column(0), column(1), column(2), column(3)};
  neon_transpose(v);
  for (int i = 0; i < 4; i++) neon_store_tail(p + (size_t)i * stride, n, v[i]);
  return 4;
}

// Zeros and denormals are one number, and so is NaN.
static inline void neon_to_keys(float32x4_t a, double b, float64x2_t* keys) {
  const int32x4_t bits = vreinterpretq_s32_f32(vaddq_f32(a, vdupq_n_f32(0.0f)));
  const uint32x4_t negative = vshrq_n_u32(vreinterpretq_u32_s32(vshrq_n_s32(bits, 31)), 1);
  const int32x4_t order = veorq_s32(bits, vreinterpretq_s32_u32(negative));
  const int32x4_t canonical = vbslq_s32(vceqq_f32(a, a), order, vdupq_n_s32(INT32_MAX));
  const float64x2_t low = vcvtq_f64_s64(vmovl_s32(vget_low_s32(canonical)));
  const float64x2_t high = vcvtq_f64_s64(vmovl_high_s32(canonical));
  keys[0] = vfmaq_f64(vdupq_n_f64(b), low, vdupq_n_f64(512.0));
  keys[1] = vfmaq_f64(vdupq_n_f64(b), high, vdupq_n_f64(512.0));
}
