// The k largest elements of a row: what its microkernel takes, and its keys.
#pragma once

#include <stddef.h>
#include <stdint.h>

// The most elements that are asked for, and that a row has, and the fewest rows.
#define SMX_TOPK 64
#define SMX_TOPK_ROW 512
#define SMX_TOPK_ROWS 16

// A key is SMX_TOPK_ROW times the number of an element in the order of elements, plus this: keys of a row are different
// integers of fewer than 42 bits, which a double holds, and of equal elements the lower index has the larger one.
static inline double smx_topk_rank(size_t index) {
  return (double)(SMX_TOPK_ROW - 1 - index);
}

// The index of a key's element.
static inline int32_t smx_topk_index(double key) {
  return SMX_TOPK_ROW - 1 - (int32_t)((int64_t)key & (SMX_TOPK_ROW - 1));
}
