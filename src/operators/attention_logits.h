// The logits of attention: what is made of the elements of a row, a tile at a time in cache. See smx_create_attention_softmax in
// include/smxpack.h.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "include/smxpack.h"
#include "src/operators/row.h"
#include "src/operators/types.h"

// What the rows of an operator have in common.
struct smx_attention_maker {
  const smx_microkernels* microkernels;
  const smx_types* input;  // to f32; of it alone `to_f32` and `input_bytes` are looked at
  const smx_types* mask;   // likewise; NULL of booleans
  enum smx_datatype input_type;
  enum smx_datatype mask_type;
  size_t mask_bytes;
  size_t mask_key_stride;
  float scale;
  float softcap;
};

// The keys that a query sees, and the sink behind them.
struct smx_attention_logits {
  struct smx_logits base;
  const struct smx_attention_maker* maker;
  const char* x;
  const char* mask;  // NULL: there is none
  size_t keys;
  const float* slope;  // NULL: there is none
  int64_t distance;    // of the first key from the query
  const float* sink;   // NULL: there is none
};

extern "C" {

// As smx_logits::make.
void smx_make_attention_logits(const struct smx_logits* logits, size_t start, size_t n, float* tile);

}  // extern "C"
