#include "bench/peers/reference.h"

#include <float.h>
#include <fp16.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "src/isa/scalar.h"

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

// Of numbers of a type: the least that is normal, and the spacing at 1.
struct Precision {
  double smallest;
  double epsilon;
};

Precision PrecisionOf(smx_datatype type) {
  switch (type) {
    case smx_datatype_f16:
      return {0x1p-14, 0x1p-10};
    case smx_datatype_bf16:
      return {FLT_MIN, 0x1p-7};
    default:
      return {FLT_MIN, FLT_EPSILON};
  }
}

// By halves, so that errors grow with the logarithm of n: plain additions of 2^28 terms may be off by half an ULP of a
// float.
double Sum(const double* terms, size_t n) {
  constexpr size_t kAddedPlainly = 1024;
  if (n <= kAddedPlainly) return std::accumulate(terms, terms + n, 0.0);
  return Sum(terms, n / 2) + Sum(terms + n / 2, n - n / 2);
}

}  // namespace

Reference::Reference(const smx_bench::Shape& shape, const void* x, const Problem& problem)
    : shape_(shape), problem_(problem), exact_(shape.elements()) {
  for (size_t r = 0; r < shape.rows; r++) {
    double* const row = exact_.data() + r * shape.channels;
    for (size_t i = 0; i < shape.channels; i++) row[i] = ElementOf(x, r, i);
    const double max = *std::max_element(row, row + shape.channels);
    for (size_t i = 0; i < shape.channels; i++) row[i] = exp(row[i] - max);
    const double sum = Sum(row, shape.channels);
    for (size_t i = 0; i < shape.channels; i++) {
      row[i] = problem.logarithm ? ElementOf(x, r, i) - max - log(sum) : row[i] / sum;
    }
  }
}

double Reference::ElementOf(const void* matrix, size_t row, size_t channel) const {
  const size_t i = problem_.axis == 0 ? channel * shape_.rows + row : row * shape_.channels + channel;
  switch (problem_.type) {
    case smx_datatype_f16:
      return fp16_ieee_to_fp32_value(static_cast<const uint16_t*>(matrix)[i]);
    case smx_datatype_bf16:
      return scalar_from_bf16(static_cast<const uint16_t*>(matrix)[i]);
    default:
      return static_cast<const float*>(matrix)[i];
  }
}

Error Reference::ErrorOf(const void* y) const {
  const Precision precision = PrecisionOf(problem_.type);
  const double smallest = problem_.logarithm ? 1.0 : precision.smallest;
  Error error = {0.0, 0.0, 0.0};
  for (size_t i = 0; i < exact_.size(); i++) {
    const double result = ElementOf(y, i / shape_.channels, i % shape_.channels);
    const double difference =
        isfinite(result) ? fabs(result - exact_[i]) : std::numeric_limits<double>::infinity();
    const double magnitude = std::max(fabs(exact_[i]), smallest);
    const double ulp = difference / (PowerOfTwoBelow(magnitude) * precision.epsilon);
    error.ulp = std::max(error.ulp, ulp);
    error.mean_ulp += ulp;
    error.relative = std::max(error.relative, difference / magnitude);
  }
  error.mean_ulp /= static_cast<double>(exact_.size());
  return error;
}

double TolerableRelativeError(size_t channels, smx_datatype type) {
  constexpr double kUnit = 0x1p-24;
  constexpr double kExponentialUnits =
      128;                        // inputs of the benches are at most 64 apart, twice as much with their sum
  constexpr double kMost = 0.05;  // XNNPACK of 2022 is off by 0.023 on a row of 2^28
  const double of_floats = std::min((kExponentialUnits + static_cast<double>(channels)) * kUnit, kMost);
  return type == smx_datatype_f32 ? of_floats : of_floats + PrecisionOf(type).epsilon;
}

}  // namespace smx_peers
