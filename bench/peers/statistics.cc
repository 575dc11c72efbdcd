#include "bench/peers/statistics.h"

#include <math.h>

#include <algorithm>

namespace smx_peers {

double Median(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const size_t n = samples.size();
  return (samples[(n - 1) / 2] + samples[n / 2]) / 2;
}

double GeometricMean(const std::vector<double>& numbers) {
  double sum = 0.0;
  for (const double number : numbers) sum += log(number);
  return exp(sum / static_cast<double>(numbers.size()));
}

}  // namespace smx_peers
