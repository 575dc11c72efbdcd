// One row and how it is computed: the passes that operators on rows have in common.
#pragma once

#include <pthreadpool.h>
#include <stddef.h>

#include <algorithm>

#include "src/operators/rows.h"

// Logits that are made of a row's elements, and of what else an operator knows of the row, whenever they are needed.
struct smx_logits {
  // Those from `start` on, n <= SMX_TILE of them.
  void (*make)(const struct smx_logits* logits, size_t start, size_t n, float* tile);
  // Where it is not NULL, they are scale * x + mask, all of them floats: kernels that store terms make them as they go.
  const float* mask;
  float scale;
  bool climbs;  // whether they are expected to be ever larger
};

struct smx_row {
  const struct smx_rows* op;
  enum smx_algorithm algorithm;
  bool streams_output;
  const void* x;
  void* y;
  size_t channels;
  size_t following;  // elements of the rows to be read next, where they follow this one's
  size_t results;    // of the first elements, where each has one; others count in the sum alone
  const struct smx_logits* logits;  // in place of x; may be NULL
  float* logsumexp;                 // receives the sum's logarithm, beside probabilities; may be NULL
  // Subtracted from the elements first: the maximum of a row that is out of the kernels' range.
  float shift;
  bool is_shifted;

  const smx_types& types() const { return *op->types; }
  const smx_microkernels& kernels() const { return op->base.microkernels; }
  const smx_scale& scale() const { return op->scale; }
  const smx_f32_exponential& exponential() const { return op->scale.exponential; }
  // Whether kernels take what is made of the elements in place of them.
  bool is_staged() const { return logits != nullptr || is_shifted || !smx_scale_is_direct(&op->scale); }
  size_t following_from(size_t i) const { return channels - i + following; }
  const void* x_at(size_t i) const { return static_cast<const char*>(x) + i * types().input_bytes; }
  void* y_at(size_t i) const { return static_cast<char*>(y) + i * types().output_bytes; }
  float* stored_terms() const { return static_cast<float*>(y); }
};

extern "C" {

// Under smx_fp_environment, all of them. The first returns whether the row is within the kernels' range.
bool smx_run_row(const struct smx_row* row);

// Short rows go some at a time, so that the processor finds work in one while it waits for the sum of another.
#define SMX_MOST_ROWS_TOGETHER 4
void smx_run_rows_together(const struct smx_row* rows, size_t count);

// How many: as many as a level 1 cache holds.
static inline size_t smx_rows_together(size_t channels) {
  constexpr size_t kElementsTogether = 4096;
  return std::clamp<size_t>(kElementsTogether / channels, 1, SMX_MOST_ROWS_TOGETHER);
}

// Over all threads of a pool.
void smx_run_row_split(const struct smx_row* row, pthreadpool_t threadpool);

// Softmax of a part of a row whose sum is known.
void smx_scale_row_part(const struct smx_row* row, size_t start, size_t end,
                        const struct smx_partial_sum* sum);

}  // extern "C"
