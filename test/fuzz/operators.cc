#include "test/fuzz/operators.h"

#include <math.h>
#include <string.h>

#include <algorithm>

#include "test/elements.h"
#include "test/rows.h"
#include "test/softmax_tester.h"
#include "test/ulp.h"

namespace smx {
namespace {

bool IsRightElement(float y, long double exact, double bound) {
  uint32_t bits;
  memcpy(&bits, &y, sizeof(bits));
  if (isnan(exact)) return bits == kNanBits;
  return !signbit(y) && UlpError(y, exact) <= bound;
}

template <smx_datatype kType>
void EncodeTo(const std::vector<float>& values, void* input) {
  const std::vector<unsigned char> elements = Encode(kType, values.data(), values.size());
  memcpy(input, elements.data(), elements.size());
}

// Of f16 and bf16 the nearest element or its neighbour; what f32 flushes may be 0.
bool IsNearlyRounded(smx_datatype type, float y, long double exact) {
  if (isnan(exact)) return isnan(y);
  const int64_t away = OrdinalOf(type, y) - OrdinalOf(type, static_cast<float>(exact));
  return (away >= -1 && away <= 1) || (y == 0.0f && exact < 0x1p-125L);
}

template <smx_datatype kInput, smx_datatype kOutput>
bool IsSoftmax(const void* input, const void* output, size_t channels, uint32_t flags, float scale) {
  const std::vector<float> x = Decode(kInput, input, channels);
  const std::vector<float> y = Decode(kOutput, output, channels);
  const std::vector<long double> exact = ExactSoftmax(x, flags, scale);
  const bool are_equal = std::all_of(x.begin(), x.end(), [&x](float f) { return f == x.front(); });
  for (size_t i = 0; i < channels; i++) {
    const bool is_right = kOutput == smx_datatype_f32
                              ? IsRightElement(y[i], exact[i], are_equal ? 1.0 : SoftmaxBound(exact[i]))
                              : IsNearlyRounded(kOutput, y[i], exact[i]);
    if (!is_right) return false;
  }
  return true;
}

constexpr float kInputScale = 0.1f;

// The zero point is one that both types have.
constexpr smx_quantization kQuantization = {1.0f / 512.0f, 17};

// Half a step, and the errors of probabilities: 255 * (5.3 * 2^-23 + 2^-24).
template <smx_datatype kInput, smx_datatype kOutput>
bool IsQuantizedSoftmax(const void* input, const void* output, size_t channels, uint32_t flags, float scale) {
  if (kOutput == smx_datatype_f32) {
    return IsSoftmax<kInput, kOutput>(input, output, channels, flags, kInputScale * scale);
  }
  const std::vector<float> y = Decode(kOutput, output, channels);
  const std::vector<long double> exact =
      ExactSoftmax(Decode(kInput, input, channels), flags, kInputScale * scale);
  for (size_t i = 0; i < channels; i++) {
    const long double steps = exact[i] / kQuantization.scale + kQuantization.zero_point;
    if (fabsl(y[i] - std::clamp<long double>(steps, LeastOf(kOutput), LargestOf(kOutput))) > 0.5003L)
      return false;
  }
  return true;
}

bool IsLogSoftmax(const void* input, const void* output, size_t channels, uint32_t flags, float scale) {
  const std::vector<long double> products = Products(scale, Decode(smx_datatype_f32, input, channels));
  const std::vector<float> y = Decode(smx_datatype_f32, output, channels);
  const long double max = *std::max_element(products.begin(), products.end());
  const bool is_masked =
      std::all_of(products.begin(), products.end(), [](long double p) { return p == -INFINITY; });
  const bool is_special =
      std::any_of(products.begin(), products.end(), [](long double p) { return isnan(p) || p == INFINITY; });
  CompensatedSum sum;
  for (long double p : products) sum.Add(expl(p - max));
  for (size_t i = 0; i < channels; i++) {
    if (is_special || (is_masked && flags == 0)) {
      if (!isnan(y[i])) return false;
      continue;
    }
    const long double exact = is_masked ? -INFINITY : (products[i] - max) - logl(sum.value());
    if (LogUlpError(y[i], exact) > kLogUlps) return false;
  }
  return true;
}

template <smx_datatype kInput, smx_datatype kOutput>
FuzzedOperator Softmax(const char* name) {
  return {
      name,
      SMX_FLAG_MASKED_ROWS_TO_ZERO,
      BytesOf(kInput),
      BytesOf(kOutput),
      [](uint32_t flags, smx_operator_t* op) { return smx_create_softmax_nc(kInput, kOutput, flags, op); },
      smx_setup_softmax_nc,
      EncodeTo<kInput>,
      IsSoftmax<kInput, kOutput>};
}

template <smx_datatype kInput, smx_datatype kOutput>
FuzzedOperator QuantizedSoftmax(const char* name) {
  return {name,
          SMX_FLAG_MASKED_ROWS_TO_ZERO,
          BytesOf(kInput),
          BytesOf(kOutput),
          [](uint32_t flags, smx_operator_t* op) {
            return smx_create_softmax_nc_quantized(kInput, kInputScale, kOutput, &kQuantization, flags, op);
          },
          smx_setup_softmax_nc,
          EncodeTo<kInput>,
          IsQuantizedSoftmax<kInput, kOutput>};
}

}  // namespace

const std::vector<FuzzedOperator>& FuzzedOperators() {
  static const std::vector<FuzzedOperator> operators = {
      Softmax<smx_datatype_f32, smx_datatype_f32>("softmax_nc f32"),
      Softmax<smx_datatype_f16, smx_datatype_f16>("softmax_nc f16"),
      Softmax<smx_datatype_bf16, smx_datatype_bf16>("softmax_nc bf16"),
      Softmax<smx_datatype_f16, smx_datatype_f32>("softmax_nc f16 to f32"),
      Softmax<smx_datatype_f32, smx_datatype_bf16>("softmax_nc f32 to bf16"),
      {"log_softmax_nc f32", SMX_FLAG_MASKED_ROWS_TO_ZERO, sizeof(float), sizeof(float),
       [](uint32_t flags, smx_operator_t* op) {
         return smx_create_log_softmax_nc(smx_datatype_f32, smx_datatype_f32, flags, op);
       },
       smx_setup_log_softmax_nc, EncodeTo<smx_datatype_f32>, IsLogSoftmax},
      QuantizedSoftmax<smx_datatype_qu8, smx_datatype_qu8>("softmax_nc qu8"),
      QuantizedSoftmax<smx_datatype_qs8, smx_datatype_qs8>("softmax_nc qs8"),
      QuantizedSoftmax<smx_datatype_qs8, smx_datatype_f32>("softmax_nc qs8 to f32"),
  };
  return operators;
}

}  // namespace smx
