// The factor of the elements of a row, in the form that kernels take.
#pragma once

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "src/kernels/extended.h"

// value * x = exponential.scale * (direction * power * x). Kernels take x as it is where both factors are 1, which is for
// all scales that one would choose; otherwise what they take is made of it before, exactly.
struct smx_scale {
  float value;
  float direction;  // 1, -1, or 0 for a scale of 0: then elements are 0, or NaN where they are infinite
  float power;      // of two
  struct smx_f32_exponential exponential;
};

// Of any finite value, a denormal as 0. Under smx_fp_environment.
static inline struct smx_scale smx_scale_of(float value) {
  const float magnitude = fabsf(value);
  struct smx_scale scale = {value, value > 0.0f ? 1.0f : -1.0f, 1.0f, {}};
  if (magnitude < FLT_MIN) {
    scale.value = scale.direction = 0.0f;
    scale.exponential = smx_f32_exponential_of(1.0f);
    return scale;
  }
  if (magnitude < SMX_SMALLEST_SCALE || magnitude > SMX_LARGEST_SCALE) {
    uint32_t bits;
    memcpy(&bits, &magnitude, sizeof(bits));
    scale.power = smx_pow2((int32_t)(bits >> 23) - 127);
    scale.exponential = smx_f32_exponential_of(magnitude / scale.power);
    return scale;
  }
  scale.exponential = smx_f32_exponential_of(magnitude);
  return scale;
}

// What kernels take in place of an element x: (x - shift) * factor, and no less than `least`.
struct smx_staging {
  float shift;
  float factor;
  float least;
};

// Where it matters, the difference from the shift is exact; from `nothing` on, the result is 0.
static inline struct smx_staging smx_staging_of(const struct smx_scale* scale, bool is_shifted, float shift) {
  const float nothing = -1024.0f;
  const struct smx_staging staging = {shift, scale->direction * scale->power,
                                      is_shifted ? nothing / scale->exponential.scale : -INFINITY};
  return staging;
}

static inline float smx_staged(const struct smx_staging* staging, float x) {
  const float product = (x - staging->shift) * staging->factor;
  return product < staging->least ? staging->least : product;
}

static inline bool smx_scale_is_direct(const struct smx_scale* scale) {
  return scale->direction == 1.0f && scale->power == 1.0f;
}
