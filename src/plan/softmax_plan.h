// How a softmax is computed: pure functions of its shape, the caches and the threads. Every choice gives the same bits.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// A row's tiles are grouped into at most this many spans, the pieces that threads share one row by.
#define SMX_MAX_SPANS 256

enum smx_algorithm {
  smx_algorithm_several_rows,       // f32-softmax
  smx_algorithm_store_and_rescale,  // f32-raddstoreextexp, f32-vmulextc
  smx_algorithm_two_pass,           // f32-raddextexp, f32-vscaleextexp
};

struct smx_softmax_shape {
  size_t rows;
  size_t channels;
  bool in_place;
};

struct smx_softmax_plan {
  enum smx_algorithm algorithm;
  bool streams_output;  // f32-vstreamextexp in place of f32-vscaleextexp
  bool splits_rows;
  size_t rows_per_task;
};

struct smx_softmax_plan smx_plan_softmax(const struct smx_softmax_shape* shape, size_t l2_bytes,
                                         size_t threads);

// Elements of a span, a multiple of SMX_TILE: a function of the row's length alone, for it is part of the order in
// which a row is summed.
size_t smx_span_length(size_t channels);

#ifdef __cplusplus
}  // extern "C"
#endif
