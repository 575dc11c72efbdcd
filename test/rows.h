// Rows to test with, the same bits on every machine, and the exact answers.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <string>
#include <vector>

namespace smx {

// S. Vigna's SplitMix64: integers alone, so that rows are the same everywhere.
class SplitMix64 {
 public:
  explicit SplitMix64(uint64_t seed) : state_(seed) {}
  uint64_t Next();
  // Uniform in [0, bound).
  uint32_t Below(uint32_t bound);
  // Uniform in [-1, 1), a multiple of 2^-23.
  float Uniform();
  // Close to N(0, 1): the sum of 12 uniform numbers, exact; within [-6, 6].
  float Normal();

 private:
  uint64_t state_;
};

std::vector<float> NormalRow(size_t n, float sigma, uint64_t seed);
std::vector<float> UniformRow(size_t n, float bound, uint64_t seed);

// A named kind of row. The same n and seed give the same bits.
struct RowFamily {
  const char* name;
  std::vector<float> (*make)(size_t n, uint64_t seed);
};

// Rows of any length that have a softmax: no NaN, no +inf, and something finite.
const std::vector<RowFamily>& FiniteRows();
// Rows that have none: they hold NaN or +inf, or -inf only.
const std::vector<RowFamily>& SpecialRows();
// Both lists.
std::vector<RowFamily> AllRows();
// A row of a family of either list.
std::vector<float> MakeRow(const std::string& family, size_t n, uint64_t seed);

// A sum that keeps its roundings (Neumaier).
class CompensatedSum {
 public:
  void Add(long double x);
  long double value() const { return sum_ + errors_; }

 private:
  long double sum_ = 0.0L;
  long double errors_ = 0.0L;
};

// y[i] = exp(x[i] - max) / sum_j exp(x[j] - max), all NaN for the special rows.
template <class Float>
std::vector<long double> ReferenceSoftmax(const std::vector<Float>& x);
// max + log(sum_j exp(x[j] - max)): NaN, +inf or -inf for the special rows.
long double ReferenceLogSumExp(const float* x, size_t n);

}  // namespace smx
