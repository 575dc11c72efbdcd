#include "test/rows.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>

#include "src/gen/microkernels.h"
#include "src/kernels/extended.h"

namespace smx {
namespace {

// x[i] = element(generator, i). Elements are integers times powers of two, or few operations on such, rounded
// everywhere alike.
template <class Element>
std::vector<float> Generate(size_t n, uint64_t seed, Element element) {
  SplitMix64 generator(seed);
  std::vector<float> x(n);
  for (size_t i = 0; i < n; i++) x[i] = element(generator, i);
  return x;
}

// N(0, 4) with a mask on about a quarter of the elements; the first is never masked.
std::vector<float> MaskedRow(size_t n, uint64_t seed, float mask) {
  return Generate(n, seed, [mask](SplitMix64& g, size_t i) {
    const float x = 4.0f * g.Normal();
    return g.Below(4) == 0 && i > 0 ? mask : x;
  });
}

std::vector<float> EqualRow(size_t n, uint64_t seed) {
  constexpr float kValues[] = {0.0f, 1.0f, -87.5f, 300.25f, 1e4f, -2e4f, 0x1p-20f, -11.1f};
  return std::vector<float>(n, kValues[SplitMix64(seed).Below(8)]);
}

// Magnitudes up to 2^13, small ones as often as large ones.
std::vector<float> WideRow(size_t n, uint64_t seed) {
  return Generate(n, seed, [](SplitMix64& g, size_t) {
    const float power = static_cast<float>(uint64_t{1} << g.Below(34)) * 0x1p-20f;
    return power * g.Uniform();
  });
}

float FromBits(uint32_t bits) {
  float f;
  memcpy(&f, &bits, sizeof(f));
  return f;
}

// Denormals and zeros of both signs: all count as 0.
std::vector<float> DenormalRow(size_t n, uint64_t seed) {
  return Generate(n, seed, [](SplitMix64& g, size_t) {
    const uint32_t sign = g.Below(2) << 31;
    return FromBits(sign | (g.Below(8) == 0 ? 0 : g.Below(1u << 23)));
  });
}

// What a reference exponent has to follow: a level a block.
template <class Level>
std::vector<float> SteppedRow(size_t n, uint64_t seed, Level level) {
  return Generate(n, seed,
                  [level](SplitMix64& g, size_t i) { return level(i / SMX_BLOCK) + 2.0f * g.Normal(); });
}

// One of the levels for each block.
template <size_t kLevels>
std::vector<float> JumpingRow(size_t n, uint64_t seed, const float (&levels)[kLevels]) {
  return SteppedRow(n, seed, [seed, &levels](size_t block) {
    return levels[SplitMix64(seed ^ (block * 0x9E3779B97F4A7C15)).Below(kLevels)];
  });
}

std::vector<float> JumpsRow(size_t n, uint64_t seed) {
  constexpr float kLevels[] = {-250.0f, -100.0f, -70.0f, -30.0f, 0.0f, 11.0f, 25.0f, 60.0f, 200.0f};
  return JumpingRow(n, seed, kLevels);
}

// Blocks below the kernels' range, some so little that they reach it, beside others within.
std::vector<float> LowBlocksRow(size_t n, uint64_t seed) {
  const float kLevels[] = {
      -smx_range - 2000.0f, -smx_range - 130.0f, -smx_range - 10.0f, -smx_range + 20.0f, -5000.0f, 0.0f};
  return JumpingRow(n, seed, kLevels);
}

// Results around FLT_MIN: the first element is the largest by 80 to 104.
std::vector<float> FadingRow(size_t n, uint64_t seed) {
  return Generate(n, seed,
                  [](SplitMix64& g, size_t i) { return i == 0 ? 0.0f : -92.0f + 12.0f * g.Uniform(); });
}

// N(0, 1) and a single element that dominates.
std::vector<float> OutlierRow(size_t n, uint64_t seed) {
  std::vector<float> x = NormalRow(n, 1.0f, seed);
  x[SplitMix64(~seed).Below(static_cast<uint32_t>(n))] = 24.0f;
  return x;
}

// -inf up to the last third, as a row that is padded on the left.
std::vector<float> PaddedRow(size_t n, uint64_t seed) {
  std::vector<float> x = NormalRow(n, 4.0f, seed);
  std::fill_n(x.begin(), n - n / 3 - 1, -INFINITY);
  return x;
}

// N(0, 4) with one element, anywhere, replaced.
std::vector<float> SpoiltRow(size_t n, uint64_t seed, float value) {
  std::vector<float> x = NormalRow(n, 4.0f, seed);
  x[SplitMix64(~seed).Below(static_cast<uint32_t>(n))] = value;
  return x;
}

struct Exponentials {
  std::vector<long double> terms;  // exp(x - max)
  long double max;
  long double sum;
};

template <class Float>
Exponentials Evaluate(const Float* x, size_t n) {
  Exponentials e;
  e.max = -INFINITY;
  for (size_t i = 0; i < n; i++) e.max = isnan(x[i]) || x[i] > e.max ? static_cast<long double>(x[i]) : e.max;
  CompensatedSum sum;
  for (size_t i = 0; i < n; i++) {
    e.terms.push_back(expl(x[i] - e.max));
    sum.Add(e.terms.back());
  }
  e.sum = sum.value();
  return e;
}

}  // namespace

uint64_t SplitMix64::Next() {
  state_ += 0x9E3779B97F4A7C15;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

uint32_t SplitMix64::Below(uint32_t bound) {
  return static_cast<uint32_t>(((Next() >> 32) * bound) >> 32);
}

float SplitMix64::Uniform() {
  return static_cast<float>(static_cast<int32_t>(Next() >> 40) - (1 << 23)) * 0x1p-23f;
}

float SplitMix64::Normal() {
  // 12 integers of 20 bits, three from one 64-bit number: their sum less its mean has 24 bits.
  int32_t sum = -6 * (1 << 20);
  for (int i = 0; i < 4; i++) {
    const uint64_t bits = Next();
    sum += static_cast<int32_t>((bits & 0xFFFFF) + (bits >> 20 & 0xFFFFF) + (bits >> 40 & 0xFFFFF));
  }
  return static_cast<float>(sum) * 0x1p-20f;
}

std::vector<float> NormalRow(size_t n, float sigma, uint64_t seed) {
  return Generate(n, seed, [sigma](SplitMix64& g, size_t) { return sigma * g.Normal(); });
}

std::vector<float> UniformRow(size_t n, float bound, uint64_t seed) {
  return Generate(n, seed, [bound](SplitMix64& g, size_t) { return bound * g.Uniform(); });
}

const std::vector<RowFamily>& FiniteRows() {
  static const std::vector<RowFamily> rows = {
      {"normal_1", [](size_t n, uint64_t seed) { return NormalRow(n, 1.0f, seed); }},
      {"normal_4", [](size_t n, uint64_t seed) { return NormalRow(n, 4.0f, seed); }},
      {"normal_30", [](size_t n, uint64_t seed) { return NormalRow(n, 30.0f, seed); }},
      {"uniform_100", [](size_t n, uint64_t seed) { return UniformRow(n, 100.0f, seed); }},
      {"uniform_1000", [](size_t n, uint64_t seed) { return UniformRow(n, 1000.0f, seed); }},
      {"equal", EqualRow},
      {"equal_flt_max", [](size_t n, uint64_t) { return std::vector<float>(n, FLT_MAX); }},
      {"equal_minus_flt_max", [](size_t n, uint64_t) { return std::vector<float>(n, -FLT_MAX); }},
      {"wide", WideRow},
      {"denormal", DenormalRow},
      {"mask_minus_inf", [](size_t n, uint64_t seed) { return MaskedRow(n, seed, -INFINITY); }},
      {"mask_minus_1e9", [](size_t n, uint64_t seed) { return MaskedRow(n, seed, -1e9f); }},
      {"mask_minus_1e20", [](size_t n, uint64_t seed) { return MaskedRow(n, seed, -1e20f); }},
      {"mask_minus_flt_max", [](size_t n, uint64_t seed) { return MaskedRow(n, seed, -FLT_MAX); }},
      {"padded", PaddedRow},
      {"flt_max_both_signs",
       [](size_t n, uint64_t seed) {
         return Generate(n, seed, [](SplitMix64& g, size_t) { return g.Below(2) ? FLT_MAX : -FLT_MAX; });
       }},
      {"million", [](size_t n, uint64_t seed) { return UniformRow(n, 1e6f, seed); }},
      {"range_ends",
       [](size_t n, uint64_t seed) {
         return Generate(n, seed, [](SplitMix64& g, size_t) {
           return (g.Below(2) ? smx_range : -smx_range) + 100.0f * g.Uniform();
         });
       }},
      {"far_below",
       [](size_t n, uint64_t seed) { return SteppedRow(n, seed, [](size_t) { return -16000.0f; }); }},
      {"below_range",
       [](size_t n, uint64_t seed) { return SteppedRow(n, seed, [](size_t) { return -200000.0f; }); }},
      {"low_blocks", LowBlocksRow},
      {"rising",
       [](size_t n, uint64_t seed) {
         return SteppedRow(n, seed, [](size_t block) { return 37.0f * static_cast<float>(block) - 300.0f; });
       }},
      {"falling",
       [](size_t n, uint64_t seed) {
         return SteppedRow(n, seed, [](size_t block) { return 300.0f - 37.0f * static_cast<float>(block); });
       }},
      {"jumps", JumpsRow},
      {"fading", FadingRow},
      {"outlier", OutlierRow},
  };
  return rows;
}

const std::vector<RowFamily>& SpecialRows() {
  static const std::vector<RowFamily> rows = {
      {"all_minus_inf", [](size_t n, uint64_t) { return std::vector<float>(n, -INFINITY); }},
      {"one_nan", [](size_t n, uint64_t seed) { return SpoiltRow(n, seed, NAN); }},
      {"one_plus_inf", [](size_t n, uint64_t seed) { return SpoiltRow(n, seed, INFINITY); }},
      {"nan_and_minus_inf",
       [](size_t n, uint64_t seed) {
         std::vector<float> x(n, -INFINITY);
         x[SplitMix64(seed).Below(static_cast<uint32_t>(n))] = NAN;
         return x;
       }},
      {"nan_and_plus_inf",
       [](size_t n, uint64_t seed) {
         std::vector<float> x(n, INFINITY);
         x[SplitMix64(seed).Below(static_cast<uint32_t>(n))] = NAN;
         return x;
       }},
      {"all_nan", [](size_t n, uint64_t) { return std::vector<float>(n, NAN); }},
  };
  return rows;
}

std::vector<RowFamily> AllRows() {
  std::vector<RowFamily> rows = FiniteRows();
  rows.insert(rows.end(), SpecialRows().begin(), SpecialRows().end());
  return rows;
}

std::vector<float> MakeRow(const std::string& family, size_t n, uint64_t seed) {
  for (const auto* rows : {&FiniteRows(), &SpecialRows()}) {
    for (const RowFamily& row : *rows) {
      if (row.name == family) return row.make(n, seed);
    }
  }
  fprintf(stderr, "no such rows: %s\n", family.c_str());
  abort();
}

void CompensatedSum::Add(long double x) {
  const long double sum = sum_ + x;
  errors_ += fabsl(sum_) >= fabsl(x) ? (sum_ - sum) + x : (x - sum) + sum_;
  sum_ = sum;
}

template <class Float>
std::vector<long double> ReferenceSoftmax(const std::vector<Float>& x) {
  Exponentials e = Evaluate(x.data(), x.size());
  // Special rows: expl(inf - inf) is NaN, and so is the sum.
  for (long double& term : e.terms) term /= e.sum;
  return e.terms;
}

template std::vector<long double> ReferenceSoftmax(const std::vector<float>& x);
template std::vector<long double> ReferenceSoftmax(const std::vector<long double>& x);

long double ReferenceLogSumExp(const float* x, size_t n) {
  const Exponentials e = Evaluate(x, n);
  return isinf(e.max) ? e.max : e.max + logl(e.sum);
}

}  // namespace smx
