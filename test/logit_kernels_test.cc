// The kernels that make the logits of attention: the bits of their formulas, nothing touched outside the rows.
#include <float.h>
#include <math.h>

#include <cmath>
#include <functional>

#include "src/kernels/softcap.h"
#include "src/runtime/fp_environment.h"
#include "test/guarded_buffer.h"
#include "test/microkernel_fixture.h"
#include "test/ulp.h"

namespace smx {
namespace {

constexpr float kScale = 0.08838835f;
constexpr float kSlope = 0x1p-3f;
constexpr float kFirst = -700.0f;
constexpr float kRatio = 0.02f;
constexpr float kCap = 50.0f;

// How a kernel is called, what it makes of an element, and of which kernel that is.
struct Formula {
  const char* kernel;
  std::function<void(const Microkernel&, size_t n, const float* x, const float* mask, float* y)> run;
  std::function<float(float x, float mask, size_t i)> result;
};

void RunSoftCap(const Microkernel& kernel, size_t n, const float* x, float* y, float ratio, float cap) {
  const smx_fp_environment environment;
  kernel.As<smx_f32_vsoftcap_ukernel_fn>()(n, x, y, ratio, cap);
}

// A mask of booleans, of which those that are true are any bytes.
std::vector<uint8_t> SeenWhere(size_t n, const float* mask) {
  std::vector<uint8_t> sees(n);
  for (size_t i = 0; i < n; i++) sees[i] = mask[i] == -INFINITY ? 0 : static_cast<uint8_t>(1 + i % 255);
  return sees;
}

const std::vector<Formula>& Formulas() {
  static const std::vector<Formula> formulas = {
      {"f32_vaddmask",
       [](const Microkernel& kernel, size_t n, const float* x, const float* mask, float* y) {
         const smx_fp_environment environment;
         kernel.As<smx_f32_vaddmask_ukernel_fn>()(n, x, mask, y, kScale);
       },
       [](float x, float mask, size_t) { return mask == -INFINITY ? mask : std::fma(kScale, x, mask); }},
      {"qu8_f32_vselect",
       [](const Microkernel& kernel, size_t n, const float* x, const float* mask, float* y) {
         const GuardedBuffer<uint8_t> sees(SeenWhere(n, mask));
         const smx_fp_environment environment;
         kernel.As<smx_qu8_f32_vselect_ukernel_fn>()(n, sees.data(), x, y, kScale);
       },
       [](float x, float mask, size_t) { return mask == -INFINITY ? mask : kScale * x; }},
      {"f32_vaddslope",
       [](const Microkernel& kernel, size_t n, const float* x, const float*, float* y) {
         const smx_fp_environment environment;
         kernel.As<smx_f32_vaddslope_ukernel_fn>()(n, x, y, kScale, kSlope, kFirst);
       },
       [](float x, float, size_t i) {
         return std::fma(kScale, x, -(kSlope * fabsf(kFirst + static_cast<float>(i))));
       }},
      {"f32_vsoftcap",
       [](const Microkernel& kernel, size_t n, const float* x, const float*, float* y) {
         RunSoftCap(kernel, n, x, y, kRatio, kCap);
       },
       [](float x, float, size_t) {
         float y;
         RunSoftCap(ScalarMicrokernel("f32_vsoftcap"), 1, &x, &y, kRatio, kCap);
         return y;
       }},
  };
  return formulas;
}

std::vector<Microkernel> Kernels() {
  std::vector<Microkernel> kernels;
  for (const Formula& formula : Formulas()) {
    const std::vector<Microkernel> of_formula = AvailableMicrokernels(formula.kernel);
    kernels.insert(kernels.end(), of_formula.begin(), of_formula.end());
  }
  return kernels;
}

class LogitKernel : public MicrokernelTest {
 protected:
  const Formula& formula() const {
    return *std::find_if(Formulas().begin(), Formulas().end(),
                         [this](const Formula& each) { return each.kernel == std::string(kernel().kernel); });
  }
  std::vector<float> Expected(const std::vector<float>& x, const std::vector<float>& mask) const {
    std::vector<float> y(x.size());
    for (size_t i = 0; i < x.size(); i++) y[i] = formula().result(x[i], mask[i], i);
    return y;
  }
};

INSTANTIATE_TEST_SUITE_P(List, LogitKernel, testing::ValuesIn(Kernels()), TestName);

// Masks leave every third element out, and every seventh is as finite as masks are.
std::vector<float> MaskRow(size_t n) {
  std::vector<float> mask = NormalRow(n, 2.0f, 3);
  for (size_t i = 0; i < n; i += 3) mask[i] = -INFINITY;
  for (size_t i = 0; i < n; i += 7) mask[i] = -1e9f;
  return mask;
}

TEST_P(LogitKernel, GivesTheBitsOfItsFormulaInsideItsRow) {
  constexpr size_t kLongest = 1400;
  const std::vector<float> all_x = NormalRow(kLongest, 40.0f, 1);
  const std::vector<float> all_mask = MaskRow(kLongest);
  std::vector<size_t> sizes = SmallSizes(kernel().tile);
  sizes.push_back(kLongest);
  for (const size_t n : sizes) {
    for (const GuardedEdge edge : {GuardedEdge::kEnd, GuardedEdge::kBeginning}) {
      SCOPED_TRACE(testing::Message() << "n = " << n);
      GuardedBuffer<float> x(all_x.data(), n, edge);
      const GuardedBuffer<float> mask(all_mask.data(), n, edge);
      GuardedBuffer<float> y(n, edge, 3);
      const std::vector<float> expected = Expected({x.begin(), x.end()}, {mask.begin(), mask.end()});
      formula().run(kernel(), n, x.data(), mask.data(), y.data());
      ASSERT_TRUE(SameBits(y.data(), expected.data(), n));
      EXPECT_TRUE(y.SurroundingsAreIntact());
      formula().run(kernel(), n, x.data(), mask.data(), x.data());
      ASSERT_TRUE(SameBits(x.data(), expected.data(), n)) << "in place";
      EXPECT_TRUE(x.SurroundingsAreIntact());
    }
  }
}

// NaN stays, but where the mask leaves it out.
TEST_P(LogitKernel, TakesSpecialElements) {
  const std::vector<float> x = {NAN, INFINITY, -INFINITY, 0.0f, 3e38f, -3e38f, NAN, INFINITY, 1.0f, NAN};
  const std::vector<float> mask = {0.0f, 0.0f, 0.0f, NAN, 0.0f, 0.0f, -INFINITY, -INFINITY, -FLT_MAX, 1.0f};
  const std::vector<float> expected = Expected(x, mask);
  std::vector<float> y(x.size());
  formula().run(kernel(), x.size(), x.data(), mask.data(), y.data());
  EXPECT_TRUE(SameBits(y.data(), expected.data(), y.size()));
  EXPECT_TRUE(isnan(y[0]));
}

class SoftCap : public MicrokernelTest {};
INSTANTIATE_TEST_SUITE_P(List, SoftCap, testing::ValuesIn(AvailableMicrokernels("f32_vsoftcap")), TestName);

// tanh itself: every 4099th float, or fewer.
TEST_P(SoftCap, IsWithinFiveUlps) {
  const uint32_t step = RunsSparseTests() ? 999983 : 4099;
  std::vector<float> x;
  for (uint32_t bits = 0x00800000; bits < 0x7F800000; bits += step) x.push_back(FromBits(bits));
  std::vector<float> y(x.size());
  RunSoftCap(kernel(), x.size(), x.data(), y.data(), 1.0f, 1.0f);
  Worst worst;
  for (size_t i = 0; i < x.size(); i++) worst.Note(UlpError(y[i], tanhl(x[i])), i);
  EXPECT_LE(worst.error(), kTanhUlps) << "tanh(" << x[worst.index()] << ")";
  RecordProperty("worst_ulps", std::to_string(worst.error()));
}

TEST_P(SoftCap, IsOddAndEndsAtTheCap) {
  const float x[] = {INFINITY, -INFINITY, 1e30f, -1e30f, 9.0f, -9.0f, 0.3f, -0.3f, 0.0f};
  float y[9];
  RunSoftCap(kernel(), 9, x, y, 1.0f, 1.0f);
  for (int i = 0; i < 8; i += 2) EXPECT_EQ(y[i], -y[i + 1]);
  EXPECT_NEAR(y[0], 1.0f, kTanhUlps * 0x1p-24);
  EXPECT_EQ(y[8], 0.0f);
}

TEST(List, EveryVariantHasATest) {
  for (const Formula& formula : Formulas())
    ExpectEveryMicrokernelHasATest(AvailableMicrokernels(formula.kernel));
}

}  // namespace
}  // namespace smx
