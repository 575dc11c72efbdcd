// What instruction sets without masks for elements of 8 and 16 bits share.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Copies n elements, n from 0 (or less: none) to kLanes - 1, in a few moves.
template <size_t kLanes, class Element>
static inline void smx_copy_tail(Element* to, const Element* from, ptrdiff_t n) {
  if (n <= 0) return;
  size_t done = 0;
  for (size_t step = kLanes / 2; step > 0; step /= 2) {
    if (((size_t)n & step) == 0) continue;
    memcpy(to + done, from + done, step * sizeof(*to));
    done += step;
  }
}
