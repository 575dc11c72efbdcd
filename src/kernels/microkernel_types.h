// The function types of the microkernels, one a kernel: smx_<kernel>_ukernel_fn.
//
// n counts elements and is at least 1, and at most SMX_TILE for the sums. Nothing outside x[0 .. n) is read, nothing
// outside y[0 .. n) written. y may be x. They are called with flush-to-zero and rounding to nearest set.
#pragma once

#include <stddef.h>

struct smx_f32_extended;
struct smx_f32_reciprocal;

typedef void smx_f32_raddextexp_ukernel_fn(size_t n, const float* x, struct smx_f32_extended* sum);
typedef void smx_f32_raddstoreextexp_ukernel_fn(size_t n, const float* x, float* y,
                                                struct smx_f32_extended* sum);
typedef void smx_f32_vscaleextexp_ukernel_fn(size_t n, const float* x, float* y,
                                             const struct smx_f32_reciprocal* reciprocal);
typedef void smx_f32_vmulextc_ukernel_fn(size_t n, const float* x, float* y,
                                         const struct smx_f32_reciprocal* reciprocal);

// The three-pass baselines. For them the sums take rows of any length.
typedef void smx_f32_rmax_ukernel_fn(size_t n, const float* x, float* max);
typedef void smx_f32_raddexpminusmax_ukernel_fn(size_t n, const float* x, float max, float* sum);
typedef void smx_f32_raddstoreexpminusmax_ukernel_fn(size_t n, const float* x, float* y, float max,
                                                     float* sum);
typedef void smx_f32_vscaleexpminusmax_ukernel_fn(size_t n, const float* x, float* y, float scale, float max);
typedef void smx_f32_vmulc_ukernel_fn(size_t n, const float* x, float* y, float scale);
