// Runs the softmax operator as an application does, in whatever layout, and checks what comes out.
#pragma once

#include <gtest/gtest.h>
#include <pthreadpool.h>
#include <stddef.h>
#include <stdint.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

#include "include/smxpack.h"
#include "test/extent.h"
#include "test/guarded_buffer.h"

namespace smx {

// Longer rows are cut to this. Where tests are sparse, four tiles are enough for each algorithm and for rows split over
// threads.
inline size_t LongestRow() {
  return RunsSparseTests() ? 65536 : size_t{1} << 24;
}

inline size_t Capped(size_t channels) {
  return std::min(channels, LongestRow());
}

// The bits of every NaN that the library gives.
constexpr uint32_t kNanBits = 0x7FC00000;

// Thresholds under which the planner makes one choice, for the rows that it can be made for.
struct ForcedPlan {
  const char* name;
  const char* algorithm;
  bool streams_output;
  smx_thresholds thresholds;
  size_t fewest_rows;
  size_t longest;           // channels
  size_t longest_in_place;  // 0: never in place

  bool Takes(size_t rows, size_t channels, bool in_place) const {
    return rows >= fewest_rows && channels <= (in_place ? longest_in_place : longest);
  }
};

const std::vector<ForcedPlan>& ForcedPlans();
std::ostream& operator<<(std::ostream& out, const ForcedPlan& plan);

// Initialises the library anew for an ISA. No operator may be alive.
void UseIsa(const std::string& isa);

// A pool of that many threads that lives as long as the process; NULL for 0.
pthreadpool_t Pool(size_t threads);

// Whether two rows are the same bits.
testing::AssertionResult SameBits(const std::vector<float>& actual, const std::vector<float>& expected);

// Whether a row is as exact as the library promises, and NaNs have the right bits. Raises *worst to the row's largest
// error in ULP.
testing::AssertionResult IsExactEnough(const std::vector<float>& actual,
                                       const std::vector<long double>& exact, double* worst = nullptr);

// scale * x, exactly: a product has 48 bits. Denormals count as 0.
std::vector<long double> Products(float scale, const std::vector<float>& x);

// The exact softmax of the products; zeros for a row of -inf where the flags ask for them.
std::vector<long double> ExactSoftmax(const std::vector<float>& row, uint32_t flags, float scale = 1.0f);

// What the scalar kernels give for a row of a family (test/rows.h) alone, contiguous, out of place and without
// threads: whose bits all else must have.
const std::vector<float>& ScalarBits(const std::string& family, size_t channels, uint64_t seed);

class SoftmaxTester {
 public:
  using Rows = std::vector<std::vector<float>>;

  SoftmaxTester& isa(const std::string& isa) { return isa_ = isa, *this; }
  SoftmaxTester& rows(size_t rows) { return rows_ = rows, *this; }
  SoftmaxTester& channels(size_t channels) { return channels_ = Capped(channels), *this; }
  // Strides are `channels` where they are not set.
  SoftmaxTester& input_stride(size_t stride) { return input_stride_ = stride, *this; }
  SoftmaxTester& output_stride(size_t stride) { return output_stride_ = stride, *this; }
  SoftmaxTester& in_place(bool in_place) { return in_place_ = in_place, *this; }  // with the input's stride
  SoftmaxTester& threads(size_t threads) { return threads_ = threads, *this; }    // 0: no pool
  // Must take the rows; the defaults decide where it is not set.
  SoftmaxTester& plan(const ForcedPlan& plan) { return plan_ = &plan, *this; }
  SoftmaxTester& task_elements(size_t elements) { return task_elements_ = elements, *this; }
  SoftmaxTester& flags(uint32_t flags) { return flags_ = flags, *this; }
  // Where the buffers lie (test/guarded_buffer.h); the output's offset is one larger.
  SoftmaxTester& edge(GuardedEdge edge) { return edge_ = edge, *this; }
  SoftmaxTester& offset(size_t elements) { return offset_ = elements, *this; }
  // The rows that are drawn: row i of run j has the seed `seed` + i + j * `rows`.
  SoftmaxTester& family(const std::string& family) { return family_ = family, *this; }
  SoftmaxTester& seed(uint64_t seed) { return seed_ = seed, *this; }
  SoftmaxTester& iterations(size_t iterations) { return iterations_ = iterations, *this; }

  // Each row is within kSoftmaxUlps (test/ulp.h) of the exact result.
  void TestF32() const;
  // Each row has the scalar kernels' bits.
  void TestBits() const;

  // Computes these rows, all of one length, in the layout that was asked for, and gives the results. The input, the
  // gaps between rows and what surrounds the buffers must be as before.
  Rows Run(const Rows& inputs) const;

  friend std::ostream& operator<<(std::ostream& out, const SoftmaxTester& tester);

 private:
  Rows Draw(uint64_t seed) const;
  void SetThresholds() const;
  void CheckPlan(smx_operator_t op) const;

  std::string isa_ = "scalar";
  size_t rows_ = 1;
  size_t channels_ = 1;
  size_t input_stride_ = 0;
  size_t output_stride_ = 0;
  bool in_place_ = false;
  size_t threads_ = 0;
  const ForcedPlan* plan_ = nullptr;
  size_t task_elements_ = 0;
  uint32_t flags_ = 0;
  GuardedEdge edge_ = GuardedEdge::kEnd;
  size_t offset_ = 0;
  std::string family_ = "normal_4";
  uint64_t seed_ = 1;
  size_t iterations_ = 1;
};

}  // namespace smx
