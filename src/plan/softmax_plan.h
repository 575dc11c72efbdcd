// How a softmax is computed: pure functions of its shape, thresholds and the threads. Every choice gives the same bits.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "include/smxpack.h"

#ifdef __cplusplus
extern "C" {
#endif

static inline size_t smx_divide_round_up(size_t n, size_t q) {
  return n / q + (n % q != 0);
}

// A row's tiles are grouped into at most this many spans, the pieces that threads share one row by.
#define SMX_MAX_SPANS 256

enum smx_algorithm {
  smx_algorithm_rows_as_lanes,      // f32-softmax-transposed
  smx_algorithm_several_rows,       // f32-softmax
  smx_algorithm_store_and_rescale,  // f32-raddstoreextexp, f32-vmulextc
  smx_algorithm_two_pass,           // f32-raddextexp, f32-vscaleextexp
};

struct smx_softmax_shape {
  size_t rows;
  size_t channels;
  size_t element_bytes;  // of the input and the output together
  bool in_place;
  size_t grouped_channels;  // of the longest rows that kernels on several of them take; 0: there are none
  bool varies;              // rows see ever more, or fewer, of the channels
  bool stores_terms;        // the output, or a buffer of a tile, can hold them
  bool aligned_rows;        // kernels on several rows can write them past the caches
};

struct smx_softmax_plan {
  enum smx_algorithm algorithm;
  const char* reason;
  bool streams_output;   // f32-vstreamextexp in place of f32-vscaleextexp, or several rows past the caches
  size_t split_rows;     // of the last rows, each is split over all threads
  size_t rows_per_task;  // of the rows before, which are spread over the threads
};

// Thresholds for caches of these sizes; 0 where a size is not known. In a virtual machine the last-level cache that is
// reported is the host's whole one: however large, it is not taken to be more than what stays in it for a while.
struct smx_thresholds smx_default_thresholds(size_t l2_bytes, size_t last_level_bytes);

struct smx_softmax_plan smx_plan_softmax(const struct smx_softmax_shape* shape,
                                         const struct smx_thresholds* thresholds, size_t threads);

const char* smx_algorithm_name(enum smx_algorithm algorithm);

// Elements of a span, a multiple of SMX_TILE: a function of the row's length alone, for it is part of the order in
// which a row is summed.
size_t smx_span_length(size_t channels);

#ifdef __cplusplus
}  // extern "C"
#endif
