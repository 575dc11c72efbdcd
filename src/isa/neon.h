// The part of the NEON vocabulary (src/isa/neon.py) that takes more than one expression.
#pragma once

#include <arm_neon.h>
#include <stddef.h>

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

// columns[c] = element c of 4 rows, c < 4; absent where c >= n.
static inline void neon_load_columns(const float* p, size_t stride, ptrdiff_t n, float32x4_t* columns) {
  for (int i = 0; i < 4; i++) columns[i] = neon_load_tail(p + (size_t)i * stride, n, vdupq_n_f32(0.0f));
  neon_transpose(columns);
}

static inline void neon_store_columns(float* p, size_t stride, ptrdiff_t n, const float32x4_t* columns) {
  float32x4_t v[4] = {columns[0], columns[1], columns[2], columns[3]};
  neon_transpose(v);
  for (int i = 0; i < 4; i++) neon_store_tail(p + (size_t)i * stride, n, v[i]);
}
