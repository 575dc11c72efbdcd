#include "bench/peers/reference.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <algorithm>
#include <limits>
#include <numeric>

namespace smx_peers {
namespace {

// The power of two below a positive number, of its bits: millions of calls of ilogb take longer than what is measured.
double PowerOfTwoBelow(double number) {
  uint64_t bits;
  memcpy(&bits, &number, sizeof(bits));
  bits &= ~uint64_t{0} << (DBL_MANT_DIG - 1);
  memcpy(&number, &bits, sizeof(number));
  return number;
}

double UlpOf(double exact) {
  return std::max<double>(PowerOfTwoBelow(exact), FLT_MIN) * FLT_EPSILON;
}

// By halves, so that errors grow with the logarithm of n: plain additions of 2^28 terms may be off by half an ULP of a
// float.
double Sum(const double* terms, size_t n) {
  constexpr size_t kAddedPlainly = 1024;
  if (n <= kAddedPlainly) return std::accumulate(terms, terms + n, 0.0);
  return Sum(terms, n / 2) + Sum(terms + n / 2, n - n / 2);
}

}  // namespace

Reference::Reference(const smx_bench::Shape& shape, const float* x) : exact_(shape.elements()) {
  for (double* row = exact_.data(); row != exact_.data() + exact_.size(); row += shape.channels) {
    const double max = *std::max_element(x, x + shape.channels);
    for (size_t i = 0; i < shape.channels; i++) row[i] = exp(x[i] - max);
    const double sum = Sum(row, shape.channels);
    for (size_t i = 0; i < shape.channels; i++) row[i] /= sum;
    x += shape.channels;
  }
}

Error Reference::ErrorOf(const float* y) const {
  Error error = {0.0, 0.0, 0.0};
  for (size_t i = 0; i < exact_.size(); i++) {
    const double difference =
        isfinite(y[i]) ? fabs(y[i] - exact_[i]) : std::numeric_limits<double>::infinity();
    const double ulp = difference / UlpOf(exact_[i]);
    error.ulp = std::max(error.ulp, ulp);
    error.mean_ulp += ulp;
    error.relative = std::max(error.relative, difference / exact_[i]);
  }
  error.mean_ulp /= static_cast<double>(exact_.size());
  return error;
}

double TolerableRelativeError(size_t channels) {
  constexpr double kUnit = 0x1p-24;
  constexpr double kExponentialUnits =
      128;                        // inputs of the benches are at most 64 apart, twice as much with their sum
  constexpr double kMost = 0.05;  // XNNPACK of 2022 is off by 0.023 on a row of 2^28
  return std::min((kExponentialUnits + static_cast<double>(channels)) * kUnit, kMost);
}

}  // namespace smx_peers
