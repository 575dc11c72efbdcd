// What a softmax has to give, and how far from it is still a softmax.
#pragma once

#include <vector>

#include "bench/peers/problem.h"
#include "bench/shape.h"

namespace smx_peers {

// Of all elements; infinite where one is NaN or infinite.
struct Error {
  double ulp;       // the largest, in ULP: the spacing of the type's numbers at the exact value
  double mean_ulp;  // the mean
  double relative;  // the largest, relative to the exact value
};

// A problem's results of x in double precision. Values below the type's smallest normal number count as that in what is
// relative to them, logarithms above -1 as -1.
class Reference {
 public:
  Reference(const smx_bench::Shape& shape, const void* x, const Problem& problem = {});

  Error ErrorOf(const void* y) const;

 private:
  double ElementOf(const void* matrix, size_t row, size_t channel) const;

  smx_bench::Shape shape_;
  Problem problem_;
  std::vector<double> exact_;  // row by row, whatever the axis is
};

// The relative error that a row of this length may have: what n plain additions and the rounding of x - max can leave,
// and no more than twice of what a peer was seen to be off; and the roundings to a type.
double TolerableRelativeError(size_t channels, smx_datatype type = smx_datatype_f32);

}  // namespace smx_peers
