// What a softmax has to give, and how far from it is still a softmax.
#pragma once

#include "bench/shape.h"

namespace smx_peers {

struct Error {
  double ulp;       // in ULP: the spacing of floats at the exact value
  double relative;  // to the exact value
};

// The largest error of all elements of y, against double precision. Infinite where an element is NaN or infinite.
Error LargestError(const smx_bench::Shape& shape, const float* x, const float* y);

// The relative error that a row of this length may have: what n plain additions and the rounding of x - max can leave,
// and no more than twice of what a peer was seen to be off.
double TolerableRelativeError(size_t channels);

}  // namespace smx_peers
