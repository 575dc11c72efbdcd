// Softmax over rows of floats: what include/smxpack.h says of its results, on every ISA that can run here.
#include <float.h>
#include <gtest/gtest.h>
#include <inttypes.h>
#include <math.h>
#include <pthreadpool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "include/smxpack.h"
#include "src/gen/microkernels.h"
#include "src/kernels/extended.h"
#include "src/plan/softmax_plan.h"
#include "test/fp_environments.h"
#include "test/golden_bits.h"
#include "test/isas.h"
#include "test/rows.h"
#include "test/softmax_tester.h"
#include "test/ulp.h"

namespace smx {
namespace {

using Row = std::vector<float>;

float FromBits(uint32_t bits) {
  float f;
  memcpy(&f, &bits, sizeof(f));
  return f;
}

class SoftmaxNcF32 : public testing::TestWithParam<std::string> {
 protected:
  SoftmaxTester Tester() const { return SoftmaxTester().isa(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(, SoftmaxNcF32, testing::ValuesIn(AvailableIsas()),
                         [](const auto& info) { return info.param; });

// --- The cases of XNNPACK's own tests of softmax_nc_f32 ---

TEST_P(SoftmaxNcF32, SingleClass) {
  Tester().channels(1).iterations(100).TestF32();
}

TEST_P(SoftmaxNcF32, TwoClasses) {
  Tester().channels(2).iterations(100).TestF32();
}

TEST_P(SoftmaxNcF32, ManyClasses) {
  for (size_t channels = 3; channels <= 100; channels++) Tester().channels(channels).TestF32();
}

TEST_P(SoftmaxNcF32, CifarClasses) {
  Tester().channels(10).iterations(15).TestF32();
  Tester().channels(100).iterations(15).TestF32();
}

TEST_P(SoftmaxNcF32, ImagenetClasses) {
  for (size_t channels : {1000, 1001, 21841}) Tester().channels(channels).iterations(10).TestF32();
}

// A small batch, and one of several tasks.
class SoftmaxNcF32Batch : public testing::TestWithParam<std::tuple<std::string, size_t>> {
 protected:
  // Of 1 to 99 channels.
  std::vector<SoftmaxTester> Testers() const {
    const auto& [isa, rows] = GetParam();
    const bool is_small = rows == kSmallBatch;
    std::vector<SoftmaxTester> testers;
    for (size_t channels = 1; channels < 100; channels += is_small ? 5 : 33) {
      testers.push_back(SoftmaxTester().isa(isa).channels(channels).rows(rows).iterations(is_small ? 3 : 1));
    }
    return testers;
  }

 public:
  static constexpr size_t kSmallBatch = 3;
  static constexpr size_t kLargeBatch = 600;
};

INSTANTIATE_TEST_SUITE_P(, SoftmaxNcF32Batch,
                         testing::Combine(testing::ValuesIn(AvailableIsas()),
                                          testing::Values(SoftmaxNcF32Batch::kSmallBatch,
                                                          SoftmaxNcF32Batch::kLargeBatch)),
                         [](const auto& info) {
                           return std::get<0>(info.param) + "_" + std::to_string(std::get<1>(info.param)) +
                                  "_rows";
                         });

TEST_P(SoftmaxNcF32Batch, Contiguous) {
  for (SoftmaxTester& tester : Testers()) tester.TestF32();
}

TEST_P(SoftmaxNcF32Batch, WithInputStride) {
  for (SoftmaxTester& tester : Testers()) tester.input_stride(129).TestF32();
}

TEST_P(SoftmaxNcF32Batch, WithOutputStride) {
  for (SoftmaxTester& tester : Testers()) tester.output_stride(117).TestF32();
}

TEST_P(SoftmaxNcF32Batch, WithInputAndOutputStride) {
  for (SoftmaxTester& tester : Testers()) tester.input_stride(129).output_stride(117).TestF32();
}

TEST_P(SoftmaxNcF32Batch, InPlaceWithStride) {
  for (SoftmaxTester& tester : Testers()) tester.input_stride(129).in_place(true).TestF32();
}

TEST_P(SoftmaxNcF32Batch, Multithreaded) {
  for (SoftmaxTester& tester : Testers()) tester.input_stride(129).output_stride(117).threads(3).TestF32();
}

// --- Accuracy ---

class SoftmaxNcF32Accuracy : public testing::TestWithParam<std::string> {
 protected:
  // The bits are the same on every ISA and under every plan; the error is measured once.
  void TestRows(size_t channels, uint64_t first_seed, size_t rows) {
    SoftmaxTester::Rows inputs, first;
    for (size_t i = 0; i < rows; i++) inputs.push_back(MakeRow(GetParam(), channels, first_seed + i));
    for (const ForcedPlan& plan : ForcedPlans()) {
      if (!plan.Takes(rows, channels, false)) continue;
      for (const std::string& isa : AvailableIsas()) {
        const SoftmaxTester tester = SoftmaxTester().isa(isa).plan(plan);
        const SoftmaxTester::Rows y = tester.Run(inputs);
        if (first.empty()) {
          first = y;
          for (size_t i = 0; i < rows; i++) {
            ASSERT_TRUE(IsExactEnough(y[i], ReferenceSoftmax(inputs[i]), &worst_)) << tester << ", row " << i;
          }
        }
        for (size_t i = 0; i < rows; i++) ASSERT_TRUE(SameBits(y[i], first[i])) << tester << ", row " << i;
      }
    }
  }

  void TearDown() override {
    printf("%s: at most %.3f ULP\n", GetParam().c_str(), worst_);
    RecordProperty("worst_ulp", std::to_string(worst_));
  }

 private:
  double worst_ = 0.0;
};

INSTANTIATE_TEST_SUITE_P(, SoftmaxNcF32Accuracy,
                         testing::Values("normal_1", "normal_4", "normal_30", "uniform_100", "uniform_1000"),
                         [](const auto& info) { return info.param; });

TEST_P(SoftmaxNcF32Accuracy, ShortRows) {
  for (size_t channels = 1; channels <= 140; channels++) {
    ASSERT_NO_FATAL_FAILURE(TestRows(channels, 1, 20));
  }
}

TEST_P(SoftmaxNcF32Accuracy, LongRows) {
  std::set<size_t> lengths;
  for (int power = 8; power <= 20; power++) {
    for (int offset : {-1, 0, 1}) lengths.insert(Capped((size_t{1} << power) + offset));
  }
  for (size_t channels : lengths) ASSERT_NO_FATAL_FAILURE(TestRows(channels, channels, 1));
}

class SoftmaxNcF32LongestRow : public SoftmaxNcF32Accuracy {};

INSTANTIATE_TEST_SUITE_P(, SoftmaxNcF32LongestRow, testing::Values("normal_4"),
                         [](const auto& info) { return info.param; });

TEST_P(SoftmaxNcF32LongestRow, IsAsExact) {
  TestRows(LongestRow(), 24, 1);
}

// --- Edge cases ---

// Of a part of a vector, of blocks, and of several tiles: rows that take two passes in place and are split over threads.
constexpr size_t kSeveralTiles = 2 * SMX_TILE + 100;
constexpr size_t kEdgeLengths[] = {2, 31, 100, SMX_BLOCK + 1, kSeveralTiles};

// Around the limits of what the kernels compute without subtracting the row's maximum first, and 256 below, where
// elements stop to count beside a maximum at the limit.
const std::vector<float> kLimits = {smx_range - 100.0f,  smx_range - 1.0f,    smx_range,
                                    smx_range + 1.0f,    smx_range + 300.0f,  -smx_range + 10.0f,
                                    -smx_range,          -smx_range - 1.0f,   -smx_range - 100.0f,
                                    -smx_range - 255.0f, -smx_range - 256.0f, -smx_range - 257.0f};

std::vector<float> LimitsAnd(const std::vector<float>& others) {
  std::vector<float> all = kLimits;
  all.insert(all.end(), others.begin(), others.end());
  return all;
}

// Short rows are computed several at a time in a batch of this size.
constexpr size_t kBatchOfShortRows = 20;

// As many as a plan needs at least, but of kernels on several rows more than one group.
size_t BatchFor(const ForcedPlan& plan) {
  return plan.fewest_rows > 1 ? kBatchOfShortRows : 1;
}

// The result of a row: the same on every ISA, under every plan, in place and not, and split over threads.
Row Softmax(const Row& row) {
  Row y;
  const auto run = [&](SoftmaxTester tester) {
    for (const ForcedPlan& plan : ForcedPlans()) {
      for (bool in_place : {false, true}) {
        if (!plan.Takes(BatchFor(plan), row.size(), in_place)) continue;
        tester.plan(plan).in_place(in_place);
        for (const Row& result : tester.Run(SoftmaxTester::Rows(BatchFor(plan), row))) {
          if (y.empty()) y = result;
          EXPECT_TRUE(SameBits(result, y)) << tester;
        }
      }
    }
  };
  // Whether a row is split does not depend on the ISA: the first one splits, the others do not.
  const bool splits = row.size() >= kSeveralTiles && AvailableIsas().size() > 1;
  for (const std::string& isa : AvailableIsas()) {
    run(SoftmaxTester().isa(isa).threads(splits && isa == AvailableIsas().front() ? 2 : 0));
  }
  return y;
}

// The same under SMX_FLAG_MASKED_ROWS_TO_ZERO.
Row FlaggedSoftmax(const Row& row) {
  const size_t rows = row.size() > SMX_BLOCK ? 1 : kBatchOfShortRows;
  Row y;
  for (const std::string& isa : AvailableIsas()) {
    const SoftmaxTester tester = SoftmaxTester().isa(isa).flags(SMX_FLAG_MASKED_ROWS_TO_ZERO);
    for (const Row& result : tester.Run(SoftmaxTester::Rows(rows, row))) {
      if (y.empty()) y = result;
      EXPECT_TRUE(SameBits(result, y)) << tester;
    }
  }
  return y;
}

// Flag or not.
void ExpectSoftmax(const Row& row, const Row& expected) {
  EXPECT_TRUE(SameBits(Softmax(row), expected));
  EXPECT_TRUE(SameBits(FlaggedSoftmax(row), expected)) << "with the flag";
}

void ExpectNan(const Row& row) {
  ExpectSoftmax(row, Row(row.size(), FromBits(kNanBits)));
}

Row ExpectExact(const Row& row) {
  const Row y = Softmax(row);
  EXPECT_TRUE(IsExactEnough(y, ReferenceSoftmax(row)));
  EXPECT_TRUE(SameBits(FlaggedSoftmax(row), y)) << "with the flag";
  return y;
}

// The places in a row that differ most.
std::vector<size_t> Places(size_t channels) {
  return {0, channels / 2, channels - 1};
}

TEST(SoftmaxNcF32Edge, SomeMinusInfinity) {
  for (size_t channels : kEdgeLengths) {
    for (size_t every : {2, 3, 50}) {
      Row row = NormalRow(channels, 4.0f, channels);
      for (size_t i = 0; i < channels; i++) row[i] = i % every == 0 ? -INFINITY : row[i];
      SCOPED_TRACE(testing::Message() << channels << " channels, every " << every);
      const Row y = ExpectExact(row);
      for (size_t i = 0; i < channels; i += every) ASSERT_EQ(y[i], 0.0f) << i;
    }
    for (size_t place : Places(channels)) {
      Row row(channels, -INFINITY);
      row[place] = -5.0f;
      Row expected(channels, 0.0f);
      expected[place] = 1.0f;
      SCOPED_TRACE(testing::Message() << channels << " channels, all but " << place);
      ExpectSoftmax(row, expected);
    }
  }
}

TEST(SoftmaxNcF32Edge, AllMinusInfinity) {
  std::vector<size_t> lengths(std::begin(kEdgeLengths), std::end(kEdgeLengths));
  for (size_t channels = 1; channels <= 100; channels++) lengths.push_back(channels);
  for (size_t channels : lengths) {
    const Row row(channels, -INFINITY);
    EXPECT_TRUE(SameBits(Softmax(row), Row(channels, FromBits(kNanBits)))) << channels << " channels";
    EXPECT_TRUE(SameBits(FlaggedSoftmax(row), Row(channels, 0.0f))) << channels << " channels";
  }
}

TEST(SoftmaxNcF32Edge, MaskedRowsAmongOthers) {
  const Row finite = NormalRow(100, 4.0f, 1);
  const Row masked(100, -INFINITY);
  const Row expected = Softmax(finite);
  for (const std::string& isa : AvailableIsas()) {
    for (uint32_t flags : {UINT32_C(0), SMX_FLAG_MASKED_ROWS_TO_ZERO}) {
      const Row of_masked(100, flags == 0 ? FromBits(kNanBits) : 0.0f);
      const SoftmaxTester::Rows y =
          SoftmaxTester().isa(isa).flags(flags).Run({finite, masked, finite, masked, masked, finite});
      for (size_t i : {0, 2, 5}) EXPECT_TRUE(SameBits(y[i], expected)) << isa << ", row " << i;
      for (size_t i : {1, 3, 4}) EXPECT_TRUE(SameBits(y[i], of_masked)) << isa << ", row " << i;
    }
  }
}

TEST(SoftmaxNcF32Edge, AnyNan) {
  // Quiet, signalling, of both signs, with and without a payload.
  const uint32_t nans[] = {0x7FC00000, 0xFFC00000, 0x7F800001, 0xFF800001,
                           0x7FFFFFFF, 0xFFFFFFFF, 0x7FC12345};
  for (size_t channels : kEdgeLengths) {
    for (size_t place : Places(channels)) {
      for (uint32_t nan : nans) {
        if (channels == kSeveralTiles && nan != nans[0]) continue;
        Row row = NormalRow(channels, 4.0f, channels);
        row[place] = FromBits(nan);
        SCOPED_TRACE(testing::Message() << channels << " channels, " << std::hex << nan << " at " << place);
        ExpectNan(row);
      }
      for (float others : {0.0f, -INFINITY, INFINITY, -1e9f, -FLT_MAX, FLT_MAX, 1000.0f, -1000.0f, 1e-40f}) {
        Row row(channels, others);
        row[place] = NAN;
        SCOPED_TRACE(testing::Message() << channels << " channels of " << others << ", NaN at " << place);
        ExpectNan(row);
      }
    }
  }
  ExpectNan({NAN});
  ExpectNan({FromBits(0xFF800001)});
}

// A tile that holds NaN or +inf beside tiles with another reference exponent.
TEST(SoftmaxNcF32Edge, NanAndInfinityBesideTilesOfAnyLevel) {
  for (float level : {-1e9f, -smx_range - 257.0f, -smx_range - 1.0f, -smx_range, -1000.0f, 0.0f, 700.0f,
                      1000.0f, smx_range, smx_range + 1.0f, 1e9f}) {
    for (float special : {NAN, INFINITY}) {
      for (size_t place : {size_t{0}, size_t{SMX_TILE + 5}, kSeveralTiles - 1}) {
        Row row(kSeveralTiles, level);
        const size_t tile = place / SMX_TILE * SMX_TILE;
        std::fill(row.begin() + tile, row.begin() + std::min(tile + SMX_TILE, row.size()), 0.0f);
        row[place] = special;
        SCOPED_TRACE(testing::Message() << special << " at " << place << " beside " << level);
        ExpectNan(row);
      }
    }
  }
}

// A tile of masks has no reference of its own: whatever that of the row is, its results are 0.
TEST(SoftmaxNcF32Edge, TileOfMasksBesideAnyLevel) {
  Row expected(SMX_TILE + 1, 1.0f / SMX_TILE);
  expected.back() = 0.0f;
  for (const std::string& isa : AvailableIsas()) {
    for (float level : {200.0f, 0.0f, -142.5f, -209.0f, -320.0f, -497.25f, -1000.0f, -smx_range}) {
      for (float mask : {-INFINITY, -FLT_MAX}) {
        Row row(SMX_TILE + 1, level);
        row.back() = mask;
        for (bool in_place : {false, true}) {
          const SoftmaxTester tester = SoftmaxTester().isa(isa).in_place(in_place);
          ASSERT_TRUE(SameBits(tester.Run({row}).front(), expected))
              << tester << ", " << mask << " beside " << level;
        }
      }
    }
  }
}

TEST(SoftmaxNcF32Edge, PlusInfinity) {
  for (size_t channels : kEdgeLengths) {
    for (size_t place : Places(channels)) {
      for (float others : {0.0f, -INFINITY, INFINITY, -1e9f, FLT_MAX, -FLT_MAX, 1000.0f}) {
        Row row(channels, others);
        row[place] = INFINITY;
        SCOPED_TRACE(testing::Message() << channels << " channels of " << others << ", +inf at " << place);
        ExpectNan(row);
      }
    }
  }
  ExpectNan({INFINITY});
}

// From denormals to FLT_MAX.
std::vector<float> Magnitudes() {
  std::vector<float> magnitudes = kLimits;
  for (float x : {0.0f, 1e-45f, 1e-40f, FLT_MIN, 1.0f, 11.1f, 30.5f, 87.4f, 88.8f, 104.0f, 709.9f, 1e4f, 2e5f,
                  1e6f, 1e9f, 1e20f, 3e38f, 3.4e38f, FLT_MAX}) {
    magnitudes.push_back(x);
    magnitudes.push_back(-x);
  }
  return magnitudes;
}

TEST(SoftmaxNcF32Edge, OneElement) {
  for (float x : Magnitudes()) {
    SCOPED_TRACE(x);
    ExpectSoftmax({x}, {1.0f});
  }
}

TEST(SoftmaxNcF32Edge, EqualElements) {
  const auto test = [](size_t channels, float x) {
    SCOPED_TRACE(testing::Message() << channels << " channels of " << x);
    const Row y = Softmax(Row(channels, x));
    EXPECT_LE(UlpError(y[0], 1.0L / static_cast<long double>(channels)), 1.0);
    EXPECT_TRUE(SameBits(y, Row(channels, y[0])));
    EXPECT_TRUE(SameBits(FlaggedSoftmax(Row(channels, x)), y)) << "with the flag";
  };
  for (float x : Magnitudes()) {
    for (size_t channels : {2, 3, 10, 31, 100, 1000, 3 * SMX_BLOCK + 1}) test(channels, x);
  }
  for (float x : LimitsAnd({0.0f, 11.1f, 1e9f, -FLT_MAX})) test(kSeveralTiles + 1, x);
}

TEST(SoftmaxNcF32Edge, LargestOfBothSigns) {
  for (float large : {3.4e38f, FLT_MAX, 1e9f}) {
    for (size_t channels : kEdgeLengths) {
      for (size_t place : Places(channels)) {
        Row row(channels, -large);
        row[place] = large;
        Row expected(channels, 0.0f);
        expected[place] = 1.0f;
        SCOPED_TRACE(testing::Message() << channels << " channels, " << large << " at " << place);
        ExpectSoftmax(row, expected);
      }
      Row row(channels, large);
      for (size_t i = 1; i < channels; i += 2) row[i] = -large;
      SCOPED_TRACE(testing::Message() << channels << " channels, alternating");
      ExpectExact(row);
    }
  }
}

TEST(SoftmaxNcF32Edge, DenormalsCountAsZero) {
  for (size_t channels : kEdgeLengths) {
    ExpectSoftmax(MakeRow("denormal", channels, 7), Softmax(Row(channels, 0.0f)));
    Row with_denormals = NormalRow(channels, 4.0f, channels);
    Row with_zeros = with_denormals;
    for (size_t i = 0; i < channels; i += 3) {
      with_denormals[i] = i % 2 == 0 ? 1e-40f : -1e-45f;
      with_zeros[i] = 0.0f;
    }
    ExpectSoftmax(with_denormals, Softmax(with_zeros));
  }
}

TEST(SoftmaxNcF32Edge, ResultsBelowFltMinAreZero) {
  for (size_t channels : {2, 100, SMX_BLOCK + 1}) {
    for (float below : {86.0f, 87.2f, 87.33f, 87.34f, 87.4f, 88.0f, 95.0f, 103.0f, 104.0f, 120.0f}) {
      for (float largest : {0.0f, 50.0f, -300.0f, 1e5f}) {
        Row row(channels, largest - below);
        row[channels / 2] = largest;
        SCOPED_TRACE(testing::Message() << channels << " channels, " << below << " below " << largest);
        ExpectExact(row);
      }
    }
  }
  for (size_t channels : kEdgeLengths) ExpectExact(MakeRow("fading", channels, channels));
}

// A finite mask on [start, end) of ordinary logits.
struct Mask {
  const char* name;
  size_t start, end;
};

TEST(SoftmaxNcF32Edge, FiniteMasks) {
  for (size_t channels : {size_t{100}, size_t{3000}, kSeveralTiles}) {
    const Mask masks[] = {
        {"the first element", 0, 1},
        {"the last element", channels - 1, channels},
        {"the first block", 0, SMX_BLOCK},
        {"the second block", SMX_BLOCK, 2 * SMX_BLOCK},
        {"the first tile", 0, SMX_TILE},
        {"the second tile", SMX_TILE, 2 * SMX_TILE},
        {"all but the first block", SMX_BLOCK, channels},
        {"all but the last tile", 0, 2 * SMX_TILE},
        {"all but the first element", 1, channels},
        {"all but the last element", 0, channels - 1},
    };
    const Row logits = NormalRow(channels, 30.0f, channels);
    for (float value :
         {-smx_range + 4.0f, -smx_range - 50.0f, -smx_range - 270.0f, -1e9f, -1e20f, -FLT_MAX}) {
      for (const Mask& mask : masks) {
        if (mask.start >= mask.end || mask.end > channels) continue;
        Row row = logits;
        std::fill(row.begin() + mask.start, row.begin() + mask.end, value);
        SCOPED_TRACE(testing::Message() << value << " on " << mask.name << " of " << channels);
        const Row y = ExpectExact(row);
        for (size_t i = mask.start; i < mask.end; i++) ASSERT_EQ(y[i], 0.0f) << i;
      }
    }
  }
}

// Pairs of levels on both sides of the kernels' range, in one block, in different blocks and in different tiles.
TEST(SoftmaxNcF32Edge, LimitsOfTheRange) {
  const float levels[] = {0.0f,
                          smx_range - 1.0f,
                          smx_range + 1.0f,
                          -smx_range + 10.0f,
                          -smx_range - 1.0f,
                          -smx_range - 100.0f,
                          -smx_range - 255.0f,
                          -smx_range - 257.0f,
                          -1e9f};
  for (float first : levels) {
    for (float rest : levels) {
      for (size_t start : {7, SMX_BLOCK, SMX_TILE}) {
        Row row = NormalRow(start == 7 ? 50 : SMX_TILE + 50, 2.0f, 1);
        for (size_t i = 0; i < row.size(); i++) row[i] += i < start ? first : rest;
        SCOPED_TRACE(testing::Message() << first << " up to " << start << ", then " << rest);
        ExpectExact(row);
      }
    }
  }
}

// Blocks at levels drawn at random, half of the tiles at a single one. Three levels a row: of all the largest would
// always win.
Row LevelsRow(size_t channels, uint64_t seed) {
  const std::vector<float> levels = LimitsAnd({0.0f, 40.0f, -40.0f, 300.0f, -300.0f, 1e5f, -1e5f, 1e6f, -1e6f,
                                               262145.0f, -262145.0f, -1e9f, -1e20f, -FLT_MAX, -INFINITY});
  SplitMix64 generator(seed);
  const auto draw = [&] { return levels[generator.Below(static_cast<uint32_t>(levels.size()))]; };
  const float allowed[] = {draw(), draw(), draw()};
  float of_tile = 0.0f, of_block = 0.0f;
  bool is_single = false;
  Row row(channels);
  for (size_t i = 0; i < channels; i++) {
    if (i % SMX_TILE == 0) {
      is_single = generator.Below(2) == 0;
      of_tile = allowed[generator.Below(3)];
    }
    if (i % SMX_BLOCK == 0) of_block = is_single ? of_tile : allowed[generator.Below(3)];
    row[i] = of_block + 3.0f * generator.Normal();
  }
  row[0] = std::max(row[0], -FLT_MAX);  // something is finite
  return row;
}

TEST(SoftmaxNcF32Edge, BlocksOfAnyLevel) {
  for (uint64_t seed = 1; seed <= 80; seed++) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    ExpectExact(LevelsRow(seed % 2 == 0 ? 3 * SMX_BLOCK + 5 : kSeveralTiles + 2 * SMX_BLOCK, seed));
  }
}

// In place, a tile that is within range must not be overwritten before all of the row is known to be.
TEST(SoftmaxNcF32Edge, TileOutOfRangeBesideOthersInPlace) {
  const auto& plans = ForcedPlans();
  const auto stored = std::find_if(plans.begin(), plans.end(),
                                   [](const ForcedPlan& plan) { return plan.name == std::string("stored"); });
  ASSERT_NE(stored, plans.end());
  Row row = MakeRow("normal_4", 3 * SMX_TILE + 5, 1);
  for (float& x : row) x += 16350.0f;
  row[2 * SMX_TILE + 7] = 16390.0f;  // the range ends at 2^14 = 16384
  for (const std::string& isa : AvailableIsas()) {
    for (size_t threads : {0, 2}) {
      const SoftmaxTester tester = SoftmaxTester().isa(isa).plan(*stored).threads(threads).in_place(true);
      EXPECT_TRUE(IsExactEnough(tester.Run({row})[0], ExactSoftmax(row, 0))) << tester;
    }
  }
}

TEST(SoftmaxNcF32Edge, EveryFamily) {
  for (size_t channels : kEdgeLengths) {
    for (const std::vector<RowFamily>* families : {&FiniteRows(), &SpecialRows()}) {
      for (const RowFamily& family : *families) {
        const Row row = family.make(channels, channels);
        SCOPED_TRACE(testing::Message() << family.name << ", " << channels << " channels");
        EXPECT_TRUE(IsExactEnough(Softmax(row), ExactSoftmax(row, 0)));
        EXPECT_TRUE(IsExactEnough(FlaggedSoftmax(row), ExactSoftmax(row, SMX_FLAG_MASKED_ROWS_TO_ZERO)));
      }
    }
  }
}

// --- Identical bits ---

// The row's place in a batch, alignment, strides, in place and not; guard pages at either end.
TEST_P(SoftmaxNcF32, BitsAndBoundsInEveryLayout) {
  for (size_t channels = 1; channels <= 100; channels++) {
    for (GuardedEdge edge : {GuardedEdge::kEnd, GuardedEdge::kBeginning}) {
      for (size_t gap : {0, 1, 29}) {
        for (bool in_place : {false, true}) {
          for (size_t offset : {0, 1, 2, 4, 7, 8, 15}) {
            Tester()
                .rows(offset == 0 ? 19 : 3)
                .channels(channels)
                .input_stride(channels + gap)
                .output_stride(channels + (gap == 1 ? 0 : gap))
                .in_place(in_place)
                .edge(edge)
                .offset(offset)
                .TestBits();
          }
        }
      }
    }
  }
}

TEST_P(SoftmaxNcF32, BitsAndBoundsOfLargeRows) {
  for (size_t channels : {1000, SMX_BLOCK - 1, SMX_BLOCK, SMX_BLOCK + 1, SMX_TILE - 1, SMX_TILE + 1, 40001}) {
    for (GuardedEdge edge : {GuardedEdge::kEnd, GuardedEdge::kBeginning}) {
      for (bool in_place : {false, true}) {
        Tester()
            .rows(2)
            .channels(channels)
            .input_stride(channels + 7)
            .in_place(in_place)
            .edge(edge)
            .TestBits();
      }
    }
  }
}

TEST_P(SoftmaxNcF32, BitsOfEveryFamily) {
  for (const RowFamily& family : FiniteRows()) {
    for (bool in_place : {false, true}) {
      for (size_t channels = 1; channels <= 70; channels++) {
        Tester().rows(kBatchOfShortRows).channels(channels).family(family.name).in_place(in_place).TestBits();
      }
      for (size_t channels : {1000, 1023, 1024, 1025, 16383, 16384, 16385, 50000}) {
        Tester().channels(channels).family(family.name).in_place(in_place).TestBits();
      }
    }
  }
}

constexpr size_t kThreads[] = {0, 1, 2, 3, 4, 8};

// Rows are spread over the threads.
TEST_P(SoftmaxNcF32, BitsOfBatchesOnAnyNumberOfThreads) {
  for (size_t channels : {5, 70, 1000, SMX_TILE + 1}) {
    for (size_t threads : kThreads) {
      for (bool in_place : {false, true}) {
        Tester()
            .rows(3 * SMX_TILE / channels + 2)
            .channels(channels)
            .input_stride(channels + 3)
            .threads(threads)
            .in_place(in_place)
            .TestBits();
      }
    }
  }
}

// Rows that are left are split over the threads.
TEST_P(SoftmaxNcF32, BitsOfSplitRowsOnAnyNumberOfThreads) {
  for (size_t threads : kThreads) {
    Tester().channels(50000).family("jumps").threads(threads).TestBits();
    Tester().rows(2).channels(50000).family("jumps").threads(threads).in_place(true).TestBits();
  }
}

TEST_P(SoftmaxNcF32, BitsOfVeryLongRows) {
  for (size_t threads : {0, 2, 8}) {
    for (bool in_place : {false, true}) {
      for (const char* family : {"normal_4", "jumps", "mask_minus_1e9"}) {
        Tester().channels(262144 + 3).family(family).threads(threads).in_place(in_place).TestBits();
      }
    }
  }
  // The second is longer than SMX_MAX_SPANS tiles, and its output bypasses the caches.
  for (size_t channels : {(size_t{1} << 21) + 5, size_t{SMX_MAX_SPANS} * SMX_TILE + 5}) {
    Tester().channels(channels).family("jumps").TestBits();
    Tester().channels(channels).family("jumps").offset(8).threads(3).TestBits();
    Tester().channels(channels).family("jumps").threads(3).in_place(true).TestBits();
  }
}

// --- Every plan ---

class SoftmaxNcF32Plan : public testing::TestWithParam<std::tuple<std::string, ForcedPlan>> {
 protected:
  const ForcedPlan& plan() const { return std::get<1>(GetParam()); }
  SoftmaxTester Tester() const { return SoftmaxTester().isa(std::get<0>(GetParam())).plan(plan()); }
};

// Plans of one row at a time, which alone take long rows.
class SoftmaxNcF32LongRowPlan : public SoftmaxNcF32Plan {};

std::vector<ForcedPlan> LongRowPlans() {
  std::vector<ForcedPlan> plans;
  for (const ForcedPlan& plan : ForcedPlans()) {
    if (plan.longest > SMX_BLOCK) plans.push_back(plan);
  }
  return plans;
}

std::string PlanTestName(const testing::TestParamInfo<SoftmaxNcF32Plan::ParamType>& info) {
  return std::get<0>(info.param) + "_" + std::get<1>(info.param).name;
}

INSTANTIATE_TEST_SUITE_P(, SoftmaxNcF32Plan,
                         testing::Combine(testing::ValuesIn(AvailableIsas()),
                                          testing::ValuesIn(ForcedPlans())),
                         PlanTestName);
INSTANTIATE_TEST_SUITE_P(, SoftmaxNcF32LongRowPlan,
                         testing::Combine(testing::ValuesIn(AvailableIsas()),
                                          testing::ValuesIn(LongRowPlans())),
                         PlanTestName);

TEST_P(SoftmaxNcF32Plan, BitsOfEveryFamily) {
  for (const std::vector<RowFamily>* families : {&FiniteRows(), &SpecialRows()}) {
    for (const RowFamily& family : *families) {
      for (size_t channels : {1, 2, 3, 7, 8, 16, 17, 31, 32, 33, 65, 1000, SMX_BLOCK, SMX_TILE, 50000}) {
        for (bool in_place : {false, true}) {
          const size_t rows = BatchFor(plan());
          if (!plan().Takes(rows, channels, in_place)) continue;
          Tester().rows(rows).channels(channels).family(family.name).in_place(in_place).TestBits();
        }
      }
    }
  }
}

// Guard pages at either end, alignment, strides.
TEST_P(SoftmaxNcF32Plan, BitsAndBoundsInEveryLayout) {
  for (size_t channels : {1, 2, 5, 15, 16, 17, 31, 32, 33, 47, 100, SMX_BLOCK - 1, 2 * SMX_BLOCK + 1}) {
    for (GuardedEdge edge : {GuardedEdge::kEnd, GuardedEdge::kBeginning}) {
      for (size_t gap : {0, 1, 29}) {
        for (bool in_place : {false, true}) {
          for (size_t offset : {0, 1, 8, 15}) {
            const size_t rows = 19;
            if (!plan().Takes(rows, channels, in_place)) continue;
            Tester()
                .rows(rows)
                .channels(channels)
                .input_stride(channels + gap)
                .output_stride(channels + (gap == 1 ? 0 : gap))
                .in_place(in_place)
                .edge(edge)
                .offset(offset)
                .TestBits();
          }
        }
      }
    }
  }
}

// Rows that kernels on several rows stop at, and such as hold NaN, among good ones.
TEST_P(SoftmaxNcF32Plan, BitsDoNotDependOnTheOtherRows) {
  const char* const others[] = {
      "all_minus_inf", "equal_minus_flt_max", "below_range",       "one_nan",
      "one_plus_inf",  "nan_and_plus_inf",    "nan_and_minus_inf", "all_nan",
      "million",       "range_ends",          "mask_minus_1e9",    "flt_max_both_signs"};
  std::vector<size_t> lengths = {33, 64, 100, 300, SMX_BLOCK};
  for (size_t channels = 1; channels <= 2 * SMX_LANES; channels++) lengths.push_back(channels);
  SplitMix64 generator(1);
  for (size_t channels : lengths) {
    for (uint32_t out_of_32 : {1, 8, 32}) {
      const size_t rows = channels > 64 ? 4 + generator.Below(30) : 4 + generator.Below(297);
      const bool in_place = generator.Below(2) == 0;
      if (!plan().Takes(rows, channels, in_place)) continue;
      std::vector<const char*> drawn;
      SoftmaxTester::Rows inputs;
      for (size_t i = 0; i < rows; i++) {
        const bool is_good = generator.Below(32) >= out_of_32;
        drawn.push_back(is_good ? "normal_4" : others[generator.Below(std::size(others))]);
        inputs.push_back(MakeRow(drawn[i], channels, i));
      }
      const SoftmaxTester tester = Tester()
                                       .channels(channels)
                                       .input_stride(channels + generator.Below(4))
                                       .output_stride(channels + generator.Below(4))
                                       .in_place(in_place)
                                       .threads(2 * generator.Below(2))
                                       .task_elements(1 + generator.Below(2) * 50 * channels);
      const SoftmaxTester::Rows outputs = tester.Run(inputs);
      for (size_t i = 0; i < rows; i++) {
        EXPECT_TRUE(SameBits(outputs[i], ScalarBits(drawn[i], channels, i)))
            << tester << ": " << drawn[i] << ", row " << i << " of " << rows;
      }
    }
  }
}

struct Spread {
  size_t rows, threads;
};

// Long rows, of which those that are left are split over all threads.
TEST_P(SoftmaxNcF32LongRowPlan, BitsOfSplitRows) {
  const char* const families[] = {"normal_4", "jumps",   "all_minus_inf", "mask_minus_1e9",
                                  "million",  "one_nan", "low_blocks",    "fading"};
  for (size_t channels : {2 * SMX_TILE, 3 * SMX_TILE + 5, 8 * SMX_TILE - 1}) {
    channels = Capped(channels);
    SoftmaxTester::Rows inputs;
    for (size_t i = 0; i < std::size(families); i++) inputs.push_back(MakeRow(families[i], channels, i));
    for (const Spread& spread : {Spread{5, 2}, Spread{2, 3}, Spread{8, 3}, Spread{3, 4}, Spread{6, 4}}) {
      for (bool in_place : {false, true}) {
        if (!plan().Takes(spread.rows, channels, in_place)) continue;
        const SoftmaxTester tester =
            Tester().channels(channels).input_stride(channels + 3).in_place(in_place).threads(spread.threads);
        const SoftmaxTester::Rows outputs = tester.Run({inputs.begin(), inputs.begin() + spread.rows});
        for (size_t i = 0; i < spread.rows; i++) {
          EXPECT_TRUE(SameBits(outputs[i], ScalarBits(families[i], channels, i)))
              << tester << ": " << families[i] << ", row " << i << " of " << spread.rows;
        }
      }
    }
  }
}

// No page between two rows may be touched.
TEST_P(SoftmaxNcF32, GapsBetweenRowsAreNotRead) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t page_floats = page / sizeof(float);
  constexpr size_t kRows = 19;
  void* memory = mmap(nullptr, 2 * kRows * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  float* pages = static_cast<float*>(memory);
  for (size_t i = 0; i < kRows; i++) {
    ASSERT_EQ(mprotect(pages + (2 * i + 1) * page_floats, page, PROT_NONE), 0);
  }
  UseIsa(GetParam());
  smx_operator_t op = nullptr;
  ASSERT_EQ(smx_create_softmax_nc_f32(0, &op), smx_status_success);
  for (size_t channels = 1; channels <= 200; channels++) {
    for (bool at_end : {false, true}) {
      float* first = pages + (at_end ? page_floats - channels : 0);
      const size_t stride = 2 * page_floats;
      for (size_t i = 0; i < kRows; i++) {
        const Row row = MakeRow("normal_4", channels, i);
        std::copy(row.begin(), row.end(), first + i * stride);
      }
      ASSERT_EQ(smx_setup_softmax_nc_f32(op, kRows, channels, stride, stride, first, first),
                smx_status_success);
      ASSERT_EQ(smx_run_operator(op, nullptr), smx_status_success);
    }
  }
  EXPECT_EQ(smx_delete_operator(op), smx_status_success);
  munmap(memory, 2 * kRows * page);
}

TEST_P(SoftmaxNcF32, GoldenBits) {
  for (const GoldenBits& golden : kGoldenBits) {
    uint64_t hash = kGoldenStart;
    for (size_t channels : kGoldenLengths) {
      hash = GoldenHash(hash, Tester().Run({MakeRow(golden.family, channels, channels)})[0]);
    }
    char line[64];
    snprintf(line, sizeof(line), "{\"%s\", 0x%016" PRIx64 "},", golden.family, hash);
    EXPECT_EQ(hash, golden.hash) << "    " << line;
  }
}

// --- The floating-point environment ---

// Runs that raise all exceptions: on denormals, NaN, overflow, and everywhere inexact.
class SoftmaxNcF32FpEnvironment : public SoftmaxNcF32Plan {
 protected:
  static void TearDownTestSuite() {
    printf("%zu runs under %zu floating-point environments, %zu plans, %zu ISAs\n", runs_,
           FpEnvironments().size(), ForcedPlans().size(), AvailableIsas().size());
  }

  void SetUp() override {
    UseIsa(std::get<0>(GetParam()));
    smx_thresholds thresholds = plan().thresholds;
    thresholds.task_elements = 1;
    ASSERT_EQ(smx_set_thresholds(&thresholds), smx_status_success);
    ASSERT_EQ(smx_create_softmax_nc_f32(0, &op_), smx_status_success);
  }
  void TearDown() override { EXPECT_EQ(smx_delete_operator(op_), smx_status_success); }

  // Runs in every way that the plan takes these rows in. Under every `step`-th environment where it is the calling thread
  // alone, under a fifth of those on the threads of a pool or in place.
  void TestRows(const Row& x, size_t rows, size_t step) {
    for (size_t threads : {0, 2}) {
      for (bool in_place : {false, true}) {
        if (!plan().Takes(rows, x.size() / rows, in_place)) continue;
        const size_t rarer = threads == 0 && !in_place ? 1 : 5;
        ASSERT_NO_FATAL_FAILURE(TestEnvironments(x, rows, in_place, threads, rarer * step));
      }
    }
  }

 private:
  // A run leaves the environment as it was on all threads, and its bits do not depend on it.
  void TestEnvironments(const Row& x, size_t rows, bool in_place, size_t threads, size_t step) {
    const pthreadpool_t pool = Pool(threads);
    Row y(x.size()), expected(x.size());
    Run(x, rows, in_place, &expected, nullptr, [](const auto& run) { run(); });
    const std::vector<FpEnvironment>& environments = FpEnvironments();
    for (size_t i = 0; i < environments.size(); i += step) {
      const FpEnvironment& environment = environments[i];
      std::atomic<size_t> changed{0};
      Run(x, rows, in_place, &y, pool, [&](const auto& run) {
        const FpEnvironment mine = GetFpEnvironment();
        OnEachThread(pool, [&] { SetFpEnvironment(environment); });
        const FpEnvironment before = GetFpEnvironment();  // processors may lack traps
        run();
        OnEachThread(pool, [&] {
          changed += !(GetFpEnvironment() == before);
          SetFpEnvironment(mine);
        });
      });
      runs_++;
      ASSERT_EQ(changed, 0u) << std::hex << environment.control << " " << environment.flags;
      ASSERT_TRUE(SameBits(y, expected))
          << std::hex << environment.control << " " << environment.flags << std::dec
          << (in_place ? ", in place" : "") << ", " << threads << " threads";
    }
  }

  // within(run) calls the run.
  template <class Within>
  void Run(const Row& x, size_t rows, bool in_place, Row* y, pthreadpool_t pool, const Within& within) {
    const size_t n = x.size() / rows;
    *y = in_place ? x : Row(x.size(), -1.0f);
    EXPECT_EQ(smx_setup_softmax_nc_f32(op_, rows, n, n, n, in_place ? y->data() : x.data(), y->data()),
              smx_status_success);
    smx_status status = smx_status_invalid_state;
    within([&] { status = smx_run_operator(op_, pool); });
    EXPECT_EQ(status, smx_status_success);
  }

  static size_t runs_;
  smx_operator_t op_ = nullptr;
};

size_t SoftmaxNcF32FpEnvironment::runs_ = 0;

INSTANTIATE_TEST_SUITE_P(, SoftmaxNcF32FpEnvironment,
                         testing::Combine(testing::ValuesIn(AvailableIsas()),
                                          testing::ValuesIn(ForcedPlans())),
                         PlanTestName);

TEST_P(SoftmaxNcF32FpEnvironment, NeitherMattersNorChanges) {
  const size_t rows = std::max<size_t>(BatchFor(plan()), 5);
  const size_t channels = std::min<size_t>(plan().longest, 50);
  for (const char* family : {"normal_30", "million"}) {  // within the kernels' range and outside
    SCOPED_TRACE(family);
    ASSERT_NO_FATAL_FAILURE(TestRows(MakeRow(family, rows * channels, 1), rows, 1));
  }
  for (const char* family : {"denormal", "fading", "mask_minus_flt_max", "flt_max_both_signs",
                             "all_minus_inf", "one_nan", "one_plus_inf"}) {
    SCOPED_TRACE(family);
    ASSERT_NO_FATAL_FAILURE(TestRows(MakeRow(family, rows * channels, 1), rows, 7));
  }
  Row row = NormalRow(rows * channels, 4.0f, 1);
  row[20] = FromBits(0x7F800001);  // signalling
  ASSERT_NO_FATAL_FAILURE(TestRows(row, rows, 7));
}

// Rows that are split over the threads of a pool, too.
TEST_P(SoftmaxNcF32FpEnvironment, NeitherMattersNorChangesOnRowsOfSeveralTiles) {
  constexpr size_t kChannels = 2 * SMX_TILE + 1;
  if (!plan().Takes(1, kChannels, false)) return;
  for (const char* family : {"uniform_100", "million", "one_nan", "denormal"}) {
    SCOPED_TRACE(family);
    ASSERT_NO_FATAL_FAILURE(TestRows(MakeRow(family, kChannels, 1), 1, 7));
  }
}

}  // namespace
}  // namespace smx
