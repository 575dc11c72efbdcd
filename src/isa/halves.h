// What instruction sets without masks for 16-bit elements share.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Copies n elements, n from 0 (or less: none) to kLanes - 1, in a few moves.
template <size_t kLanes>
static inline void smx_copy_halves(uint16_t* to, const uint16_t* from, ptrdiff_t n) {
  if (n <= 0) return;
  size_t done = 0;
  for (size_t step = kLanes / 2; step > 0; step /= 2) {
    if (((size_t)n & step) == 0) continue;
    memcpy(to + done, from + done, step * sizeof(*to));
    done += step;
  }
}
