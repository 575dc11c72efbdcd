// What the tests of microkernels share.
#pragma once

#include <gtest/gtest.h>
#include <stdint.h>
#include <string.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "test/extent.h"
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

// Four blocks and an element do where tests are sparse.
inline size_t LargestSize() {
  return RunsSparseTests() ? 4 * SMX_BLOCK + 1 : SMX_TILE;
}

// n = 1 ... 2 * tile + 1: every remainder and tail after none, one and two turns of the main loop.
std::vector<size_t> SmallSizes(size_t tile);
// Those, and sizes around the ends of blocks and of a tile of the sum, up to LargestSize().
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

// Logits that a kernel is to make, scale * x + mask, none where the mask is NULL; whether results bypass the caches; how far zeros follow
// them; after how many rows the mask and the rows' lengths begin anew; and sinks.
struct RowOptions {
  const float* mask = nullptr;
  size_t mask_stride = 0;
  float scale = 1.0f;
  bool streams = false;
  ptrdiff_t growth = 0;
  size_t width = 0;
  size_t mask_rows = SIZE_MAX;
  size_t growing_rows = SIZE_MAX;
  const float* sinks = nullptr;
  size_t sink_stride = 0;
};

// Calls f32-raddstoreextexp.
void SumAndStore(const Microkernel& kernel, size_t n, const float* x, float* y, smx_f32_extended* sum,
                 const RowOptions& options = {});

// Calls a kernel on several rows; of them those of softmax take a mask, and those of rows as lanes do not stream. Returns how many rows
// are done.
size_t RunRows(const Microkernel& kernel, size_t rows, size_t n, const float* x, size_t x_stride, float* y,
               size_t y_stride, const RowOptions& options = {});

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
