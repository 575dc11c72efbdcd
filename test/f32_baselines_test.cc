// The microkernels of the three-pass baselines: within their bounds, the same elements from every variant, nothing
// touched outside the rows. Their plain sums depend on the variant; nothing else does.
#include <float.h>
#include <math.h>

#include <algorithm>
#include <map>
#include <utility>

#include "src/runtime/fp_environment.h"
#include "test/guarded_buffer.h"
#include "test/microkernel_fixture.h"
#include "test/ulp.h"

namespace smx {
namespace {

// What a kernel left where it did not write.
constexpr float kUntouched = -123.0f;

// All kernels at one signature. Returns the maximum or the sum; y, max and scale are for those that take them.
float Call(const Microkernel& kernel, size_t n, const float* x, float* y, float max, float scale) {
  const smx_fp_environment environment;
  const std::string name = kernel.kernel;
  float result = kUntouched;
  if (name == "f32_rmax") {
    kernel.As<smx_f32_rmax_ukernel_fn>()(n, x, &result);
  } else if (name == "f32_raddexpminusmax") {
    kernel.As<smx_f32_raddexpminusmax_ukernel_fn>()(n, x, max, &result);
  } else if (name == "f32_raddstoreexpminusmax") {
    kernel.As<smx_f32_raddstoreexpminusmax_ukernel_fn>()(n, x, y, max, &result);
  } else if (name == "f32_vscaleexpminusmax") {
    kernel.As<smx_f32_vscaleexpminusmax_ukernel_fn>()(n, x, y, scale, max);
  } else {
    kernel.As<smx_f32_vmulc_ukernel_fn>()(n, x, y, scale);
  }
  return result;
}

float MaximumOf(const float* x, size_t n) {
  return *std::max_element(x, x + n);
}

constexpr float kScale = 0x1.5A5A5Ap-7f;

class Rmax : public MicrokernelTest {};
class SumExpMinusMax : public MicrokernelTest {};
class RaddStoreExpMinusMax : public MicrokernelTest {};
class VscaleExpMinusMax : public MicrokernelTest {};
class Vmulc : public MicrokernelTest {};
// Those that give elements, and all.
class BaselineMap : public MicrokernelTest {};
class Baseline : public MicrokernelTest {};

#define SMX_INSTANTIATE(suite, kernel) \
  INSTANTIATE_TEST_SUITE_P(kernel, suite, testing::ValuesIn(AvailableMicrokernels("f32_" #kernel)), TestName)

SMX_INSTANTIATE(Rmax, rmax);
SMX_INSTANTIATE(SumExpMinusMax, raddexpminusmax);
SMX_INSTANTIATE(SumExpMinusMax, raddstoreexpminusmax);
SMX_INSTANTIATE(RaddStoreExpMinusMax, raddstoreexpminusmax);
SMX_INSTANTIATE(VscaleExpMinusMax, vscaleexpminusmax);
SMX_INSTANTIATE(Vmulc, vmulc);
SMX_INSTANTIATE(BaselineMap, raddstoreexpminusmax);
SMX_INSTANTIATE(BaselineMap, vscaleexpminusmax);
SMX_INSTANTIATE(BaselineMap, vmulc);
SMX_INSTANTIATE(Baseline, rmax);
SMX_INSTANTIATE(Baseline, raddexpminusmax);
SMX_INSTANTIATE(Baseline, raddstoreexpminusmax);
SMX_INSTANTIATE(Baseline, vscaleexpminusmax);
SMX_INSTANTIATE(Baseline, vmulc);

TEST_P(Rmax, IsTheMaximum) {
  // Under flush-to-zero a denormal may come out as 0.
  const auto flushed = [](float x) { return fabsf(x) < FLT_MIN ? 0.0f : x; };
  for (const RowFamily& family : FiniteRows()) {
    const float* x = LongRow(family.name).data();
    for (size_t n : Sizes(kernel().tile)) {
      EXPECT_EQ(flushed(Call(kernel(), n, x, nullptr, 0, 0)), flushed(MaximumOf(x, n)))
          << family.name << ", n = " << n;
    }
  }
}

TEST_P(Rmax, FindsTheMaximumAnywhere) {
  for (size_t n : SmallSizes(kernel().tile)) {
    std::vector<float> x(n, -INFINITY);
    EXPECT_EQ(Call(kernel(), n, x.data(), nullptr, 0, 0), -INFINITY) << "n = " << n;
    for (size_t place = 0; place < n; place++) {
      x[place] = -FLT_MAX;
      EXPECT_EQ(Call(kernel(), n, x.data(), nullptr, 0, 0), -FLT_MAX) << "at " << place << " of " << n;
      x[place] = -INFINITY;
    }
  }
}

// What the exponentials of a row add to the relative error of its sum, in units of u: the mean of their bounds.
double MeanUnits(const Reference& reference, size_t n) {
  CompensatedSum sum;
  for (size_t i = 0; i < n; i++) {
    const double d = static_cast<double>(reference.x[i]) - static_cast<double>(reference.max);
    const long double term = (*reference.terms)[i];
    if (term > 0.0L) sum.Add(term * ExpMinusMaxUnits(d));
  }
  return static_cast<double>(sum.value() / reference.sum);
}

double SumBound(const std::string& family, size_t n) {
  static std::map<std::pair<std::string, size_t>, double> bounds;
  const auto [found, is_new] = bounds.try_emplace({family, n});
  if (is_new) found->second = MeanUnits(ReferenceFor(family, n), n) + PlainSumUnits(n);
  return found->second;
}

TEST_P(SumExpMinusMax, IsWithinBoundOfTheExactSum) {
  double worst = 0.0;
  for (const RowFamily& family : FiniteRows()) {
    const float* x = LongRow(family.name).data();
    for (size_t n : Sizes(kernel().tile)) {
      const float max = MaximumOf(x, n);
      if (max == -INFINITY) continue;  // the three-pass algorithms have no answer
      std::vector<float> y(n);
      const double error =
          UnitError(Call(kernel(), n, x, y.data(), max, 0), ReferenceFor(family.name, n).sum);
      const double bound = SumBound(family.name, n);
      EXPECT_LE(error, bound) << family.name << ", n = " << n;
      worst = std::max(worst, error / bound);
    }
  }
  RecordProperty("worst_part_of_bound", std::to_string(worst));
}

// Whether y[i] = exp(x[i] - max) * scale within the bound of the exponential, one more rounding where it is scaled, and
// what is flushed.
void ExpectExponentials(const Reference& reference, const std::vector<float>& y, float scale,
                        double roundings) {
  Worst worst;
  for (size_t i = 0; i < y.size(); i++) {
    const double d = static_cast<double>(reference.x[i]) - static_cast<double>(reference.max);
    const double exact = static_cast<double>((*reference.terms)[i]);
    const double relative = exact > 0.0 ? (ExpMinusMaxUnits(d) + roundings) * 0x1p-24 : 0.0;
    const double bound = (exact * relative + kExpMinusMaxFlushed) * scale + (roundings > 0.0 ? FLT_MIN : 0.0);
    worst.Note(fabs(y[i] - exact * scale) / bound, i);
    EXPECT_TRUE(y[i] == 0.0f || y[i] >= FLT_MIN) << "element " << i << " is denormal";
  }
  EXPECT_LE(worst.error(), 1.0) << "part of the bound, element " << worst.index();
}

TEST_P(RaddStoreExpMinusMax, TermsAreWithinBound) {
  for (const RowFamily& family : FiniteRows()) {
    const float* x = LongRow(family.name).data();
    for (size_t n : FewSizes(kernel().tile)) {
      if (MaximumOf(x, n) == -INFINITY) continue;
      SCOPED_TRACE(testing::Message() << family.name << ", n = " << n);
      std::vector<float> y(n);
      Call(kernel(), n, x, y.data(), MaximumOf(x, n), 0);
      ExpectExponentials(ReferenceFor(family.name, n), y, 1.0f, 0.0);
    }
  }
}

TEST_P(VscaleExpMinusMax, IsWithinBoundOfTheExactValue) {
  for (const RowFamily& family : FiniteRows()) {
    const float* x = LongRow(family.name).data();
    for (size_t n : FewSizes(kernel().tile)) {
      if (MaximumOf(x, n) == -INFINITY) continue;
      SCOPED_TRACE(testing::Message() << family.name << ", n = " << n);
      std::vector<float> y(n);
      Call(kernel(), n, x, y.data(), MaximumOf(x, n), kScale);
      ExpectExponentials(ReferenceFor(family.name, n), y, kScale, 1.0);
    }
  }
}

TEST_P(Vmulc, IsTheRoundedProduct) {
  for (float scale : {1.0f, kScale, 0x1.FFFFFEp-1f, 0x1p-100f}) {
    for (size_t n : FewSizes(kernel().tile)) {
      const std::vector<float> x = NormalRow(n, 4.0f, n);
      std::vector<float> y(n);
      Call(kernel(), n, x.data(), y.data(), 0, scale);
      Worst worst;
      for (size_t i = 0; i < n; i++) {
        worst.Note(UlpError(y[i], static_cast<long double>(x[i]) * static_cast<long double>(scale)), i);
      }
      EXPECT_LE(worst.error(), kRoundedUlps) << "element " << worst.index();
    }
  }
}

TEST_P(BaselineMap, GivesTheElementsOfScalar) {
  for (const RowFamily& family : FiniteRows()) {
    const float* x = LongRow(family.name).data();
    const size_t longest = 4 * SMX_BLOCK;
    const float max = MaximumOf(x, longest);
    std::vector<float> expected(longest);
    Call(ScalarMicrokernel(kernel().kernel), longest, x, expected.data(), max, kScale);
    for (size_t n : Sizes(kernel().tile)) {
      if (n > longest) continue;
      std::vector<float> y(n);
      Call(kernel(), n, x, y.data(), max, kScale);
      EXPECT_TRUE(SameBits(y.data(), expected.data(), n)) << family.name << ", n = " << n;
    }
  }
}

TEST_P(BaselineMap, RunsInPlace) {
  const float* row = LongRow("normal_4").data();
  for (size_t n : SmallSizes(kernel().tile)) {
    std::vector<float> expected(n);
    Call(kernel(), n, row, expected.data(), 24.0f, kScale);
    GuardedBuffer<float> x(row, n);
    Call(kernel(), n, x.data(), x.data(), 24.0f, kScale);
    EXPECT_TRUE(SameBits(x.data(), expected.data(), n)) << "n = " << n;
  }
}

TEST_P(Baseline, StaysInsideItsRowAtAnyAlignment) {
  const float* row = LongRow("normal_4").data();
  for (size_t n : SmallSizes(kernel().tile)) {
    std::vector<float> expected(n, kUntouched);
    const float expected_result = Call(kernel(), n, row, expected.data(), 24.0f, kScale);
    for (GuardedEdge edge : {GuardedEdge::kEnd, GuardedEdge::kBeginning}) {
      // At the edge, and at an alignment that changes with the size.
      for (size_t offset : {size_t{0}, 1 + n % 15}) {
        SCOPED_TRACE(testing::Message() << "n = " << n << ", offset " << offset);
        const GuardedBuffer<float> x(row, n, edge, offset);
        GuardedBuffer<float> y(std::vector<float>(n, kUntouched), edge, offset);
        EXPECT_EQ(Call(kernel(), n, x.data(), y.data(), 24.0f, kScale), expected_result);
        EXPECT_TRUE(SameBits(y.data(), expected.data(), n));
        EXPECT_TRUE(SameBits(x.data(), row, n)) << "the input was written";
        EXPECT_TRUE(x.SurroundingsAreIntact());
        EXPECT_TRUE(y.SurroundingsAreIntact());
      }
    }
  }
}

TEST(List, EveryBaselineHasATest) {
#define SMX_EXPECT(kernel) ExpectEveryMicrokernelHasATest(AvailableMicrokernels(#kernel));
  SMX_FOREACH_BASELINE_KERNEL(SMX_EXPECT)
#undef SMX_EXPECT
}

}  // namespace
}  // namespace smx
