// The microkernels on the extended representation: sums within their bounds, the same bits from every variant, nothing
// touched outside the rows, and the documented results of rows out of range.
#include <float.h>
#include <math.h>
#include <stdio.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>
#include <tuple>

#include "src/kernels/topk.h"
#include "src/operators/row_sum.h"
#include "src/runtime/fp_environment.h"
#include "test/guarded_buffer.h"
#include "test/microkernel_fixture.h"
#include "test/ulp.h"

namespace smx {
namespace {

// ---- Sums: f32-raddextexp and f32-raddstoreextexp

// What a kernel left in y where it did not write.
constexpr float kUntouched = -123.0f;

bool Stores(const Microkernel& kernel) {
  return kernel.kernel == std::string("f32_raddstoreextexp");
}

// y is for the storing kernel.
smx_f32_extended Sum(const Microkernel& kernel, size_t n, const float* x, float* y) {
  const smx_fp_environment environment;
  smx_f32_extended sum;
  if (Stores(kernel)) {
    SumAndStore(kernel, n, x, y, &sum);
  } else {
    kernel.As<smx_f32_raddextexp_ukernel_fn>()(n, x, 0, &sum, &kExp);
  }
  return sum;
}

struct SumResult {
  smx_f32_extended sum;
  std::vector<float> y;
};

SumResult Sum(const Microkernel& kernel, size_t n, const float* x) {
  SumResult result = {{}, std::vector<float>(n, kUntouched)};
  result.sum = Sum(kernel, n, x, result.y.data());
  return result;
}

// What the first scalar variant gives for the first n elements of a family's row.
const SumResult& ScalarSum(const std::string& kernel, const std::string& family, size_t n) {
  static std::map<std::tuple<std::string, std::string, size_t>, SumResult> results;
  const auto [found, is_new] = results.try_emplace({kernel, family, n});
  if (is_new) found->second = Sum(ScalarMicrokernel(kernel), n, LongRow(family).data());
  return found->second;
}

float MaximumOf(const float* x, size_t n) {
  return *std::max_element(x, x + n);
}

bool IsUntouched(const std::vector<float>& y) {
  return std::all_of(y.begin(), y.end(), [](float element) { return element == kUntouched; });
}

// A tile whose maximum, not NaN, is out of range: as smx_f32_extended documents it.
void ExpectOutOfRange(const Microkernel& kernel, const SumResult& result, float max) {
  if (!Stores(kernel)) {
    EXPECT_TRUE(IsUntouched(result.y));
  }
  if (max > 0.0f) {
    EXPECT_GT(result.sum.max, smx_range);
    EXPECT_TRUE(isnan(result.sum.hi));
    return;
  }
  EXPECT_EQ(result.sum.max, max);
  if (max < smx_lowest) {
    EXPECT_EQ(result.sum.hi, 0.0f);
    EXPECT_EQ(result.sum.lo, 0.0f);
  } else {
    EXPECT_GT(result.sum.hi, 0.0f);
  }
}

// Terms that one choice of the reference flushes and another does not are below 2^(-126 - SMX_BIAS + 16) of the
// largest; a tile has 2^14, and terms are at most sqrt(2) times their power.
constexpr double kFlushedPart = 0x1p-159;

// Whether two sums are the same, up to the reference that they chose and what it flushes.
testing::AssertionResult SameSum(const smx_f32_extended& actual, const smx_f32_extended& expected) {
  if (isnan(actual.hi) && isnan(expected.hi)) return testing::AssertionSuccess();
  const double hi = actual.hi;
  const double lo = actual.lo;
  // Zeros are the same at any reference; otherwise references are close to the largest exponent.
  const int shift = expected.hi == 0.0f ? 0 : expected.reference - actual.reference;
  const double expected_hi = ldexp(static_cast<double>(expected.hi), shift);
  const double expected_lo = ldexp(static_cast<double>(expected.lo), shift);
  if (hi == expected_hi && fabs(lo - expected_lo) <= hi * kFlushedPart) return testing::AssertionSuccess();
  char text[200];
  snprintf(text, sizeof(text), "(%a + %a) * 2^%d is not (%a + %a) * 2^%d", hi, lo,
           static_cast<int>(actual.reference), static_cast<double>(expected.hi),
           static_cast<double>(expected.lo), static_cast<int>(expected.reference));
  return testing::AssertionFailure() << text;
}

// Under flush-to-zero a denormal maximum may come out as 0.
float Flushed(float x) {
  return fabsf(x) < FLT_MIN ? 0.0f : x;
}

long double ValueOf(const smx_f32_extended& sum) {
  return static_cast<long double>(sum.hi) + static_cast<long double>(sum.lo);
}

class ExtendedSum : public MicrokernelTest {
 protected:
  SumResult Run(const std::vector<float>& x) const { return Sum(kernel(), x.size(), x.data()); }
};
class RaddStoreExtExp : public ExtendedSum {};

INSTANTIATE_TEST_SUITE_P(List, ExtendedSum, testing::ValuesIn(AvailableMicrokernels("f32_raddextexp")),
                         TestName);
INSTANTIATE_TEST_SUITE_P(StoringList, ExtendedSum,
                         testing::ValuesIn(AvailableMicrokernels("f32_raddstoreextexp")), TestName);
INSTANTIATE_TEST_SUITE_P(List, RaddStoreExtExp,
                         testing::ValuesIn(AvailableMicrokernels("f32_raddstoreextexp")), TestName);

TEST_P(ExtendedSum, IsWithinBoundOfTheExactSum) {
  Worst worst_sum, worst_term;
  size_t refused = 0;
  for (const RowFamily& family : FiniteRows()) {
    const float* x = LongRow(family.name).data();
    for (size_t n : Sizes(kernel().tile)) {
      SCOPED_TRACE(testing::Message() << family.name << ", n = " << n);
      const SumResult result = Sum(kernel(), n, x);
      if (!smx_is_in_range(MaximumOf(x, n), &kExp)) {
        ExpectOutOfRange(kernel(), result, MaximumOf(x, n));
        continue;
      }
      if (Stores(kernel()) && isnan(result.sum.hi)) {
        refused++;
        continue;
      }
      const Reference& reference = ReferenceFor(family.name, n);
      EXPECT_EQ(Flushed(result.sum.max), Flushed(reference.max));
      const long double scale = ScaledExp(reference.max, result.sum.reference - SMX_BIAS);
      const double error = UnitError(ValueOf(result.sum), reference.sum * scale);
      EXPECT_LE(error, kExtendedSumUnits);
      EXPECT_EQ(static_cast<float>(ValueOf(result.sum)), result.sum.hi)
          << "lo is more than half an ULP of hi";
      worst_sum.Note(error, n);
      if (!Stores(kernel())) continue;
      Worst worst;
      for (size_t i = 0; i < n; i++) {
        worst.Note(FlushedUnitError(result.y[i], (*reference.terms)[i] * scale), i);
      }
      EXPECT_LE(worst.error(), kExtExpUnits) << "term " << worst.index();
      worst_term.Note(worst.error(), n);
    }
  }
  // Rows whose level rises by more than one reference holds; most families have none.
  EXPECT_LT(refused, Sizes(kernel().tile).size() * 3);
  RecordProperty("worst_sum_units", std::to_string(worst_sum.error()));
  RecordProperty("worst_term_units", std::to_string(worst_term.error()));
}

TEST_P(ExtendedSum, GivesTheBitsOfScalar) {
  for (const RowFamily& family : FiniteRows()) {
    const float* x = LongRow(family.name).data();
    for (size_t n : Sizes(kernel().tile)) {
      if (!smx_is_in_range(MaximumOf(x, n), &kExp)) continue;  // no result depends on these bits
      SCOPED_TRACE(testing::Message() << family.name << ", n = " << n);
      const SumResult result = Sum(kernel(), n, x);
      const SumResult& expected = ScalarSum(kernel().kernel, family.name, n);
      EXPECT_TRUE(SameSum(result.sum, expected.sum));
      if (isnan(expected.sum.hi)) continue;  // refused: any terms
      EXPECT_TRUE(SameBits(result.y.data(), expected.y.data(), n));
      if (Stores(kernel())) {
        EXPECT_EQ(result.sum.reference, expected.sum.reference);
      }
    }
  }
}

// Equal terms show what the additions are off by: two of them add exactly, and all further additions are compensated.
TEST_P(ExtendedSum, OfEqualElementsIsTheirNumberTimesOne) {
  SplitMix64 generator(1);
  std::vector<size_t> sizes = FewSizes(kernel().tile);
  sizes.push_back(LargestSize());
  for (int i = 0; i < 10; i++) {
    const std::vector<float> x(SMX_TILE, 10.0f * generator.Uniform());
    const long double one = ValueOf(Sum(kernel(), 1, x.data()).sum);
    for (size_t n : sizes) {
      const long double sum = ValueOf(Sum(kernel(), n, x.data()).sum);
      EXPECT_LE(UnitError(sum, static_cast<long double>(n) * one), kCompensationUnits)
          << "x = " << x[0] << ", n = " << n;
    }
  }
}

// The first terms of each lane are far below the next: additions to a lane are exact there because of its anchor.
TEST_P(ExtendedSum, OfTwoLevelsIsThatOfBoth) {
  constexpr size_t kPairs = 2 * SMX_LANES;  // one of each lane
  const auto one = [&](float x) {
    const smx_f32_extended sum = Sum(kernel(), 1, &x).sum;
    return ldexpl(ValueOf(sum), sum.reference);
  };
  SplitMix64 generator(1);
  for (int i = 0; i < 100; i++) {
    const float high = 10.0f * generator.Uniform();
    const float low = high - 1.0f - 8.0f * fabsf(generator.Uniform());
    std::vector<float> x(2 * kPairs, low);
    std::fill(x.begin() + kPairs, x.end(), high);
    const smx_f32_extended sum = Run(x).sum;
    const long double exact = kPairs * (one(low) + one(high));
    EXPECT_LE(UnitError(ldexpl(ValueOf(sum), sum.reference), exact), kCompensationUnits)
        << low << " and " << high;
  }
}

// The two algorithms may not differ in a bit of a row's sum; the variants of either agree.
TEST(ExtendedSums, AreTheSameForBothKernels) {
  for (const RowFamily& family : FiniteRows()) {
    for (size_t n : Sizes(128)) {
      if (!smx_is_in_range(MaximumOf(LongRow(family.name).data(), n), &kExp)) continue;
      const smx_f32_extended& storing = ScalarSum("f32_raddstoreextexp", family.name, n).sum;
      if (isnan(storing.hi)) continue;  // terms of no reference in common
      EXPECT_TRUE(SameSum(ScalarSum("f32_raddextexp", family.name, n).sum, storing))
          << family.name << ", n = " << n;
    }
  }
}

TEST_P(ExtendedSum, StaysInsideItsRow) {
  const float* row = LongRow("normal_4").data();
  for (size_t n : Sizes(kernel().tile)) {
    for (GuardedEdge edge : {GuardedEdge::kEnd, GuardedEdge::kBeginning}) {
      SCOPED_TRACE(testing::Message()
                   << "n = " << n << (edge == GuardedEdge::kEnd ? ", end" : ", beginning"));
      const GuardedBuffer<float> x(row, n, edge);
      GuardedBuffer<float> y(n, edge);
      std::fill(y.begin(), y.end(), kUntouched);
      const smx_f32_extended sum = Sum(kernel(), n, x.data(), y.data());
      const SumResult& expected = ScalarSum(kernel().kernel, "normal_4", n);
      EXPECT_TRUE(SameSum(sum, expected.sum));
      EXPECT_TRUE(SameBits(y.data(), expected.y.data(), n));
      EXPECT_TRUE(SameBits(x.data(), row, n)) << "the input was written";
      EXPECT_TRUE(x.SurroundingsAreIntact());
      EXPECT_TRUE(y.SurroundingsAreIntact());
    }
  }
}

TEST_P(ExtendedSum, TakesAnyAlignment) {
  const float* row = LongRow("normal_4").data();
  for (size_t n : FewSizes(kernel().tile)) {
    for (size_t offset = 1; offset < 16; offset++) {
      SCOPED_TRACE(testing::Message() << "n = " << n << ", offset " << offset);
      const GuardedBuffer<float> x(row, n, GuardedEdge::kBeginning, offset);
      GuardedBuffer<float> y(n, GuardedEdge::kBeginning, 16 - offset);
      std::fill(y.begin(), y.end(), kUntouched);
      const smx_f32_extended sum = Sum(kernel(), n, x.data(), y.data());
      const SumResult& expected = ScalarSum(kernel().kernel, "normal_4", n);
      EXPECT_TRUE(SameSum(sum, expected.sum));
      EXPECT_TRUE(SameBits(y.data(), expected.y.data(), n));
      EXPECT_TRUE(y.SurroundingsAreIntact());
    }
  }
}

// Whether terms are the same but for the power of two between two references; one of them may have flushed a term.
testing::AssertionResult SameTerms(const float* actual, int shift, const float* expected, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const double scaled = ldexp(static_cast<double>(actual[i]), shift);
    const bool is_flushed = actual[i] == 0.0f ? expected[i] < ldexp(FLT_MIN, shift) : scaled < FLT_MIN;
    if (scaled == static_cast<double>(expected[i]) || is_flushed) continue;
    return testing::AssertionFailure() << "term " << i << " is " << scaled << ", not " << expected[i];
  }
  return testing::AssertionSuccess();
}

// In place the reference is that of the tile's maximum, otherwise that of its first block.
// Of what the mask hides NaN may make the sum NaN, and nothing else.
TEST_P(RaddStoreExtExp, TakesLogitsThatAMaskMakes) {
  constexpr float kScale = 0.37f;
  const float* row = LongRow("normal_4").data();
  for (const float hidden : {-3e38f, NAN}) {
    for (size_t n : Sizes(kernel().tile)) {
      GuardedBuffer<float> x(row, n), mask(n), y(n);
      std::vector<float> logits(n), expected(n);
      for (size_t i = 0; i < n; i++) {
        mask.data()[i] = i % 3 == 1 ? -INFINITY : row[n - 1 - i];
        if (i % 3 == 1) x.data()[i] = hidden;
      }
      const smx_fp_environment environment;
      ScalarMicrokernel("f32_vaddmask")
          .As<smx_f32_vaddmask_ukernel_fn>()(n, x.data(), mask.data(), logits.data(), kScale);
      smx_f32_extended sum, of_logits;
      SumAndStore(kernel(), n, x.data(), y.data(), &sum, {mask.data(), 0, kScale});
      if (isnan(hidden) && isnan(sum.hi)) continue;
      SumAndStore(kernel(), n, logits.data(), expected.data(), &of_logits);
      EXPECT_TRUE(SameSum(sum, of_logits)) << "n = " << n;
      EXPECT_TRUE(SameBits(y.data(), expected.data(), n)) << "n = " << n;
    }
  }
}

TEST_P(RaddStoreExtExp, RunsInPlace) {
  for (const RowFamily& family : FiniteRows()) {
    const float* row = LongRow(family.name).data();
    for (size_t n : FewSizes(kernel().tile)) {
      SCOPED_TRACE(testing::Message() << family.name << ", n = " << n);
      GuardedBuffer<float> x(row, n);
      const smx_f32_extended sum = Sum(kernel(), n, x.data(), x.data());
      if (!smx_is_in_range(MaximumOf(row, n), &kExp)) {
        EXPECT_TRUE(isnan(sum.hi));
        EXPECT_TRUE(SameBits(x.data(), row, n)) << "the row was written";
        continue;
      }
      EXPECT_TRUE(SameSum(sum, ScalarSum("f32_raddextexp", family.name, n).sum));
      const SumResult& expected = ScalarSum("f32_raddstoreextexp", family.name, n);
      if (isnan(expected.sum.hi)) continue;  // its terms have no reference in common
      EXPECT_TRUE(SameTerms(x.data(), sum.reference - expected.sum.reference, expected.y.data(), n));
    }
  }
}

// Puts a value at several places of a row and calls check(row, trace) for each.
template <class Check>
void ForEachPlace(const std::vector<float>& row, float value, Check check) {
  for (size_t place : {size_t{0}, row.size() / 3, row.size() / 2, row.size() - 1}) {
    std::vector<float> x = row;
    x[place] = value;
    SCOPED_TRACE(testing::Message() << value << " at " << place << " of " << row.size());
    check(x);
  }
}

TEST_P(ExtendedSum, NanGivesNan) {
  for (size_t n : FewSizes(kernel().tile)) {
    // Beside ordinary elements, beside nothing else, and beside elements out of range in both directions.
    for (float others : {0.0f, -INFINITY, INFINITY, smx_range + 1.0f, -smx_range - 1.0f, -1e6f}) {
      ForEachPlace(std::vector<float>(n, others), NAN,
                   [&](const std::vector<float>& x) { EXPECT_TRUE(isnan(Run(x).sum.hi)) << others; });
    }
    ForEachPlace(NormalRow(n, 4.0f, n), NAN,
                 [&](const std::vector<float>& x) { EXPECT_TRUE(isnan(Run(x).sum.hi)); });
  }
}

TEST_P(ExtendedSum, RefusesAMaximumAboveTheRange) {
  for (size_t n : FewSizes(kernel().tile)) {
    for (float max : {nextafterf(smx_range, INFINITY), 1e9f, FLT_MAX, INFINITY}) {
      ForEachPlace(NormalRow(n, 4.0f, n), max,
                   [&](const std::vector<float>& x) { ExpectOutOfRange(kernel(), Run(x), max); });
    }
  }
}

TEST_P(ExtendedSum, TellsAMaximumBelowTheRange) {
  const float lowest = -smx_range - 256.0f;  // from here on elements may count beside those in range
  for (size_t n : FewSizes(kernel().tile)) {
    for (float max : {nextafterf(-smx_range, -INFINITY), lowest, nextafterf(lowest, -INFINITY), -1e9f, -1e20f,
                      -FLT_MAX, -INFINITY}) {
      ForEachPlace(std::vector<float>(n, -INFINITY), max,
                   [&](const std::vector<float>& x) { ExpectOutOfRange(kernel(), Run(x), max); });
    }
  }
}

// The largest x of a row at the ends of the range, and what lies far below it.
TEST_P(ExtendedSum, RangeEndsAreExact) {
  for (size_t n : FewSizes(kernel().tile)) {
    for (float max : {-smx_range, smx_range}) {
      ForEachPlace(std::vector<float>(n, -FLT_MAX), max, [&](const std::vector<float>& x) {
        const SumResult result = Run(x);
        EXPECT_LE(UnitError(ValueOf(result.sum), ScaledExp(max, result.sum.reference - SMX_BIAS)),
                  kExtExpUnits);
      });
    }
  }
}

// Rows of blocks, each at a level of its own.
struct LevelledRow {
  std::vector<float> levels;
  std::vector<float> x;
  float max;
  long double sum;  // of exp(x[i] - max)
};

// Levels in every order: a reference that moves up, by little and by much, or holds all.
const std::vector<LevelledRow>& LevelledRows() {
  static const std::vector<LevelledRow> rows = [] {
    std::vector<LevelledRow> made;
    for (std::vector<float> levels : std::vector<std::vector<float>>{{-500, 0},
                                                                     {-30, 14},
                                                                     {-11, 31},
                                                                     {-700, -620},
                                                                     {-100, -90, -20},
                                                                     {-300, 299, 300},
                                                                     {-90, 0, 1},
                                                                     {100, 131, 200},
                                                                     {-16000, 16000},
                                                                     {-16500, -1, 3},
                                                                     {-20000, -1, 3},
                                                                     {-16390, -16382},
                                                                     {-16650, -16390, -16370},
                                                                     {-1e9f, -700, -650}}) {
      std::sort(levels.begin(), levels.end());
      const float max = levels.back() + 1.0f;
      CompensatedSum sum;
      std::map<float, std::vector<float>> blocks;
      SplitMix64 generator(levels.size());
      for (float level : levels) {
        for (size_t i = 0; i < SMX_BLOCK; i++) blocks[level].push_back(level + generator.Uniform());
        if (level == levels.back()) blocks[level][SMX_BLOCK / 3] = max;
        for (float element : blocks[level]) sum.Add(ScaledExp(static_cast<long double>(element) - max, 0));
      }
      do {
        LevelledRow row = {levels, {}, max, sum.value()};
        for (float level : levels) row.x.insert(row.x.end(), blocks[level].begin(), blocks[level].end());
        made.push_back(row);
      } while (std::next_permutation(levels.begin(), levels.end()));
    }
    return made;
  }();
  return rows;
}

TEST_P(ExtendedSum, FollowsTheLevelOfBlocks) {
  for (const LevelledRow& row : LevelledRows()) {
    SCOPED_TRACE(testing::PrintToString(row.levels));
    const SumResult result = Run(row.x);
    const long double scale = ScaledExp(row.max, result.sum.reference - SMX_BIAS);
    if (!Stores(kernel()) || !isnan(result.sum.hi)) {
      EXPECT_LE(UnitError(ValueOf(result.sum), row.sum * scale), kExtendedSumUnits);
    }
    const SumResult expected = Sum(ScalarMicrokernel(kernel().kernel), row.x.size(), row.x.data());
    EXPECT_TRUE(SameSum(result.sum, expected.sum));
    if (isnan(expected.sum.hi)) continue;  // refused: any terms
    EXPECT_TRUE(SameBits(result.y.data(), expected.y.data(), row.x.size()));
  }
}

TEST_P(RaddStoreExtExp, ReferenceDoesNotChangeBits) {
  for (float max : {-11.0f, 3.0f, 17.5f, 130.4f}) {
    for (float first_max : {max - 4.0f, max - 15.0f, max - 28.0f}) {
      for (size_t n : {size_t{1}, size_t{100}, size_t{SMX_BLOCK}, size_t{3 * SMX_BLOCK - 3}}) {
        SCOPED_TRACE(testing::Message() << "maxima " << first_max << ", " << max << ", n = " << n);
        std::vector<float> x = UniformRow(SMX_BLOCK, 10.0f, n);
        for (float& element : x) element += first_max - 10.0f;
        x[5] = first_max;
        for (float element : UniformRow(n, 10.0f, n)) x.push_back(max - 10.0f + element);
        x[SMX_BLOCK + n / 2] = max;
        const SumResult by_first_block = Run(x);
        const smx_f32_extended by_maximum = Sum(kernel(), x.size(), x.data(), x.data());
        EXPECT_NE(by_first_block.sum.reference, by_maximum.reference);
        const int shift = by_maximum.reference - by_first_block.sum.reference;
        EXPECT_EQ(ldexpf(by_maximum.hi, shift), by_first_block.sum.hi);
        EXPECT_EQ(ldexpf(by_maximum.lo, shift), by_first_block.sum.lo);
        EXPECT_TRUE(SameTerms(x.data(), shift, by_first_block.y.data(), x.size()));
      }
    }
  }
}

// ---- Maps: f32-vscaleextexp, f32-vstreamextexp, which differs in how it stores, and f32-vmulextc

bool TakesLogits(const Microkernel& kernel) {
  return kernel.kernel != std::string("f32_vmulextc");
}

void Map(const Microkernel& kernel, size_t n, const float* x, float* y,
         const smx_f32_reciprocal& reciprocal) {
  const smx_fp_environment environment;
  if (TakesLogits(kernel)) {
    kernel.As<smx_f32_vscaleextexp_ukernel_fn>()(n, x, y, &reciprocal, &kExp);
  } else {
    kernel.As<smx_f32_vmulextc_ukernel_fn>()(n, x, y, &reciprocal);
  }
}

std::vector<float> Map(const Microkernel& kernel, const std::vector<float>& x,
                       const smx_f32_reciprocal& reciprocal) {
  std::vector<float> y(x.size());
  Map(kernel, x.size(), x.data(), y.data(), reciprocal);
  return y;
}

// hi in (1/2, 1], lo at most half an ULP of it and a multiple of 2^-45.
constexpr float kMantissas[][2] = {{1.0f, 0.0f},
                                   {0x1.8p-1f, -0x1p-26f},
                                   {0x1.000002p-1f, 0x1.5555p-26f},
                                   {0x1.FFFFFEp-1f, 0x1p-45f},
                                   {0x1.6A09E6p-1f, -0x1.FFFFp-26f}};

constexpr size_t kMapSize = 4 * SMX_BLOCK + 300;

// Elements whose results reach from below FLT_MIN to above 1.
std::vector<float> MapRow(const Microkernel& kernel, int32_t exponent) {
  SplitMix64 generator(static_cast<uint64_t>(exponent));
  std::vector<float> x(kMapSize);
  if (TakesLogits(kernel)) {
    const float one = static_cast<float>(exponent) * kExp.ln2;  // where exp(x) * 2^-exponent is 1
    for (float& element : x) element = one - 54.0f + 56.0f * generator.Uniform();
    // Masks.
    std::copy_n(std::vector<float>{-INFINITY, -FLT_MAX, -1e20f, -1e9f}.data(), 4, x.data() + 40);
  } else {
    const int32_t smallest = std::max(exponent - 140, -126);
    const uint32_t range = static_cast<uint32_t>(std::min(exponent + 2, 127) - smallest);
    for (float& element : x) {
      element =
          ldexpf(1.5f + 0.5f * generator.Uniform(), smallest + static_cast<int32_t>(generator.Below(range)));
    }
    x[40] = 0.0f;
  }
  return x;
}

std::vector<int32_t> Exponents(const Microkernel& kernel) {
  if (TakesLogits(kernel)) return {0, 1, -7, 100, -126, 3000, 23630, -23630};
  return {0, 1, -7, 40, 48, 64, 79, SMX_LARGEST_STEP, -70};
}

class ExtendedMap : public MicrokernelTest {
 protected:
  bool takes_logits() const { return TakesLogits(kernel()); }
  // What one element gives, exactly.
  long double Exact(float x, const smx_f32_reciprocal& reciprocal) const {
    const long double mantissa =
        static_cast<long double>(reciprocal.hi) + static_cast<long double>(reciprocal.lo);
    if (takes_logits()) return mantissa * ScaledExp(x, reciprocal.exponent);
    return ldexpl(mantissa * static_cast<long double>(x), -reciprocal.exponent);
  }
};

INSTANTIATE_TEST_SUITE_P(List, ExtendedMap, testing::ValuesIn(AvailableMicrokernels("f32_vscaleextexp")),
                         TestName);
INSTANTIATE_TEST_SUITE_P(StreamList, ExtendedMap,
                         testing::ValuesIn(AvailableMicrokernels("f32_vstreamextexp")), TestName);
INSTANTIATE_TEST_SUITE_P(StoredList, ExtendedMap, testing::ValuesIn(AvailableMicrokernels("f32_vmulextc")),
                         TestName);

TEST_P(ExtendedMap, IsWithinBoundOfTheExactValue) {
  const double units_of_exp = takes_logits() ? kExtExpUnits : 0.0;  // as many ULP at most
  Worst worst_of_all;
  for (int32_t exponent : Exponents(kernel())) {
    const std::vector<float> x = MapRow(kernel(), exponent);
    for (const auto& [hi, lo] : kMantissas) {
      const smx_f32_reciprocal reciprocal = {hi, lo, exponent};
      const std::vector<float> y = Map(kernel(), x, reciprocal);
      Worst worst;
      for (size_t i = 0; i < x.size(); i++) {
        const long double exact = Exact(x[i], reciprocal);
        worst.Note(UlpError(y[i], exact) - ScaledUlps(static_cast<double>(exact)), i);
      }
      EXPECT_LE(worst.error(), units_of_exp) << "element " << worst.index() << " = " << x[worst.index()]
                                             << " * (" << hi << " + " << lo << ") * 2^-" << exponent;
      worst_of_all.Note(worst.error(), 0);
    }
  }
  RecordProperty("worst_ulps", std::to_string(worst_of_all.error()));
}

// The row and what the first scalar variant gives for it.
struct MapExample {
  smx_f32_reciprocal reciprocal;
  std::vector<float> x;
  std::vector<float> y;
};

const std::vector<MapExample>& MapExamples(const Microkernel& kernel) {
  static std::map<std::string, std::vector<MapExample>> examples;
  std::vector<MapExample>& made = examples[kernel.kernel];
  if (!made.empty()) return made;
  for (int32_t exponent : Exponents(kernel)) {
    const float(&mantissa)[2] = kMantissas[made.size() % 5];
    const smx_f32_reciprocal reciprocal = {mantissa[0], mantissa[1], exponent};
    const std::vector<float> x = MapRow(kernel, exponent);
    made.push_back({reciprocal, x, Map(ScalarMicrokernel(kernel.kernel), x, reciprocal)});
  }
  return made;
}

TEST_P(ExtendedMap, GivesTheBitsOfScalar) {
  for (const MapExample& example : MapExamples(kernel())) {
    for (size_t n : Sizes(kernel().tile)) {
      if (n > kMapSize) continue;
      std::vector<float> y(n);
      Map(kernel(), n, example.x.data(), y.data(), example.reciprocal);
      EXPECT_TRUE(SameBits(y.data(), example.y.data(), n)) << "exponent " << example.reciprocal.exponent;
    }
  }
}

TEST_P(ExtendedMap, StaysInsideItsRow) {
  const MapExample& example = MapExamples(kernel())[4];
  for (size_t n : SmallSizes(kernel().tile)) {
    for (GuardedEdge edge : {GuardedEdge::kEnd, GuardedEdge::kBeginning}) {
      SCOPED_TRACE(testing::Message()
                   << "n = " << n << (edge == GuardedEdge::kEnd ? ", end" : ", beginning"));
      const GuardedBuffer<float> x(example.x.data(), n, edge);
      GuardedBuffer<float> y(n, edge);
      Map(kernel(), n, x.data(), y.data(), example.reciprocal);
      EXPECT_TRUE(SameBits(y.data(), example.y.data(), n));
      EXPECT_TRUE(SameBits(x.data(), example.x.data(), n)) << "the input was written";
      EXPECT_TRUE(x.SurroundingsAreIntact());
      EXPECT_TRUE(y.SurroundingsAreIntact());
    }
  }
}

TEST_P(ExtendedMap, TakesAnyAlignmentAndRunsInPlace) {
  const MapExample& example = MapExamples(kernel())[4];
  for (size_t n : FewSizes(kernel().tile)) {
    for (size_t offset = 0; offset < 16; offset++) {
      SCOPED_TRACE(testing::Message() << "n = " << n << ", offset " << offset);
      GuardedBuffer<float> x(example.x.data(), n, GuardedEdge::kBeginning, offset);
      GuardedBuffer<float> y(n, GuardedEdge::kBeginning, 16 - offset);
      Map(kernel(), n, x.data(), y.data(), example.reciprocal);
      EXPECT_TRUE(SameBits(y.data(), example.y.data(), n));
      EXPECT_TRUE(y.SurroundingsAreIntact());
      Map(kernel(), n, x.data(), x.data(), example.reciprocal);
      EXPECT_TRUE(SameBits(x.data(), example.y.data(), n)) << "in place";
      EXPECT_TRUE(x.SurroundingsAreIntact());
    }
  }
}

TEST_P(ExtendedMap, NanStaysNanAndZeroZero) {
  for (const MapExample& example : MapExamples(kernel())) {
    for (size_t n : FewSizes(kernel().tile)) {
      const float zero = takes_logits() ? -INFINITY : 0.0f;
      for (size_t place : {size_t{0}, n / 2, n - 1}) {
        std::vector<float> x(n, zero);
        x[place] = NAN;
        std::vector<float> expected(n, 0.0f);
        expected[place] = NAN;
        EXPECT_TRUE(SameBits(Map(kernel(), x, example.reciprocal).data(), expected.data(), n));
      }
    }
  }
}

// Softmax of a tile by either algorithm, from sum to result: the law, and the same bits.
TEST_P(ExtendedMap, MakesSoftmaxOfATile) {
  Worst worst_of_all;
  for (const RowFamily& family : FiniteRows()) {
    for (size_t n : FewSizes(kernel().tile)) {
      const SumResult& terms = ScalarSum("f32_raddstoreextexp", family.name, n);
      if (isnan(terms.sum.hi) || !smx_is_in_range(terms.sum.max, &kExp)) continue;  // the operator's matter
      SCOPED_TRACE(testing::Message() << family.name << ", n = " << n);
      smx_f32_reciprocal reciprocal = smx_f32_reciprocal_of(&terms.sum);
      const std::vector<float> x(LongRow(family.name).begin(),
                                 LongRow(family.name).begin() + static_cast<ptrdiff_t>(n));
      const std::vector<float> expected = Map(ScalarMicrokernel("f32_vscaleextexp"), x, reciprocal);
      if (!takes_logits()) reciprocal.exponent += SMX_BIAS - terms.sum.reference;
      if (!takes_logits() && reciprocal.exponent > SMX_LARGEST_STEP)
        continue;  // several steps: the operator's matter
      const std::vector<float> y = Map(kernel(), takes_logits() ? x : terms.y, reciprocal);
      EXPECT_TRUE(SameBits(y.data(), expected.data(), n));
      const Reference& reference = ReferenceFor(family.name, n);
      Worst worst;
      for (size_t i = 0; i < n; i++) worst.Note(UlpError(y[i], (*reference.terms)[i] / reference.sum), i);
      EXPECT_LE(worst.error(), kSoftmaxUlps) << "element " << worst.index();
      worst_of_all.Note(worst.error(), n);
    }
  }
  RecordProperty("worst_ulps", std::to_string(worst_of_all.error()));
}

class VstreamExtExp : public MicrokernelTest {};

INSTANTIATE_TEST_SUITE_P(StreamList, VstreamExtExp,
                         testing::ValuesIn(AvailableMicrokernels("f32_vstreamextexp")), TestName);

void WaitFor(const std::atomic<int>& variable, int value) {
  constexpr int kTurnsBeforeYield = 10000;  // another thread may need the core
  for (int turns = 0; variable.load(std::memory_order_acquire) != value; turns++) {
    if (turns > kTurnsBeforeYield) std::this_thread::yield();
  }
}

// Stores that bypass the caches may be late: another thread that hears of the results must find them. What comes latest is
// the last vector, of part of a cache line.
TEST_P(VstreamExtExp, ResultsAreThereForOtherThreads) {
  constexpr int kTurns = 2000;
  const std::vector<float> x(1000, 0.0f);
  GuardedBuffer<float> y(x.size(), GuardedEdge::kBeginning);
  std::atomic<int> written{0}, read{0};
  const auto result = [](int turn) { return 0.5f + 0x1p-20f * static_cast<float>(turn); };  // times exp(0)
  std::thread writer([&] {
    const smx_fp_environment environment;
    for (int turn = 1; turn <= kTurns; turn++) {
      WaitFor(read, turn - 1);
      const smx_f32_reciprocal reciprocal = {result(turn), 0.0f, 0};
      kernel().As<smx_f32_vstreamextexp_ukernel_fn>()(x.size(), x.data(), y.data(), &reciprocal, &kExp);
      written.store(turn, std::memory_order_release);  // itself no fence
    }
  });
  int late = 0;
  for (int turn = 1; turn <= kTurns; turn++) {
    WaitFor(written, turn);
    for (size_t i = y.size(); i > 0; i--) late += y[i - 1] != result(turn);
    read.store(turn, std::memory_order_release);
  }
  writer.join();
  EXPECT_EQ(late, 0);
}

// ---- f32-topk

// By a stable sort: NaN above all, denormals as 0.
std::vector<int32_t> LargestOf(const float* x, size_t n, size_t k) {
  const auto is_before = [x](int32_t a, int32_t b) {
    return isnan(x[b]) ? false : isnan(x[a]) || Flushed(x[a]) > Flushed(x[b]);
  };
  std::vector<int32_t> indices(n);
  for (size_t i = 0; i < n; i++) indices[i] = static_cast<int32_t>(i);
  std::stable_sort(indices.begin(), indices.end(), is_before);
  indices.resize(k);
  return indices;
}

// Rows of all kinds of elements, in every other of which many are equal.
float TopkElement(SplitMix64* random, size_t row) {
  constexpr float kSpecial[] = {NAN,   -NAN,         INFINITY,      -INFINITY, 0.0f,
                                -0.0f, FLT_TRUE_MIN, -FLT_TRUE_MIN, FLT_MIN};
  if (row % 3 == 1 && random->Below(8) == 0) return kSpecial[random->Below(9)];
  if (row % 2 == 1) return static_cast<float>(random->Below(5)) - 2.0f;
  return random->Normal() * 30.0f;
}

class Topk : public MicrokernelTest {
 protected:
  void Test(size_t rows, size_t n, size_t k, size_t stride, GuardedEdge edge) const {
    SCOPED_TRACE(testing::Message() << rows << " rows of " << n << ", k = " << k);
    SplitMix64 random(rows + n + k);
    GuardedBuffer<float> x((rows - 1) * stride + n, edge);
    std::fill(x.begin(), x.end(), NAN);  // between the rows
    for (size_t r = 0; r < rows; r++) {
      for (size_t i = 0; i < n; i++) x[r * stride + i] = TopkElement(&random, r);
    }
    GuardedBuffer<int32_t> indices(rows * k, edge);
    {
      const smx_fp_environment environment;
      kernel().As<smx_f32_topk_ukernel_fn>()(rows, n, k, x.data(), stride, indices.data());
    }
    EXPECT_TRUE(indices.SurroundingsAreIntact());
    for (size_t r = 0; r < rows; r++) {
      const int32_t* found = indices.data() + r * k;
      ASSERT_EQ(std::vector<int32_t>(found, found + k), LargestOf(x.data() + r * stride, n, k))
          << "row " << r;
    }
  }
};

INSTANTIATE_TEST_SUITE_P(List, Topk, testing::ValuesIn(AvailableMicrokernels("f32_topk")), TestName);

TEST_P(Topk, FindsWhatAStableSortFinds) {
  for (size_t n : {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 60, 64, 65, 127, 129, 256, 509, 512}) {
    for (size_t k : {1, 2, 4, 7, 8, 9, 16, 17, 31, 32, 33, 60, 64}) {
      if (k > n) continue;
      Test(19, n, k, n, GuardedEdge::kEnd);
      Test(SMX_TOPK_ROWS + (n + k) % 33, n, k, n + k % 4, GuardedEdge::kBeginning);
    }
  }
}

TEST_P(Topk, TakesAnyNumberOfRows) {
  for (size_t rows = SMX_TOPK_ROWS; rows <= 3 * SMX_TOPK_ROWS; rows++)
    Test(rows, 21, 6, 22, GuardedEdge::kEnd);
}

// check_list.cmake sees to the kernels that other programs test.
TEST(List, EveryVariantHasATest) {
  for (const char* name : {"f32_raddextexp", "f32_raddstoreextexp", "f32_vscaleextexp", "f32_vstreamextexp",
                           "f32_vmulextc", "f32_topk"}) {
    ExpectEveryMicrokernelHasATest(AvailableMicrokernels(name));
  }
}

}  // namespace
}  // namespace smx
