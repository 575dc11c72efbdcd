// What samples are condensed to.
#pragma once

#include <vector>

namespace smx_peers {

// The middle one, or the mean of the two in the middle. There is at least one sample.
double Median(std::vector<double> samples);

// Of positive numbers, at least one.
double GeometricMean(const std::vector<double>& numbers);

}  // namespace smx_peers
