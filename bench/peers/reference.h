// What a softmax has to give, and how far from it is still a softmax.
#pragma once

#include <vector>

#include "bench/shape.h"

namespace smx_peers {

// Of all elements; infinite where one is NaN or infinite.
struct Error {
  double ulp;       // the largest, in ULP: the spacing of floats at the exact value
  double mean_ulp;  // the mean
  double relative;  // the largest, relative to the exact value
};

// The softmax of each row of x in double precision.
class Reference {
 public:
  Reference(const smx_bench::Shape& shape, const float* x);

  Error ErrorOf(const float* y) const;

 private:
  std::vector<double> exact_;
};

// The relative error that a row of this length may have: what n plain additions and the rounding of x - max can leave,
// and no more than twice of what a peer was seen to be off.
double TolerableRelativeError(size_t channels);

}  // namespace smx_peers
