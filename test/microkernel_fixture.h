// What the tests of microkernels share.
#pragma once

#include <gtest/gtest.h>
#include <stdint.h>
#include <string.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "test/isas.h"
#include "test/rows.h"

namespace smx {

// A test of a microkernel: instantiated for each row of the list that can run here.
class MicrokernelTest : public testing::TestWithParam<Microkernel> {
 protected:
  const Microkernel& kernel() const { return GetParam(); }
};

inline std::string TestName(const testing::TestParamInfo<Microkernel>& info) {
  return info.param.function;
}

// Fails where one of them is not the parameter of any test of this program.
void ExpectEveryMicrokernelHasATest(const std::vector<Microkernel>& microkernels);

// Whether SMXPACK_FULL_TESTS=1 in the environment asks for tests that take minutes.
bool RunsFullTests();

// AArch64 is mostly met under emulation, some 50 times slower and with long double in software: four blocks and an
// element do there.
#if defined(__aarch64__)
constexpr size_t kLargestSize = 4 * SMX_BLOCK + 1;
#else
constexpr size_t kLargestSize = SMX_TILE;
#endif

// n = 1 ... 2 * tile + 1: every remainder and tail after none, one and two turns of the main loop.
std::vector<size_t> SmallSizes(size_t tile);
// Those, and sizes around the ends of blocks and of a tile of the sum, up to kLargestSize.
std::vector<size_t> Sizes(size_t tile);
// A few sizes, for what is tested at many places.
std::vector<size_t> FewSizes(size_t tile);

// Of a scale of 1.
inline const smx_f32_exponential kExp = smx_f32_exponential_of(1.0f);

inline uint32_t Bits(float f) {
  uint32_t bits;
  memcpy(&bits, &f, sizeof(bits));
  return bits;
}

inline float FromBits(uint32_t bits) {
  float f;
  memcpy(&f, &bits, sizeof(f));
  return f;
}

// All NaNs count as the same.
testing::AssertionResult SameBits(const float* actual, const float* expected, size_t n);
testing::AssertionResult SameBits(float actual, float expected);

// The largest of many errors, and where it was.
class Worst {
 public:
  void Note(double error, size_t index) {
    if (!(error <= error_) && !std::isnan(error_)) {
      error_ = error;
      index_ = index;
    }
  }
  double error() const { return error_; }
  size_t index() const { return index_; }

 private:
  double error_ = 0.0;
  size_t index_ = 0;
};

// SMX_TILE elements of a family of rows.
const std::vector<float>& LongRow(const std::string& family);

// The exact exponentials of the first n elements of LongRow(family). Kept, since every microkernel is held against
// the same. The maximum must be finite.
struct Reference {
  const float* x;
  float max;
  long double sum;                                        // of exp(x[i] - max)
  std::shared_ptr<const std::vector<long double>> terms;  // exp(x[i] - max), of n elements or more
};
const Reference& ReferenceFor(const std::string& family, size_t n);

// exp(x) * 2^-exponent, in long double.
long double ScaledExp(long double x, int64_t exponent);

}  // namespace smx
