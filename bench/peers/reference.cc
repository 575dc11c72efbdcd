#include "bench/peers/reference.h"

#include <float.h>
#include <math.h>

#include <algorithm>
#include <limits>

namespace smx_peers {
namespace {

double UlpOf(double exact) {
  return ldexp(1.0, std::max(ilogb(exact), FLT_MIN_EXP - 1) - (FLT_MANT_DIG - 1));
}

}  // namespace

Error LargestError(const smx_bench::Shape& shape, const float* x, const float* y) {
  Error largest = {0.0, 0.0};
  for (size_t row = 0; row < shape.rows; row++, x += shape.channels, y += shape.channels) {
    const double max = *std::max_element(x, x + shape.channels);
    double sum = 0.0;
    for (size_t i = 0; i < shape.channels; i++) sum += exp(x[i] - max);
    for (size_t i = 0; i < shape.channels; i++) {
      const double exact = exp(x[i] - max) / sum;
      const double error = isfinite(y[i]) ? fabs(y[i] - exact) : std::numeric_limits<double>::infinity();
      largest.ulp = std::max(largest.ulp, error / UlpOf(exact));
      largest.relative = std::max(largest.relative, error / exact);
    }
  }
  return largest;
}

double TolerableRelativeError(size_t channels) {
  constexpr double kUnit = 0x1p-24;
  constexpr double kExponentialUnits =
      128;                        // inputs of the benches are at most 64 apart, twice as much with their sum
  constexpr double kMost = 0.05;  // XNNPACK of 2022 is off by 0.023 on a row of 2^28
  return std::min((kExponentialUnits + static_cast<double>(channels)) * kUnit, kMost);
}

}  // namespace smx_peers
