// The exponential of one element: its error over all floats, and the same bits from every kernel and instruction set.
//
// By default a sample is taken; with SMXPACK_FULL_TESTS=1 in the environment every float of the range.
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include <algorithm>

#include "src/runtime/fp_environment.h"
#include "test/microkernel_fixture.h"
#include "test/ulp.h"

namespace smx {
namespace {

bool IsFull() {
  const char* value = getenv("SMXPACK_FULL_TESTS");
  return value != nullptr && value == std::string("1");
}

float FromBits(uint32_t bits) {
  float f;
  memcpy(&f, &bits, sizeof(f));
  return f;
}

// AArch64 is mostly met under emulation, some 50 times slower: samples there are sparser. Odd, as the strides are.
#if defined(__aarch64__)
constexpr uint32_t kSparser = 7;
#else
constexpr uint32_t kSparser = 1;
#endif

// Floats in a row are next to each other, so that a batch of them fits under one reference.
constexpr uint32_t kBatch = 1024;
// A sample takes one batch in so many: no power of two, so that they spread over mantissas.
constexpr uint32_t kSampledBatches = 211 * kSparser;

// Calls check(x) with batches of the floats from 0 to `last`, which may be negative.
template <class Check>
void ForEachBatch(float last, Check check) {
  const uint32_t sign = Bits(last) & 0x80000000;
  const uint32_t end = Bits(last) - sign + 1;
  const uint32_t step = kBatch * (IsFull() ? 1 : kSampledBatches);
  for (uint32_t start = 0; start < end; start += step) {
    std::vector<float> x(std::min(kBatch, end - start));
    for (uint32_t i = 0; i < x.size(); i++) x[i] = FromBits(sign | (start + i));
    check(x);
  }
}

// (actual * 2^-exponent / exp(x) - 1) / u. The argument is reduced in double with a product that is exact, so that
// the reference is right to within 2^-51.
double ErrorOfExp(float actual, int32_t exponent, float x) {
  const double n = rint(x * 0x1.71547652b82fep+0);
  const double t = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;
  return fabs(ldexp(actual, -exponent - static_cast<int>(n)) / exp(t) - 1.0) * 0x1p24;
}

// The first variant of a kernel on every instruction set.
std::vector<Microkernel> FirstVariants(const std::string& kernel) {
  std::vector<Microkernel> variants;
  for (const Microkernel& microkernel : AvailableMicrokernels(kernel)) {
    const bool is_first = variants.empty() || variants.back().isa != std::string(microkernel.isa);
    if (is_first) variants.push_back(microkernel);
  }
  return variants;
}

smx_f32_extended StoreExp(const Microkernel& kernel, const std::vector<float>& x, std::vector<float>* y) {
  const smx_fp_environment environment;
  smx_f32_extended sum;
  y->resize(x.size());
  kernel.As<smx_f32_raddstoreextexp_ukernel_fn>()(x.size(), x.data(), y->data(), &sum);
  return sum;
}

TEST(ElementFunction, IsWithinBoundAndTheSameOnEveryIsa) {
  const std::vector<Microkernel> kernels = FirstVariants("f32_raddstoreextexp");
  Worst worst;
  std::vector<float> y, y_of_other;
  for (float last : {-smx_range, smx_range}) {
    ForEachBatch(last, [&](const std::vector<float>& x) {
      const smx_f32_extended sum = StoreExp(kernels[0], x, &y);
      for (size_t i = 0; i < x.size(); i++) {
        worst.Note(ErrorOfExp(y[i], SMX_BIAS - sum.reference, x[i]), Bits(x[i]));
      }
      for (size_t k = 1; k < kernels.size(); k++) {
        StoreExp(kernels[k], x, &y_of_other);
        ASSERT_TRUE(SameBits(y_of_other.data(), y.data(), x.size())) << kernels[k] << " from x = " << x[0];
      }
    });
  }
  EXPECT_LE(worst.error(), kExtExpUnits) << "x = " << FromBits(static_cast<uint32_t>(worst.index()));
  RecordProperty("worst_units", std::to_string(worst.error()));
}

// A sum of one element is that element's exponential, p * 2^(n - reference + SMX_BIAS), and the map times 1 gives the
// same p.
TEST(ElementFunction, IsTheSameInEveryKernel) {
  constexpr uint32_t kStride = 4099 * kSparser;
  const std::vector<Microkernel> sums = FirstVariants("f32_raddextexp");
  const std::vector<Microkernel> maps = FirstVariants("f32_vscaleextexp");
  Worst worst;
  for (uint32_t sign : {0x80000000u, 0u}) {
    for (uint32_t bits = 0; bits <= Bits(smx_range); bits += kStride) {
      const smx_fp_environment environment;
      const float x = FromBits(sign | bits);
      smx_f32_extended expected = {};
      for (size_t k = 0; k < sums.size(); k++) {
        smx_f32_extended sum;
        sums[k].As<smx_f32_raddextexp_ukernel_fn>()(1, &x, &sum);
        if (k == 0) expected = sum;
        ASSERT_EQ(sum.reference, expected.reference) << sums[k] << ", x = " << x;
        ASSERT_TRUE(SameBits(sum.hi, expected.hi)) << sums[k] << ", x = " << x;
        ASSERT_EQ(sum.lo, 0.0f) << sums[k] << ", x = " << x;
      }
      const smx_f32_reciprocal one = {1.0f, 0.0f, expected.reference};
      for (const Microkernel& map : maps) {
        float y;
        map.As<smx_f32_vscaleextexp_ukernel_fn>()(1, &x, &y, &one);
        ASSERT_TRUE(SameBits(ldexpf(y, SMX_BIAS), expected.hi)) << map << ", x = " << x;
      }
      worst.Note(ErrorOfExp(expected.hi, SMX_BIAS - expected.reference, x), Bits(x));
    }
  }
  EXPECT_LE(worst.error(), kExtExpUnits) << "x = " << FromBits(static_cast<uint32_t>(worst.index()));
}

// exp(x - max) of the three-pass baselines, with max = 0: nothing is rounded before it.
TEST(ElementFunction, OfTheBaselinesIsWithinBoundAndTheSameOnEveryIsa) {
  const std::vector<Microkernel> kernels = FirstVariants("f32_raddstoreexpminusmax");
  Worst worst;
  std::vector<float> y, y_of_other;
  ForEachBatch(-104.0f, [&](const std::vector<float>& x) {
    const auto run = [&x](const Microkernel& kernel, std::vector<float>* result) {
      const smx_fp_environment environment;
      float sum;
      result->resize(x.size());
      kernel.As<smx_f32_raddstoreexpminusmax_ukernel_fn>()(x.size(), x.data(), result->data(), 0.0f, &sum);
    };
    run(kernels[0], &y);
    for (size_t i = 0; i < x.size(); i++) {
      const double exact = exp(static_cast<double>(x[i]));
      const double flushed = exact < FLT_MIN ? FLT_MIN : kExpMinusMaxFlushed;
      worst.Note(std::max(0.0, fabs(y[i] - exact) - flushed) / exact * 0x1p24, Bits(x[i]));
    }
    for (size_t k = 1; k < kernels.size(); k++) {
      run(kernels[k], &y_of_other);
      ASSERT_TRUE(SameBits(y_of_other.data(), y.data(), x.size())) << kernels[k] << " from x = " << x[0];
    }
  });
  EXPECT_LE(worst.error(), kExpMinusMaxUnits) << "x = " << FromBits(static_cast<uint32_t>(worst.index()));
  RecordProperty("worst_units", std::to_string(worst.error()));
}

}  // namespace
}  // namespace smx
