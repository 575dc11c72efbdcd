#include "test/fuzz/operators.h"

#include <math.h>
#include <string.h>

#include <algorithm>

#include "test/softmax_tester.h"
#include "test/ulp.h"

namespace smx {
namespace {

// The header's bound for every row.
double SoftmaxBound(bool elements_are_equal, long double exact) {
  if (elements_are_equal) return 1.0;
  return exact < 0x1p-101L ? 5.3 : 4.3;
}

bool IsRightElement(float y, long double exact, double bound) {
  uint32_t bits;
  memcpy(&bits, &y, sizeof(bits));
  if (isnan(exact)) return bits == kNanBits;
  return !signbit(y) && UlpError(y, exact) <= bound;
}

enum smx_status SetupSoftmaxF32(smx_operator_t op, size_t rows, size_t channels, size_t input_stride,
                                size_t output_stride, const void* input, void* output) {
  return smx_setup_softmax_nc_f32(op, rows, channels, input_stride, output_stride,
                                  static_cast<const float*>(input), static_cast<float*>(output));
}

void EncodeF32(const std::vector<float>& values, void* input) {
  memcpy(input, values.data(), values.size() * sizeof(float));
}

bool IsSoftmaxF32(const void* input, const void* output, size_t channels, uint32_t flags) {
  const float* first = static_cast<const float*>(input);
  const float* y = static_cast<const float*>(output);
  const std::vector<float> x(first, first + channels);
  const std::vector<long double> exact = ExactSoftmax(x, flags);
  const bool are_equal = std::all_of(x.begin(), x.end(), [&x](float f) { return f == x.front(); });
  for (size_t i = 0; i < channels; i++) {
    if (!IsRightElement(y[i], exact[i], SoftmaxBound(are_equal, exact[i]))) return false;
  }
  return true;
}

}  // namespace

const std::vector<FuzzedOperator>& FuzzedOperators() {
  static const std::vector<FuzzedOperator> operators = {
      {"softmax_nc_f32", SMX_FLAG_MASKED_ROWS_TO_ZERO, sizeof(float), sizeof(float),
       smx_create_softmax_nc_f32, SetupSoftmaxF32, EncodeF32, IsSoftmaxF32},
  };
  return operators;
}

}  // namespace smx
