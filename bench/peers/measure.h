// How subjects are checked and timed.
#pragma once

#include <random>
#include <vector>

#include "bench/peers/options.h"
#include "bench/peers/subjects.h"

namespace smx_peers {

// Checks every subject's result, then times all of them, in rounds of one sample each whose order is shuffled. Throws
// where a result is no softmax.
ShapeResults Measure(const std::vector<Subject>& subjects, const Shape& shape, const Options& options,
                     std::mt19937* random);

}  // namespace smx_peers
