#include "test/microkernel_fixture.h"

#include <math.h>
#include <stdio.h>

#include <algorithm>
#include <map>
#include <utility>

namespace smx {
namespace {

constexpr uint64_t kSeed = 20250101;

bool IsParameterOfATest(const std::string& function) {
  const testing::UnitTest& program = *testing::UnitTest::GetInstance();
  for (int i = 0; i < program.total_test_suite_count(); i++) {
    const testing::TestSuite& suite = *program.GetTestSuite(i);
    for (int j = 0; j < suite.total_test_count(); j++) {
      const char* parameter = suite.GetTestInfo(j)->value_param();
      if (parameter != nullptr && parameter == function) return true;
    }
  }
  return false;
}

}  // namespace

void ExpectEveryMicrokernelHasATest(const std::vector<Microkernel>& microkernels) {
  for (const Microkernel& microkernel : microkernels) {
    EXPECT_TRUE(IsParameterOfATest(microkernel.function)) << microkernel.function << " has no test";
  }
}

std::vector<size_t> SmallSizes(size_t tile) {
  std::vector<size_t> sizes;
  for (size_t n = 1; n <= 2 * tile + 1; n++) sizes.push_back(n);
  return sizes;
}

std::vector<size_t> Sizes(size_t tile) {
  std::vector<size_t> sizes = SmallSizes(tile);
  for (size_t n : {1023, 1024, 1025, 2047, 2048, 2049, 4096, 4097, 16383, 16384}) {
    if (n <= LargestSize()) sizes.push_back(n);
  }
  return sizes;
}

std::vector<size_t> FewSizes(size_t tile) {
  return {1, 3, 17, tile - 1, tile + 5, 2 * tile + 1, 2 * SMX_BLOCK + 33, 4 * SMX_BLOCK + tile + 7};
}

void SumAndStore(const Microkernel& kernel, size_t n, const float* x, float* y, smx_f32_extended* sum,
                 const RowOptions& options) {
  kernel.As<smx_f32_raddstoreextexp_ukernel_fn>()(n, x, 0, options.mask, options.scale, y, sum, &kExp);
}

size_t RunRows(const Microkernel& kernel, size_t rows, size_t n, const float* x, size_t x_stride, float* y,
               size_t y_stride, const RowOptions& options) {
  size_t done = SIZE_MAX;
  const std::string name = kernel.kernel;
  if (name == "f32_softmax") {
    kernel.As<smx_f32_softmax_ukernel_fn>()(
        rows, n, options.growth, x, x_stride, nullptr, 0, options.mask, options.mask_stride, options.scale,
        options.sinks, options.sink_stride, y, y_stride, options.width, options.streams, &done, &kExp);
  } else if (name == "f32_log_softmax") {
    kernel.As<smx_f32_log_softmax_ukernel_fn>()(rows, n, x, x_stride, y, y_stride, options.streams, &done,
                                                &kExp);
  } else if (name == "f32_softmax_transposed") {
    kernel.As<smx_f32_softmax_transposed_ukernel_fn>()(
        rows, n, options.growth, options.growing_rows, x, x_stride, options.mask, options.mask_stride,
        options.mask_rows, options.scale, y, y_stride, &done, &kExp);
  } else {
    kernel.As<smx_f32_log_softmax_transposed_ukernel_fn>()(rows, n, x, x_stride, y, y_stride, &done, &kExp);
  }
  return done;
}

testing::AssertionResult SameBits(const float* actual, const float* expected, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const uint32_t a = Bits(actual[i]);
    const uint32_t e = Bits(expected[i]);
    const bool both_nan = (a & 0x7FFFFFFF) > 0x7F800000 && (e & 0x7FFFFFFF) > 0x7F800000;
    if (a != e && !both_nan) {
      char text[100];
      snprintf(text, sizeof(text), "element %zu of %zu is %a, not %a", i, n, static_cast<double>(actual[i]),
               static_cast<double>(expected[i]));
      return testing::AssertionFailure() << text;
    }
  }
  return testing::AssertionSuccess();
}

testing::AssertionResult SameBits(float actual, float expected) {
  return SameBits(&actual, &expected, 1);
}

const std::vector<float>& LongRow(const std::string& family) {
  static std::map<std::string, std::vector<float>> rows;
  std::vector<float>& row = rows[family];
  if (row.empty()) row = MakeRow(family, SMX_TILE, kSeed);
  return row;
}

const Reference& ReferenceFor(const std::string& family, size_t n) {
  static std::map<std::pair<std::string, size_t>, Reference> references;
  // Of a family's row: the exponentials of its first elements under one maximum, as many as were asked for.
  static std::map<std::pair<std::string, float>, std::shared_ptr<std::vector<long double>>> exponentials;
  const auto [found, is_new] = references.try_emplace({family, n});
  Reference& reference = found->second;
  if (!is_new) return reference;
  const std::vector<float>& x = LongRow(family);
  reference.x = x.data();
  reference.max = *std::max_element(x.begin(), x.begin() + static_cast<ptrdiff_t>(n));
  auto& terms = exponentials[{family, reference.max}];
  if (terms == nullptr) terms = std::make_shared<std::vector<long double>>();
  for (size_t i = terms->size(); i < n; i++) {
    terms->push_back(expl(static_cast<long double>(x[i]) - static_cast<long double>(reference.max)));
  }
  reference.terms = terms;
  CompensatedSum sum;
  for (size_t i = 0; i < n; i++) sum.Add((*terms)[i]);
  reference.sum = sum.value();
  return reference;
}

long double ScaledExp(long double x, int64_t exponent) {
  // Exponents of the kernels' range are below 2^19: the product is off by 2^-46, which is 2^-22 of a unit.
  constexpr long double kLn2 = 0.693147180559945309417232121458176568L;
  return expl(x - static_cast<long double>(exponent) * kLn2);
}

}  // namespace smx
